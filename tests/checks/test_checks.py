"""Each check on both sides of its limit, at any date and in any time zone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from freezegun import freeze_time

from keyring_core import KeyState
from rotation.checks.facts import Facts, Level, Result, SeenFile
from rotation.checks.verdict import CHECKS, check_names, list_checks, run_checks
from rotation.configuration.policy import Duration, Policy
from rotation.ledger.clock import Clocks
from rotation.ledger.records import InstanceRecord
from rotation.model.failures import UsageError
from rotation.model.key_use import ReadRecord
from rotation.model.next_steps import PLAIN
from tests.checks.worlds import (
    DAY,
    HOUR,
    NOW,
    PREVIOUS,
    PRIMARY,
    RETIRED,
    SECOND,
    STAGED,
    census,
    facts,
    found,
    instance,
    key,
    problem,
    run,
    target,
)
from tests.conftest import Named

OK, WARNING, CRITICAL, UNKNOWN = Level
POLICY = Policy()


def result(name: str, given: Facts, policy: Policy = POLICY, now: datetime = NOW) -> Result:
    """What the check of that name comes to."""
    [found] = [each for each in run_checks(given, policy, now) if each.check == name]
    return found


class Case(NamedTuple):
    """What a check says of some facts."""

    check: str
    level: Level
    given: dict[str, Any]
    words: str = ""


def seconds(when: datetime) -> int:
    return int(when.timestamp())


OLD_ONES = {PRIMARY: 7, PREVIOUS: 3}
STAGED_TOO = {PRIMARY: KeyState.PRIMARY, STAGED: KeyState.STAGED}
PROMOTED = NOW - 10 * DAY
LEFT = {"promoted": PROMOTED, "targets": (target(OLD_ONES),)}


def used(state: KeyState = KeyState.PREVIOUS, *, complete: bool = True, days: int = 0, **read: Any) -> dict[str, Any]:
    """A second key, suspended two days ago if it is; and what an instance read with it, a run being complete or not."""
    records = (key(PREVIOUS, first_seen=NOW - 9 * DAY, suspended=NOW - 2 * DAY), key(PRIMARY, promoted=NOW - 8 * DAY))
    reads = (ReadRecord("billing", "web-1", PREVIOUS, NOW, **read),) if read else ()
    keys = {PRIMARY: KeyState.PRIMARY, PREVIOUS: state}
    return {"keys": keys, "records": records, "reads": reads, "complete_run": NOW - 5 * DAY if complete else None}


SUSPENDED = KeyState.SUSPENDED


def lost_in(*times: datetime) -> dict[str, Any]:
    """Tokens of these times that no key opens, and a key: promoted 200 days ago, retired 50 days ago."""
    record = key(RETIRED, staged=NOW - 201 * DAY, promoted=NOW - 200 * DAY, retired=NOW - 50 * DAY)
    records = (record, key(PREVIOUS, promoted=NOW - 100 * DAY), key(PRIMARY, promoted=NOW - DAY))
    return {"records": records, "targets": (target(lost=tuple(seconds(each) for each in times)),)}


def written(when: datetime, promoted: datetime = PROMOTED) -> dict[str, Any]:
    """A token under the previous key, written at that time."""
    return {"promoted": promoted, "targets": (target(OLD_ONES, youngest={PREVIOUS: seconds(when)}),)}


def since_before(age: timedelta) -> dict[str, Any]:
    """The primary key was found primary so long ago, and nobody knows since when it was."""
    return {"records": (key(PREVIOUS, first_seen=NOW - age), key(PRIMARY, promoted_before=NOW - age))}


def found_late(written: datetime) -> dict[str, Any]:
    """A promotion between the last look, ten days ago, and yesterday's; and a token of the key before."""
    found = key(PRIMARY, promoted_after=NOW - 10 * DAY, promoted_before=NOW - DAY, first_seen=NOW - DAY)
    before = key(PREVIOUS, promoted_before=NOW - 10 * DAY)
    return {"records": (before, found), "targets": (target(OLD_ONES, youngest={PREVIOUS: seconds(written)}),)}


