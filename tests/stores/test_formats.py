"""Cells that hold tokens among other text: read as they are, compared and swapped as a whole, on real databases."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rotation.model.batch import Swaps, Written
from rotation.model.counts import RowKey
from rotation.model.target import Format, Target
from rotation.stores.opened_table import Watch
from rotation.stores.store import HUGE, Store
from tests.conftest import Cli, Named
from tests.databases import Database, open_database
from tests.fakes import token
from tests.stores.tokens import make_tokens, prepare, report, rotate, secret_names, secrets_of

pytestmark = pytest.mark.database

OLD, NEW = "gAAAAA-old=", "gAAAAA-other-key=="
DOCUMENTS = [
    json.dumps({"token": OLD, "list": [1, 2.50, "a,b", None], "text": 'a "quote", a \\ and \n'}),
    json.dumps({"words": "Grüße, 漢字, 😀", "\t": OLD}, ensure_ascii=False),
    json.dumps({"token": [OLD, OLD], "words": "Grüße 😀"}),
    f'[1.00, 1e2, -0.0, "{OLD}", 12345678901234567890.123456789]',
    f'{{"{OLD}": true, "a": "{{}}", "b": "NULL", "c": "\\\\N"}}',
    json.dumps({"large": "é,\\" * 60_000, "token": OLD}, ensure_ascii=False),
    f'"{OLD}"',
    "null",
    '{"nothing": "here"}',
]
TEXTS = [f"NULL,{OLD},{{}}", f"enc:{OLD}\r\n\x01\t 😀", f"  {OLD}  ", f"\\x{OLD}\\", f"'{OLD}' %s :new {{0}} $1", "no"]

JSON_TYPES = {
    "sqlite": ["JSON", "TEXT"],
    "postgresql": ["JSON", "JSONB", "document", "json_document", "TEXT"],
    "mariadb": ["JSON", "LONGTEXT", "LONGTEXT CHARACTER SET utf16"],
}
TEXT_TYPES = {
    "sqlite": ["TEXT", "STRING", ""],
    "postgresql": ["TEXT", "VARCHAR(200)", "CHAR(200)"],
    "mariadb": ["TEXT", "VARCHAR(200)", "LONGTEXT CHARACTER SET utf16"],
}
BINARY = {
    "sqlite": ["BLOB", "TEXT", "STRING"],
    "postgresql": ["BYTEA"],
    "mariadb": ["BLOB", "LONGBLOB", "VARBINARY(200)"],
}
HUGE_TYPES = {"sqlite": ("TEXT", "BLOB"), "postgresql": ("TEXT", "BYTEA"), "mariadb": ("LONGTEXT", "LONGBLOB")}
KEYS = ["INTEGER", "VARCHAR(9)"]


@pytest.fixture
def opened(database: Database) -> Iterator[Callable[..., Store]]:
    """Opens the store of a table's tokens within text."""
    stores: list[Store] = []

    def open_it(table: str = "creds") -> Store:
        target = Target(database.url, table, "token", table, format=Format.EMBEDDED)
        stores.append(Store(target, read_only=False, sleep=time.sleep))
        return stores[-1]

    yield open_it
    for store in stores:
        store.close()


def make_table(database: Database, kind: str, cells: list[Any], key: str = "INTEGER", table: str = "creds") -> None:
    """The table of that name, with id, token and the rows 0, 1, 2, ..."""
    if "document" in kind:
        held = {"document": "jsonb", "json_document": "json"}[kind]
        database.execute(f"DROP DOMAIN IF EXISTS {kind} CASCADE", f"CREATE DOMAIN {kind} AS {held}")
    names = range(len(cells))
    database.execute(f"CREATE TABLE {table} (id {key} PRIMARY KEY, token {kind})")
    place = place_of(database, kind)
    for name, cell in zip(names, cells, strict=True):
        row = {"id": name if key == "INTEGER" else f"k{name}", "token": cell}
        database.execute(f"INSERT INTO {table} VALUES (:id, {place})", **row)


def place_of(database: Database, kind: str) -> str:
    """How a statement names the new cell of a column of that *kind*."""
    in_json = kind in {"JSON", "JSONB", "document", "json_document"} and database.kind == "postgresql"
    return f"CAST(:token AS {kind})" if in_json else ":token"


def stored(database: Database, table: str = "creds") -> list[Any]:
    """The cells, as text where they are JSON."""
    cell = "CAST(token AS text)" if database.kind == "postgresql" and not is_binary(database, table) else "token"
    return [row[0] for row in database.rows(f"SELECT {cell} FROM {table} ORDER BY id")]


