"""A run that was stopped goes on where it was, and proves no less for it."""

from __future__ import annotations

import datetime
import json
import signal
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyring_core import Keyring
from rotation.job.checkpoints import Checkpoints, Reached
from rotation.job.loop import rotate
from rotation.job.options import LocalOptions, RunOptions
from rotation.job.passes import cut
from rotation.model.batch import BatchSize
from rotation.model.failures import StoppedError
from rotation.model.report import TargetReport
from tests.conftest import Named
from tests.databases import Database, open_database
from tests.fakes import TARGET, MemoryStore, Notes, Silence, run, token
from tests.processes import AT_ONCE, start

pytestmark = pytest.mark.database

ROWS = 6000
OLD = token("old")
KEYED = replace(TARGET, key_columns=("id",))


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Database]:
    with open_database("sqlite", tmp_path) as database:
        database.make_creds([OLD] * ROWS)
        yield database


@pytest.fixture
def ledger(tmp_path: Path) -> dict[str, str]:
    return {"ROTATION_LEDGER_URL": f"sqlite:///{tmp_path}/ledger.db"}


@pytest.mark.some(1)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_stopped_run_goes_on_where_it_was(
    app: Database, environ: dict[str, str], ledger: dict[str, str], tmp_path: Path, threads: int
) -> None:
    """The first pass leaves out what is done; a whole one after it says "complete"; then it is forgotten."""
    limits = f"{AT_ONCE}; from rotation.stores import threads; threads.MOST_THREADS = {threads}"
    with start(app, environ | ledger, tmp_path, "--full-speed", "--max-rate", "2000", limits=limits) as first:
        first.until(lambda: _moved(app) > 1000, "some rows")
        first.process.send_signal(signal.SIGTERM)
        code, _ = first.end()
    moved = _moved(app)
    with start(app, environ | ledger, tmp_path, "--full-speed", limits=limits) as second:
        done, document = second.end()
    with start(app, environ | ledger, tmp_path, "--full-speed", limits=limits) as third:
        third.end()

    assert (code, done, document["complete"], document["targets"][0]["passes"]) == (3, 0, True, 2)
    assert _scanned(second.log) == [ROWS - moved, ROWS] or threads == 2
    assert 0 < _scanned(second.log)[0] < ROWS
    assert _scanned(third.log) == [ROWS]


def test_a_killed_run_goes_on_near_where_it_was(
    app: Database, environ: dict[str, str], ledger: dict[str, str], tmp_path: Path
) -> None:
    """R10: what was done since its last note is looked at again, and found done."""
    noting = f"{AT_ONCE}; from rotation.job import checkpoints; checkpoints.NOTE_SECONDS = 0"
    with start(app, environ | ledger, tmp_path, "--max-rate", "2000", limits=noting) as first:
        first.until(lambda: _noted(tmp_path / "ledger.db"), "the first note in the ledger")
        first.process.kill()
        first.process.wait()
    with start(app, environ | ledger, tmp_path, "--full-speed") as second:
        code, document = second.end()

    assert (code, document["complete"]) == (0, True)
    assert 0 < _scanned(second.log)[0] < ROWS
    assert "rotation.resumed_run" in second.log


def test_fresh_begins_anew(app: Database, environ: dict[str, str], ledger: dict[str, str], tmp_path: Path) -> None:
    """--fresh looks at every row."""
    with start(app, environ | ledger, tmp_path, "--max-rate", "2000", limits=AT_ONCE) as first:
        first.until(lambda: _moved(app) > 1000, "some rows")
        first.process.send_signal(signal.SIGTERM)
        first.end()
    with start(app, environ | ledger, tmp_path, "--full-speed", "--fresh") as second:
        code, _ = second.end()

    assert code == 0
    assert _scanned(second.log) == [ROWS]


def test_a_shortened_pass_proves_nothing(keyring: Keyring) -> None:
    """A row behind the noted place that is under an old key again is found by the whole pass that must follow."""
    notes = Notes()
    Checkpoints(notes, KEYED, keyring.primary.id).note(Reached((2,), 2), now=True)
    store = MemoryStore({1: token("old"), 3: token("new")})
    report = run(
        store, keyring, None, LocalOptions(checkpoints=lambda target, primary: Checkpoints(notes, target, primary))
    )

    assert report.exit_code == 0
    assert {keyring.key_for(cell) for cell in store.cells.values()} == {keyring.primary}


def test_a_run_knows_how_much_an_earlier_one_has_done(keyring: Keyring) -> None:
    """The number of rows that are done survives any number of stops, so that the remaining time can be shown."""
    notes = Notes()
    Checkpoints(notes, KEYED, keyring.primary.id).note(Reached((10,), 10), now=True)
    store = MemoryStore({row: token("old") for row in range(1, 5001)})
    told: list[int] = []

    class Listening(Silence):
        def begin(self, report: TargetReport, rows: int, pass_number: int, done: int = 0) -> None:
            told.append(done)

    def stop_late(_: float) -> None:
        if store.writes == 3:
            raise StoppedError("enough")

    moved = []
    options = RunOptions(batch_size=100, full_speed=True)
    for wait in (stop_late, time.sleep):
        local = LocalOptions(wait, checkpoints=lambda target, primary: Checkpoints(notes, target, primary))
        [target] = rotate([TARGET], keyring, lambda _: store, options, Listening(), local=local).targets
        moved.append(target.counts.rotated)

    assert told == [10, 10 + moved[0], 0, 0]
    assert moved[0] > 0
    assert sum(moved) == 5000


