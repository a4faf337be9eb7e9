"""A run that seems to have nothing to do reads PostgreSQL's tables page by page, and misses nothing by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from keyring_core import InvalidToken, Keyring
from rotation.job import loop, passes, ranges
from rotation.job.checkpoints import Checkpoints, Reached
from rotation.job.loop import rotate
from rotation.job.options import LocalOptions, RunOptions
from rotation.model.batch import Batch
from rotation.model.counts import RowKey
from rotation.model.report import TargetReport
from rotation.model.target import Format, Target
from rotation.stores.columns import Shard
from rotation.stores.postgresql import change_tracker
from rotation.stores.store import Store
from tests.databases import Database, open_database
from tests.fakes import Notes, Silence
from tests.lastword.changes import GOOD, STALE, apart, token

pytestmark = pytest.mark.database

ROWS, OF_PAGE = 40, 4
"""Each row fills a quarter of its page, so that a new version of it needs a place in another one."""
WIDE = "repeat('x', 1750)"
CREATE = "CREATE TABLE creds (id INTEGER PRIMARY KEY, token {}, note TEXT)"
MAKE_ROOM = ("DELETE FROM creds WHERE id <= 4", "VACUUM creds")
"""The first page is empty then, and what others write next goes there."""


@dataclass
class Meddler:
    """Notes in which order a store reads, and makes a change behind the first read of a pass, or of several."""

    act: Callable[[], None] = lambda: None
    times: int = 1
    """In so many passes."""
    orders: list[str] = field(default_factory=list)
    """The order of each pass."""

    def pass_begins(self) -> None:
        """Whatever is read next belongs to another pass."""
        self.orders.append("")

    def read(self, order: str) -> None:
        """A batch was read in that *order*."""
        if self.orders and not self.orders[-1]:
            self.orders[-1] = order
            if len(self.orders) <= self.times:
                self.act()


class Following(Silence):
    """Tells the meddler where passes begin: before that, a run looks at the first rows."""

    def __init__(self, meddler: Meddler) -> None:
        self._meddler = meddler

    def begin(self, report: TargetReport, rows: int, pass_number: int, done: int = 0) -> None:
        self._meddler.pass_begins()


@pytest.fixture
def postgres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A PostgreSQL database; a run looks at one batch before it decides in which order to read."""
    monkeypatch.setattr(passes, "PROBE_TOKENS", 1)
    monkeypatch.setattr(passes, "FIRST_RANGE", OF_PAGE)
    with open_database("postgresql", tmp_path) as database:
        yield database


def make(database: Database, kind: str = "TEXT", label: str = GOOD, create: Sequence[str] = ()) -> None:
    """The table, with tokens under the key *label*."""
    values = ", ".join(f"({number}, '{token(label)}', {WIDE})" for number in range(1, ROWS + 1))
    apart(database, *(create or [CREATE.format(kind)]), f"INSERT INTO creds VALUES {values}")


def set_cell(cell: str, row: int = ROWS) -> str:
    """The statement that writes *cell*."""
    return f"UPDATE creds SET token = {cell} WHERE id = {row}"


def run(  # noqa: PLR0913 - all that may decide about the order
    database: Database,
    keyring: Keyring,
    monkeypatch: pytest.MonkeyPatch,
    meddler: Meddler,
    *,
    dry_run: bool = False,
    shard: Shard | None = None,
    reached: int = 0,
    threads: int = 1,
    **more: Any,
) -> TargetReport:
    """The report of a run, with the changes of *meddler*. If it says "complete", no old token is left."""
    target = Target(database.url, "creds", "token", "creds", **more)
    plain_read, plain_pages = Store.read, Store.read_pages

    def read(store: Store, after: RowKey | None, upto: RowKey | None, limit: int) -> Batch:
        batch = plain_read(store, after, upto, limit)
        meddler.read("keys")
        return batch

    def read_pages(store: Store, start: int, end: int, limit: int) -> Batch | None:
        batch = plain_pages(store, start, end, limit)
        meddler.read("pages")
        return batch

    notes = Notes()
    if reached:
        keyed = Target(database.url, "creds", "token", "creds", key_columns=("id",))
        Checkpoints(notes, keyed, keyring.primary.id).note(Reached((reached,), reached), now=True)
    local = LocalOptions(checkpoints=lambda target, primary: Checkpoints(notes, target, primary))

    def open_store(target: Target) -> Store:
        return Store(target, read_only=dry_run, sleep=lambda _: None, shard=shard)

    options = RunOptions(dry_run, OF_PAGE)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "read", read)
        patch.setattr(Store, "read_pages", read_pages)
        patch.setattr(loop, "THREAD_ROWS", 0)
        report = rotate([target], keyring, open_store, options, Following(meddler), local=local, workers=threads)
    [found] = report.targets
    if report.complete and not (shard or more.get("where")):
        assert not left(database, keyring)
    return found


