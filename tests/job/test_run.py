"""The job on real databases: two at once, against each other, cut short, and back again."""

from __future__ import annotations

import re
import threading
from functools import partial
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from keyring_core import Key, Keyring
from rotation.job.loop import rotate
from rotation.job.options import LocalOptions, RunOptions
from rotation.model.failures import StoppedError, StoreError
from rotation.model.report import Report
from rotation.model.target import Target
from rotation.stores.store import Store
from tests.conftest import Cli
from tests.databases import Database
from tests.fakes import ISSUED_AT, MemoryStore, Silence, run, token
from tests.keys import key_text

pytestmark = pytest.mark.database

ROWS = 600


@pytest.fixture
def table(database: Database) -> Database:
    """Tokens under the old key, all of one age."""
    database.make_creds([token("old", f"secret {row}") for row in range(1, ROWS + 1)])
    return database


def test_two_rotations_at_once_share_the_work(table: Database, keyring: Keyring) -> None:
    """R07, R29: both end well, no token is rotated twice, and the sum of their work is the table."""
    first, second = _at_once(table, keyring, keyring)

    assert {first.exit_code, second.exit_code} == {0}
    assert first.targets[0].counts.rotated <= ROWS
    assert _secrets(table, keyring) == {row: f"secret {row}" for row in range(1, ROWS + 1)}
    assert {keyring.key_for(cell) for cell in table.column().values()} == {keyring.primary}


def test_a_rotation_that_undoes_this_one_is_told_of(keyring: Keyring, new: Key, old: Key) -> None:
    """R08: tokens that come back under an older key with their old time and a new IV end the run; exit code 1."""
    swapped = Keyring(old, previous=[new])

    def undo(store: MemoryStore) -> None:
        store.cells |= {row: swapped.rotate(cell) for row, cell in store.cells.items()}

    store = MemoryStore({row: token("old") for row in range(5)})
    report = run(store, keyring, None, LocalOptions(lambda _: undo(store) if store.writes else None))

    [target] = report.targets
    assert (report.exit_code, target.passes, target.interrupted) == (1, 2, False)
    assert f"another rotation works against this one: it put 5 tokens back under {old.id}" in str(target.stopped)


def test_rotations_with_swapped_keys_end(table: Database, keyring: Keyring, new: Key, old: Key) -> None:
    """R08: two rotators with different primary keys stop after a bounded number of passes, and lose nothing."""
    swapped = Keyring(old, previous=[new])
    reports = _at_once(table, keyring, swapped)

    assert all(report.targets[0].passes <= 5 for report in reports)
    assert {report.exit_code for report in reports} <= {0, 1}
    assert _secrets(table, keyring) == {row: f"secret {row}" for row in range(1, ROWS + 1)}


def test_a_look_shows_the_direction(table: Database, cli: Cli, new: Key, old: Key) -> None:
    """R09: with primary and previous key swapped by mistake, a dry run says which tokens would go where."""
    cli("run", *_target(table))
    swapped = {"ENCRYPTION_KEY": key_text("old"), "ENCRYPTION_PREVIOUS_KEYS": key_text("new")}
    ran = cli("run", "--dry-run", "--json", *_target(table), environ=swapped)

    assert ran.code == 1
    assert ran.document["primary"] == old.id
    assert ran.document["targets"][0]["under"] == {new.id: ROWS}


def test_a_service_one_key_ahead_is_left_alone(database: Database, cli: Cli, environ: dict[str, str]) -> None:
    """R06: a token under the staged key is not moved back, and is reported."""
    database.make_creds([token("staged"), token("old")])
    before = database.column()[1]
    ran = cli("run", *_target(database), "--json", environ=environ | {"ENCRYPTION_STAGED_KEY": key_text("staged")})

    [target] = ran.document["targets"]
    assert (ran.code, target["rotated"], target["unsettled"]) == (1, 1, 1)
    assert target["problems"][0]["category"] == "staged-key"
    assert database.column()[1] == before


def test_a_second_run_changes_no_byte(table: Database, cli: Cli) -> None:
    """R33: with nothing to do a run writes nothing and exits 0."""
    cli("run", *_target(table))
    before = table.column()
    ran = cli("run", *_target(table), "--json")

    assert (ran.code, ran.document["targets"][0]["rotated"]) == (0, 0)
    assert table.column() == before