def put_back() -> dict[str, Any]:
    """Somebody has put the older key back by hand: the one that is previous now was promoted later."""
    return {"records": (key(PREVIOUS, promoted=NOW - DAY), key(PRIMARY, promoted=NOW - 100 * DAY))}


def unreadable(rows: list[int], before: list[int] | None, total: int | None = None, known: int | None = None) -> Any:
    """Rows that are unreadable now and that were at the last check, and how many in all."""
    then = None
    if before is not None:
        then = census(unreadable=len(before) if known is None else known, problems=[problem(row) for row in before])
    number = len(rows) if total is None else total
    problems = [problem(row) for row in rows]
    now = target(before=then, unreadable=number, problems=problems, categories={"truncated": number, "plaintext": 1})
    return {"targets": (now,)}


CASES = {
    "keys load": Case("keys", OK, {}),
    "keys do not load": Case("keys", UNKNOWN, {"keys": None, "keys_fault": "ENCRYPTION_KEY: not set"}, "not set"),
    "targets answer": Case("targets", OK, {}),
    "a target does not answer": Case("targets", UNKNOWN, {"unreached": {"creds.token": "refused"}}, "refused"),
    "ledger answers": Case("ledger", OK, {}),
    "ledger does not answer": Case("ledger", UNKNOWN, {"ledger_fault": "is locked"}, "is locked"),
    "ledger cannot be written": Case("ledger", UNKNOWN, {"ledger_unwritten": "is read-only"}, "is read-only"),
    "clock with the ledger": Case("clock", OK, {"clocks": Clocks(NOW, NOW + timedelta(seconds=60))}),
    "clock of a service": Case(
        "clock",
        WARNING,
        {"instances": (InstanceRecord("web-1", "web", "11111111", NOW, ahead=-7200),)},
        "the clock of web on web-1 is 2 hours behind the one of the ledger's server",
    ),
    "clock of what is still to come": Case("clock", WARNING, {"late_times": ("a time of web",)}, "a time of web"),
    "clock behind the ledger": Case(
        "clock", WARNING, {"clocks": Clocks(NOW, NOW + timedelta(seconds=61))}, "2026-06-15 02:01 UTC"
    ),
    "cells of another package": Case(
        "tokens_left", WARNING, {"targets": (target(taken_over=2, to_rotate=2),)}, "2 cells of another package"
    ),
    "cells that a run took over": Case("tokens_left", OK, {"targets": (target(taken_over=2, rotated=2),)}),
    "indexes of another form": Case(
        "tokens_left", WARNING, {"targets": (target(reindexed=2, to_rotate=2),)}, "2 rows that lookups miss"
    ),
    "indexes that a run changed": Case("tokens_left", OK, {"targets": (target(reindexed=2, rotated=2),)}),
    "no weak key": Case("weak_keys", OK, {}),
    "a weak key": Case("weak_keys", CRITICAL, {"weak": ("ENCRYPTION_PREVIOUS_KEYS: a weak key",)}, "a weak key"),
    "file for its owner": Case("key_files", OK, {"key_files": (SeenFile("F", "k", 0o100600),)}),
    "file for its group": Case("key_files", OK, {"key_files": (SeenFile("F", "k", 0o100640),)}),
    "file for all": Case("key_files", WARNING, {"key_files": (SeenFile("F", "k", 0o100604),)}, "every user can read"),
    "archive for its owner": Case("key_files", OK, {"key_files": (SeenFile("--archive", "k", 0o100600),)}),
    "archive for its group": Case(
        "key_files", WARNING, {"key_files": (SeenFile("--archive", "k", 0o100640),)}, "its group can read"
    ),
    "file that all may write": Case("key_files", CRITICAL, {"key_files": (SeenFile("F", "k", 0o100602),)}, "change"),
    "file that its group may write": Case("key_files", CRITICAL, {"key_files": (SeenFile("F", "k", 0o100620),)}),
    "key of our own": Case("shared_keys", OK, {}),
    "key of another environment": Case(
        "shared_keys", WARNING, {"records": (key(PRIMARY, promoted=NOW), key(PRIMARY, "staging", promoted=NOW))}, "stag"
    ),
    "key that another environment has retired": Case(
        "shared_keys", OK, {"records": (key(PRIMARY, promoted=NOW), key(PRIMARY, "staging", retired=NOW))}
    ),
    "key is young": Case("key_age", OK, {"promoted": NOW - 335 * DAY}),
    "key grows old": Case("key_age", WARNING, {"promoted": NOW - 335 * DAY - SECOND}, "must be replaced by 2026-07-15"),
    "key at its limit": Case("key_age", WARNING, {"promoted": NOW - 365 * DAY}, "by 2026-06-15 02:00 UTC"),
    "key too old": Case("key_age", CRITICAL, {"promoted": NOW - 365 * DAY - SECOND}, "365 days old"),
    "key in use since before it was seen is young": Case("key_age", OK, since_before(335 * DAY)),
    "key in use since before it was seen grows old": Case(
        "key_age", WARNING, since_before(335 * DAY + SECOND), "or earlier: it has been in use since before 2025-07-15"
    ),
    "key in use since before it was seen is too old": Case(
        "key_age",
        CRITICAL,
        since_before(365 * DAY + SECOND),
        "the primary key is at least 365 days old, in use since before 2025-06-15 01:59 UTC, and the limit",
    ),
    "key that was put back": Case("key_age", OK, put_back()),
    "key without a date": Case("key_age", UNKNOWN, {"records": ()}, "no date"),
    "staged key waits": Case("staged_key", OK, {"keys": STAGED_TOO, "records": (key(STAGED, staged=NOW - 14 * DAY),)}),
    "staged key waits too long": Case(
        "staged_key", WARNING, {"keys": STAGED_TOO, "records": (key(STAGED, staged=NOW - 14 * DAY - SECOND),)}, "14 day"
    ),
    "staged key without a date": Case("staged_key", UNKNOWN, {"keys": STAGED_TOO, "records": ()}),
    "staged key in use": Case(
        "staged_key",
        WARNING,
        {"keys": STAGED_TOO, "records": (key(STAGED, staged=NOW),), "targets": (target({STAGED: 2}),)},
        "2 tokens under this key already",
    ),
    "nothing needs the previous key": Case("previous_keys", OK, {"promoted": NOW - 90 * DAY}, "no token that was read"),
    "previous key should have gone": Case(
        "previous_keys", WARNING, {"promoted": NOW - 90 * DAY - SECOND}, "no token that was read needs it"
    ),
    "previous key is needed": Case("previous_keys", OK, {"promoted": NOW - 90 * DAY, "targets": (target(OLD_ONES),)}),
    "previous key is needed too long": Case(
        "previous_keys",
        CRITICAL,
        {"promoted": NOW - 90 * DAY - SECOND, "targets": (target(OLD_ONES),)},
        "still needed by 3 tokens",
    ),
    "previous key in a sample": Case("previous_keys", OK, {"promoted": NOW - 90 * DAY, "sample": 100}),
    "previous key in a sample, late": Case(
        "previous_keys", WARNING, {"promoted": NOW - 90 * DAY - SECOND, "sample": 100}, "keys retire reads the rest"
    ),
    "previous key without a date": Case("previous_keys", UNKNOWN, {"records": ()}, "no date"),
    "nothing reads with the previous key": Case("key_reads", OK, used()),
    "read before the last run": Case("key_reads", OK, used(opened=2, last_opened=NOW - 5 * DAY)),
    "read after the last run": Case(
        "key_reads",
        WARNING,
        used(opened=2, last_opened=NOW - 4 * DAY),
        "billing on web-1 opened 2 tokens since its start",
    ),
    "read, and tokens are left": Case(
        "key_reads", OK, used(opened=2, last_opened=NOW) | {"targets": (target(OLD_ONES),)}
    ),
    "read, and no run was complete": Case("key_reads", OK, used(complete=False, opened=2, last_opened=NOW)),
    "no suspended key": Case("suspended_keys", OK, {}),
    "nothing was refused": Case("suspended_keys", OK, used(SUSPENDED), "so a refusal is not seen"),
    "an instance refused nothing": Case(
        "suspended_keys",
        OK,
        used(SUSPENDED, opened=1, last_opened=NOW - 6 * DAY)
        | {"instances": (InstanceRecord("web-1", "billing", PRIMARY, NOW),)},
        "1 running instance announced no refusal",
    ),
    "an instance said nothing since the run": Case(
        "suspended_keys",
        OK,
        used(SUSPENDED, opened=1, last_opened=NOW - 6 * DAY)
        | {"instances": (InstanceRecord("web-1", "billing", PRIMARY, NOW - 9 * DAY),)},
        "web-1 said nothing of what is read",
    ),
    "refused since it was suspended": Case(
        "suspended_keys",
        WARNING,
        used(SUSPENDED, refused=3, last_refused=NOW - DAY),
        "refused 3 tokens since its start, the last at",
    ),
    "refused at an earlier suspension": Case(
        "suspended_keys", OK, used(SUSPENDED, refused=3, last_refused=NOW - 3 * DAY)
    ),
    "an instance has not heard of the suspension": Case(
        "suspended_keys",
        WARNING,
        used(SUSPENDED) | {"instances": (InstanceRecord("web-1", "default", PRIMARY, NOW, (PREVIOUS,)),)},
        "still opens its tokens",
    ),
    "suspended, and not set on this machine": Case(
        "suspended_keys", WARNING, used(SUSPENDED) | {"keys": {PRIMARY: KeyState.PRIMARY}}, "it is not set here"
    ),
    "suspended, and retired since": Case(
        "suspended_keys",
        OK,
        {"records": (key(PREVIOUS, suspended=NOW - 2 * DAY, retired=NOW - DAY), key(PRIMARY, promoted=NOW - 8 * DAY))},
    ),
    "suspended key without a date": Case("suspended_keys", UNKNOWN, used(SUSPENDED) | {"records": ()}, "no date"),
    "no token left": Case("tokens_left", OK, {}),
    "tokens left for a while": Case(
        "tokens_left", OK, {"promoted": NOW - 7 * DAY, "targets": (target(OLD_ONES),)}, "3 tokens under previous"
    ),
    "tokens left too long": Case(
        "tokens_left", WARNING, {"promoted": NOW - 7 * DAY - SECOND, "targets": (target(OLD_ONES),)}, "7 days after"
    ),
    "tokens left, of a promotion that nobody saw": Case(
        "tokens_left",
        WARNING,
        since_before(8 * DAY) | {"targets": (target(OLD_ONES),)},
        "3 tokens under previous keys, at least 8 days",
    ),
    "tokens left, keys put back": Case(
        "tokens_left",
        WARNING,
        put_back() | {"targets": (target(OLD_ONES),)},
        f"{PREVIOUS} was promoted (2026-06-14 02:00 UTC) later than the primary key {PRIMARY}: the keys look swapped",
    ),
    "tokens left, the newest of two": Case(
        "tokens_left",
        WARNING,
        {
            "keys": {PRIMARY: KeyState.PRIMARY, PREVIOUS: KeyState.PREVIOUS, RETIRED: KeyState.PREVIOUS},
            "records": (key(RETIRED, promoted=NOW - 2 * DAY), *put_back()["records"]),
            "targets": (target(OLD_ONES),),
        },
        f"{PREVIOUS} was promoted",
    ),
    "tokens left, no date": Case("tokens_left", UNKNOWN, {"records": (), "targets": (target(OLD_ONES),)}),
    "service reloads": Case("lagging_services", OK, written(PROMOTED + HOUR)),
    "service lags": Case("lagging_services", WARNING, written(PROMOTED + HOUR + SECOND), "2026-06-05 03:00 UTC"),
    "service lags for a week": Case("lagging_services", WARNING, written(PROMOTED + 7 * DAY)),
    "service lags for more": Case("lagging_services", CRITICAL, written(PROMOTED + 7 * DAY + SECOND), "7 days after"),
    "service wrote perhaps before the promotion": Case("lagging_services", OK, found_late(NOW - 2 * DAY)),
    "service wrote surely after it": Case("lagging_services", WARNING, found_late(NOW - DAY + HOUR + SECOND)),
    "instance had another key, perhaps before the promotion": Case(
        "lagging_services", OK, found_late(NOW - 2 * DAY) | {"instances": (instance(PREVIOUS, NOW - 2 * DAY),)}
    ),
    "keys were put back": Case(
        "lagging_services", OK, put_back() | {"targets": (target(OLD_ONES, youngest={PREVIOUS: seconds(NOW)}),)}
    ),
    "service lags, time in the future": Case("lagging_services", OK, written(NOW + 2 * DAY)),
    "service lags, no date": Case("lagging_services", OK, LEFT | {"records": ()}),
    "instance has our key": Case("lagging_services", OK, {"instances": (instance(PRIMARY),)}),
    "instance has another key": Case(
        "lagging_services", WARNING, {"instances": (instance(PREVIOUS),)}, f"it had {PREVIOUS} as its primary key"
    ),
    "instance has another key, still": Case(
        "lagging_services", OK, {"promoted": NOW - HOUR, "instances": (instance(PREVIOUS),)}
    ),
    "instance was last seen before": Case(
        "lagging_services", OK, {"instances": (instance(PREVIOUS, NOW - DAY + HOUR),)}
    ),
    "all is legible": Case("unreadable", OK, {}),
    "unreadable, first check": Case("unreadable", CRITICAL, unreadable([1, 2], None), "2 cells unreadable since"),
    "unreadable, known": Case("unreadable", WARNING, unreadable([1, 2], [2, 1]), "2 truncated"),
    "unreadable, one of them new": Case("unreadable", CRITICAL, unreadable([1, 3], [1, 2]), "1 cell unreadable since"),
    "unreadable, fewer": Case("unreadable", WARNING, unreadable([1], [1, 2])),
    "unreadable, beyond the list": Case("unreadable", WARNING, unreadable([1, 9], [1, 2], 500, 500)),
    "unreadable, more beyond the list": Case("unreadable", CRITICAL, unreadable([1, 2], [1, 2], 503, 500), "3 cells"),
    "unreadable, beyond the list of now": Case(
        "unreadable", CRITICAL, unreadable([1, 2], [1, 2], 9), "7 cells unreadable since"
    ),
    "unreadable, compared by number": Case(
        "unreadable", WARNING, unreadable([1], [1], 500, 500), "500 truncated, comp"
    ),
    "unreadable, known from before a sample": Case(
        "unreadable",
        WARNING,
        {
            "targets": (
                target(
                    before=census(unreadable=1, sampled=True, problems=[problem(row) for row in (1, 2)]),
                    unreadable=2,
                    problems=[problem(row) for row in (1, 2)],
                ),
            )
        },
    ),
    "plaintext is not unreadable": Case(
        "unreadable", OK, {"targets": (target(plaintext=1, problems=[problem(1, "plaintext")]),)}
    ),
    "tokens without a key, of another time": Case("retired_key", OK, lost_in(NOW - 200 * DAY - SECOND)),
    "first token of a retired key": Case("retired_key", CRITICAL, lost_in(NOW - 200 * DAY), RETIRED),
    "last token of a retired key": Case(
        "retired_key", CRITICAL, lost_in(NOW - 50 * DAY, NOW - 49 * DAY), "1 token that no key opens"
    ),
    "more tokens of a retired key than are listed": Case(
        "retired_key", CRITICAL, lost_in(*[NOW - 60 * DAY] * 1000), "at least 1,000 tokens that no key opens"
    ),
    "token after a retired key": Case("retired_key", OK, lost_in(NOW - 50 * DAY + SECOND)),
    "token beyond any calendar": Case("retired_key", OK, {**lost_in(), "targets": (target(lost=(2**64 - 1,)),)}),
    "retired key that is back": Case(
        "retired_key",
        OK,
        lost_in(NOW - 150 * DAY) | {"keys": {PRIMARY: KeyState.PRIMARY, RETIRED: KeyState.PREVIOUS}},
    ),
    "no plain text": Case("plaintext", OK, {}),
    "plain text": Case("plaintext", CRITICAL, {"targets": (target(plaintext=2),)}, "plain text in 2 cells"),
    "encrypted once": Case("double_encryption", OK, {}),
    "encrypted twice": Case(
        "double_encryption", WARNING, {"targets": (target(nested=1),)}, "1 token with another token inside"
    ),
    "token of now": Case("future_tokens", OK, {"targets": (target(youngest={PRIMARY: seconds(NOW) + 60}),)}),
    "token of the future": Case(
        "future_tokens", WARNING, {"targets": (target(youngest={PRIMARY: seconds(NOW) + 61}),)}, "2026-06-15 02:01"
    ),
    "token beyond any time": Case(
        "future_tokens", WARNING, {"targets": (target(youngest={PRIMARY: 2**64 - 1}),)}, "beyond any calendar"
    ),
    "every column is named": Case("uncovered_columns", OK, {}),
    "a column is not named": Case("uncovered_columns", WARNING, {"search": found("audit.token")}, "no target names it"),
    "columns could not be looked at": Case("uncovered_columns", UNKNOWN, {"search_fault": "no right"}, "no right"),
    "every declared column has a target": Case("declared_columns", OK, {}),
    "a declared column has none": Case(
        "declared_columns", WARNING, {"declared": ("users.pin",)}, "models declare this column as encrypted"
    ),
    "models cannot be imported": Case("declared_columns", UNKNOWN, {"models_fault": "no module app"}, "no module app"),
    "last run is recent": Case("last_run", OK, {"runs": (run(32, lasted=timedelta(0)),)}),
    "last run is long ago": Case(
        "last_run", WARNING, {"runs": (run(32, lasted=-SECOND),)}, "no run came to its end for 32 days"
    ),
    "last run left something": Case("last_run", OK, {"runs": (run(1, "left"),)}),
    "last run failed": Case("last_run", CRITICAL, {"runs": (run(1, "failed"), run(2))}, "ended failed"),
    "last run was cut short": Case(
        "last_run", CRITICAL, {"runs": (run(1, "interrupted"), run(2))}, "ended interrupted"
    ),
    "a hundred runs died": Case(
        "last_run",
        WARNING,
        {"runs": (*(run(days, None) for days in range(1, 21)), run(40)), "begun": 100},
        "no run came to its end for 39 days, and the limit is 32 days; 100 runs began since the last that came to its "
        "end, at 2026-05-06 03:00 UTC",
    ),
    "a hundred runs died, and one came to its end lately": Case(
        "last_run", OK, {"runs": (*(run(1, None) for _ in range(20)), run(2)), "begun": 100}
    ),
    "runs fail since": Case(
        "last_run",
        CRITICAL,
        {"runs": (run(1, "failed"), run(2, "failed"), run(3)), "begun": 2},
        "; 2 runs began since the",
    ),
    "runs fail from the first on": Case(
        "last_run", CRITICAL, {"runs": (run(1, "failed"), run(2, "failed")), "begun": 2}, "2 runs began, and none came"
    ),
    "last run but one failed": Case("last_run", OK, {"runs": (run(1), run(2, "failed"))}),
    "a run is running": Case("last_run", OK, {"runs": (run(7, None), run(8))}),
    "a run never ended": Case("last_run", WARNING, {"runs": (run(7.01, None), run(8))}, "never ended"),
    "no run yet": Case("last_run", OK, {"runs": (), "records": (key(PRIMARY, promoted=NOW - 32 * DAY),)}),
    "never a run": Case(
        "last_run", WARNING, {"runs": (), "records": (key(PRIMARY, promoted=NOW - 32 * DAY - SECOND),)}, "since the led"
    ),
    "only another's runs": Case(
        "last_run", WARNING, {"runs": (run(1, service="other"), run(1, command="check")), "promoted": NOW - 33 * DAY}
    ),
}