def left(database: Database, keyring: Keyring) -> set[Any]:
    """The rows with a token under an older key."""
    rows = {key: cell for key, cell in database.column().items() if cell}
    found = dict(zip(rows, keyring.identify_many(list(rows.values())), strict=True))
    return {key for key, of in found.items() if not isinstance(of, InvalidToken) and of != keyring.primary}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kind", ["TEXT", "VARCHAR(500)", "BYTEA"])
def test_nothing_to_do_is_read_page_by_page(
    postgres: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch, kind: str, threads: int
) -> None:
    """Once, and proved; empty pages are passed over."""
    make(postgres, kind)
    apart(postgres, "DELETE FROM creds WHERE id BETWEEN 9 AND 20", "VACUUM creds", set_cell("NULL", 1))
    apart(postgres, set_cell("''", 2))

    report = run(postgres, keyring, monkeypatch, meddler := Meddler(), threads=threads)

    assert (meddler.orders, report.passes, report.proof) == (["pages"], 1, "versions")
    counts = report.counts
    assert (counts.scanned, counts.null, counts.empty, counts.current) == (ROWS - 13, 1, 1, ROWS - 14)


def test_a_range_of_pages_that_takes_long_is_done_in_parts(
    postgres: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No row is left out, and none is counted twice."""
    make(postgres)
    monkeypatch.setattr(ranges, "RANGE_SECONDS", 0)
    monkeypatch.setattr(passes, "FIRST_RANGE", ROWS)

    report = run(postgres, keyring, monkeypatch, meddler := Meddler())

    assert (meddler.orders, report.counts.scanned, report.counts.current) == (["pages"], ROWS, ROWS)


MOVES = {
    "a cell is written": set_cell(f"'{token(STALE)}'"),
    "a row comes": f"INSERT INTO creds VALUES (100, '{token(STALE)}', {WIDE})",
    "a row gets another key": f"UPDATE creds SET id = -1, token = '{token(STALE)}' WHERE id = {ROWS}",
}


@pytest.mark.parametrize("statement", MOVES.values(), ids=MOVES)
def test_what_others_write_into_a_page_that_was_read_is_found(
    postgres: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """The proof sees each new version, wherever it is, and what is in it is rotated."""
    make(postgres)
    apart(postgres, *MAKE_ROOM)

    def act() -> None:
        apart(postgres, statement)
        [key] = left(postgres, keyring)
        # It is where the pass was.
        assert postgres.rows(f"SELECT 1 FROM creds WHERE id = {key} AND ctid < '(1,0)'")

    report = run(postgres, keyring, monkeypatch, meddler := Meddler(act))

    assert (meddler.orders, report.passes, report.proof) == (["pages"], 1, "versions")
    assert report.counts.rotated == 1
    assert report.counts.scanned == len(postgres.column())


def test_a_row_that_moves_ahead_of_the_pass_is_counted_once(
    postgres: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its old version was read, and its new one is read again."""
    make(postgres)
    act = "UPDATE creds SET note = note WHERE id = 1"

    report = run(postgres, keyring, monkeypatch, meddler := Meddler(lambda: apart(postgres, act)))

    assert postgres.rows("SELECT ctid > '(8,0)' FROM creds WHERE id = 1") == [(True,)]
    assert (meddler.orders, report.proof) == (["pages"], "versions")
    assert (report.counts.scanned, report.counts.current) == (ROWS, ROWS)


@pytest.mark.parametrize("how", ["VACUUM FULL creds", "CLUSTER creds USING creds_pkey"])
def test_rows_that_move_without_a_new_version_are_read_by_their_keys(
    postgres: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """An old token from before the run goes from the last page into the first one, which was read."""
    make(postgres)
    apart(postgres, set_cell(f"'{token(STALE)}'"), f"DELETE FROM creds WHERE id BETWEEN 5 AND {ROWS - 1}")

    report = run(postgres, keyring, monkeypatch, meddler := Meddler(lambda: apart(postgres, how)))

    assert (meddler.orders[:2], report.proof) == (["pages", "keys"], "versions")
    assert report.counts.rotated == 1


@pytest.mark.parametrize(
    ("cell", "most"), [(token(GOOD), 0), ("plain", 1000)], ids=["too much to read again", "a cell that needs a person"]
)
def test_a_pass_by_pages_is_nothing_without_its_proof(
    postgres: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch, cell: str, most: int
) -> None:
    """Whatever others wrote, passes by keys follow, and the first one of them is as strict as ever."""
    make(postgres)
    apart(postgres, *MAKE_ROOM)
    monkeypatch.setattr(change_tracker, "MOST_ROWS", most)
    meddler = Meddler(lambda: apart(postgres, set_cell(f"'{cell}'")), times=2)

    report = run(postgres, keyring, monkeypatch, meddler)

    assert (meddler.orders, report.passes) == (["pages", "keys", "keys"], 2)


LATE = {
    "an old token": f"'{token(STALE)}'",
    "a token under no key here": f"'{token('another')}'",
    "a damaged token": f"overlay('{token(GOOD)}' placing '####' from 40)",
    "no token": "'plain'",
    "blanks": "'  '",
    "no ASCII": "repeat('\u00e9', 70)",
    "a large cell": "repeat('y', 9000000)",
}


@pytest.mark.some(4)
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("cell", LATE.values(), ids=LATE)
def test_what_is_to_be_written_or_reported_is_done_by_keys(
    postgres: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch, cell: str, threads: int
) -> None:
    """The run ends as one that reads by keys alone does."""
    make(postgres)
    apart(postgres, set_cell(cell))
    with monkeypatch.context() as patch:
        patch.setattr(Store, "pages", lambda *_: None)
        expected = run(postgres, keyring, monkeypatch, Meddler(), threads=threads)
    apart(postgres, set_cell(cell))

    report = run(postgres, keyring, monkeypatch, meddler := Meddler(), threads=threads)

    assert meddler.orders[:2] == ["pages", "keys"]
    # The times of tokens count twice if some other transaction of the server began before the last statement here.
    for name in ("scanned", "current", "rotated", "empty", "null", "unreadable", "categories", "problems"):
        assert getattr(report.counts, name) == getattr(expected.counts, name)
    assert report.unreadable == expected.unreadable


def test_an_old_token_among_the_first_rows_leaves_no_doubt(
    postgres: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first run reads no page."""
    make(postgres, label=STALE)

    report = run(postgres, keyring, monkeypatch, meddler := Meddler())

    assert (meddler.orders, report.counts.rotated) == (["keys"], ROWS)


PARTED = [
    "CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT, note TEXT) PARTITION BY RANGE (id)",
    "CREATE TABLE low PARTITION OF creds FOR VALUES FROM (-100) TO (20)",
    "CREATE TABLE high PARTITION OF creds FOR VALUES FROM (20) TO (2000)",
]
UNFIT: dict[str, tuple[Sequence[str], dict[str, Any]]] = {
    "a condition": ([], {"where": "id > 0"}),
    "a shard": ([], {"shard": Shard(0, 1)}),
    "a dry run": ([], {"dry_run": True}),
    "a run that goes on": ([], {"reached": OF_PAGE}),
    "cells with other text": ([], {"format": Format.EMBEDDED}),
    "partitions": (PARTED, {}),
    "a child": ([CREATE.format("TEXT"), "CREATE TABLE child () INHERITS (creds)"], {}),
    "a key with NULLs": (["CREATE TABLE creds (id INTEGER UNIQUE, token TEXT, note TEXT)"], {"key_columns": ("id",)}),
    "row security": (
        [
            CREATE.format("TEXT"),
            "ALTER TABLE creds ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY everyone ON creds USING (true)",
        ],
        {},
    ),
}


@pytest.mark.some(3)
@pytest.mark.parametrize(("create", "options"), UNFIT.values(), ids=UNFIT)
def test_without_a_proof_or_with_other_rows_a_run_reads_by_keys(
    postgres: Database,
    keyring: Keyring,
    monkeypatch: pytest.MonkeyPatch,
    create: Sequence[str],
    options: dict[str, Any],
) -> None:
    """What the proof does not cover, and what has no pages of its own, is never read page by page."""
    make(postgres, create=create)

    report = run(postgres, keyring, monkeypatch, meddler := Meddler(), **options)

    assert set(meddler.orders) == {"keys"}
    assert report.counts.scanned == ROWS


def test_an_older_server_is_read_by_keys(postgres: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would read the whole table for each range of pages."""
    make(postgres)
    dialect = type(postgres.engine.dialect)
    monkeypatch.setattr(dialect, "_get_server_version_info", lambda *_: (13, 20))

    run(postgres, keyring, monkeypatch, meddler := Meddler())

    assert set(meddler.orders) == {"keys"}


@pytest.mark.parametrize("kind", ["sqlite", "mariadb"])
def test_other_databases_are_read_by_keys(
    kind: str, tmp_path: Path, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They keep rows in the order of their keys."""
    with open_database(kind, tmp_path) as database:
        database.make_creds([token(GOOD) for _ in range(ROWS)])

        run(database, keyring, monkeypatch, meddler := Meddler())

    assert meddler.orders == ["keys"]
