"""A retirement that is tried again does not read tables again in which nothing was found and nothing was added."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keyring_core import Keyring
from keyring_core.blind_index import BlindIndex
from rotation.discovery.survey import Survey
from rotation.discovery.table_source import SearchableTable
from rotation.model.text import UNCHANGED
from tests.databases import Database
from tests.fakes import token
from tests.keys import key_text
from tests.lifecycle.shop import OLD, OLDER, Shop, old_token, refusals
from tests.lifecycle.test_retire_search import POSTGRESQL, retire
from tests.stores.test_change_tracker import apart
from tests.stores.test_unchanged import settle

pytestmark = [
    pytest.mark.database,
    pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning"),
    pytest.mark.usefixtures("any_time"),
]

NOTES = ["CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)", "INSERT INTO notes VALUES (1, 'a note')"]
LEFT = "UPDATE keyring_ledger_searches SET taken = {}"


@pytest.fixture
def any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table is remembered, however soon it is read."""
    monkeypatch.setattr("rotation.discovery.survey.WITNESSED", timedelta(0))


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Shop:
    """A shop with a table that holds no token, and with one that does."""
    made = Shop(tmp_path, database)
    made.fill([old_token("old"), None, ""])
    database.execute(*NOTES)
    return made


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tables of which every row is read, one after the other."""
    names: list[str] = []
    act = Survey.read

    def note(self: Survey, table: SearchableTable, *given: Any, full: bool) -> Any:
        names.extend([table.name] if full else [])
        return act(self, table, *given, full=full)

    monkeypatch.setattr(Survey, "read", note)
    return names


def refused(shop: Shop, read: list[str]) -> None:
    """A first try. What refuses it, a blind index, is looked for in every row, and not by a sample; it is gone then."""
    shop.database.execute("CREATE TABLE copies (id INTEGER PRIMARY KEY, text VARCHAR(200))")
    shop.database.insert("copies", [{"id": 1, "text": BlindIndex("a.b").of(Keyring(OLDER), "ada@example.org")}])
    if shop.database.kind == "postgresql":
        settle(shop.database)
    assert refusals(retire(shop, "--json"))
    shop.database.execute("DROP TABLE copies")
    assert {"notes", "copies"} <= {*read}
    read.clear()


def proved(shop: Shop) -> list[str]:
    """A second try, which succeeds; the tables that its certificate says were unchanged."""
    done = retire(shop, "--json")
    assert done.code == 0, done.out
    name = shop.database.url.rpartition("/")[2].partition("?")[0]
    lines = [line for line in done.document["certificate"]["proved_unchanged"] if name in line]
    return [line.split(": ")[1] for line in lines]


@POSTGRESQL
def test_the_second_try_does_not_read_it_again(shop: Shop, read: list[str]) -> None:
    """The certificate and the screen say so, and since when; the table counts as searched."""
    refused(shop, read)
    done = retire(shop)
    with shop.ledger() as ledger:
        [certificate] = ledger.certificates()
        [taken] = {str(one.read.replace(microsecond=0).isoformat()) for one in ledger.searches().values()} or [""]

    assert done.code == 0, done.out
    assert "notes" not in read
    assert "creds" in read, "there are tokens in it"
    [said] = [line for line in certificate["proved_unchanged"] if ": notes: " in line]
    assert said.endswith(f": notes: every row was read at {taken}, and no row version is newer")
    screen = " ".join(done.out.split())
    assert f"{UNCHANGED}:" in screen
    assert f"notes: every row was read at {taken}" in screen
    [tables] = [one["tables"] for one in certificate["searched"] if one["database"] in said]
    assert tables == 2


@POSTGRESQL
def test_a_table_that_two_urls_lead_to_is_proved_once(shop: Shop, read: list[str]) -> None:
    """As it is read once."""
    second = shop.config.read_text().replace('"\ntable', '&application_name=second"\ntable')
    shop.config.write_text(f"{shop.config.read_text()}{second}")
    refused(shop, read)

    assert proved(shop) == ["notes"]
    assert "notes" not in read


@POSTGRESQL
def test_what_was_written_meanwhile_is_found(shop: Shop, read: list[str]) -> None:
    """A table that changed is read again, and a token in it refuses the retirement."""
    refused(shop, read)
    apart(shop.database, f"INSERT INTO notes VALUES (2, '{old_token('older')}')", "ANALYZE notes")
    # A sample of so small a table is all of it, and would refuse before.
    second = retire(shop, "--force", OLDER.id, "--json")

    assert "notes" in read
    assert [reason for reason in second.document["certificate"]["overridden"] if reason.startswith("notes.text")]


@pytest.mark.some(3)
@POSTGRESQL
@pytest.mark.parametrize("change", ["key", "context", "column", "hour", "future", "document", "table", "release"])
def test_what_is_not_surely_the_same_is_read_again(
    shop: Shop, read: list[str], change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another key to look for, another column, another program, a record that is too old or that nobody can read."""
    refused(shop, read)
    with shop.ledger() as ledger:
        execute = ledger._access.write
        statement = {
            "hour": LEFT.format("strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-61 minutes')"),
            "future": LEFT.format("'2999-01-01T00:00:00.000000Z'"),
            "document": """UPDATE keyring_ledger_searches SET document = '{"rows": 1, "witness": null}'""",
            "table": "DROP TABLE keyring_ledger_searches",
        }.get(change)
        if statement:
            execute(lambda connection: connection.exec_driver_sql(statement))
    if change == "key":
        keys = f"ENCRYPTION_KEY={key_text('old')}\nENCRYPTION_PREVIOUS_KEYS={key_text('older')},{key_text('new')}\n"
        shop.write_env(keys)
    if change == "context":
        bound = shop.config.read_text().replace("creds", "bound") + 'context = "bound.token"\n'
        shop.database.execute("CREATE TABLE bound (id INTEGER PRIMARY KEY, token TEXT)")
        shop.config.write_text(f"{shop.config.read_text()}\n{bound}")
    if change == "column":
        shop.database.execute("ALTER TABLE notes ADD more TEXT")
    if change == "release":
        monkeypatch.setattr("rotation.discovery.memory.release", lambda: "another")

    assert "notes" not in proved(shop)
    assert "notes" in read