@pytest.mark.parametrize(
    ("number", "retired", "missing"),
    [(6, NOW, ""), (5, NOW, None), (1, None, " (lost, primary before)"), (1, NOW, None)],
    ids=["most tokens", "half of them", "one, and a key of before", "one, and a retired key"],
)
def test_a_check_asks_for_a_key_that_may_be_missing(number: int, retired: Any, missing: str | None) -> None:
    """If no key opens most tokens, or a key was primary, was not retired, and is not here: an old file, or lost."""
    now = target({PRIMARY: 5}, unreadable=number, categories={"unknown-key": number})
    records = (key(PRIMARY, promoted=NOW), key("lost", promoted=NOW, retired=retired))
    [finding] = result("unreadable", facts(targets=(now,), records=records)).findings

    steps = PLAIN.lines(finding.remedy)
    asks = f"a key may be missing here{missing}; compare with your services: keyring-rotate keys list"
    assert [step for step in steps if "keys list" in step] == ([] if missing is None else [asks])
    assert "keyring-rotate run --dry-run --problems problems.jsonl" in steps


def test_a_check_on_both_sides_of_its_limit(named: Named) -> None:
    """The level, and what the message says, up to the limit and one step beyond it."""
    for name, case in CASES.items():
        with named(name):
            found = result(case.check, facts(**case.given))

            assert found.level is case.level
            assert case.words in " ".join(finding.message for finding in found.findings)
            assert all(finding.check == case.check and finding.remedy for finding in found.findings)