def test_a_clock_that_is_wrong_changes_no_token(database: Database, cli: Cli, keyring: Keyring) -> None:
    """R27, R28: a token keeps its own time, be it 1970, a leap day, years ahead or beyond any calendar."""
    times = [0, 1_709_208_000, 4_000_000_000, 2**64 - 1]
    database.make_creds([token("old", "secret", issued_at) for issued_at in times])
    ran = cli("run", *_target(database))

    assert ran.code == 0
    stock = keyring.multi_fernet
    stored = [cell.encode() for _, cell in sorted(database.column().items())]
    assert [stock.extract_timestamp(cell) for cell in stored] == times


def test_no_transaction_reads_first_and_writes_later(
    table: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R20: each transaction that writes begins as a writer, and nothing but settings comes before its first swap."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(re.split(r"[ (]", statement.removeprefix("SELECT set_"))[0])

    execute = psycopg.Connection.execute

    def noted(connection: Any, query: Any, *more: Any, **options: Any) -> Any:
        note(None, None, query)
        return execute(connection, query, *more, **options)

    # Blocks are sent through the driver itself.
    monkeypatch.setattr(psycopg.Connection, "execute", noted)
    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        _rotate(table, keyring, RunOptions(batch_size=200))
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)

    before = {statements[number - 1] for number, word in enumerate(statements) if word == "UPDATE"}
    begins = {"sqlite": {"BEGIN"}, "postgresql": {"SET", "config"}, "mariadb": {"SELECT", "WITH", "UPDATE"}}[table.kind]
    assert before <= begins
    assert statements.count("UPDATE") >= 3


def test_a_stop_ends_a_run_between_two_batches(table: Database, keyring: Keyring) -> None:
    """R11: what is done stays and is counted, the rest is as it was, and running again finishes it."""
    rests: list[float] = []

    def stop_later(seconds: float) -> None:
        # It rests behind each batch that wrote.
        rests.extend([seconds] if seconds else [])
        if len(rests) > 2:
            raise StoppedError("stopped on request")

    report = _rotate(table, keyring, RunOptions(batch_size=100), LocalOptions(stop_later))

    [target] = report.targets
    assert (report.exit_code, target.interrupted, target.stopped) == (3, True, "stopped on request")
    moved = [cell for cell in table.column().values() if keyring.key_for(cell) == keyring.primary]
    assert 0 < len(moved) == target.counts.rotated < ROWS
    assert _rotate(table, keyring).exit_code == 0


def test_a_run_that_is_cut_short_later_tells_its_last_whole_pass(keyring: Keyring) -> None:
    """R15: what the first pass rotated is not forgotten because the second one failed."""

    def fail_in_the_second_pass(store: MemoryStore) -> None:
        # Six reads look for a missing key, and six are the first pass.
        if store.reads == 15:
            raise StoreError("the connection was lost")

    store = MemoryStore({row: token("old") for row in range(5)}, between=fail_in_the_second_pass)
    report = run(store, keyring, RunOptions(batch_size=1))

    [target] = report.targets
    assert (report.exit_code, target.passes, target.counts.rotated) == (3, 1, 5)


def test_a_target_that_fails_spoils_no_other(keyring: Keyring) -> None:
    """One database is gone: the other's target is rotated, and the exit code says 3."""

    def fail(_store: MemoryStore) -> None:
        raise StoreError("the connection was lost")

    stores = iter([MemoryStore({1: token("old")}, between=fail), MemoryStore({1: token("old")})])
    targets = [Target("sqlite:///a.db", "creds", "token", name) for name in ("a", "b")]
    report = rotate(targets, keyring, lambda _: next(stores), RunOptions(), Silence())

    assert report.exit_code == 3
    assert [part.counts.rotated for part in report.targets] == [0, 1]


def _at_once(database: Database, *keyrings: Keyring) -> list[Report]:
    reports: list[Any] = [None] * len(keyrings)
    ready = threading.Barrier(len(keyrings))

    def work(number: int) -> None:
        ready.wait()
        reports[number] = _rotate(database, keyrings[number], RunOptions(batch_size=50))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(keyrings))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return reports


def _rotate(
    database: Database, keyring: Keyring, options: RunOptions | None = None, local: LocalOptions | None = None
) -> Report:
    options = options or RunOptions()
    target = Target(database.url, "creds", "token", "creds")
    wait = threading.Event().wait
    stores = partial(Store, read_only=False, sleep=wait)
    return rotate([target], keyring, stores, options, Silence(), local=local)


def _secrets(database: Database, keyring: Keyring) -> dict[int, str]:
    stock = keyring.multi_fernet
    stored = database.column()
    assert {stock.extract_timestamp(cell) for cell in stored.values()} == {ISSUED_AT}
    return {row: stock.decrypt(cell).decode() for row, cell in stored.items()}


def _target(database: Database) -> list[str]:
    return ["--url", database.url, "--table", "creds", "--column", "token"]
