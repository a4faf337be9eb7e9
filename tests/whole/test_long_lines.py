"""A run over a long line to its server: few round trips, small transactions, and no lock that waits for an answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest
import sqlalchemy as sa
from pymysql.constants import CLIENT

from keyring_core import Keyring
from rotation.planning.planner import Planner
from rotation.stores.mysql import change_tracker, dialect
from rotation.stores.postgresql import blocks
from rotation.stores.store import Store
from tests.conftest import Cli
from tests.databases import Database
from tests.fakes import TARGET
from tests.keys import key_text
from tests.processes import until
from tests.proxy import CERTAIN, Proxy, through_proxy
from tests.stores.tokens import make_token, make_tokens, report, rotate, secret_names, secrets_of

pytestmark = [
    pytest.mark.database,
    pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True),
]

KEYRING = Keyring(key_text("new"), [key_text("old")])
TRIP = 0.02
OPENING = 90
"""The most trips of all that a run does for a target beside its batches."""
LOCKED = {"postgresql": 100, "mariadb": 200}
"""The most rows of a transaction beside services."""
ROWS = 2000
KINDS = {"one length": 0, "many lengths": 40, "with others of the service": 1}
"""The cells of a table: how many lengths they have beside the usual one."""


@pytest.mark.some(1)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pace", ["--gentle", "--full-speed"])
def test_a_run_makes_few_round_trips(database: Database, cli: Cli, kind: str, pace: str) -> None:
    """Over 20 ms they take longer than the work; beside a service it was a batch a row after a while."""
    secrets = [f"{number:04}" + "x" * 16 * (number % (KINDS[kind] + 1)) for number in range(ROWS)]
    database.make_creds([make_token(secret) for secret in secrets])

    with through_proxy(database.url, trip=TRIP) as proxy:
        ran = rotate(cli, replace(database, url=proxy.url), pace)

    assert (ran.code, report(ran)["rotated"]) == (0, ROWS)
    assert secrets_of(cell for _, cell in sorted(database.column().items())) == secrets
    # A transaction with rows of a length of their own may take another trip. On MariaDB each has one if keys have
    # gaps, a pass reads all rows again, and the server is asked twice a second what others write.
    batches = ROWS // LOCKED[database.kind]
    assert proxy.trips <= OPENING + {"postgresql": 2, "mariadb": 4}[database.kind] * batches


@contextmanager
def far_store(database: Database, trip: float = 0.002) -> Iterator[tuple[Proxy, Store]]:
    """The table `creds`, over a line of that *trip*."""
    with (
        through_proxy(database.url, trip=trip) as proxy,
        closing(Store(replace(TARGET, url=proxy.url), read_only=False, sleep=time.sleep)) as store,
    ):
        yield proxy, store


FORMS: dict[str, tuple[str, Callable[[int], object]]] = {
    "in blocks": ("INTEGER", lambda number: number),
    "by rows": ("INTEGER", lambda number: number * 1000),
    "by rows, whose keys are texts": ("VARCHAR(36)", lambda number: f"row é {number:03}"),
}
"""How the table is read and swapped: the type of its key, and the key of each row."""


@pytest.mark.some(1)
@pytest.mark.parametrize("form", FORMS)
def test_a_read_and_a_swap_take_a_round_trip_each(
    database: Database, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The swap's end travels with it: no row stays locked while an answer is on its way."""
    monkeypatch.setattr(change_tracker, "LOOK_SECONDS", 3600.0)
    kind, key = FORMS[form]
    database.execute(f"CREATE TABLE creds (id {kind} PRIMARY KEY, token VARCHAR(255))")
    tokens = make_tokens(100)
    database.insert("creds", [{"id": key(number), "token": token} for number, token in enumerate(tokens)])

    with far_store(database) as (proxy, store):
        # What a session sets once, and the first look at what others write.
        batch = store.read(None, None, 1)
        first = Planner(KEYRING).plan(batch)
        store.write(first.swaps, first.blocks)
        proxy.trip, before = CERTAIN, proxy.trips
        batch = store.read(batch.last, None, 99)
        read = proxy.trips
        plan = Planner(KEYRING).plan(batch)
        written = store.write(plan.swaps, plan.blocks)
        swapped = proxy.trips

    assert (plan.changes, written.lost, written.refused) == (99, set(), {})
    assert swapped - read == 1
    # Rows that make no block are asked for twice on MariaDB, and on PostgreSQL the end of such a read takes a trip.
    assert read - before <= (1 if form == "in blocks" else 2)
    assert secrets_of(cell for _, cell in sorted(database.column().items())) == secret_names(100)