def test_a_shared_key_asks_first_whether_it_is_of_one_service() -> None:
    """A service whose name was set later is no other service; only otherwise keys are to be changed."""
    case = CASES["key of another environment"]
    [finding] = result(case.check, facts(**case.given)).findings
    first, second, *_ = PLAIN.lines(finding.remedy)

    assert first.startswith("the same service? Set one ROTATION_SERVICE")
    assert second == "another one: keyring-rotate keys stage"


def test_every_check_has_cases_on_both_sides() -> None:
    """No check is without a case in which it is content and one in which it is not."""
    sides = {(case.check, case.level is OK) for case in CASES.values()}

    assert sides == {(check.name, side) for check in CHECKS for side in (True, False)}


def test_all_is_well_in_the_world_that_the_cases_change() -> None:
    """Without a change every check is content; so a case shows what its own change does."""
    assert {each.level for each in run_checks(facts(), POLICY, NOW)} == {OK}


LIMITS = {
    "max_key_age": ("key_age", lambda since: {"promoted": since}),
    "max_staged_age": ("staged_key", lambda since: {"keys": STAGED_TOO, "records": (key(STAGED, staged=since),)}),
    "max_left_age": ("tokens_left", lambda since: {"promoted": since, "targets": (target(OLD_ONES),)}),
    "max_previous_age": ("previous_keys", lambda since: {"promoted": since}),
    "max_run_age": ("last_run", lambda since: {"runs": (), "records": (key(PRIMARY, promoted=since),)}),
    "max_reload_age": (
        "lagging_services",
        lambda since: {"promoted": since, "instances": (instance(PREVIOUS, since + 41 * DAY),)},
    ),
}
DATES = {
    "a summer time's beginning": datetime(2026, 3, 29, 1, 0, tzinfo=UTC),
    "a summer time's end": datetime(2026, 10, 25, 1, 0, tzinfo=UTC),
    "a leap day": datetime(2028, 2, 29, 12, 0, tzinfo=UTC),
    "the day after a leap day": datetime(2028, 3, 1, 0, 0, tzinfo=UTC),
    "a year's end": datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC),
    "a year's beginning": datetime(2027, 1, 1, tzinfo=UTC),
    "the end of 32-bit time": datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC),
}
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "Australia/Lord_Howe"]


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A machine in that time zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def test_a_limit_is_the_same_second_anywhere(zone: str, named: Named) -> None:
    """A second before the limit and at it nothing changes; a second behind it the check speaks, in any zone."""
    # To freeze time goes through all modules: once is enough.
    with freeze_time() as clock:
        for limit, (name, make) in LIMITS.items():
            policy = Policy(**{limit: Duration(days=40), "warn_before": Duration()})
            for day, date in DATES.items():
                with named(limit, "at", day):
                    given = facts(**make(date - timedelta(days=40)))
                    levels = []
                    for now in (date - SECOND, date, date + SECOND):
                        clock.move_to(now)
                        assert os.environ["TZ"] == zone
                        levels.append(result(name, given, policy, datetime.now(UTC)).level)

                    assert levels[:2] == [OK, OK]
                    assert levels[2] in {WARNING, CRITICAL}