@POSTGRESQL
def test_tables_with_something_in_them_are_not_remembered(
    shop: Shop, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens, blind indexes, cells that are too large: the next search has to report them, too."""
    monkeypatch.setattr("rotation.discovery.survey.MOST", {True: 2500, False: 2500})
    index = BlindIndex("held.text").of(Keyring(OLD), "ada@example.org")
    cells = {"held": token("nobody"), "indexed": index, "large": "x" * 3000, "plain": "x" * 500}
    for name, cell in cells.items():
        shop.database.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, text TEXT)")
        shop.database.insert(name, [{"id": 1, "text": cell}])
    shop.config.write_text(f'{shop.config.read_text()}[[ignore]]\ntable = "held"\nreason = "of another program"\n')
    refused(shop, read)

    assert proved(shop) == ["notes", "plain"]
    assert {"creds", *cells} - set(read) == {"plain"}


@POSTGRESQL
def test_a_table_that_is_read_soon_is_not_remembered(
    shop: Shop, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof would cost as much."""
    monkeypatch.setattr("rotation.discovery.survey.WITNESSED", timedelta(hours=1))
    refused(shop, read)

    assert proved(shop) == []


@POSTGRESQL
def test_a_user_of_some_columns_has_no_proof(shop: Shop, read: list[str]) -> None:
    """The right to read columns does not include the numbers of transactions; the table is read as ever."""
    user = shop.database.url.rpartition("/")[2].partition("?")[0]
    shop.database.execute(f"REVOKE SELECT ON notes FROM {user}", f"GRANT SELECT (id, text) ON notes TO {user}")
    refused(shop, read)

    assert proved(shop) == []
    assert "notes" in read


@pytest.mark.parametrize("database", ["sqlite", "mariadb"], indirect=True)
def test_other_databases_are_read_again(shop: Shop, read: list[str]) -> None:
    """Nothing there proves to another process that nobody wrote."""
    refused(shop, read)

    assert proved(shop) == []
    assert "notes" in read
    with shop.ledger() as ledger:
        assert ledger.searches() == {}


@POSTGRESQL
def test_what_is_remembered_holds_no_secret(shop: Shop, read: list[str]) -> None:
    """Numbers only: not even the name of a table."""
    refused(shop, read)
    with shop.ledger() as ledger:
        rows = ledger._access.read(
            lambda connection: [
                tuple(row) for row in connection.exec_driver_sql("SELECT * FROM keyring_ledger_searches")
            ]
        )

    text = json.dumps(rows)
    assert rows
    assert not [word for word in ("notes", "a note", OLD.id, OLDER.id, key_text("old")) if word in text]
