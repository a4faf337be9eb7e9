"""Cells in blocks: read as they are read row by row, and a swap by position never meets a cell that is another."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import Any
from uuid import UUID

import pymysql
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyring_core import Keyring
from rotation.model.batch import Batch, BlockSwap, Plan, Swaps, Written
from rotation.model.target import Target
from rotation.planning.planner import Planner
from rotation.stores import blocks as blocks_of_rows
from rotation.stores import reader
from rotation.stores import store as writer
from rotation.stores.store import Store
from tests.conftest import Named
from tests.databases import Database
from tests.keys import make_key
from tests.stores.test_names import spelt
from tests.stores.tokens import make_nocase, make_token, make_tokens, secret_names, secrets_of

pytestmark = pytest.mark.database

KEYRING = Keyring(make_key("new"), [make_key("old")])
SHORT = make_tokens(120)
LONG = [make_token(f"{number:040}") for number in range(120)]
BLOB = {"sqlite": "BLOB", "postgresql": "BYTEA", "mariadb": "BLOB"}

on_each = pytest.mark.parametrize("database", ["sqlite", "postgresql", "mariadb"], indirect=True)
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)
on_mariadb = pytest.mark.parametrize("database", ["mariadb"], indirect=True)


@contextmanager
def opened(
    database: Database, table: str = "creds", column: str = "token", where: str | None = None
) -> Iterator[Store]:
    """The job's store of that column."""
    store = Store(Target(database.url, table, column, table, where=where), read_only=False, sleep=lambda _: None)
    try:
        yield store
    finally:
        store.close()


def read_all(store: Store, limit: int = 1000) -> list[Batch]:
    """All batches."""
    batches: list[Batch] = []
    after = None
    while (batch := store.read(after, None, limit)).last is not None:
        assert batch.last != after
        batches.append(batch)
        after = batch.last
    return batches


def order(key: Any) -> tuple[int, Any]:
    """By which keys of any type are sorted as SQLite sorts them."""
    return next(rank for rank, kind in enumerate([int | float, str, bytes, UUID]) if isinstance(key, kind)), key


Spelt = tuple[list[tuple[Any, Any]], int, int, Any]


def spelled_out(batches: Sequence[Batch]) -> Spelt:
    """The rows that hold something, in their order; how many hold NULL and an empty text; and the last key."""
    rows = [row for batch in batches for row in zip(batch.keys, batch.cells, strict=True)]
    for block in (block for batch in batches for block in batch.blocks):
        rows += zip(block.row_keys(), block.each_cell(), strict=True)
    null = sum(batch.null for batch in batches) + sum(cell is None for _, cell in rows)
    empty = sum(batch.empty for batch in batches) + sum(cell in ("", b"") for _, cell in rows)
    assert sum(batch.rows for batch in batches) == len(rows) + sum(batch.null + batch.empty for batch in batches)
    filled = [(key, cell) for key, cell in rows if cell not in (None, "", b"")]
    return sorted(filled, key=lambda row: order(row[0][0])), null, empty, batches[-1].last if batches else None


def read_both_ways(database: Database, limit: int = 1000, table: str = "creds", column: str = "token") -> list[Batch]:
    """The batches that are read with blocks; without, the same rows are read."""
    with opened(database, table, column) as store:
        batches = read_all(store, limit)
        store._blocks = None
        rows = read_all(store, limit)
    assert not any(batch.blocks for batch in rows)
    assert spelled_out(batches) == spelled_out(rows)
    return batches


def in_blocks(batches: Sequence[Batch]) -> int:
    """How many rows stand in blocks."""
    return sum(len(block) for batch in batches for block in batch.blocks)


def make(
    database: Database, keys: Sequence[Any], cells: Sequence[Any], key: str = "BIGINT", cell: str = "TEXT"
) -> None:
    """The table creds, in place of the last one."""
    database.execute("DROP TABLE IF EXISTS creds", f"CREATE TABLE creds (id {key} PRIMARY KEY, token {cell})")
    add(database, keys, cells)


