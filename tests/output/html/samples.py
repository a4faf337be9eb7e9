"""Overviews for pages: an ordinary service, a new one, nothing at all, and names that try to break out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from keyring_core import KeyState
from rotation.checks.facts import Facts, Finding, Level, Result, TargetFacts
from rotation.checks.use_cases import Overview
from rotation.checks.verdict import Verdict
from rotation.ledger.records import CensusRecord, InstanceRecord, KeyRecord, RunRecord
from rotation.model.key_use import ReadRecord
from rotation.model.target import Target
from tests.ledger.censuses import census_of

NOW = datetime(2026, 11, 25, 3, 10, tzinfo=UTC)
STAGED, PRIMARY, PREVIOUS, RETIRED = "99aa0011", "cba5a815", "6587597c", "1f00ba42"
STATES = {STAGED: KeyState.STAGED, PRIMARY: KeyState.PRIMARY, PREVIOUS: KeyState.PREVIOUS}
TARGET = Target("sqlite:///app.db", "creds", "token", "creds", listed=True)
EVIL = "<script>alert(1)</script>"
DIRECTION = "\u202e"
"""Turns what follows right to left."""


def day(year: int, month: int, number: int = 1) -> datetime:
    return datetime(year, month, number, 9, 30, tzinfo=UTC)


def seconds(year: int, month: int) -> int:
    return int(day(year, month).timestamp())


def key(key_id: str, **dates: Any) -> KeyRecord:
    first = min((when for when in dates.values() if isinstance(when, datetime)), default=NOW)
    return KeyRecord(key_id, "production", **({"first_seen": first} | dates))


def census(label: str = "user_credentials.api_key", **counts: Any) -> CensusRecord:
    table, column = label.rsplit(".", 1)
    known = {"scanned": sum(counts.get("under", {}).values()), "database": "PostgreSQL at db-1, app"}
    complete = counts.pop("complete", counts.get("under", {}).keys() <= {PRIMARY})
    return census_of("production", table, column, taken=NOW, complete=complete, **(known | counts))


def months(tokens: int, first: int = 2023) -> dict[str, int]:
    """Tokens that many a month and some, from a year's March on, in no obvious order."""
    names = [f"{year}-{month:02}" for year in range(first, 2027) for month in range(1, 13)]
    used = [name for name in names if f"{first}-03" <= name <= "2026-11"]
    return {name: tokens * (3 + place * 7 % 5) // 5 for place, name in enumerate(used)}


def run(days_ago: int, command: str = "check", outcome: str | None = "complete", minutes: int = 2) -> RunRecord:
    began = NOW - timedelta(days=days_ago, minutes=50)
    finished = None if outcome is None else began + timedelta(minutes=minutes)
    return RunRecord(days_ago, command, "production", began, PRIMARY, finished, outcome)


def result(check: str, level: Level, subject: str, message: str, remedy: str) -> Result:
    return Result(check, "title", "remedy", (Finding(level, subject, message, remedy, check),))


RECORDS = (
    key(STAGED, staged=day(2026, 10, 30)),
    key(PRIMARY, staged=day(2026, 1, 26), promoted=day(2026, 2, 2)),
    key(PREVIOUS, staged=day(2025, 1, 20), promoted=day(2025, 2, 3)),
    key(RETIRED, promoted=day(2024, 1, 9), retired=day(2025, 4, 2)),
)
CENSUSES = (
    census(
        "oauth_connections.token",
        scanned=1_250_000,
        empty=1_000,
        under={PRIMARY: 1_249_000},
        oldest={PRIMARY: seconds(2023, 5)},
        youngest={PRIMARY: seconds(2026, 11)},
        ages=months(28_000),
    ),
    census(
        scanned=1_199,
        unreadable=9,
        under={PRIMARY: 801, PREVIOUS: 389},
        oldest={PRIMARY: seconds(2023, 3), PREVIOUS: seconds(2025, 3)},
        youngest={PRIMARY: seconds(2026, 11), PREVIOUS: seconds(2026, 1)},
        ages=months(26),
    ),
    census("user_credentials.refresh_token", under={PRIMARY: 800}, ages=months(35, 2025)),
)
RESULTS = (
    result(
        "tokens_left",
        Level.CRITICAL,
        "user_credentials.api_key",
        f"389 tokens are under the previous key {PREVIOUS}, 295 days after {PRIMARY} was promoted.",
        "keyring-rotate run re-encrypts them.",
    ),
    result(
        "unreadable",
        Level.WARNING,
        "user_credentials.api_key",
        "9 cells open with no key: 8 truncated, 1 unknown-key.",
        "keyring-rotate status names the rows; keep every older key until they are settled.",
    ),
    Result("key_file_modes", "title", "remedy", off="Keys come from a command here."),
    Result("clock", "title", "remedy"),
)
RUNS = tuple(
    sorted(
        [
            *(run(days, outcome={3: "failed", 17: "left"}.get(days, "complete")) for days in range(1, 45)),
            run(2, "run", "complete", 9),
            run(30, "run", "interrupted", 4),
            run(31, "run", None),
            run(33, "run", "left", 12),
        ],
        key=lambda one: one.started,
        reverse=True,
    )
)


def certificate(key_id: str = RETIRED, **more: Any) -> dict[str, Any]:
    target = {"name": "credentials", "table": "user_credentials", "column": "api_key", "under": {PREVIOUS: 1_180_000}}
    return {
        "certificate": 1,
        "key": key_id,
        "service": "production",
        "retired": "2025-04-02T09:30:00+00:00",
        "primary": PREVIOUS,
        "promoted": "2025-02-03T09:30:00+00:00",
        "tool": "keyring-core 0.1.0",
        "forced": False,
        "overridden": [],
        "unchecked": [],
        "instances": ["production on web-1", "production on worker-7"],
        "rows": 1_180_000,
        "targets": [target],
    } | more


INSTANCES = (
    InstanceRecord("web-1", "production", PRIMARY, NOW - timedelta(minutes=1), (PREVIOUS,), STAGED),
    InstanceRecord("worker-7", "production", PRIMARY, NOW - timedelta(minutes=3), (PREVIOUS,)),
)


def overview(
    results: Sequence[Result] = (),
    runs: Sequence[RunRecord] = (),
    certificates: Sequence[Mapping[str, Any]] = (),
    censuses: Sequence[CensusRecord] = (),
    **facts: Any,
) -> Overview:
    """What a page shows: keyword arguments are those of Facts, with censuses in place of targets."""
    facts["targets"] = tuple(TargetFacts(one) for one in censuses)
    return Overview(Verdict(NOW, tuple(results), Facts(**facts)), [TARGET], runs, certificates)


def full(**changes: Any) -> Overview:
    """An ordinary service, with all that a page can show."""
    given = {
        "service": "production",
        "keys": STATES,
        "records": RECORDS,
        "censuses": CENSUSES,
        "unreached": {"billing.secret": "the database at db-2 does not answer"},
        "results": RESULTS,
        "runs": RUNS,
        "certificates": [certificate()],
        "instances": INSTANCES,
    }
    return overview(**(given | changes))


def few(**changes: Any) -> Overview:
    """A new service."""
    given = {
        "service": "production",
        "keys": {PRIMARY: KeyState.PRIMARY},
        "records": (key(PRIMARY, promoted=day(2026, 11, 20)),),
        "censuses": (census("creds.token", under={PRIMARY: 3}, ages={"2026-11": 3}),),
        "results": (Result("clock", "title", "remedy"),),
    }
    return overview(**(given | changes))


FULL, FEW = full(), few()
NOTHING = overview(keys={PRIMARY: KeyState.PRIMARY})
MANY = overview(
    service=EVIL + DIRECTION,
    keys={PRIMARY: KeyState.PRIMARY, **{f"{number:08x}": KeyState.PREVIOUS for number in range(12)}},
    records=tuple(replace(record, service=EVIL + DIRECTION) for record in RECORDS),
    censuses=tuple(
        census(
            f"{'a_schema_with_a_long_name_' * (number % 4)}{EVIL}.{number}\"'&\x00\ud800{DIRECTION}",
            under={PRIMARY: 500, f"{number % 12:08x}": 500},
            scanned=1_010,
            plaintext=3,
            oldest={PRIMARY: 0},
            youngest={PRIMARY: 2**64 - 1},
            ages={"1970-01": 3, "2026-01": 100, "9999-12": 5},
            where=EVIL,
            database=EVIL,
            sampled=True,
        )
        for number in range(14)
    ),
    unreached={EVIL: EVIL},
    results=(
        *(result(EVIL, Level(1 + number % 3), EVIL, EVIL, EVIL) for number in range(9)),
        Result(EVIL, EVIL, EVIL, off=EVIL),
    ),
    runs=(RunRecord(1, EVIL, EVIL, NOW, EVIL, None, EVIL), *RUNS),
    certificates=(certificate(EVIL, primary=EVIL, tool=EVIL, forced=True, overridden=[EVIL, EVIL], unchecked=[EVIL]),),
    instances=(InstanceRecord(EVIL, EVIL, EVIL, NOW, (EVIL,), EVIL),),
)
TRIAL = full(
    keys={PRIMARY: KeyState.PRIMARY, PREVIOUS: KeyState.SUSPENDED},
    records=(
        key(PRIMARY, promoted=day(2026, 2, 2)),
        key(PREVIOUS, first_seen=day(2025, 2, 3), suspended=day(2026, 11, 20)),
    ),
    reads=(ReadRecord("billing", "worker-7", PREVIOUS, NOW, 3, day(2026, 11, 1), 2, NOW - timedelta(minutes=3)),),
    instances=(InstanceRecord("worker-7", "billing", PRIMARY, NOW - timedelta(minutes=1)),),
)
EVERY = {"trial": TRIAL, "full": FULL, "few": FEW, "nothing": NOTHING, "many": MANY}
