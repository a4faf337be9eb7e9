"""Passes over one target: when they end, and what is said then."""

from __future__ import annotations

import itertools

import pytest
from structlog.testing import capture_logs

from keyring_core import Key, Keyring
from rotation.job.loop import rotate
from rotation.job.options import RunOptions
from rotation.job.passes import MAX_PASSES
from rotation.model.batch import Batch
from rotation.model.counts import RowKey
from rotation.model.failures import StoreError
from rotation.stores.change_tracker import Changed
from tests.fakes import TARGET, MemoryStore, Silence, Unwatched, batch_of, run, token
from tests.keys import key_text, mistyped


def test_complete_needs_a_whole_pass_that_found_nothing(keyring: Keyring) -> None:
    """One pass rotates, the next one proves it."""
    report = run(MemoryStore({1: token("old"), 2: token("new")}), keyring)

    [target] = report.targets
    assert (report.exit_code, target.passes) == (0, 2)
    assert (target.counts.rotated, target.counts.current) == (1, 1)


def test_nothing_to_do_is_one_pass_and_no_write(keyring: Keyring) -> None:
    """R33: a table that is in order is read once and not written."""
    store = MemoryStore({1: token("new"), 2: None, 3: ""})
    report = run(store, keyring)

    assert (report.exit_code, report.targets[0].passes, store.writes) == (0, 1, 0)


def test_a_row_inserted_behind_the_pass_is_found_by_the_next(keyring: Keyring) -> None:
    """R04: a row that came in before the place where the pass was is rotated all the same."""

    def insert_once(store: MemoryStore) -> None:
        store.cells.setdefault(1, token("old"))

    store = MemoryStore({5: token("old")}, between=insert_once)
    report = run(store, keyring, RunOptions(batch_size=1))

    assert report.exit_code == 0
    assert {keyring.key_for(cell) for cell in store.cells.values()} == {keyring.primary}


def test_a_cell_that_a_service_rewrites_is_settled_by_the_next_pass(keyring: Keyring) -> None:
    """R01: the service wins; a conflict is read again and is gone."""
    rewritten = iter([token("older", "the service's")])

    def rewrite(store: MemoryStore) -> None:
        if store.writes == 0 and store.reads == 3:  # the first two look for a missing key
            store.cells[1] = next(rewritten)

    store = MemoryStore({1: token("old"), 2: token("old")}, between=rewrite)
    report = run(store, keyring)

    [target] = report.targets
    assert (report.exit_code, target.counts.unsettled) == (0, 0)
    assert keyring.decrypt(store.cells[1]) == "the service's"


def test_a_service_with_an_old_key_is_told_of(keyring: Keyring) -> None:
    """R05: passes are bounded; what still comes in under an older key is said, and makes the exit code 1."""

    def write(store: MemoryStore) -> None:
        store.cells[1] = token("old", "again", 4_000_000_000)

    report = run(MemoryStore({1: token("old")}, between=write), keyring)

    [target] = report.targets
    assert (report.exit_code, target.passes) == (1, MAX_PASSES)


def test_a_service_that_adds_rows_with_an_old_key_is_told_of(keyring: Keyring) -> None:
    """R05: new rows under an older key in the last pass, too, mean that a service has the old key."""
    numbers = itertools.count(2)

    def insert(store: MemoryStore) -> None:
        if store.reads % 2 == 0:
            store.cells[next(numbers)] = token("old", "more", 4_000_000_000)

    report = run(MemoryStore({1: token("old")}, between=insert), keyring)

    assert report.exit_code == 1
    assert "a service encrypts with an older key" in str(report.targets[0].stopped)


class Undoing(Unwatched):
    """Another rotation: whenever the run looks what others wrote, it has put the token of row 1 back."""

    name = "undoing"

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def changed(self, *, wrote: bool = True) -> Changed:
        self._store.cells[1] = token("old")
        return Changed(batch_of([((1,), self._store.cells[1])]))


