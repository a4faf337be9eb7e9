"""A search of PostgreSQL block by block: what it asks of the server's memory, and what it does if that is not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import sqlalchemy as sa

from rotation.discovery import file_reader
from rotation.discovery.table_source import TableSource
from tests.databases import Database
from tests.stores.test_cell_conditions import as_text, found

pytestmark = [pytest.mark.database, pytest.mark.parametrize("database", ["postgresql"], indirect=True)]

TOKEN = f"gAAAAAB{'.' * 200}"
MOST = 32 * 1024
XS = "repeat('x', 200)"
LARGE_LOOKS = {
    "compressed cells behind empty blocks": (
        "CREATE TABLE cells (id INTEGER, fill TEXT, cell TEXT) PARTITION BY LIST (id)",
        *(f"CREATE TABLE cells_{n} PARTITION OF cells FOR VALUES IN ({n})" for n in range(4)),
        "INSERT INTO cells SELECT n % 4, 'f', NULL FROM generate_series(1, 20000) AS n",
        "INSERT INTO cells SELECT n % 4, repeat('y', 60), repeat('x', 1990) FROM generate_series(1, 1200) AS n",
        f"INSERT INTO cells VALUES (0, 'f', '{TOKEN}')",
    ),
    "cells that are kept elsewhere": (
        "CREATE TABLE cells (id INTEGER, cell TEXT) WITH (toast_tuple_target = 128)",
        "ALTER TABLE cells ALTER cell SET STORAGE EXTERNAL",
        "INSERT INTO cells SELECT n, repeat('x', 1990) FROM generate_series(1, 500) AS n",
        f"INSERT INTO cells VALUES (0, '{TOKEN}')",
    ),
    "a column that was added later": (
        "CREATE TABLE cells (id INTEGER)",
        "INSERT INTO cells SELECT n FROM generate_series(1, 1000) AS n",
        f"ALTER TABLE cells ADD cell TEXT DEFAULT '{'x' * 1990}'",
        f"INSERT INTO cells VALUES (0, '{TOKEN}')",
    ),
    "a type that is longer as a text": (
        "CREATE TABLE cells (id INTEGER, cell JSONB)",
        "INSERT INTO cells SELECT n, to_jsonb(array_fill(false, ARRAY[240])) FROM generate_series(1, 500) AS n",
        f"""INSERT INTO cells VALUES (0, '["{TOKEN}"]')""",
    ),
    "bytes": (
        "CREATE TABLE cells (id INTEGER, cell BYTEA)",
        r"INSERT INTO cells SELECT n, decode(repeat('00', 1500), 'hex') FROM generate_series(1, 500) AS n",
        f"INSERT INTO cells VALUES (0, '{TOKEN}')",
    ),
    "many columns": (
        f"CREATE TABLE cells (id INTEGER, {', '.join(f'c{n} TEXT' for n in range(9))}, cell TEXT)",
        f"INSERT INTO cells SELECT n, {', '.join(10 * [XS])} FROM generate_series(1, 1000) AS n",
        f"INSERT INTO cells (id, cell) VALUES (0, '{TOKEN}')",
    ),
}
"""Tables in which some blocks hold far more than blocks have bytes, or than the ones before them."""
STRICT = """CREATE FUNCTION put(a {type}, b {type}, delimiter {type}) RETURNS {type} LANGUAGE plpgsql AS $$ BEGIN
    IF current_setting('put.at', true) IS DISTINCT FROM CAST(statement_timestamp() AS text) THEN
        PERFORM set_config('put.bytes', '0', true), set_config('put.at', CAST(statement_timestamp() AS text), true);
    END IF;
    PERFORM set_config('put.bytes', CAST(CAST(current_setting('put.bytes') AS int) + octet_length(b) AS text), true);
    IF CAST(current_setting('put.bytes') AS int) > {most} THEN RAISE EXCEPTION 'too much on end'; END IF;
    RETURN COALESCE(a, '') || b;
END $$"""
"""Adds a cell to the ones before it; refuses a statement that puts more than so many bytes on end, in all columns."""
MEAGRE = """CREATE FUNCTION as_text(cell held) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
    IF current_setting('read.at', true) IS DISTINCT FROM CAST(statement_timestamp() AS text) THEN
        PERFORM set_config('read.cells', '0', true), set_config('read.at', CAST(statement_timestamp() AS text), true);
    END IF;
    PERFORM set_config('read.cells', CAST(CAST(current_setting('read.cells') AS int) + 1 AS text), true);
    IF current_query() LIKE '%{of}%' AND CAST(current_setting('read.cells') AS int) > {most} THEN
        RAISE EXCEPTION 'out of memory' USING ERRCODE = '{code}';
    END IF;
    RETURN cell.content;
