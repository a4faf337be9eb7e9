"""Facts for tests: a world in which all is well, and what may be changed in it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from keyring_core import KeyState
from rotation.checks.facts import Facts, TargetFacts
from rotation.discovery.result import Discovery
from rotation.discovery.token_column import BARE, TokenColumn
from rotation.ledger.records import CensusRecord, InstanceRecord, KeyRecord, RunRecord
from tests.ledger.censuses import census_of

NOW = datetime(2026, 6, 15, 2, 0, tzinfo=UTC)
PRIMARY, PREVIOUS, STAGED, RETIRED = "11111111", "22222222", "33333333", "44444444"
DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)


def key(key_id: str, service: str = "default", **dates: datetime | None) -> KeyRecord:
    """A key of the ledger, seen first when its first date is."""
    known = [date for date in dates.values() if date]
    return KeyRecord(key_id, service, **{"first_seen": min(known, default=NOW), **dates})  # type: ignore[arg-type]


def census(under: dict[str, int] | None = None, **values: Any) -> CensusRecord:
    """A census of `creds.token`."""
    under = {PRIMARY: 10} if under is None else under
    given = {"complete": True, "taken": NOW, "scanned": sum(under.values()), "under": under}
    return census_of("default", "creds", "token", **(given | values))


def target(under: dict[str, int] | None = None, before: CensusRecord | None = None, **values: Any) -> TargetFacts:
    """A target that was looked at just now."""
    return TargetFacts(census(under, **values), before)


def run(days_ago: float, outcome: str | None = "complete", *, lasted: timedelta = HOUR, **values: Any) -> RunRecord:
    """A run that began so many days ago."""
    started = NOW - timedelta(days=days_ago)
    given: dict[str, Any] = {"id": 1, "command": "run", "service": "default", "primary": PRIMARY}
    finished = started + lasted if outcome else None
    return RunRecord(started=started, finished=finished, outcome=outcome, **(given | values))


def instance(primary: str, seen: datetime = NOW) -> InstanceRecord:
    """A running service."""
    return InstanceRecord("web-1", "default", primary, seen)


def problem(row: int, category: str = "truncated") -> dict[str, Any]:
    """A row of a census that somebody should look at."""
    return {"key": {"id": row}, "category": category}


def found(*labels: str) -> Discovery:
    """A search that found tokens in columns that no target covers: `table.column`."""
    named = (label.rpartition(".") for label in labels)
    columns = [
        TokenColumn("app.db", table, column, parts=Counter({BARE: 1}), under=Counter({PRIMARY: 1}))
        for table, _, column in named
    ]
    return Discovery(full=False, columns=columns)


def facts(promoted: datetime = NOW - DAY, **changes: Any) -> Facts:
    """All is well: two keys, the primary one promoted, the other replaced then, all tokens under the primary one."""
    given: dict[str, Any] = {
        "keys": {PRIMARY: KeyState.PRIMARY, PREVIOUS: KeyState.PREVIOUS},
        "records": (key(PREVIOUS, promoted=promoted - 100 * DAY), key(PRIMARY, promoted=promoted)),
        "targets": (target(),),
        "runs": (run(0.5),),
    }
    return Facts(**(given | changes))