@pytest.mark.parametrize(
    "key",
    [
        pytest.param((7,), id="number"),
        pytest.param(("a", 2**64 - 1, "\udc80"), id="several, text that is no UTF-8"),
        pytest.param((b"\x00\xff",), id="bytes"),
        pytest.param((uuid.UUID(int=5),), id="uuid"),
        pytest.param((Decimal("1.50"),), id="decimal"),
        pytest.param((datetime.datetime(2026, 2, 28, 1, 2, 3, 4),), id="datetime"),
        pytest.param((datetime.date(2026, 2, 28), datetime.time(23, 59)), id="date and time"),
    ],
)
def test_a_key_comes_back_as_it_was(key: tuple[Any, ...]) -> None:
    """A key of any type that a table may have."""
    notes, target = Notes(), replace(TARGET, key_columns=("a", "b", "c")[: len(key)])
    Checkpoints(notes, target, "0123abcd").note(Reached(key, 12), now=True)

    found = Checkpoints(notes, target, "0123abcd").begin()

    assert found == (key, 12)
    assert found.key is not None
    assert list(map(type, found.key)) == list(map(type, key))


def test_progress_is_of_one_target_and_one_primary_key() -> None:
    """With another key or condition, or an unknown type of key, a run begins at row one."""
    notes, other = Notes(), replace(KEYED, where="id > 3")
    Checkpoints(notes, KEYED, "0123abcd").note(Reached((7,), 7), now=True)

    assert Checkpoints(notes, KEYED, "9999ffff").begin() == Reached()
    assert Checkpoints(notes, other, "0123abcd").begin() == Reached()
    Checkpoints(notes, other, "0123abcd").note(Reached((object(),), 1), now=True)
    assert Checkpoints(notes, other, "0123abcd").begin() == Reached()


def test_a_damaged_checkpoint_is_none(named: Named) -> None:
    """Somebody changed it in the ledger, or another version of this program wrote it: a run begins at row one."""
    notes, parts = Notes(), ("", "null", "{}", "[]", '["nosuch", 1]', '["bytes", 7]', '["uuid"]', "9" * 400, "1e999")
    Checkpoints(notes, KEYED, "0123abcd").note(Reached((7,), 7), now=True)
    assert Checkpoints(notes, KEYED, "0123abcd").begin().key == (7,)
    keys = [*(f"[{part}]" for part in parts), "[7, 8]", '"7"', '{"7": 7}', "7", "[" * 100_000]
    texts = [*(f'{{"key": {key}, "rows": 7}}' for key in keys), '{"key": [7]}', '{"key": [7], "rows": "many"}']
    for text in (*texts, "x", "7", "null", "[7]", '"text"', "[" * 100_000):
        with named(text[:60]):
            notes.update(dict.fromkeys(notes, text))
            assert Checkpoints(notes, KEYED, "0123abcd").begin() == Reached()


@pytest.mark.parametrize(("names", "passes"), [(("id",), 3), (("tenant",), 2), (("id", "tenant"), 2)])
def test_a_note_is_of_one_key(keyring: Keyring, names: tuple[str, ...], passes: int) -> None:
    """A checkpoint is valid for the same key columns only: with others a run begins at the first row."""
    notes = Notes()
    Checkpoints(notes, KEYED, keyring.primary.id).note(Reached((2,), 2), now=True)
    store = MemoryStore({1: token("old")})
    store.names = names
    report = run(
        store, keyring, None, LocalOptions(checkpoints=lambda target, primary: Checkpoints(notes, target, primary))
    )

    # A pass that left row 1 out, one that rotated it, one that found nothing.
    assert (report.exit_code, report.targets[0].passes) == (0, passes)


def test_a_key_that_is_a_secret_is_not_noted() -> None:
    """The ledger holds no secret: if a table is keyed by tokens, a run begins at the first row."""
    notes = Notes()
    Checkpoints(notes, TARGET, "0123abcd").note(Reached((7, OLD), 7), now=True)

    assert notes == {}


def test_notes_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """One every few seconds, however fast ranges are done."""
    notes = Notes()
    checkpoints = Checkpoints(notes, TARGET, "0123abcd")
    checkpoints.note(Reached((7,), 7))
    early = dict(notes)
    later = time.monotonic() + 6
    monkeypatch.setattr(time, "monotonic", lambda: later)
    checkpoints.note(Reached((8,), 9))

    assert (early, list(notes.values())) == ({}, ['{"key": [8], "rows": 9}'])


@given(st.sets(st.integers(-50, 50)), st.integers(1, 12), st.none() | st.integers(-60, 60))
def test_ranges_hold_every_row_once(keys: set[int], rows: int, behind: int | None) -> None:
    """Any keys, ranges of any size, from any place on: each row is in one of them, and the last one is open."""
    store = MemoryStore(dict.fromkeys(keys))
    after = None if behind is None else (behind,)
    ranges = list(cut(store, BatchSize(rows, rows=rows), after))

    found = [key[0] for bounds in ranges for key in store.read(bounds.after, bounds.upto, 1000).keys]
    assert found == sorted(key for key in keys if behind is None or key > behind)
    assert ranges[-1].upto is None
    assert all(len(store.read(each.after, each.upto, 1000).keys) == rows for each in ranges[:-1])


def _moved(database: Database) -> int:
    return sum(cell != OLD for cell in database.column().values())


def _noted(ledger: Path) -> bool:
    if not ledger.exists():
        return False
    with closing(sqlite3.connect(ledger)) as connection, suppress(sqlite3.OperationalError):
        return bool(connection.execute("SELECT * FROM keyring_ledger_progress").fetchall())
    return False


def _scanned(log: str) -> list[int]:
    lines = (json.loads(line) for line in log.splitlines() if line.startswith("{"))
    return [line["scanned"] for line in lines if line["event"] == "rotation.pass"]