def test_a_check_that_fails_hides_no_other() -> None:
    """A crash is UNKNOWN with the error's type, never its words, and all other checks are made."""

    def check_that_fails(*_: object) -> Any:
        """A message.

        Remedy: none.
        """
        raise KeyError("hunter2")

    checks = (CHECKS[0], type(CHECKS[0])(check_that_fails), CHECKS[-1])
    found = run_checks(facts(runs=(run(1, "failed"),)), POLICY, NOW, checks)

    assert [each.level for each in found] == [OK, UNKNOWN, CRITICAL]
    assert found[1].findings[0].message == "the check itself failed (KeyError)"


@pytest.mark.parametrize(
    ("given", "needs"),
    [
        ({"keys": None, "keys_fault": "x"}, "the keys"),
        ({"ledger_fault": "x"}, "the ledger"),
        ({"unreached": {"a.b": "x"}, "targets": ()}, "every target"),
    ],
    ids=["keys", "ledger", "a target"],
)
def test_what_cannot_be_looked_at_is_never_ok(given: dict[str, Any], needs: str) -> None:
    """A check that lacks what it needs is UNKNOWN and says what it needs; the others are made."""
    found = run_checks(facts(**given), POLICY, NOW)

    waiting = [each for each in found if any(f"needs {needs}" in finding.message for finding in each.findings)]
    assert len(waiting) >= 5
    assert {each.level for each in waiting} == {UNKNOWN}
    assert any(each.level is OK for each in found)


