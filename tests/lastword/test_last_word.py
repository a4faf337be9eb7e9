"""No pass says "complete" of a table that it did not read, or that others changed behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from keyring_core import Keyring
from rotation.job import loop, passes
from rotation.job.checkpoints import Checkpoints, Reached
from rotation.job.loop import rotate
from rotation.job.options import LocalOptions, RunOptions
from rotation.job.workers import Workers
from rotation.model.batch import Batch
from rotation.model.counts import RowKey
from rotation.model.report import Report, TargetReport
from rotation.model.target import Target
from rotation.stores.store import Store
from tests.conftest import Cli
from tests.databases import Database, open_database
from tests.fakes import Notes, Silence
from tests.lastword.changes import BATCH, CHANGES, GOOD, ROWS, STALE, TAIL, Change, apart, back_up, make, token
from tests.stores.tokens import make_tokens

pytestmark = pytest.mark.database

SPAN = "Each row was read once, "


@dataclass(frozen=True)
class Way:
    """A way to "complete"."""

    name: str
    number: int = 1
    """The pass in which the change comes."""
    label: str = STALE
    """The key of all tokens before."""
    where: str | None = None
    dry_run: bool = False
    resumed: bool = False
    threads: int = 1
    pooled: bool = False
    by_keys: bool = False
    """Whether it may not read page by page, which needs a proof."""

    def is_watched(self, kind: str) -> bool:
        """Whether the database shows what others write."""
        return kind not in {"mariadb", "mysql"} and self.where is None and not self.dry_run


IDLE = Way("a first pass that finds nothing", label=GOOD)
WAYS = [
    IDLE,
    Way("a first pass that rotates"),
    Way("a second pass", 2, where="id > 0"),
    Way("a run that goes on", 2, resumed=True),
    Way("a first pass by keys that finds nothing", label=GOOD, by_keys=True),
    Way("a census", label=GOOD, dry_run=True),
    Way("threads", threads=2),
    Way("workers", pooled=True),
    Way("workers that find nothing", label=GOOD, pooled=True),
]


@dataclass(frozen=True)
class Row:
    """A change, in one way, on one database."""

    kind: str
    change: Change
    way: Way
    journal: str = "delete"

    @property
    def id(self) -> str:
        """Its name among the tests."""
        return "-".join([self.kind, self.change.name, self.way.name, *([self.journal] * (self.journal == "wal"))])


def _rows() -> Iterator[Any]:
    for kind, changes in CHANGES.items():
        for number, change in enumerate(changes):
            for place, way in enumerate(WAYS):
                # Each change in the first way and in another one, and so each way with several changes.
                short = way is IDLE or place == 1 + number % (len(WAYS) - 1)
                for journal in ("delete", "wal") if change.move else ("delete",):
                    row = Row(kind, change, way, journal)
                    marks = [] if short else [pytest.mark.long]
                    marks += [pytest.mark.world("TEST_MYSQL_URL")] if kind == "mysql" else []
                    yield pytest.param(row, id=row.id, marks=marks)


class Inline(Executor):
    """One worker, in this thread: with a store and keys of its own."""

    _max_workers = 1

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Meddler(Silence):
    """Makes the change behind the first read of one pass, by whatever store, and undoes it behind the last one."""

    def __init__(self, number: int, act: Callable[[], None], undo: Callable[[], None]) -> None:
        self._number, self._act, self._undo = number, act, undo
        self._is_due = self._is_done = False
        self._lock = threading.Lock()

    def begin(self, report: TargetReport, rows: int, pass_number: int, done: int = 0) -> None:
        """A pass begins."""
        self._is_due = pass_number == self._number

    def read(self) -> None:
        """A batch was read."""
        with self._lock:
            if self._is_due:
                self._is_due, self._is_done = False, True
                self._act()

    def ended(self) -> None:
        """All ranges of a pass were read."""
        if self._is_done:
            self._is_done = False
            self._undo()

    def meddle(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """From here on, it notices what stores read."""
        plain_read, plain_pages, plain_keyless = Store.read, Store.read_pages, Store.keyless

        def read(store: Store, after: RowKey | None, upto: RowKey | None, limit: int) -> Batch:
            batch = plain_read(store, after, upto, limit)
            self.read()
            return batch

        def read_pages(store: Store, start: int, end: int, limit: int) -> Batch | None:
            batch = plain_pages(store, start, end, limit)
            self.read()
            return batch

        def keyless(store: Store) -> int:
            self.ended()
            return plain_keyless(store)

        monkeypatch.setattr(Store, "read", read)
        monkeypatch.setattr(Store, "read_pages", read_pages)
        monkeypatch.setattr(Store, "keyless", keyless)


def run(row: Row, database: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> Report:
    """The run of *row*, with its change."""
    change, way = row.change, row.way
    url = sa.make_url(database.url).update_query_dict(change.options).render_as_string(hide_password=False)
    target = Target(url, change.table, "token", "creds", where=way.where)

    def act() -> None:
        if change.tail:
            apart(database, *(TAIL.format(change.table, token(STALE), number) for number in range(BATCH + 1, ROWS + 1)))
        apart(database, *change.act)
        if change.move:
            database.engine.dispose()
            change.move(Path(str(database.engine.url.database)))

    meddler = Meddler(way.number, act, lambda: apart(database, *change.undo))
    meddler.meddle(monkeypatch)
    if way.by_keys:
        monkeypatch.setattr(Store, "pages", lambda *_: None)
    monkeypatch.setattr(passes, "FIRST_RANGE", BATCH)
    monkeypatch.setattr(loop, "THREAD_ROWS", 0)
    notes = Notes()
    if way.resumed:
        keyed = replace(target, key_columns=("id",))
        Checkpoints(notes, keyed, keyring.primary.id).note(Reached((BATCH,), BATCH), now=True)
    options = RunOptions(way.dry_run, BATCH)
    local = LocalOptions(checkpoints=lambda target, primary: Checkpoints(notes, target, primary))

    def open_store(target: Target) -> Store:
        return Store(target, read_only=way.dry_run, sleep=lambda _: None)

    workers = Workers(Inline(), 1) if way.pooled else way.threads
    return rotate([target], keyring, open_store, options, meddler, local=local, workers=workers)


@pytest.mark.some(3)
@pytest.mark.parametrize("row", [*_rows()])
def test_complete_is_true_whatever_changed_meanwhile(
    row: Row, tmp_path: Path, keyring: Keyring, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a run says so, no token is under an older key; if the database cannot know, the report says when it read."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with open_database(row.kind, tmp_path) as database:
        if row.kind == "sqlite":
            database.execute(f"PRAGMA journal_mode = {row.journal}")
        make(database, row.change, row.way.label)
        if row.change.move:
            back_up(Path(str(database.engine.url.database)))
        report = run(row, database, keyring, monkeypatch)
        [target] = report.targets
        is_there = row.kind != "sqlite" or Path(str(database.engine.url.database)).exists()
        cells = database.column(row.change.table).values() if is_there else ()
        stale = sum(map(keyring.needs_rotation, cells))

    if row.change.stops:
        assert (report.exit_code, report.complete) == (3, False), target.stopped
        # Another thread may have met the table while it was gone.
        assert row.change.stops in str(target.stopped) or row.way.threads > 1
        return
    if row.change.span and not row.way.is_watched(row.kind):
        assert target.proof == (None if row.way.dry_run else "pass")
        assert target.read_from
        assert target.read_to
        assert target.read_from < target.read_to
        return
    assert (report.complete, report.exit_code) == ((False, 1) if row.way.dry_run else (True, 0)), target.stopped
    assert stale == 0 or row.way.dry_run


def test_the_output_says_when_rows_were_read_if_it_is_no_moment(database: Database, cli: Cli) -> None:
    """A run says so where nothing shows what others wrote, a census always."""
    database.make_creds(make_tokens(3))
    options = ["--url", database.url, "--table", "creds", "--column", "token"]
    ran, looked = cli("run", *options), cli("status", *options)

    assert (ran.code, looked.code) == (0, 0)
    assert (SPAN in ran.out, SPAN in looked.out) == (database.kind == "mariadb", True)