KEPT = 50
"""The row whose token the database does not let go."""


@pytest.mark.some(2)
@pytest.mark.parametrize("refuses", [False, True])
# What answers as PostgreSQL takes many statements at once.
@pytest.mark.parametrize("many_at_once", [True, pytest.param(False, marks=pytest.mark.only_on("mariadb"))])
def test_small_transactions_travel_together(
    database: Database, monkeypatch: pytest.MonkeyPatch, refuses: bool, many_at_once: bool
) -> None:
    """Few rows are locked at once, and no transaction waits for the answer to another; one that fails ends no other."""
    if not many_at_once:
        monkeypatch.setattr(CLIENT, "MULTI_STATEMENTS", 0)
    monkeypatch.setattr(change_tracker, "LOOK_SECONDS", 3600.0)
    tokens = make_tokens(100)
    check = f", CHECK (id <> {KEPT} OR token = '{tokens[KEPT]}')" if refuses else ""
    database.execute(f"CREATE TABLE creds (id INTEGER PRIMARY KEY, token VARCHAR(255){check})")
    database.insert("creds", [{"id": number, "token": token} for number, token in enumerate(tokens)])

    with far_store(database) as (proxy, store):
        batch = store.read(None, None, 40)
        first = Planner(KEYRING).plan(batch)
        store.write(first.swaps, first.blocks, 20)
        plan = Planner(KEYRING).plan(store.read(batch.last, None, 60))
        proxy.trip, before = CERTAIN, proxy.trips
        written = store.write(plan.swaps, plan.blocks, 20)
        trips = proxy.trips - before

    assert (plan.changes, written.lost, [*written.refused]) == (60, set(), [(KEPT,)] if refuses else [])
    assert refuses or trips == (1 if many_at_once else 3)
    cells = sorted(database.column().items())
    left = [KEPT] if refuses else []
    assert [number for number, cell in cells if cell == tokens[number]] == left
    secrets = secrets_of(cell for number, cell in cells if number not in left)
    assert secrets == [name for number, name in enumerate(secret_names(100)) if number not in left]


SESSIONS = {
    "postgresql": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    " AND datname = current_database()",
    "mariadb": "SELECT id FROM information_schema.processlist WHERE info LIKE 'UPDATE%' AND db = database()",
}
"""What ends, or finds, the session that waits for a row."""


def test_small_transactions_that_are_cut_off_are_done_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were before the cut stay; the others are done over the next connection."""
    monkeypatch.setattr(blocks, "LOCK_MILLISECONDS", 600_000)
    monkeypatch.setattr(dialect, "LOCK_SECONDS", 600)
    database.make_creds(tokens := make_tokens(100))

    with far_store(database) as (_, store), ThreadPoolExecutor() as threads, database.engine.connect() as holder:
        holder.execute(sa.text(f"UPDATE creds SET token = token WHERE id = {KEPT}"))
        plan = Planner(KEYRING).plan(store.read(None, None, 100))
        writing = threads.submit(store.write, plan.swaps, plan.blocks, 20)
        found = until(lambda: database.rows(SESSIONS[database.kind]), "the wait for a row")
        if database.kind == "mariadb":
            database.execute(*(f"KILL {number}" for (number,) in found))
        holder.rollback()
        written = writing.result()

    assert (store.retries > 0, written.lost, written.refused) == (True, set(), {})
    cells = sorted(database.column().items())
    assert not {cell for _, cell in cells} & {*tokens}
    assert secrets_of(cell for _, cell in cells) == secret_names(100)
