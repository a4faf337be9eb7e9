"""The progress of a search, as its watcher hears of it: whichever table is read first, and by whichever thread."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rotation.discovery.search_progress import Remaining, SearchProgress
from rotation.discovery.table_source import TableIdentity
from rotation.model.watcher import SoFar
from rotation.stores.catalog import TableEntry
from tests.fakes import Seconds, Silence

HERE, THERE = ("here",), ("there",)


class Heard(Silence):
    """A watcher that remembers, and that no two threads may call at once."""

    def __init__(self) -> None:
        self.last: SoFar | None = None
        self.rows = 0
        self.announced = ""
        self.inside = self.met = 0

    def at_work(self, words: str, rows: int = 0, so_far: SoFar | None = None) -> None:
        self.inside += 1
        self.met += self.inside > 1
        time.sleep(0)
        self.last, self.rows = so_far, self.rows + rows
        self.inside -= 1

    def announce(self, words: str) -> None:
        self.announced = words


class Searching:
    """A search of one database with tables of these sizes, of 100 rows each."""

    def __init__(self, sizes: dict[str, int], *, full: bool = True) -> None:
        self.heard, self.now = Heard(), 0.0
        self.progress = SearchProgress(self.heard, full=full, clock=lambda: self.now)
        self.progress.expect_database("a")
        self.progress.expect_tables(HERE, entries(sizes))

    def begin(self) -> Searching:
        self.progress.begin()
        self.progress.open("a")
        return self

    def read(self, name: str, rows: int, more: int = 0) -> SoFar:
        """What the watcher hears then."""
        self.progress.read(key(name), rows, more)
        assert self.heard.last
        return self.heard.last


def entries(sizes: dict[str, int]) -> list[TableEntry]:
    return [TableEntry(None, name, plain=True, size=size, rows=100) for name, size in sizes.items()]


def key(name: str, identity: tuple[object, ...] = HERE) -> TableIdentity:
    return identity, None, name


def test_tables_are_done_in_any_order() -> None:
    """The share is of all tables that are done, and of the part of each that is read; none counts twice."""
    search = Searching({"one": 500, "two": 300, "three": 200}).begin()
    for name in ("three", "one"):
        search.progress.begin_table(key(name))
    search.read("one", 50)
    both = search.read("three", 50)
    search.progress.end_table(key("three"))
    search.now = 10.0
    one = search.read("one", 1000)

    assert (both.percent, both.table, both.tables) == (35, 2, 3)
    assert (one.percent, one.seconds_left) == (70, 4), "a table that has grown counts as all of it, not as more"


def test_a_table_without_an_estimate_counts_once_it_is_done() -> None:
    """Its catalog does not say how many rows it has."""
    search = Searching({})
    search.progress.expect_tables(HERE, [TableEntry(None, "new", plain=True, size=100), *entries({"old": 100})])
    search.begin()
    search.progress.begin_table(key("new"))
    before = search.read("new", 10)
    search.progress.end_table(key("new"))
    search.progress.begin_table(key("old"))

    assert (before.percent, search.read("old", 0).percent) == (0, 50)


def test_what_is_left_out_is_no_work() -> None:
    """Its bytes are neither done nor to do, since nobody read them."""
    search = Searching({"one": 500, "numbers": 4500}).begin()
    search.progress.begin_table(key("one"))
    before = search.read("one", 50)
    search.progress.leave_out(key("numbers"))
    search.progress.leave_out(key("numbers"))
    after = search.read("one", 50)

    assert (before.percent, before.tables) == (5, 2)
    assert (after.percent, after.tables, after.bytes) == (50, 1, 500)


def test_a_neighbour_counts_by_its_files_until_its_tables_are_known() -> None:
    """A database's files hold indexes as well, which no search reads."""
    search = Searching({"one": 500})
    search.progress.expect_database("b", 4500)
    search.begin()
    search.progress.begin_table(key("one"))
    before = search.read("one", 100)
    search.progress.end_table(key("one"))
    search.progress.open("b")
    search.progress.expect_tables(THERE, entries({"theirs": 1500}))
    search.progress.begin_table(key("theirs", THERE))
    search.progress.read(key("theirs", THERE), 0, 0)
    after = search.heard.last

    assert search.heard.announced == (
        "Searching every row of 2 databases (5 kB); 1 of them only shares the server: [policy] unsearched_databases "
        "leaves out what can hold no token of yours"
    )
    assert (before.percent, before.database, before.databases) == (10, 1, 2)
    assert after
    assert (after.percent, after.database, after.table, after.tables) == (25, 2, 1, 1)


@pytest.mark.parametrize(("full", "announced"), [(True, "Searching every row of 1 database (2 tables)"), (False, "")])
def test_without_sizes_tables_are_counted(full: bool, announced: str) -> None:
    """Of a sample, too, about which nothing is announced."""
    search = Searching({"one": 0, "two": 0}, full=full).begin()
    search.progress.begin_table(key("one"))

    assert search.read("one", 50) == SoFar(1, 1, 1, 2)
    assert search.heard.announced == announced


def test_a_sample_has_no_share_of_the_bytes() -> None:
    """It leaves most of them unread."""
    search = Searching({"one": 500}, full=False).begin()
    search.progress.begin_table(key("one"))

    assert search.read("one", 50).percent is None


def test_threads_take_turns() -> None:
    """No two of them call the watcher at once, and no row is lost."""
    names = [f"t{number}" for number in range(40)]
    search = Searching(dict.fromkeys(names, 10)).begin()

    def read(name: str) -> None:
        search.progress.begin_table(key(name))
        for rows in range(1, 101):
            search.progress.read(key(name), rows, 1)
        search.progress.end_table(key(name))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(read, names))

    assert (search.heard.rows, search.heard.met) == (4000, 0)
    assert search.heard.last
    assert (search.heard.last.table, search.heard.last.percent) == (40, 99)


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def remaining(clock: Seconds) -> Remaining:
    """Of 1000 bytes."""
    made = Remaining(clock)
    made.total = 1000
    return made


def test_the_rest_takes_as_long_as_what_is_done_did(remaining: Remaining, clock: Seconds) -> None:
    """A quarter in 20 seconds: 60 more; a size that is corrected changes that."""
    clock.now += 20
    assert (remaining.percent(250), remaining.seconds(250)) == (25, 60)

    remaining.total = 500
    assert (remaining.percent(250), remaining.seconds(250)) == (50, 20)


def test_nothing_is_estimated_in_the_first_seconds(remaining: Remaining, clock: Seconds) -> None:
    """Nor before a byte is read. What passed before the work began does not count."""
    clock.now += 4.9
    assert remaining.seconds(250) is None
    clock.now += 0.1
    assert (remaining.seconds(0), remaining.seconds(250)) == (None, 15)

    remaining.begin()
    assert remaining.seconds(250) is None


def test_what_is_more_than_expected_never_looks_done(remaining: Remaining, clock: Seconds) -> None:
    """Neither 100 % nor more, and no time below zero."""
    clock.now += 10
    assert [remaining.percent(done) for done in (999, 1000, 5000)] == [99, 99, 99]
    assert [remaining.seconds(done) for done in (1000, 5000)] == [0, 0]


def test_without_a_size_nothing_is_known(clock: Seconds) -> None:
    """Of SQLite no table has one."""
    remaining = Remaining(clock)
    clock.now += 10
    assert (remaining.percent(100), remaining.seconds(100)) == (None, None)