def test_a_rotation_that_undoes_this_one_is_recognised_while_it_is_proved(
    keyring: Keyring, old: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R08: what was put back between the first pass and the proof counts as well."""
    store = MemoryStore({1: token("old")})
    monkeypatch.setattr(store, "watch", lambda **_: Undoing(store))

    [target] = run(store, keyring).targets

    assert f"another rotation works against this one: it put 1 token back under {old.id}" in str(target.stopped)


def test_what_a_server_lost_counts_once(keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another server answers, as after a crash, without what the pass before has written: that is rotated again."""
    store, lost = MemoryStore({1: token("old"), 2: token("new")}), iter(["one", "another"])
    before = dict(store.cells)

    def watch(**_: object) -> Unwatched:
        if (start := next(lost, None)) == "another":
            store.cells.update(before)
        watched = Unwatched()
        watched.facts = frozenset({("start", start or "another")})
        return watched

    monkeypatch.setattr(store, "watch", watch)

    [target] = run(store, keyring).targets

    assert (target.passes, store.writes) == (3, 2)
    assert (target.counts.rotated, target.counts.current) == (1, 1)


@pytest.mark.parametrize("settles", [True, False], ids=["the disk is there", "the disk is gone as well"])
def test_what_is_done_is_on_disk_when_a_run_breaks_off(
    keyring: Keyring, settles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is settled before the fault is reported, and a second fault does not hide the first."""
    settled = []

    def fail(store: MemoryStore) -> None:
        if store.writes:
            raise StoreError("the first fault")

    def settle() -> None:
        settled.append(store.writes)
        if not settles:
            raise StoreError("the second fault")

    store = MemoryStore({1: token("old"), 2: token("old")}, between=fail)
    monkeypatch.setattr(store, "settle", settle)

    [target] = run(store, keyring, RunOptions(batch_size=1)).targets

    assert settled == [1]
    assert target.stopped == "the first fault"


class Flaky(MemoryStore):
    """A database each of whose reads has to be tried again, by whatever connection."""

    def read(self, after: RowKey | None, upto: RowKey | None, limit: int) -> Batch:
        self.retries += 1
        return super().read(after, upto, limit)

    def twin(self, links: object) -> Flaky:
        return Flaky(self.cells, self._between)


@pytest.mark.parametrize("threads", [1, 2])
def test_rows_and_retries_are_counted_once(keyring: Keyring, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watcher hears of each row and the report of each retry, whether in this thread or in others."""
    monkeypatch.setattr("rotation.job.loop.THREAD_ROWS", 0)
    told, reads, watcher = list[int](), list[MemoryStore](), Silence()
    monkeypatch.setattr(watcher, "advance", lambda rows, *_: told.append(rows))
    store = Flaky({row: token("new") for row in range(10)}, between=reads.append)

    [target] = rotate([TARGET], keyring, lambda _: store, RunOptions(), watcher, workers=threads).targets

    assert sum(told) == 10
    assert target.retries == len(reads)


def test_rows_that_stay_locked_are_told_once_each(keyring: Keyring) -> None:
    """R21: a lock that is held through every pass leaves one problem a row, not one a pass."""
    store = MemoryStore({1: token("old"), 2: token("old")})
    store.refuses[(1,)] = ("locked", "another transaction holds the row")
    report = run(store, keyring)

    [target] = report.targets
    assert (report.exit_code, target.passes, target.counts.rotated) == (1, MAX_PASSES, 1)
    assert [(problem.key, problem.category) for problem in target.counts.problems] == [((1,), "locked")]
    assert "run again later" in str(target.stopped)


def test_a_key_that_is_mistyped_where_it_does_not_sign_stops_the_run(new: Key) -> None:
    """K26: one in 256 of its tokens decrypts to nonsense; the first tokens reveal that before anything is written."""
    cells: dict[int, object] = {row: token("old") for row in range(300)}
    store = MemoryStore(dict(cells))
    report = run(store, Keyring(new, previous=[mistyped(key_text("old"))]))

    [target] = report.targets
    assert (report.exit_code, store.writes, store.cells) == (1, 0, cells)
    assert "the key that signed them is mistyped in its second half" in str(target.stopped)


def test_a_poison_row_never_wedges_a_run(keyring: Keyring) -> None:
    """A row that the database always refuses is reported, and all others are rotated."""
    store = MemoryStore({row: token("old") for row in range(30)})
    store.refuses[(7,)] = ("refused", "the database refuses the new value")
    report = run(store, keyring)

    [target] = report.targets
    assert (report.exit_code, target.passes, target.counts.rotated, target.counts.unsettled) == (1, 2, 29, 1)


def test_rows_without_a_key_are_one_problem_with_their_number(keyring: Keyring) -> None:
    """No key identifies such rows, so they are reported as one problem."""
    store = MemoryStore({1: token("new")})
    store.keyless_rows = 3
    report = run(store, keyring)

    [target] = report.targets
    assert (report.exit_code, target.counts.unsettled, target.counts.scanned) == (1, 3, 4)
    assert target.counts.categories.total() == 3
    assert [problem.category for problem in target.counts.problems] == ["no-key"]


def test_a_row_without_a_key_that_comes_late_is_seen(keyring: Keyring) -> None:
    """Each pass counts such rows again: the last one finds those that were added meanwhile."""

    def insert(store: MemoryStore) -> None:
        store.keyless_rows = store.writes

    report = run(MemoryStore({1: token("old")}, between=insert), keyring)

    assert (report.exit_code, report.targets[0].counts.unsettled) == (1, 1)


def test_a_caution_is_told_before_the_first_write(keyring: Keyring) -> None:
    """D24, D30: the warning that old tokens may stay elsewhere precedes the first write; the report repeats it."""
    told_before: list[int] = []
    with capture_logs() as logged:
        store = MemoryStore({1: token("old")}, between=lambda _: told_before.append(len(logged)))
        store.cautions = ["creds.token: trigger audit acts on UPDATE"]
        report = run(store, keyring)

    assert told_before[0] == 1
    assert logged[0] == {
        "event": "rotation.caution",
        "caution": "creds.token: trigger audit acts on UPDATE",
        "log_level": "warning",
    }
    assert report.targets[0].warnings == store.cautions


def test_a_dry_run_leaves_cautions_to_its_report(keyring: Keyring) -> None:
    """A dry run prints the warning once: it writes nothing that could be stopped."""
    store = MemoryStore({1: token("old")})
    store.cautions = ["creds.token: trigger audit acts on UPDATE"]

    with capture_logs() as logged:
        run(store, keyring, RunOptions(dry_run=True))

    assert [entry for entry in logged if entry["event"] == "rotation.caution"] == []


@pytest.mark.parametrize(
    ("readable", "unreadable", "stops"),
    [
        pytest.param(9, 11, True, id="most of 20"),
        pytest.param(10, 10, False, id="half of 20"),
        pytest.param(0, 19, False, id="all of 19 are too few to tell"),
        pytest.param(0, 20, True, id="all of 20"),
        pytest.param(499, 501, True, id="most of the first 1000"),
        # The batch that brings it to a thousand is looked at whole, and has 200 rows at most.
        pytest.param(600, 2000, False, id="less than half of the first 1000, and nothing but unreadable ones after"),
    ],
)
def test_a_missing_key_stops_a_run_before_it_writes(
    keyring: Keyring, readable: int, unreadable: int, stops: bool
) -> None:
    """Where most of the first thousand tokens, of twenty at least, are unreadable, a key is missing."""
    cells = [token("old")] * readable + [token("unknown")] * unreadable
    store = MemoryStore(dict(enumerate(cells)))
    report = run(store, keyring)

    [target] = report.targets
    assert ("a key is missing" in str(target.stopped)) is stops
    assert (store.writes == 0) is (stops or not readable)
    assert (report.exit_code, target.interrupted) == (1, False)


def test_an_empty_column_is_complete(keyring: Keyring) -> None:
    """D34: no row, or none that holds anything, is nothing to do."""
    assert run(MemoryStore({}), keyring).exit_code == 0
    assert run(MemoryStore(dict.fromkeys(range(500))), keyring).exit_code == 0