def test_one_target_that_is_lost_hides_no_other() -> None:
    """Findings on other targets are reported beside the target that could not be read."""
    found = result("plaintext", facts(unreached={"a.b": "x"}, targets=(target(plaintext=2),)))

    assert {finding.level for finding in found.findings} == {UNKNOWN, CRITICAL}
    assert found.level is CRITICAL


def test_a_check_that_is_off_is_not_made_and_says_why() -> None:
    """The policy's reason stands in the place of findings."""
    policy = Policy(off={"plaintext": "the column is half migrated until May"})
    found = result("plaintext", facts(targets=(target(plaintext=2),)), policy)

    assert (found.level, found.findings, found.off) == (OK, (), "the column is half migrated until May")


def test_every_check_has_a_message_and_a_remedy() -> None:
    """A docstring is one line of message and one of remedy, and both are whole sentences."""
    for listed in list_checks(Policy(off={"clock": "no reason"})):
        assert listed.title.endswith(".")
        assert len(listed.remedy) > 20
        assert listed.off == ("no reason" if listed.check == "clock" else None)


def test_a_key_is_superseded_by_the_next_promotion() -> None:
    """With three keys the oldest one's age counts from the second one's promotion."""
    keys = {PRIMARY: KeyState.PRIMARY, PREVIOUS: KeyState.PREVIOUS, RETIRED: KeyState.PREVIOUS}
    records = (
        key(RETIRED, promoted=NOW - 200 * DAY),
        key(PREVIOUS, promoted=NOW - 91 * DAY),
        key(PRIMARY, promoted=NOW - DAY),
    )
    found = result("previous_keys", facts(keys=keys, records=records))

    assert {finding.subject: finding.level for finding in found.findings} == {RETIRED: WARNING, PREVIOUS: OK}


@pytest.mark.parametrize(
    ("known", "days"),
    [({}, 1), ({"first_seen": NOW - 100 * DAY}, 100), ({"staged": NOW - 100 * DAY}, 1)],
    ids=["unknown", "previous at first", "staged"],
)
def test_a_key_that_was_never_found_primary_was_replaced_at_the_latest_now(known: dict[str, Any], days: int) -> None:
    """By the promotion of the present one; or before the ledger's time, if it was a previous one at first."""
    given = facts(records=(key(PREVIOUS, **known), key(PRIMARY, promoted=NOW - DAY)))

    assert given.superseded(PREVIOUS) == NOW - days * DAY


def test_a_policy_that_names_no_check_is_refused() -> None:
    """A check that is turned off by a misspelt name would go on; the names there are stand in the message."""
    with pytest.raises(UsageError, match=r"there is no check called 'plain_text'; did you mean `plaintext`"):
        check_names(Policy(off={"plain_text": "half migrated"}))