def is_binary(database: Database, table: str) -> bool:
    """Whether the table's tokens are a BYTEA."""
    query = (
        "SELECT 1 FROM pg_attribute WHERE attrelid = CAST(:name AS regclass) AND attname = 'token' AND atttypid = 17"
    )
    return bool(database.rows(query, name=table))


def held_by(store: Store) -> dict[RowKey, Any]:
    """All cells."""
    batch = store.read(None, None, 1000)
    assert not batch.blocks
    return dict(zip(batch.keys, batch.cells, strict=True))


def renewed(cell: Any) -> Any:
    """The cell with every token replaced."""
    return cell.replace(OLD, NEW) if isinstance(cell, str) else cell.replace(OLD.encode(), NEW.encode())


def swap(store: Store, cells: dict[RowKey, Any]) -> Written:
    """Replaces every token."""
    old = {key: cell for key, cell in cells.items() if renewed(cell) != cell}
    return store.write(Swaps(list(old), list(old.values()), [renewed(cell) for cell in old.values()]))


@pytest.mark.some(2)
@pytest.mark.parametrize("key", KEYS, ids=["number", "text"])
def test_json_is_swapped_whole(database: Database, opened: Callable[..., Store], key: str, named: Named) -> None:
    """D33: commas, quotes, backslashes, any letter, large cells: all but the tokens stays, and JSONB stays JSONB."""
    for number, kind in enumerate(JSON_TYPES[database.kind]):
        with named(kind):
            table = f"creds{number}"
            make_table(database, kind, DOCUMENTS, key, table)
            before = stored(database, table)
            store = opened(table)

            cells = held_by(store)
            written = swap(store, cells)

            after = stored(database, table)
            assert list(cells.values()) == before
            assert (written.lost, written.refused) == (set(), {})
            if kind in {"JSONB", "document"}:
                # A token may be a name, and names are kept in an order of their own.
                assert [json.loads(cell) for cell in after] == [json.loads(renewed(cell)) for cell in before]
                assert [cell for cell in after if "1.00" in cell] == [renewed(before[3])]
            else:
                assert after == [renewed(cell) for cell in before]


@pytest.mark.parametrize("key", KEYS, ids=["number", "text"])
def test_a_text_is_swapped_whole(database: Database, opened: Callable[..., Store], key: str, named: Named) -> None:
    """D07, D33: what a driver or an array might take for its own syntax is text like any other."""
    for number, kind in enumerate(TEXT_TYPES[database.kind]):
        with named(kind or "none"):
            table = f"creds{number}"
            make_table(database, kind, TEXTS, key, table)
            store = opened(table)

            written = swap(store, held_by(store))

            assert (written.lost, written.refused) == (set(), {})
            after = stored(database, table)
            assert [cell.rstrip() if kind.startswith("CHAR") else cell for cell in after] == [
                renewed(cell).rstrip() if kind.startswith("CHAR") else renewed(cell) for cell in TEXTS
            ]


def test_bytes_are_swapped_whole(database: Database, opened: Callable[..., Store], named: Named) -> None:
    """D08, D33: bytes come out as bytes, each of them as it was."""
    cells = [b"\x00\xff," + OLD.encode() + b"'\\\x00", OLD.encode() * 3, bytes(range(120)), b""]
    for number, kind in enumerate(BINARY[database.kind]):
        with named(kind):
            table = f"creds{number}"
            make_table(database, kind, cells, table=table)
            store = opened(table)

            written = swap(store, held_by(store))

            assert (written.lost, written.refused) == (set(), {})
            after = stored(database, table)
            assert after == [renewed(cell) for cell in cells]
            assert {type(cell) for cell in after} == {bytes}


@pytest.mark.parametrize("key", KEYS, ids=["number", "text"])
def test_a_service_wins_in_a_column_of_any_kind(
    database: Database, opened: Callable[..., Store], key: str, named: Named
) -> None:
    """R01, D33: what it writes between our read and our swap stays, also where a kind has a statement of its own."""
    texts = [f'["{OLD}", 0]', f'["{OLD}", 1]', f'["{OLD}", 2]']
    theirs = f'["{OLD}", "theirs"]'
    kinds = [(kind, str) for kind in dict.fromkeys(JSON_TYPES[database.kind] + TEXT_TYPES[database.kind])]
    for number, (kind, form) in enumerate([*kinds, *((kind, str.encode) for kind in BINARY[database.kind])]):
        with named(f"{kind} {form.__name__}"):
            table = f"creds{number}"
            make_table(database, kind, [form(cell) for cell in texts], key, table)
            store = opened(table)
            cells = held_by(store)
            second = list(cells)[1]
            database.execute(
                f"UPDATE {table} SET token = {place_of(database, kind)} WHERE id = :id",
                token=form(theirs),
                id=second[0],
            )

            written = swap(store, cells)

            after = [cell.rstrip() for cell in stored(database, table)]
            assert (written.lost, written.refused) == ({second}, {})
            assert after == [form(cell) for cell in (renewed(texts[0]), theirs, renewed(texts[2]))]