END $$"""
"""Reads a cell; fails if a statement with a word in it reads more of them."""


def held(database: Database, rows: int = 1000, **failing: object) -> None:
    """Makes a table of a type that is read by `as_text`, in which every hundredth row has a token."""
    database.execute(
        "CREATE TYPE held AS (content text)",
        MEAGRE.format(**failing),
        "CREATE CAST (held AS text) WITH FUNCTION as_text(held)",
        "CREATE TABLE cells (id INTEGER, cell held)",
        f"INSERT INTO cells SELECT n, CAST(ROW(CASE WHEN n % 100 = 0 THEN '{TOKEN}' ELSE {XS} END) AS held) "
        f"FROM generate_series(1, {rows}) AS n",
    )


@pytest.mark.some(2)
@pytest.mark.parametrize("statements", LARGE_LOOKS.values(), ids=LARGE_LOOKS)
def test_no_look_puts_more_on_end_than_its_bound(
    database: Database, statements: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the blocks before it held: the server itself refuses here what is more. The token is found."""
    monkeypatch.setattr(file_reader, "MOST_BYTES", MOST)
    database.execute(*statements)
    rows = database.rows("SELECT count(*) FROM cells")[0][0]
    for kind in ("text", "bytea"):
        # In place of the server's own.
        database.execute(
            STRICT.format(type=kind, most=MOST),
            f"CREATE AGGREGATE public.string_agg({kind}, {kind}) (SFUNC = put, STYPE = {kind})",
        )
    url = sa.make_url(database.url).update_query_dict({"options": "-csearch_path=public,pg_catalog"})

    cells, counted = found(replace(database, url=url.render_as_string(hide_password=False)))

    assert ([TOKEN in as_text(row[-1]) for row in cells], counted) == ([True], rows)


@pytest.mark.some(2)
@pytest.mark.parametrize("rows", [1000, 300])
@pytest.mark.parametrize("most", [0, 100])
@pytest.mark.parametrize("code", ["53200", "54000", "XX000"])
def test_a_look_for_which_the_server_lacks_memory_is_made_smaller(
    database: Database, code: str, most: int, rows: int
) -> None:
    """Down to one block, and then to one row; every row is read once, in the same transaction. So is a small table."""
    held(database, rows, of="string_agg", most=most, code=code)

    cells, counted = found(database)

    assert ([as_text(row[-1]) for row in cells], counted) == ([TOKEN] * (rows // 100), rows)


def test_the_look_at_a_small_table_is_not_compiled(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a large table it reads nothing, but as the server reckons it costs as much as all of it."""
    url = sa.make_url(database.url).update_query_dict({"options": "-cjit=on -cjit_above_cost=0 -csearch_path=public"})
    database.execute("CREATE TABLE cells (id INTEGER PRIMARY KEY, cell TEXT)", "INSERT INTO cells VALUES (1, 'a')")
    leaves_of, compiles = file_reader.leaves_of, []

    def ask(source: TableSource) -> object:
        compiles.append(source.first(sa.text("SHOW jit")))
        return leaves_of(source)

    monkeypatch.setattr(file_reader, "leaves_of", ask)

    found(replace(database, url=url.render_as_string(hide_password=False)))

    assert compiles == ["off"]


@pytest.mark.parametrize("full", [True, False])
def test_a_table_of_any_size_is_read_once(database: Database, monkeypatch: pytest.MonkeyPatch, *, full: bool) -> None:
    """The first look at a small one comes with its size; a larger one is looked at block by block."""
    monkeypatch.setattr(file_reader, "FIRST_BLOCKS", 2)
    for rows in (0, 1, 60, 120):
        database.execute(
            "DROP TABLE IF EXISTS cells",
            "CREATE TABLE cells (id INTEGER PRIMARY KEY, note TEXT, cell TEXT)",
            f"INSERT INTO cells SELECT n, {XS}, '{TOKEN}' FROM generate_series(1, {rows}) AS n",
        )

        cells, counted = found(database, full=full)

        assert ([as_text(row[-1]) for row in cells], counted) == ([TOKEN] * rows, rows)


def test_a_cell_is_read_once_for_all_its_marks(database: Database) -> None:
    """For each mark the server would hold a copy of it, however large it is."""
    held(database, of="FETCH", most=8, code="53200")
    database.execute("DELETE FROM cells WHERE id <> 100")

    cells, _ = found(database)

    assert [as_text(row[-1]) for row in cells] == [TOKEN]
