"""The search of a retirement: after all that is cheaper, in every database that the user may enter, and named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from rotation.discovery import table_readers
from rotation.discovery.survey import Survey
from tests.conftest import Ran
from tests.databases import Database, open_database
from tests.fakes import token
from tests.lifecycle.shop import OLD, OLDER, Listening, Shop, announce, old_token, refusals

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
    """With its number, of how many, and with the rows of it alone."""
    listening = Listening.to_commands(monkeypatch)
    with neighbour(shop.database, token("nobody")) as name:
        see_only(monkeypatch, name, "postgres")
        retire(shop)

    found = [(words, rows, so_far) for words, rows, so_far in listening.heard if so_far and so_far.databases > 1]
    assert {so_far.databases for *_, so_far in found} == {3}
    assert sum(rows for words, rows, _ in found if name in words) == 1
    assert {so_far.database for words, _, so_far in found if name in words} < {2, 3}
    assert {so_far.database for words, _, so_far in found if name_of(shop.database) in words} == {1}


NEIGHBOURS = Survey.neighbours


def see_only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Of other databases these alone: other tests drop theirs meanwhile, and their numbers are passed over."""

    def lasting(survey: Survey) -> tuple[list[str], list[str]]:
        open_ones, closed = NEIGHBOURS(survey)
        return [each for each in open_ones if each in names], closed

    monkeypatch.setattr(Survey, "neighbours", lasting)