@pytest.mark.parametrize("form", [str, str.encode], ids=["text", "bytes"])
def test_a_service_wins_in_a_huge_cell(
    database: Database, opened: Callable[..., Store], form: Callable[[str], Any]
) -> None:
    """R01, D34: of what was read the digest alone is sent, and is compared all the same."""
    ours, theirs = (form(f"{OLD}, {'x' * HUGE}{end}") for end in (" ours", " theirs"))
    make_table(database, HUGE_TYPES[database.kind][form is not str], [ours])
    store = opened()
    cells = held_by(store)

    database.execute("UPDATE creds SET token = :token", token=theirs)
    lost = swap(store, cells).lost
    database.execute("UPDATE creds SET token = :token", token=ours)
    written = swap(store, cells)

    assert (lost, written.lost, written.refused) == (set(cells), set(), {})
    assert stored(database) == [renewed(ours)]


@pytest.mark.some(2)
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("kind", ["JSONB", "JSON"])
@pytest.mark.parametrize("many", [1, 40], ids=["one by one", "batch"])
def test_json_is_compared_by_its_text(database: Database, opened: Callable[..., Store], kind: str, many: int) -> None:
    """R01: for JSONB itself 1.0 and 1.00 are equal; a service that writes the one for the other wins all the same."""
    make_table(database, kind, [f'{{"price": 1.0, "token": "{OLD}"}}'] * many)
    store = opened()
    cells = held_by(store)
    database.execute(f'UPDATE creds SET token = CAST(\'{{"price": 1.00, "token": "{OLD}"}}\' AS {kind}) WHERE id = 0')

    written = swap(store, cells)

    assert written.lost == {(0,)}
    assert '"price": 1.00' in stored(database)[0]
    assert OLD in stored(database)[0]
    assert sum(NEW in cell for cell in stored(database)) == many - 1


@pytest.mark.some(1)
@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
@pytest.mark.parametrize("charset", ["latin1", "utf16", "utf8mb3"])
def test_a_database_of_another_charset_is_served(
    database: Database, opened: Callable[..., Store], cli: Cli, charset: str
) -> None:
    """D07: letters that the database's own charset lacks, and charsets of two bytes, for whole cells and for tokens."""
    database.execute(f"ALTER DATABASE CHARACTER SET {charset}")
    make_table(database, "LONGTEXT CHARACTER SET utf8mb4", DOCUMENTS)
    rows = [{"id": number, "token": token} for number, token in enumerate(make_tokens(2))]
    prepare(database, "CREATE TABLE plain (id INTEGER PRIMARY KEY, token VARCHAR(200))", rows, "plain")
    store = opened()

    written = swap(store, held_by(store))
    ran = rotate(cli, database, table="plain")

    assert written.lost == set()
    assert stored(database) == [renewed(cell) for cell in DOCUMENTS]
    assert report(ran)["rotated"] == 2


@pytest.mark.mariadb_only
@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_a_cell_that_the_server_cannot_be_sent_is_refused(database: Database, opened: Callable[..., Store]) -> None:
    """D34: by its size, before it is sent: the server would close the connection. The others are swapped."""
    make_table(database, "LONGTEXT", [OLD, OLD, f"{OLD}{'😀' * 500_000}", f"{OLD}{'é' * 5_000_000}"])
    # The driver writes a backslash before each of them.
    database.execute("UPDATE creds SET token = CONCAT(token, REPEAT('\"', 9000000)) WHERE id = 1")
    store = opened()
    cells = held_by(store) | {(key,): store.read((key - 1,), (key,), 1).cells[0] for key in range(4)}

    written = swap(store, cells)

    assert list(written.refused) == [(1,)]
    assert "a swap of this cell sends" in written.refused[1,][1]
    assert [NEW in cell for cell in stored(database)] == [True, False, True, True]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("kind", ["TEXT", "JSON"])
