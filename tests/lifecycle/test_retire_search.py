"""The search of a retirement: after all that is cheaper, in every database that the user may enter, and named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from rotation.discovery.survey import Survey
from rotation.model.report import NoWatcher
from tests.conftest import Ran
from tests.databases import Database, open_database
from tests.fakes import token
from tests.lifecycle.shop import OLDER, Shop, old_token, refusals

pytestmark = [pytest.mark.database, pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning")]

POSTGRESQL = pytest.mark.parametrize("database", ["postgresql"], indirect=True)
SERVERS = pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)


def name_of(database: Database) -> str:
    return sa.make_url(database.url).database or ""


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Shop:
    made = Shop(tmp_path, database)
    made.fill([old_token("old"), None, ""])
    return made


@contextmanager
def neighbour(database: Database, cell: str) -> Iterator[str]:
    """Another database of the server with that *cell*, in which the user of *database* may read; its name."""
    if database.kind == "mariadb":
        name = f"{name_of(database)}_more"
        database.execute(f"CREATE DATABASE {name}", f"CREATE TABLE {name}.theirs (id INTEGER PRIMARY KEY, token TEXT)")
        database.insert(f"{name}.theirs", [{"id": 1, "token": cell}])
        yield name
        database.execute(f"DROP DATABASE {name}")
        return
    with open_database(database.kind, Path()) as other:
        user = name_of(database)
        other.execute("CREATE TABLE theirs (id INTEGER PRIMARY KEY, token TEXT)")
        other.insert("theirs", [{"id": 1, "token": cell}])
        other.execute(f"GRANT CONNECT ON DATABASE {name_of(other)} TO {user}", f"GRANT SELECT ON theirs TO {user}")
        yield name_of(other)
        other.execute(f"DROP OWNED BY {user}")


def retire(shop: Shop, *argv: str) -> Ran:
    return shop.keys("retire", OLDER.id, "--no-archive", *argv)


@SERVERS
def test_what_is_known_without_it_refuses_before_it(shop: Shop) -> None:
    """All at once: a target's token, and a column that a sample finds. It says that more is to be searched."""
    shop.database.execute("CREATE TABLE spare (id INTEGER PRIMARY KEY, token TEXT)")
    shop.database.insert("spare", [{"id": 1, "token": old_token("older")}])
    shop.database.execute(f"UPDATE creds SET token = '{old_token('older')}' WHERE id = 1")
    with neighbour(shop.database, old_token("older")):
        first = retire(shop, "--json")
        shop.rotate("run")
        shop.database.execute("DROP TABLE spare")
        second = retire(shop, "--json")

    [target, column] = [reason for reason in refusals(first) if "theirs" not in reason]
    assert target == f"creds.token: 1 token under {OLDER.id}"
    assert column == f"spare.token: holds tokens, and no target names it: 1 token under {OLDER.id}"
    assert [note for note in first.document["notes"] if "is searched once nothing refuses any more" in note]
    if shop.database.kind == "postgresql":
        assert not [reason for reason in refusals(first) if "theirs" in reason]
    assert [reason.partition(": ")[0].split(" in ")[0] for reason in refusals(second)] in (
        ["theirs.token"],
        [f"{name_of(shop.database)}_more.theirs.token"],
    )
    is_whole = not [note for note in second.document["notes"] if "once nothing refuses" in note]
    # One connection to MariaDB shows all databases, so that a sample is of all of them, too.
    assert is_whole == (shop.database.kind == "postgresql")


@SERVERS
def test_the_policy_leaves_other_databases_out(shop: Shop) -> None:
    """They are named with the reason; the one of the target is searched, whatever the pattern."""
    shop.config.write_text(f'{shop.config.read_text()}[policy.unsearched_databases]\n"*" = "of another team"\n')
    with neighbour(shop.database, old_token("older")) as name:
        done = retire(shop, "--json")

    assert done.code == 0, done.out
    certificate = done.document["certificate"]
    [said] = [one for one in certificate["not_looked_at"] if "of another team" in one]
    assert name in said
    assert [each["tables"] > 0 for each in certificate["searched"]] == [True]


@SERVERS
def test_what_was_read_in_vain_is_not_called_unread(shop: Shop) -> None:
    """A token of another application is one thing, what nobody may read another: each has its heading."""
    with neighbour(shop.database, token("nobody")) as name:
        done = retire(shop)
        [certificate] = _certificates(shop)

    screen = " ".join(done.out.split())
    assert done.code == 0
    assert "Read, but tokens there open under none of your keys" in screen
    assert [name in one and "theirs.token: 1 token that no key opens" in one for one in certificate["unopened"]] == [
        True
    ]
    assert not [one for one in certificate["not_looked_at"] if "theirs" in one]


@POSTGRESQL
def test_a_database_that_is_dropped_meanwhile_is_gone(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the list of databases and the search: it is no fault, and holds nothing any more."""
    name = f"{name_of(shop.database)}_gone"
    server = shop.database.engine.execution_options(isolation_level="AUTOCOMMIT")
    entered = Survey.enter

    def enter(survey: Survey, database: str) -> Survey:
        if database == name:
            with server.connect() as connection:
                connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        return entered(survey, database)

    monkeypatch.setattr(Survey, "enter", enter)
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    done = retire(shop)
    [certificate] = _certificates(shop)

    assert done.code == 0, done.out
    assert [one for one in certificate["gone"] if name in one and "dropped before it was searched" in one]
    assert "Gone meanwhile:" in done.out
    assert "Nothing was written" not in done.out


@POSTGRESQL
def test_each_database_is_named_while_it_is_searched(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its number, of how many."""
    told: dict[str, int] = {}

    class Listening(NoWatcher):
        def at_work(self, words: str, rows: int = 0) -> None:
            told[words] = told.get(words, 0) + rows

    monkeypatch.setattr("rotation.cli.options.CommandContext.watch", lambda *_, **__: _entered(Listening()))
    with neighbour(shop.database, token("nobody")) as name:
        neighbours = Survey.neighbours

        def lasting(survey: Survey) -> tuple[list[str], list[str]]:
            # Other tests drop theirs meanwhile, and their numbers are passed over.
            open_ones, closed = neighbours(survey)
            return [each for each in open_ones if each in {name, "postgres"}], closed

        monkeypatch.setattr(Survey, "neighbours", lasting)
        retire(shop)

    numbers = [words.rpartition(": ")[2].split(" of ") for words in told if "searching" in words]
    assert [int(number) for number, _ in numbers[1:]] == list(range(1, len(numbers)))
    assert {int(total) for _, total in numbers[1:]} == {len(numbers) - 1}
    assert [rows for words, rows in told.items() if name in words] == [1]


@contextmanager
def _entered(watcher: NoWatcher) -> Iterator[NoWatcher]:
    yield watcher


def test_cells_are_counted_as_a_run_counts_them(shop: Shop) -> None:
    """A NULL is none of them; rows are rows."""
    ran = shop.rotate("status", "--json").document["targets"][0]
    done = retire(shop)
    [certificate] = _certificates(shop)

    assert (certificate["cells"], certificate["rows"]) == (ran["scanned"], ran["scanned"] + ran["null"]) == (2, 3)
    assert "(2 cells of the column" in " ".join(done.out.split())


def _certificates(shop: Shop) -> list[dict[str, list[str]]]:
    with shop.ledger() as ledger:
        return list(ledger.certificates())
