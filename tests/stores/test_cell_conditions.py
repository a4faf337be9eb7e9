"""The SQL by which each database selects the cells to fetch: every mark of every form, at every size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
import sqlalchemy as sa

from rotation.discovery import file_reader, table_readers
from rotation.discovery.survey import Survey
from rotation.discovery.table_source import Courtesy
from rotation.planning.inner_tokens import SHORTEST, SPELLED, Spelled, forms_of_texts
from rotation.stores.catalog import WIDE, any_of
from tests.databases import Database

pytestmark = pytest.mark.database

TEXT = {"sqlite": "TEXT", "postgresql": "TEXT", "mariadb": "LONGTEXT"}
BYTES = {"sqlite": "BLOB", "postgresql": "BYTEA", "mariadb": "LONGBLOB"}
LARGER = 5_000
"""More bytes than PostgreSQL puts on end."""
POSTGRESQL = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


def found(database: Database, *, full: bool = True) -> tuple[list[list[object]], int]:
    """The cells that a search of every row, or of a sample, fetches of the table; and the rows that it counts."""
    survey = Survey(database.url, sleep=lambda _: None)
    try:
        [searched] = [one for one in survey.tables(lambda entry: entry.plain) if one.entry.table == "cells"]
        courtesy = Courtesy(lambda _: None, full_speed=False)
        read, fault = survey.read(
            searched, lambda rows: ([list(row) for some in rows for row in some], rows), courtesy, full=full
        )
    finally:
        survey.close()
    assert read is not None, fault
    cells, rows = read
    return cells, rows.rows


def cells_of(forms: Sequence[Spelled], size: int | None = None) -> Iterator[bytes]:
    """A cell with each mark of each form, as small as it may be, or of that *size* if that is more."""
    for form in forms:
        for mark in form.marks:
            yield mark.rjust(max(form.least, size or 0), b".")


@pytest.mark.parametrize("size", [None, LARGER])
def test_every_mark_is_found_in_a_text(database: Database, size: int | None) -> None:
    """Also if such a cell differs from others in nothing but the mark."""
    database.execute(f"CREATE TABLE cells (id INTEGER PRIMARY KEY, cell {TEXT[database.kind]})")
    marked = [cell.decode() for cell in cells_of(forms_of_texts(SPELLED), size)]
    database.insert("cells", [{"id": number, "cell": cell} for number, cell in enumerate(["." * 300, *marked])])

    cells, rows = found(database)

    assert sorted(as_text(row[-1]) for row in cells) == sorted(marked)
    assert rows == len(marked) + 1


@pytest.mark.parametrize("size", [None, LARGER])
def test_every_mark_is_found_in_bytes(database: Database, size: int | None) -> None:
    """The ones that no text can hold, too."""
    database.execute(f"CREATE TABLE cells (id INTEGER PRIMARY KEY, cell {BYTES[database.kind]})")
    marked = list(cells_of(SPELLED, size))
    database.insert("cells", [{"id": number, "cell": cell} for number, cell in enumerate([b"." * 300, *marked])])

    cells, rows = found(database)

    assert sorted(bytes(row[-1]) for row in cells) == sorted(marked)
    assert rows == len(marked) + 1


def test_a_cell_without_room_for_a_token_is_not_fetched(database: Database) -> None:
    """One byte less than the shortest token has."""
    database.execute(f"CREATE TABLE cells (id INTEGER PRIMARY KEY, cell {TEXT[database.kind]})")
    marks = [mark.decode() for form in forms_of_texts(SPELLED) for mark in form.marks]
    small = [mark.rjust(SHORTEST - 1, ".") for mark in marks]
    database.insert("cells", [{"id": number, "cell": cell} for number, cell in enumerate(small)])

    cells, rows = found(database)

    assert (sum(row[-1] is not None for row in cells), rows) == (0, len(small))


def test_a_column_without_room_for_a_token_is_not_read(database: Database) -> None:
    """By its declared size, which SQLite does not keep to."""
    database.execute("CREATE TABLE cells (id INTEGER PRIMARY KEY, name VARCHAR(20), cell VARCHAR(200))")
    database.insert("cells", [{"id": 1, "name": "n", "cell": "c"}])

    survey = Survey(database.url, sleep=lambda _: None)
    [searched] = [one for one in survey.tables(lambda entry: entry.plain) if one.entry.table == "cells"]
    survey.close()

    everywhere = ["id", "name", "cell"] if database.kind == "sqlite" else ["cell"]
    assert [column.name for column in searched.columns] == everywhere


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_a_mark_behind_a_nul_is_found_in_a_text_of_sqlite(database: Database, encoding: str) -> None:
    """GLOB ends at a NUL, so that such a text is looked at as bytes; in each encoding of the file."""
    database.execute(f"PRAGMA encoding = '{encoding}'", "CREATE TABLE cells (id INTEGER PRIMARY KEY, cell TEXT)")
    marked = [f"ä\0{cell.decode()}" for cell in cells_of(forms_of_texts(SPELLED))]
    database.insert("cells", [{"id": number, "cell": cell} for number, cell in enumerate(["ä\0" + "." * 300, *marked])])

    cells, _ = found(database)

    assert sorted(row[-1] for row in cells) == sorted(marked)


def test_wanted_rows_are_read_page_by_page(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are in a range, and wherever its ends are: each once, and every row is counted."""
    monkeypatch.setattr(table_readers, "BATCH_ROWS", 7)
    monkeypatch.setattr(table_readers, "STREAM_ROWS", 7)
    monkeypatch.setattr(table_readers, "WINDOW_ROWS", 0)
    database.execute(f"CREATE TABLE cells (id INTEGER PRIMARY KEY, cell {TEXT[database.kind]})")
    wanted = {number for number in range(500) if number % 3 == 0 or 100 < number < 200}
    rows = [{"id": 5 * n, "cell": f"{n:04}{'gAAAA' if n in wanted else '-----'}{'.' * 100}"} for n in range(500)]
    database.insert("cells", rows)

    cells, counted = found(database)

    assert sorted(int(as_text(row[-1])[:4]) for row in cells) == sorted(wanted)
    assert counted == 500