def test_a_text_that_is_not_utf8_is_swapped_as_its_bytes(
    database: Database, opened: Callable[..., Store], kind: str
) -> None:
    """D09: a token beside bytes that no driver takes as text."""
    make_table(database, kind, [OLD, OLD])
    raw = b"\xff\xfe " + OLD.encode() + b" \xe9"
    database.execute(f"UPDATE creds SET token = CAST(x'{raw.hex()}' AS TEXT) WHERE id = 1")
    store = opened()

    written = swap(store, held_by(store))

    assert (written.lost, written.refused) == (set(), {})
    assert database.rows("SELECT hex(token), typeof(token) FROM creds WHERE id = 1") == [
        (renewed(raw).hex().upper(), "text")
    ]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("kind", ["STRING", "JSON", "NUMERIC", "INTEGER", "REAL"])
def test_sqlite_is_judged_by_its_values(database: Database, cli: Cli, kind: str) -> None:
    """D08, D33: text is rotated and bytes are, whatever a column is called, and each stays what it was."""
    text, blob = make_tokens(2)
    rows: list[dict[str, object]] = [
        {"id": 1, "token": text},
        {"id": 2, "token": blob.encode()},
        {"id": 3, "token": None},
    ]
    prepare(database, f"CREATE TABLE creds (id INTEGER PRIMARY KEY, token {kind})", rows)

    ran = rotate(cli, database)

    assert (ran.code, report(ran)["rotated"]) == (0, 2)
    after = database.column()
    assert [type(after[1]), type(after[2])] == [str, bytes]
    assert secrets_of([after[1], after[2]]) == secret_names(2)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("kind", ["STRING", "JSON", "INTEGER", "REAL"])
def test_numbers_in_sqlite_are_named(database: Database, cli: Cli, kind: str) -> None:
    """D33: a column that holds numbers is refused, and the message says how many."""
    rows = [{"id": number, "token": number} for number in range(12)]
    prepare(database, f"CREATE TABLE creds (id INTEGER PRIMARY KEY, token {kind})", rows)

    ran = rotate(cli, database)

    assert ran.code == 2
    assert "creds.token: the column's type is" in ran.err
    assert "; it holds 12 numbers" in ran.err


@pytest.mark.parametrize(
    ("database", "kind"),
    [("postgresql", "JSON"), ("postgresql", "JSONB"), ("postgresql", "document"), ("mariadb", "JSON")],
    indirect=["database"],
)
def test_a_json_column_of_bare_tokens_is_refused_with_the_next_step(database: Database, cli: Cli, kind: str) -> None:
    """D33: JSON is never a bare token, and the message names the format to set."""
    make_table(database, kind, [])

    ran = rotate(cli, database)

    assert ran.code == 2
    assert (
        'creds.token: the column\'s type is JSON, not text or binary; for tokens inside it, set format = "embedded"'
        in " ".join(ran.err.split())
    )


@pytest.mark.parametrize("disturbed", [False, True], ids=["alone", "another writes"])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_no_second_pass_is_made_unless_others_wrote(
    kind: str, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, *, disturbed: bool
) -> None:
    """A witness counts cells and not tokens: what others wrote is found by a whole pass, and only then is one made."""
    changed = Watch.changed

    with open_database(kind, tmp_path) as database:
        column = "JSONB" if kind == "postgresql" else "TEXT"
        database.execute(f"CREATE TABLE creds (id INTEGER PRIMARY KEY, token {column})")

        def write(row: int) -> None:
            cell = json.dumps({"secrets": [token("old"), token("old", "another")]})
            database.execute(f"INSERT INTO creds VALUES ({row}, CAST(:cell AS {column}))", cell=cell)

        def disturb(watch: Watch, *, wrote: bool) -> object:
            if disturbed and not database.rows("SELECT id FROM creds WHERE id = 9"):
                write(9)
            return changed(watch, wrote=wrote)

        for row in range(3):
            write(row)
        monkeypatch.setattr(Watch, "changed", disturb)
        config = tmp_path / "rotation.toml"
        config.write_text(
            f'[[target]]\nurl = "{database.url}"\ntable = "creds"\ncolumns = ["token"]\nformat = "embedded"\n'
        )
        [target] = cli("run", "--json", "--config", str(config)).document["targets"]

    proof = {"sqlite": "unchanged", "postgresql": "versions"}[kind]
    assert (target["proof"], target["passes"]) == (proof, 2 if disturbed else 1)
    assert (target["rotated"], target["embedded"]) == ((4, 8) if disturbed else (3, 6))