def add(database: Database, keys: Sequence[Any], cells: Sequence[Any]) -> None:
    if keys:
        database.insert("creds", [{"id": key, "token": cell} for key, cell in zip(keys, cells, strict=True)])


def uuids(count: int) -> list[UUID]:
    """In no order of their own."""
    return [UUID(int=(number * 0x9E3779B97F4A7C15F39CC0605CEDC834) % 2**128) for number in range(1, count + 1)]


KEYS: dict[str, tuple[str, Sequence[int]]] = {
    "integers without gaps": ("INTEGER", range(1, 121)),
    "integers with gaps": ("INTEGER", [number * 3 // 2 for number in range(1, 121)]),
    "wide gaps": ("INTEGER", range(1, 120_000, 1000)),
    "around zero": ("INTEGER", range(-60, 60)),
    "negative, with gaps": ("BIGINT", range(-1000, -760, 2)),
    "smallint": ("SMALLINT", range(-32768, -32768 + 120)),
    "beyond 32 bits": ("BIGINT", range(2**31 - 60, 2**31 + 60)),
    "the largest": ("BIGINT", range(2**63 - 120, 2**63)),
    "the smallest": ("BIGINT", range(-(2**63), -(2**63) + 120)),
    "from end to end": ("BIGINT", [-(2**63), *range(118), 2**63 - 1]),
}


@pytest.mark.some(3)
def test_tokens_are_read_and_swapped_in_blocks(database: Database, named: Named) -> None:
    """Whatever numbers their keys are, up to both ends of 64 bits: all come in blocks, and each is its own row."""
    for name, (key, numbers) in KEYS.items():
        with named(name):
            make(database, numbers, SHORT, key)

            for limit in (50, 1000):
                batches = read_both_ways(database, limit)
                assert in_blocks(batches) >= 100
                rows = [((number,), cell) for number, cell in zip(numbers, SHORT, strict=True)]
                assert spelled_out(batches)[0] == rows
            with opened(database) as store:
                written = rotate_all(store)

            stored = database.column()
            assert (written.lost, written.refused) == (set(), {})
            assert secrets_of(stored[number] for number in numbers) == secret_names(120)


@on_postgresql
def test_blocks_are_read_where_nothing_can_be_written(database: Database) -> None:
    """A `where` may call a function, which then cannot write, either."""
    make(database, range(1, 121), SHORT)

    with opened(database, where="current_setting('transaction_read_only') = 'on'") as store:
        assert in_blocks(read_all(store)) == 120


@on_postgresql
def test_uuids_are_read_in_blocks(database: Database) -> None:
    """In the order of the server."""
    make(database, uuids(120), SHORT, "UUID")

    batches = read_both_ways(database, 50)

    assert in_blocks(batches) >= 100
    assert [key for (key,), _ in spelled_out(batches)[0]] == sorted(uuids(120))


@on_postgresql
def test_what_is_no_ascii_or_nothing_is_in_no_block(database: Database) -> None:
    """Letters of several bytes are read by themselves: on end, nothing shows where a cell begins. NULL is counted."""
    cells = [*SHORT, "é" * (len(SHORT[0]) // 2), None, None, ""]
    make(database, range(1, 125), cells)

    batches = read_both_ways(database)

    assert spelled_out(batches) == ([((number,), cell) for number, cell in enumerate(cells[:121], 1)], 2, 1, (124,))


@on_mariadb
def test_unsigned_keys_are_read_and_swapped(database: Database, named: Named) -> None:
    """Beyond what a signed number holds, too, with gaps and without; also if only some tokens have to move."""
    for first, gap in itertools.product((0, 2**63 - 60, 2**64 - 240), (1, 2)):
        with named(f"from {first} in steps of {gap}"):
            make(database, range(first, first + 120 * gap, gap), SHORT, "BIGINT UNSIGNED")
            current = make_token("x", "new")
            database.execute("UPDATE creds SET token = :current WHERE id = :row", current=current, row=first)

            read_both_ways(database)
            with opened(database) as store:
                written = rotate_all(store, 1000)

            stored = database.column()
            assert (written.lost, written.refused) == (set(), {})
            assert secrets_of(stored[row] for row in sorted(stored)[1:]) == secret_names(120)[1:]


def test_keys_without_gaps_are_handed_out_as_one_value(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """An aggregate of the server puts the cells of a batch together: none is fetched as a row."""
    make(database, range(1, 121), SHORT)

    with opened(database) as store:
        monkeypatch.setattr(store, "_read_rows", lambda *_: pytest.fail("row by row"))

        assert in_blocks(read_all(store, 40)) == 120


@on_sqlite
@pytest.mark.parametrize("at", [0, 50, 119])
def test_a_text_that_is_not_utf8_is_no_hindrance(database: Database, at: int) -> None:
    """One broken text as long as the tokens around it is read as it is, and costs no token its place."""
    make(database, range(1, 121), SHORT)
    broken = "FF" * len(SHORT[0])
    database.execute(f"UPDATE creds SET token = CAST(X'{broken}' AS TEXT) WHERE id = {at + 1}")

    batches = read_both_ways(database)

    assert spelled_out(batches)[0][at] == ((at + 1,), "\udcff" * len(SHORT[0]))


MIXED: list[Any] = [
    *SHORT[:40],
    *(None, "", "hunter2", "pässwörd", "日本" * 50, "x" * 100, SHORT[40][:-4], SHORT[41] + SHORT[42]),
    *[token for pair in zip(SHORT[43:83], LONG[43:83], strict=True) for token in pair],
    *("é" * 50, "a" * 65_000, make_token("y" * 60_000), None, ""),
    *LONG[:40],
]


@pytest.mark.some(1)
@pytest.mark.parametrize("kind", ["TEXT", "VARCHAR(16000)", "BLOB"])
def test_cells_of_all_kinds_are_read_as_row_by_row(database: Database, kind: str) -> None:
    """Several lengths, NULL, empty cells, plaintext in any script, cells of any size; of text and of bytes."""
    cells: list[Any] = [cell[:16000] if cell and "(" in kind else cell for cell in MIXED]
    if kind == "BLOB":
        cells = [None if cell is None else cell.encode() for cell in cells]
    types = (
        {"TEXT": "MEDIUMTEXT", "BLOB": "MEDIUMBLOB"} if database.kind == "mariadb" else {"BLOB": BLOB[database.kind]}
    )
    make(database, range(1, len(cells) + 1), cells, cell=types.get(kind, kind))

    for limit in (31, 64, 1000):
        rows, null, empty, last = spelled_out(read_both_ways(database, limit))

        assert rows == [((number,), cell) for number, cell in enumerate(cells, 1) if cell], limit
        assert (null, empty, last) == (2, 2, (len(cells),)), limit


def test_a_table_of_nothing_comes_to_its_end(database: Database) -> None:
    """Rows that hold nothing are counted, and their keys are passed."""
    make(database, range(1, 101), [None, ""] * 50)

    batches = read_both_ways(database, 40)

    assert spelled_out(batches) == ([], 50, 50, (100,))


def test_an_empty_table_has_no_last_key(database: Database) -> None:
    """Nothing is read of it."""
    database.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT)")

    assert read_both_ways(database) == []


# SQLite: any type in any column.


@st.composite
def odd_rows(draw: st.DrawFn) -> list[tuple[Any, Any]]:
    """Runs of tokens under numbers, and what else a column of SQLite may hold."""
    first = draw(st.sampled_from([1, -3, 2**33]))
    cells: list[Any] = []
    for _ in range(draw(st.integers(1, 4))):
        cells += draw(st.sampled_from([SHORT, LONG]))[: draw(st.integers(0, 8))]
        text = SHORT[9]
        odd = [
            *(None, "", "pässwörd", 7, 1.5, text.encode(), f"{text}\0", f"{text[:50]}\0{text[51:]}", text[:-4]),
            *(f"{text}\0more", "é" * len(text), "x" * len(text), SHORT[8] + SHORT[7]),
            sa.literal_column("CAST(X'67FF41' AS TEXT)"),
            sa.literal_column(f"CAST(X'{'FF' * len(text)}' AS TEXT)"),
            sa.literal_column(f"CAST(X'{text.encode().hex()}FF' AS TEXT)"),
        ]
        cells += draw(st.lists(st.sampled_from(odd), max_size=1))
    rows: list[tuple[Any, Any]] = [(first + number, cell) for number, cell in enumerate(cells)]
    odd_keys = st.sampled_from([first + 0.5, first + 1.25, "text", "5", b"bytes", first + 100, first - 2])
    for key in draw(st.lists(odd_keys, max_size=2, unique=True)):
        if all(key != other for other, _ in rows):
            rows.append((key, draw(st.sampled_from([SHORT[0], SHORT[1], "x", None]))))
    return rows


@on_sqlite
@given(rows=odd_rows(), limit=st.sampled_from([5, 8, 1000]))
@settings(settings.get_profile("slowest"), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sqlite_is_read_as_row_by_row_whatever_it_holds(
    database: Database, rows: list[tuple[Any, Any]], limit: int
) -> None:
    """Numbers, bytes and broken texts among the cells, and fractions, texts and bytes among the keys."""
    database.execute("DROP TABLE IF EXISTS creds", "CREATE TABLE creds (id PRIMARY KEY NOT NULL, token)")
    with database.engine.begin() as connection:
        for key, cell in rows:
            connection.execute(
                sa.insert(sa.table("creds", sa.column("id"), sa.column("token"))).values(id=key, token=cell)
            )

    with pytest.MonkeyPatch.context() as patch:
        for module in (blocks_of_rows, reader):
            patch.setattr(module, "LEAST_ROWS", 3)
        read_both_ways(database, limit)


# Swaps


def plan_of(store: Store, limit: int = 1000) -> Plan:
    """What is to be written of the first batch; all of it is in blocks."""
    plan = Planner(KEYRING).plan(store.read(None, None, limit))
    assert plan.blocks
    assert not plan.swaps
    return plan


def rotate_all(store: Store, limit: int = 50) -> Written:
    """Reads and writes the whole table."""
    written = Written()
    for batch in read_all(store, limit):
        plan = Planner(KEYRING).plan(batch)
        written.add(store.write(plan.swaps, plan.blocks))
    return written


SWAPPED: dict[str, tuple[str, Sequence[Any]]] = {
    "without gaps": ("BIGINT", range(1, 121)),
    "with gaps": ("BIGINT", [number * 3 // 2 for number in range(-40, 80)]),
    "wide gaps": ("BIGINT", range(2**31 - 60_000, 2**31 + 60_000, 1000)),
    "uuids": ("UUID", sorted(uuids(120))),
}


def by_swapped(test: Callable[..., None]) -> Callable[..., None]:
    """*test* with each of those *keys*, in one database: to make one for each would take longer than the test."""

    @wraps(test)
    def with_each(database: Database, named: Named, **fixtures: Any) -> None:
        for name, (key, keys) in SWAPPED.items():
            # Only PostgreSQL's keys of UUIDs come in blocks.
            if key != "UUID" or database.kind == "postgresql":
                with named(name):
                    test(database=database, key=key, keys=keys, **fixtures)

    signature = inspect.signature(test)
    fixtures = [one for name, one in signature.parameters.items() if name not in {"key", "keys"}]
    named = inspect.Parameter("named", inspect.Parameter.KEYWORD_ONLY)
    with_each.__signature__ = signature.replace(parameters=[*fixtures, named])  # type: ignore[attr-defined]
    return with_each


@pytest.mark.some(4)
@pytest.mark.parametrize(
    ("database", "kind"),
    [
        *(pytest.param(kind, cell, id=f"{kind}-{cell}") for kind in BLOB for cell in ("TEXT", "VARCHAR(200)")),
        # SQLite's blocks are of texts.
        *(pytest.param(kind, "bytes", id=f"{kind}-bytes") for kind in ("postgresql", "mariadb")),
    ],
    indirect=["database"],
)
@by_swapped
def test_each_cell_gets_what_was_made_of_its_own(database: Database, key: str, keys: Sequence[Any], kind: str) -> None:
    """Of every row the secret stays, and the type of the cell."""
    cells: list[Any] = [cell.encode() for cell in SHORT] if kind == "bytes" else SHORT
    make(database, keys, cells, key, BLOB[database.kind] if kind == "bytes" else kind)

    with opened(database) as store:
        plan = Planner(KEYRING).plan(store.read(None, None, 1000))
        # Where the server hands out rows, only texts are made into blocks.
        assert plan.blocks or (kind == "bytes" and database.kind == "mariadb")
        written = store.write(plan.swaps, plan.blocks)

    stored = database.column()
    assert (written.lost, written.refused) == (set(), {})
    assert secrets_of(stored[each] for each in keys) == secret_names(120)
    assert {type(cell) for cell in stored.values()} == {bytes if kind == "bytes" else str}


@by_swapped
def test_a_swap_by_position_writes_no_row_by_itself(
    database: Database, key: str, keys: Sequence[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One statement swaps a whole block, and finds every cell; wide gaps are too much to send, but on PostgreSQL."""
    make(database, keys, SHORT, key)
    by_rows = keys == SWAPPED["wide gaps"][1] and database.kind != "postgresql"
    rows: list[int] = []

    with opened(database) as store:
        write = store._write
        monkeypatch.setattr(store, "_write", lambda swaps, **more: rows.append(len(swaps)) or write(swaps, **more))
        plan = plan_of(store)
        store.write(Swaps(), plan.blocks)

    assert [number for number in rows if number] == [120] * by_rows
    assert secrets_of(database.column().values()) == secret_names(120)


@by_swapped
def test_what_a_service_does_meanwhile_stays(database: Database, key: str, keys: Sequence[Any]) -> None:
    """Rows that were rewritten, deleted, re-keyed, exchanged or inserted keep its value, and are reported as lost."""
    make(database, keys, SHORT, key)
    rewritten, deleted, moved, first, second, emptied, plain, shorter = keys[3:11]
    elsewhere = UUID(int=7) if key == "UUID" else max(keys) + 1000
    between = [] if key == "UUID" else sorted(set(range(keys[20], keys[25])) - set(keys))[:2]
    theirs = make_token("theirs", "new")

    def put(row: Any, cell: str | None) -> None:
        database.execute("UPDATE creds SET token = :cell WHERE id = :row", cell=cell, row=row)

    with opened(database) as store:
        plan = plan_of(store)
        put(rewritten, theirs)
        database.execute("DELETE FROM creds WHERE id = :row", row=deleted)
        database.execute("UPDATE creds SET id = :to WHERE id = :row", to=elsewhere, row=moved)
        put(first, SHORT[7]), put(second, SHORT[6])
        put(emptied, None)
        put(plain, "x" * len(SHORT[0]))
        put(shorter, SHORT[10][:-4])
        add(database, between, SHORT[20:22][: len(between)])

        written = store.write(plan.swaps, plan.blocks)

    stored = database.column()
    touched = [rewritten, deleted, moved, first, second, emptied, plain, shorter]
    assert (written.lost, written.refused) == ({(row,) for row in touched}, {})
    assert stored[rewritten] == theirs
    assert deleted not in stored
    assert moved not in stored
    assert [stored[row] for row in (elsewhere, first, second)] == [SHORT[5], SHORT[7], SHORT[6]]
    assert [stored[row] for row in (emptied, plain, shorter)] == [None, "x" * len(SHORT[0]), SHORT[10][:-4]]
    assert [stored[row] for row in between] == SHORT[20:22][: len(between)]
    others = [at for at, row in enumerate(keys) if row not in touched]
    assert secrets_of(stored[keys[at]] for at in others) == [f"secret {at}" for at in others]


@pytest.mark.some(3)
@by_swapped
def test_a_wrong_place_only_misses(database: Database, key: str, keys: Sequence[Any]) -> None:
    """Were the keys of a block those of other rows, no cell would be written, and each would be reported."""
    make(database, keys, SHORT, key)
    with opened(database) as store:
        [swap] = plan_of(store).blocks
        part = swap.part(5, 100)
        for shift in (1, -1, 5):
            wrong = replace(part, block=replace(part.block, keys=swap.block.keys[5 + shift : 100 + shift]))

            written = store.write(Swaps(), [wrong])

            assert (written.lost, written.refused) == (set(wrong.block.row_keys()), {})
            assert [database.column()[each] for each in keys] == SHORT


@by_swapped
def test_new_cells_that_are_shifted_would_be_seen(database: Database, key: str, keys: Sequence[Any]) -> None:
    """The tests above see a cell at a wrong place: here one is made."""
    make(database, keys, SHORT, key)
    with opened(database) as store:
        [swap] = plan_of(store).blocks
        size = swap.block.size
        store.write(Swaps(), [replace(swap, new=swap.new[size:] + swap.new[:size])])

    stored = database.column()
    assert secrets_of(stored[each] for each in keys) == [*secret_names(120)[1:], "secret 0"]


TWINS = {
    "sqlite": "TEXT COLLATE NOCASE",
    "postgresql": "TEXT COLLATE nocase",
    "mariadb": "TEXT COLLATE utf8mb4_general_ci",
}


@by_swapped
def test_a_twin_of_a_cell_is_another_cell(database: Database, key: str, keys: Sequence[Any]) -> None:
    """Under a collation that takes `a` for `A`, or a blank at the end for nothing, what differs in bytes is lost."""
    if database.kind == "postgresql":
        make_nocase(database)
    make(database, keys, SHORT, key, TWINS[database.kind])
    twins = {keys[3]: SHORT[3].swapcase(), keys[50]: SHORT[50] + " ", keys[70]: SHORT[70].replace("g", "G", 1)}

    with opened(database) as store:
        plan = plan_of(store)
        for row, twin in twins.items():
            database.execute("UPDATE creds SET token = :twin WHERE id = :row", twin=twin, row=row)
        written = store.write(plan.swaps, plan.blocks)

    stored = database.column()
    # Row by row, blanks at the end count for nothing: CHAR(n) is read with them.
    assert written.lost >= {(keys[3],), (keys[70],)}
    assert {(row,) for row in twins} == written.lost | set(written.refused)
    assert {row: stored[row] for row in twins} == twins
    assert len(secrets_of(stored[row] for row in keys if row not in twins)) == 117


@on_sqlite
@pytest.mark.parametrize("at", [0.5, 0.25, 1.0])
def test_a_fraction_between_two_keys_is_no_place(database: Database, at: float) -> None:
    """A row that is inserted under 9.5 is not taken for the second half of one token and the first of the next."""
    database.execute("CREATE TABLE creds (id NUMERIC PRIMARY KEY NOT NULL, token TEXT)")
    add(database, range(1, 121), SHORT)
    size = len(SHORT[0])
    start = int(at * size)
    straddling = (SHORT[8] + SHORT[9])[start : start + size]

    with opened(database) as store:
        plan = plan_of(store)
        if at < 1:
            add(database, [9 + at], [straddling])
        written = store.write(plan.swaps, plan.blocks)

    stored = database.column()
    assert (written.lost, written.refused) == (set(), {})
    assert stored.pop(9 + at) == straddling if at < 1 else True
    assert secrets_of(stored[number] for number in range(1, 121)) == secret_names(120)


@on_sqlite
def test_a_text_that_turned_into_bytes_is_another_cell(database: Database) -> None:
    """Also of the same bytes: a BLOB and a text differ on SQLite; so do a key's number and its text."""
    database.execute("CREATE TABLE creds (id PRIMARY KEY NOT NULL, token)")
    add(database, range(1, 121), SHORT)

    with opened(database) as store:
        plan = plan_of(store)
        database.execute("UPDATE creds SET token = CAST(token AS BLOB) WHERE id = 7")
        database.execute("UPDATE creds SET id = CAST(id AS TEXT) WHERE id = 8")
        written = store.write(plan.swaps, plan.blocks)

    stored = database.column()
    assert written.lost == {(7,), (8,)}
    assert (stored[7], stored["8"]) == (SHORT[6].encode(), SHORT[7])
    assert {kind for (kind,) in database.rows("SELECT typeof(token) FROM creds WHERE id <> 7")} == {"text"}


@pytest.mark.some(3)
@by_swapped
@pytest.mark.parametrize("how", ["check", "unique"])
def test_a_row_that_is_refused_costs_no_other(database: Database, key: str, keys: Sequence[Any], how: str) -> None:
    """The other rows of its block are written, and it is named."""
    constraint = f", CONSTRAINT guard CHECK (id <> {literal(keys[40])} OR token = '{SHORT[40]}')"
    unique = ", CONSTRAINT guard UNIQUE (token)"
    columns = f"id {key} PRIMARY KEY, token VARCHAR(200){constraint if how == 'check' else unique}"
    database.execute("DROP TABLE IF EXISTS creds", f"CREATE TABLE creds ({columns})")
    add(database, keys, SHORT)

    with opened(database) as store:
        [swap] = plan_of(store).blocks
        if how == "unique":
            # The new token of one row is another row's by now.
            taken = swap.as_rows().new[40]
            database.execute("UPDATE creds SET token = :taken WHERE id = :row", taken=taken, row=keys[90])
        written = store.write(Swaps(), [swap])

    stored = database.column()
    lost = {(keys[90],)} if how == "unique" else set()
    assert (written.lost, list(written.refused)) == (lost, [(keys[40],)])
    assert written.refused[(keys[40],)][0] == "refused"
    assert stored[keys[40]] == SHORT[40]
    assert len(secrets_of(stored[each] for each in keys if each != keys[40])) == 119


def literal(key: Any) -> str:
    return str(key) if isinstance(key, int) else f"'{key}'"


TRIGGERS = {
    "sqlite": ["CREATE TRIGGER guard BEFORE UPDATE ON creds WHEN OLD.id = 41 BEGIN SELECT RAISE(ABORT, 'no'); END"],
    "postgresql": [
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN IF OLD.id = 41 THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END$$",
        "CREATE TRIGGER guard BEFORE UPDATE ON creds FOR EACH ROW EXECUTE FUNCTION f()",
    ],
    "mariadb": [
        "CREATE TRIGGER guard BEFORE UPDATE ON creds FOR EACH ROW"
        " IF OLD.id = 41 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'; END IF"
    ],
}


@pytest.mark.parametrize("late", [False, True], ids=["before the store was opened", "after the read"])
def test_a_trigger_that_refuses_a_row_costs_no_other(database: Database, late: bool) -> None:
    """Also one that came while the run was going, so that the rows are in blocks."""
    make(database, range(1, 121), SHORT)
    if not late:
        database.execute(*TRIGGERS[database.kind])

    with opened(database) as store:
        plan = Planner(KEYRING).plan(store.read(None, None, 1000))
        assert bool(plan.blocks) == late
        if late:
            database.execute(*TRIGGERS[database.kind])
        written = store.write(plan.swaps, plan.blocks)

    stored = database.column()
    assert (written.lost, list(written.refused)) == (set(), [(41,)])
    assert stored[41] == SHORT[40]
    assert len(secrets_of(stored[row] for row in range(1, 121) if row != 41)) == 119


NAMES = [
    'we"ird;--',
    "we'ird",
    "a%s",
    "100%",
    "%(old)s",
    "%(new)s %(first)s",
    "a:b",
    ":old",
    ":new :first",
    "with blank",
]


def test_names_of_any_kind_are_quoted(database: Database, named: Named) -> None:
    """In every statement of blocks: quotes, percent signs, colons and blanks are part of the name."""
    cells = {f"p{number}": token for number, token in enumerate(SHORT[:40])}
    names = [name for name in NAMES if not database.misreads(name)]
    for name, gap in itertools.product(names, (1, 2)):
        with named(f"{name}, in steps of {gap}"):
            table, key, column = (spelt(database, part) for part in (name, f"{name}_k", f"{name}_t"))
            values = ", ".join(f"({number * gap}, :{cell}, :{cell})" for number, cell in enumerate(cells, 1))
            database.execute(
                f"DROP TABLE IF EXISTS {table}",
                f"CREATE TABLE {table} ({key} INTEGER PRIMARY KEY, {column} TEXT, token TEXT)",
            )
            database.execute(f"INSERT INTO {table} VALUES {values}", **cells)

            with opened(database, name, f"{name}_t") as store:
                plan = plan_of(store)
                written = store.write(plan.swaps, plan.blocks)

            rows = database.rows(f"SELECT {column}, token FROM {table} ORDER BY {key}")
            assert (written.lost, written.refused) == (set(), {})
            assert secrets_of(row[0] for row in rows) == secret_names(40)
            assert [row[1] for row in rows] == SHORT[:40]


@on_mariadb
@pytest.mark.parametrize("gap", [1, 2, 7])
def test_on_update_current_timestamp_is_kept(database: Database, gap: int) -> None:
    """D29: a rotation in blocks is no change of the row either."""
    clock = "`changed %s` TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP"
    database.execute(f"CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT, {clock})")
    database.insert("creds", [{"id": at * gap, "token": cell} for at, cell in enumerate(SHORT)])
    database.execute("UPDATE creds SET `changed %s` = '2020-02-29 12:00:00'")

    with opened(database) as store:
        plan = plan_of(store)
        store.write(plan.swaps, plan.blocks)

    assert {str(time) for (time,) in database.rows("SELECT `changed %s` FROM creds")} == {"2020-02-29 12:00:00"}
    assert secrets_of(database.column().values()) == secret_names(120)


@pytest.mark.some(3)
@by_swapped
@pytest.mark.parametrize("most", [7, 1000])
def test_a_large_swap_is_parted(
    database: Database, key: str, keys: Sequence[Any], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent at once is within the bound in bytes, each transaction within that in rows, and nothing is left."""
    make(database, keys, SHORT, key)
    weights, sizes = list[int](), list[int]()
    with opened(database) as store:
        plan = plan_of(store)
        access = store._blocks
        assert access is not None
        swap = access.swap

        def weighed(connection: sa.Connection, transactions: Sequence[Sequence[BlockSwap]]) -> Any:
            weights.append(sum(len(each.block.cells) + len(each.new) for swaps in transactions for each in swaps))
            sizes.extend(sum(map(len, swaps)) for swaps in transactions)
            return swap(connection, transactions)

        with monkeypatch.context() as patch:
            patch.setattr(access, "swap", weighed)
            patch.setattr(writer, "BATCH_BYTES", 2500)
            written = store.write(plan.swaps, plan.blocks, most)

    stored = database.column()
    assert (written.lost, written.refused) == (set(), {})
    assert secrets_of(stored[each] for each in keys) == secret_names(120)
    assert max(weights) <= 5000
    assert max(sizes) <= most
    assert sum(weights) == 2 * sum(map(len, SHORT))


@pytest.mark.some(3)
@on_mariadb
@pytest.mark.parametrize("gap", [1, 2, 3])
@pytest.mark.parametrize("most_rows", [1, 7, 1000])
def test_what_is_sent_at_once_fits_into_a_packet(
    database: Database, gap: int, most_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place of a missing key is sent, too: a run never got past such rows."""
    make(database, range(gap, 120 * gap + 1, gap), SHORT)
    most, sizes, send = 24_000, list[int](), pymysql.Connection.query

    def query(self: Any, sql: str, *more: Any) -> Any:
        sizes.append(len(sql))
        return send(self, sql, *more)

    with opened(database) as store:
        plan = plan_of(store)
        store._largest = most
        monkeypatch.setattr(pymysql.Connection, "query", query)
        written = store.write(plan.swaps, plan.blocks, most_rows)

    assert (plan.changes, written.lost, written.refused) == (120, set(), {})
    assert secrets_of(database.column().values()) == secret_names(120)
    assert max(sizes) <= most


@pytest.mark.some(3)
@pytest.mark.parametrize("bound", [1000, 10_000])
def test_a_heavy_batch_has_fewer_rows(database: Database, bound: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of any number of rows is within the bound, but for one row; all rows are read."""
    cells = [*SHORT[:60], *LONG[60:]]
    make(database, range(1, 121), cells)
    monkeypatch.setattr(reader, "BATCH_BYTES", bound)

    batches = read_both_ways(database, 1000)

    assert len(batches) > 1
    assert max(batch.weight for batch in batches) <= bound + max(map(len, cells))