@SERVERS
def test_the_first_line_says_how_much_there_is_to_read(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Databases, tables and bytes, in one line before every row is searched; tables only if all of them are known.

    And, if other databases of the server are read, the setting that leaves them out.
    """
    listening = Listening.to_commands(monkeypatch)
    see_only(monkeypatch)
    shop.rotate("discover", "--full")
    with neighbour(shop.database, token("nobody")) as name:
        see_only(monkeypatch, name)
        retire(shop)
    alone, together = listening.announced

    size = r"[1-9][0-9.]* [kMG]B"
    many = rf"\(2 tables(, {size})?\)" if shop.database.kind == "mariadb" else rf"\({size}\)"
    assert re.fullmatch(rf"Searching every row of 1 database \(1 table(, {size})?\)", alone)
    hint = "" if shop.database.kind == "mariadb" else "; 1 of them only shares the server: .* unsearched_databases .*"
    assert re.fullmatch(rf"Searching every row of 2 databases {many}{hint}", together)


@POSTGRESQL
def test_progress_is_the_share_of_the_bytes(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It grows within a table, is 99 % at most, and leaves out what is not read: a table of numbers is half of all."""
    shop.database.execute(
        "CREATE TABLE words AS SELECT n, repeat(md5(n::text), 10) AS word FROM generate_series(1, 5000) n",
        "CREATE TABLE numbers AS SELECT n, n AS m FROM generate_series(1, 60000) n",
        "CREATE TABLE fewer AS SELECT * FROM words",
        "CREATE TABLE parts (n BIGINT, word TEXT) PARTITION BY RANGE (n)",
        "CREATE TABLE part PARTITION OF parts FOR VALUES FROM (1) TO (5001) PARTITION BY RANGE (n)",
        "CREATE TABLE leaf PARTITION OF part FOR VALUES FROM (1) TO (5001)",
        "INSERT INTO parts SELECT * FROM words",
        "ANALYZE words, fewer, leaf, numbers",
        # More rows than the catalog knows of.
        "INSERT INTO words SELECT n, repeat(md5(n::text), 10) FROM generate_series(5001, 10000) n",
        "DELETE FROM fewer WHERE n > 500",
    )
    listening = Listening.to_commands(monkeypatch)
    see_only(monkeypatch)
    retire(shop)

    known = [so_far for *_, so_far in listening.heard if so_far and so_far.percent is not None]
    assert (known[-1].table, known[-1].tables) == (4, 4)
    sizes = "SELECT sum(pg_relation_size(relid)) FROM pg_stat_user_tables WHERE relname IN ('words', 'fewer', 'leaf')"
    with shop.database.engine.connect() as connection:
        written = int(connection.exec_driver_sql(sizes).scalar_one())
    assert known[-1].bytes
    assert 0.6 * written < known[-1].bytes < written, "as of the statistics, before rows were inserted"
    percents = [so_far.percent or 0 for so_far in known]
    assert percents == sorted(percents)
    assert len(set(percents)) > 2
    assert percents[-1] == 99
    assert {so_far.seconds_left for so_far in known} == {None}, "nobody can say after less than five seconds"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_costs_nothing_is_said_before_a_row_is_read(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service with another primary, and tokens where no target is any more; the answer has all other reasons, too."""
    shop.database.execute(f"UPDATE creds SET token = '{old_token('older')}'")
    retire(shop)
    shop.database.execute("ALTER TABLE creds RENAME TO secrets")
    shop.config.write_text(shop.config.read_text().replace('"creds"', '"secrets"'))
    announce(shop, "web-2", OLDER, OLD)
    listening = Listening.to_commands(monkeypatch)
    refused = refusals(retire(shop, "--json"))
    retire(shop)
    elsewhere, service, following = listening.announced[:3]
    assert listening.announced[3:] == [elsewhere, service, following], "not what the target was found to hold"
    forced = retire(shop, "--force", OLDER.id)

    assert refused[0] == f"secrets.token: 3 tokens under {OLDER.id}"
    assert [elsewhere, service] == [f"This will refuse: {reason}" for reason in refused[1:]]
    assert (f"3 tokens under {OLDER.id} there" in elsewhere, "web-2" in service, "Ctrl-C" in following) == (True,) * 3
    assert listening.began[0] == 3, "said first of all"
    assert forced.code == 0
    assert not [words for words in listening.announced[6:] if "refuse" in words]


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


@POSTGRESQL
def test_a_column_that_refused_is_looked_at_before_every_row_is_searched(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another database, which a sample does not enter; of it the one table is read, and of the rest a sample."""
    with neighbour(shop.database, old_token("older")) as name:
        see_only(monkeypatch, name)
        first = retire(shop, "--json")
        theirs = sa.create_engine(shop.database.engine.url.set(database=name), poolclass=sa.NullPool)
        with theirs.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE other AS SELECT 'no token' AS cell FROM generate_series(1, 9)")
            connection.exec_driver_sql(f"GRANT SELECT ON other TO {name_of(shop.database)}")
        listening = Listening.to_commands(monkeypatch)
        second = retire(shop, "--json")
        with theirs.begin() as connection:
            connection.exec_driver_sql("DELETE FROM theirs")
        third = retire(shop, "--json")

    assert [reason.startswith("theirs.token in ") for reason in refusals(first)] == [True]
    assert refusals(first) == refusals(second)
    assert [_is_sampled(ran) for ran in (first, second)] == [False, True]
    in_it = [so_far.tables for words, _, so_far in listening.heard if name in words and so_far]
    assert (in_it[0], in_it[-1], third.code) == (1, 2, 0), third.out


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_token_that_a_sample_missed_is_looked_for_at_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its table, to the end; not if a target names its column by now, since a census reads that."""
    monkeypatch.setattr(table_readers, "WINDOWS", 2)
    monkeypatch.setattr(table_readers, "WINDOW_ROWS", 2)
    shop.database.execute("CREATE TABLE spare (id INTEGER PRIMARY KEY, token TEXT)")
    shop.database.insert("spare", [{"id": n, "token": old_token("older") if n == 71 else "-"} for n in range(100)])
    listening = Listening.to_commands(monkeypatch)
    first, second = retire(shop, "--json"), retire(shop, "--json")
    listening.heard.clear()
    shop.config.write_text(f"{shop.config.read_text()}{shop.config.read_text().replace('creds', 'spare')}")
    third = retire(shop, "--json")

    assert refusals(first) == refusals(second)
    assert refusals(first) == [f"spare.token: holds tokens, and no target names it: 1 token under {OLDER.id}"]
    assert [_is_sampled(ran) for ran in (first, second)] == [False, True]
    assert refusals(third) == [f"spare.token: 1 token under {OLDER.id}"]
    assert sum(rows for words, rows, _ in listening.heard if "searching" in words) < 100


def _is_sampled(ran: Ran) -> bool:
    return any("only a sample was searched" in note for note in ran.document["notes"])