@POSTGRESQL
def test_every_range_of_blocks_is_read(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a table and of partitions of different sizes: the first block, the last one, and the ones between."""
    monkeypatch.setattr(file_reader, "FIRST_BLOCKS", 1)
    monkeypatch.setattr(file_reader, "MOST_BLOCKS", 3)
    database.execute(
        "CREATE TABLE cells (id INTEGER, cell TEXT) PARTITION BY RANGE (id)",
        "CREATE TABLE cells_0 PARTITION OF cells FOR VALUES FROM (0) TO (100)",
        "CREATE TABLE cells_1 PARTITION OF cells FOR VALUES FROM (100) TO (3000)",
    )
    rows = [{"id": n, "cell": f"{n:04}{'gAAAA' if n % 40 == 0 else '-----'}{'.' * 600}"} for n in range(3000)]
    database.insert("cells", rows)

    cells, counted = found(database)

    assert sorted(int(as_text(row[-1])[:4]) for row in cells) == list(range(0, 3000, 40))
    assert counted == 3000


@POSTGRESQL
def test_a_table_may_have_as_many_columns_as_postgresql_allows(database: Database) -> None:
    """A token in the last one is found, and the rows are counted once."""
    names = [f"c{number}" for number in range(1_590)]
    database.execute(f"CREATE TABLE cells (id INTEGER PRIMARY KEY, {', '.join(f'{name} TEXT' for name in names)})")
    database.insert("cells", [{"id": 1, "c0": "." * 100, names[-1]: f"gAAAA{'.' * 100}"}])

    cells, counted = found(database)

    assert ([row[-1] for row in cells], counted) == ([f"gAAAA{'.' * 100}"], 1)


@POSTGRESQL
@pytest.mark.parametrize("has_ranges", [True, False])
def test_a_sample_reads_each_small_partition_once(
    database: Database, monkeypatch: pytest.MonkeyPatch, *, has_ranges: bool
) -> None:
    """Each by itself and as a whole, also on a server that reads no range of blocks."""
    init = file_reader.FileReader.__init__
    monkeypatch.setattr(
        file_reader.FileReader,
        "__init__",
        lambda reader, source, leaves, *only, **look: init(
            reader, source, [leaf._replace(has_ranges=has_ranges) for leaf in leaves], *only, **look
        ),
    )
    database.execute(
        "CREATE TABLE cells (id INTEGER, cell TEXT) PARTITION BY LIST (id)",
        *(f"CREATE TABLE cells_{n} PARTITION OF cells FOR VALUES IN ({n})" for n in range(3)),
    )
    database.insert("cells", [{"id": n % 3, "cell": f"gAAAA{'.' * 100}"} for n in range(30)])

    cells, counted = found(database, full=False)

    assert (len(cells), counted) == (30, 30)


@POSTGRESQL
def test_rows_that_come_while_a_table_is_read_are_not_read_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that grows meanwhile is as it was when the search of it began."""
    monkeypatch.setattr(file_reader, "FIRST_BLOCKS", 1)
    monkeypatch.setattr(file_reader, "MOST_BLOCKS", 1)
    database.execute("CREATE TABLE cells (id INTEGER PRIMARY KEY, cell TEXT)")
    cell = f"gAAAA{'.' * 600}"
    database.insert("cells", [{"id": n, "cell": cell} for n in range(100)])
    looked, grown = file_reader._Looks.at, []

    def grow(looks: file_reader._Looks, start: int, end: int | None) -> object:
        grown.append(
            database.execute(f"INSERT INTO cells SELECT id + 1000 * {len(grown) + 1}, cell FROM cells WHERE id < 100")
        )
        return looked(looks, start, end)

    monkeypatch.setattr(file_reader._Looks, "at", grow)
    cells, counted = found(database)

    assert (len(cells), counted, len(grown) > 3) == (100, 100, True)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_search_of_a_file_rests_while_others_write_to_it(database: Database) -> None:
    """As long as it reads, until they are quiet; at full speed it does not."""
    database.execute("CREATE TABLE cells (id INTEGER PRIMARY KEY, cell TEXT)")
    survey = Survey(database.url, sleep=lambda _: None)
    rested: list[list[float]] = []
    for full_speed in (False, True):
        now, rests = [0.0], []
        courtesy = Courtesy(rests.append, full_speed=full_speed, clock=lambda now=now: now[0])
        for write in (False, True, False, False, False, False):
            if write:
                database.insert("cells", [{"id": 1 + full_speed, "cell": "c"}])
            courtesy.look(survey.written)
            courtesy.rest(0.1)
            now[0] += 0.6
        rested.append(rests)
    survey.close()

    assert rested == [[0, 0.1, 0.1, 0.1, 0.1, 0], [0] * 6]


@pytest.mark.parametrize("number", [0, 1, WIDE, WIDE + 1, WIDE**2 + 1])
def test_many_conditions_are_one(number: int) -> None:
    """However many, it is true if any of them is, and SQLite takes it: it bounds how deep an expression may be."""
    with sa.create_engine("sqlite://").connect() as connection:
        for place in {0, number // 2, number - 1}:
            sql = any_of(f"{int(each == place)} = 1" for each in range(number))
            assert connection.exec_driver_sql(f"SELECT {sql}").scalar() == int(number > 0)
        assert connection.exec_driver_sql(f"SELECT {any_of(['0 = 1'] * number)}").scalar() == 0


def as_text(cell: object) -> str:
    assert isinstance(cell, str | bytes)
    return cell if isinstance(cell, str) else cell.decode()
