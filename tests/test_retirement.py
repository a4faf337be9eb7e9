"""Whether a key may go: one answer, which every part of the program gives."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyring_core import KeyState
from rotation.checks.facts import Facts, Level, TargetFacts
from rotation.checks.use_cases import Overview
from rotation.checks.verdict import Verdict
from rotation.configuration.policy import Policy
from rotation.discovery.result import Discovery, IndexValues, Remark, by_database
from rotation.discovery.token_column import BARE, Part, Share, TokenColumn
from rotation.ledger.key_uses import KeyUses
from rotation.ledger.ledger import Ledger
from rotation.ledger.records import CensusRecord, InstanceRecord, KeyRecord, census_record
from rotation.ledger.session import Unexplained, carried, settled, unexplained
from rotation.lifecycle.listing import after_listing, list_keys
from rotation.model.counts import Counts
from rotation.model.key_history import Promotion
from rotation.model.key_use import KeyUse, ReadRecord
from rotation.model.next_steps import PLAIN
from rotation.model.report import Report, TargetReport
from rotation.model.target import Format, Target, TargetId
from rotation.output.html.page import PageTotals, page
from rotation.output.run_text import render
from rotation.planning.cell_kinds import CellKind
from rotation.retirement.evidence import Evidence, of_report
from rotation.retirement.reasons import Standing, gaps, refusals, standing, suspension_refusals
from rotation.stores.change_tracker import OpenTransaction
from tests.conftest import Named
from tests.ledger.censuses import census_of

NOW = datetime(2026, 6, 15, 2, 0, tzinfo=UTC)
PRIMARY, KEY, OTHER = "11111111", "22222222", "33333333"
STATES = {PRIMARY: KeyState.PRIMARY, OTHER: KeyState.PREVIOUS, KEY: KeyState.PREVIOUS}
# Any file that is there: nothing opens it.
TARGET = Target(f"sqlite:///{__file__}", "creds", "token", "creds", listed=True)


def evidence(**changes: Any) -> Evidence:
    """Of a key that nothing needs, and everything was looked at."""
    found: dict[str, Any] = {"censuses": [("creds.token", Counts())], "search": Discovery(full=True)}
    return Evidence(KEY, PRIMARY, previous=(OTHER, KEY), **(found | changes))


def column(name: str = "secret", tokens: int = 0, embedded: int = 0, **values: Any) -> TokenColumn:
    parts = Counter({BARE: tokens, Part(CellKind.TOKEN_IN_TEXT, Format.EMBEDDED): embedded})
    return TokenColumn("app", "webhooks", name, parts=+parts, **values)


def copied(**values: Any) -> Discovery:
    """A search of every row that found a copy of a target's column."""
    given = {"made_of": ("creds.token",), "copy_of": ("creds.token",), "shares": (Share(None),), **values}
    return Discovery(full=True, columns=[column("copy", tokens=1, **given)])


def counted(**counts: Any) -> dict[str, Any]:
    """A census of one target."""
    return {"censuses": [("a.b", Counts(**counts))]}


def left_out(**counts: Any) -> dict[str, Any]:
    """The rows that the `where` of that target leaves out."""
    return {"left_out": [("a.b", Counts(**counts))]}


def searched(*columns: TokenColumn, **found: Any) -> dict[str, Any]:
    """A search of every row."""
    return {"search": Discovery(full=True, columns=list(columns), **found)}


def used(**use: Any) -> dict[str, Any]:
    """What is known about the use of the key."""
    return {"use": KeyUse(**{"now": NOW, **use})}


YOUNG = int(NOW.timestamp()) + 1
ONE = Counter({KEY: 1})
SINCE = "2026-06-15 02:00:00 UTC"
UNOPENED = "1 token that no key here opens (another application's, or bound to a context that no target names)"
OF_ROWS: dict[str, Any] = {"of_rows": frozenset({None})}
TRIAL = f"the policy (suspend_days): {KEY} has to be suspended for 1 day first"
BOUND: dict[str, Any] = {"unknown": 1, "covered": True}

AGAINST: dict[str, tuple[dict[str, Any], str]] = {
    "tokens under it": (counted(under=ONE), f"a.b: 1 token under {KEY}"),
    "tokens inside something else": (counted(inner=ONE), f"a.b: 1 token under {KEY} inside something else"),
    "tokens in a target of another key set": (counted(other_sets=ONE), f"{KEY}, which is not in the key set of that"),
    "some of the unreadable cells": (counted(unreadable=3, identified=1), f"a.b: 2 unreadable, which may need {KEY}"),
    "plaintext that may hold one": (counted(suspects=1), "a.b: 1 cell with room for a token in a form that is not"),
    "rows without a key": (counted(categories=Counter({"no-key": 1})), "a.b: 1 not read, for a NULL in the row's key"),
    "a cell too large to be read": (counted(categories=Counter({"oversized": 1})), "a.b: 1 cell too large to be read"),
    "a cell with too much in it": (counted(given_up=1), "a.b: 1 cell with more in them than could be searched"),
    "a target that was not read": ({"unread": {"a.b": "lost"}}, "a.b: it was not read to the end: lost"),
    "an index that no run renews": ({"unnamed_indexes": {"a.b": ["c", "d"]}}, "c and d beside it holds blind indexes"),
    "tokens in rows left out": (left_out(under=ONE), f"a.b: 1 token under {KEY}, in rows that its `where` leaves out"),
    "unreadable cells in rows left out": (left_out(unreadable=1), f"1 unreadable, which may need {KEY}, in rows that"),
    "plaintext in rows left out": (left_out(suspects=1), "not looked for, in rows that its `where` leaves out"),
    "a young token": (
        {**counted(youngest={OTHER: YOUNG}), "promoted": Promotion(NOW, NOW)},
        f"a.b: a token under {OTHER} was made at 2026-06-15 02:00:01 UTC, after {PRIMARY} was promoted at {SINCE}: a "
        f"service still encrypts with {OTHER}",
    ),
    "a young token, and a promotion of which the ledger knows the bounds": (
        {**counted(youngest={OTHER: YOUNG}), "promoted": Promotion(None, NOW)},
        f"after {PRIMARY} was promoted before {SINCE}",
    ),
    "a token inside of a token, under no key here": (
        {**counted(nested=1, nested_unknown=1), "has_contexts": True},
        "a.b: 1 token that no key here opens, inside of other tokens",
    ),
    "the same in rows left out, which may be under the key of a row": (
        {**left_out(nested=1, nested_unknown=1), **OF_ROWS},
        "a.b: 1 token that no key here opens, inside of other tokens, in rows that its `where` leaves out",
    ),
    "an uncovered column": (
        searched(column(tokens=1, under=Counter({PRIMARY: 1}))),
        "webhooks.secret: holds tokens, and no target names it",
    ),
    "a token in text": (
        searched(column(embedded=1, under=ONE, inner=ONE)),
        f"webhooks.secret: holds tokens, and no target names it: 1 token under {KEY}",
    ),
    "a bound column": (searched(column(tokens=1, unknown=1)), f"holds {UNOPENED}, and no target names it"),
    "a bound token inside something else": (
        searched(column(embedded=1, unknown=1, inner_unknown=1), has_contexts=True),
        f"webhooks.secret: holds {UNOPENED}, and no target names it",
    ),
    "the same, which may be under the key of a row": (
        {**searched(column(embedded=1, unknown=1, inner_unknown=1)), **OF_ROWS},
        f"or under the key of a row, which no search tries: {KEY} stands for such keys), and no target names it",
    ),
    "a bound token in a target of another key set": (
        {**searched(column(shares=(Share("other"),), **BOUND)), "has_contexts": True},
        f"webhooks.secret, a target of another key set: {UNOPENED}",
    ),
    "the same, and keys that are not set": (
        searched(column(shares=(Share("other", is_loaded=False),), **BOUND), has_contexts=True),
        f"webhooks.secret, a target of another key set: {UNOPENED}",
    ),
    "a token that a target leaves, and that may be under the key of a row": (
        {**searched(column(shares=(Share("other", leaves=True),), **BOUND)), **OF_ROWS},
        "webhooks.secret, a target of another key set: 1 token that no key here opens",
    ),
    "a bound token in rows of another key set's target of the same column": (
        searched(column(shares=(Share(None, "id > 9"), Share("other")), **BOUND), has_contexts=True),
        f"webhooks.secret, a target of another key set: {UNOPENED}",
    ),
    "a bound token in rows of the past": (
        searched(column(shares=(Share(None),), has_history=True, **BOUND), has_contexts=True),
        f"webhooks.secret, rows of the table's past among them: {UNOPENED}",
    ),
    "a second look": (
        searched(column(covered=True, key_sets=(None,), tokens=1, under=ONE)),
        f"webhooks.secret: a second read of all rows found 1 token under {KEY}",
    ),
    "a second look at a target of another key set": (
        searched(column(covered=True, key_sets=("other",), tokens=1, under=ONE)),
        f"webhooks.secret, a target of another key set: 1 token under {KEY}",
    ),
    "an old token in a copy": ({"search": copied(under=ONE)}, f"copy, a copy of creds.token: 1 token under {KEY}"),
    "an old token in an ignored copy": (
        {"search": copied(under=ONE, ignored="of nobody")},
        f"webhooks.copy: rotation.toml ignores it (of nobody), and it holds 1 token under {KEY}",
    ),
    "a token in a copy that no key opens": (
        {"search": copied(unknown=1, elsewhere=True)},
        f"webhooks.copy, a copy of creds.token: {UNOPENED}",
    ),
    "a token in a copy that may be under the key of a row": (
        {"search": copied(unknown=1, shares=(Share(None, leaves=True),)), **OF_ROWS},
        "webhooks.copy, a copy of creds.token: 1 token that no key here opens",
    ),
    "a cell of a copy that was not searched": (
        {"search": copied(large=1, under=Counter({PRIMARY: 1}))},
        "webhooks.copy, a copy of creds.token: 1 cell of which not all was searched",
    ),
    "values of a blind index": (
        searched(blind_indexes=[IndexValues("app", "users.copy", ONE)]),
        f"users.copy: 1 value of a blind index under {KEY}, and no target names the column",
    ),
    "a table that may not be read": (
        searched(unseen=[Remark("a", "b", "no right")]),
        "b cannot be looked at: no right",
    ),
    "rows that may be hidden": (
        searched(hidden=[Remark("a", "b", "row security")]),
        "b cannot be looked at: row secur",
    ),
    "a search that failed": ({"search": None, "search_fault": "lost"}, "columns that no target names: lost"),
    "a read after the last run": (
        used(reads=[ReadRecord("a", "b", KEY, NOW, 1, NOW)], since=NOW - timedelta(1), by_run=True),
        "reads since the last complete run, of 2026-06-14 02:00:00 UTC: a on b opened 1 token",
    ),
    "a read soon after that run": (
        used(reads=[ReadRecord("a", "b", KEY, NOW, 1, NOW)], since=NOW - timedelta(seconds=30), by_run=True),
        f"holds tokens under {KEY}, or a clock was wrong: the times are close",
    ),
    "a read, and no run": (
        used(reads=[ReadRecord("a", "b", KEY, NOW, 0, None, 1, NOW)]),
        f"no run of all targets of rotation.toml has ended complete under {PRIMARY}",
    ),
    "a read, and a run from before the promotion": (
        used(reads=[ReadRecord("a", "b", KEY, NOW, 1, NOW)], since=NOW - timedelta(1), run=NOW - timedelta(2)),
        f"the last complete run was at 2026-06-13 02:00:00 UTC, by the dates in the ledger before {PRIMARY} was prom",
    ),
    "a policy that wants a trial": (used(days=1), TRIAL),
    "a trial that is not over": (
        used(is_suspended=True, suspended=NOW, days=1),
        f"{TRIAL}; it is since {SINCE}, so until 2026-06-16 02:00:00 UTC",
    ),
    "a trial without a date": (used(is_suspended=True, days=1), "and the ledger does not know since when it is"),
    "a trial without an instance": (
        used(is_suspended=True, suspended=NOW, opening=["a on b"], days=1),
        f"{TRIAL}, and a on b still opens its tokens",
    ),
    "tokens that the ledger knows": (
        {"unexplained": [Unexplained(TargetId("app", "", "a", "b"), 300, NOW)]},
        f"a.b in app: the ledger knows of 300 tokens under {KEY} there",
    ),
    "a service with another key": (
        {"fleet": [InstanceRecord("web-1", "web", KEY, NOW)], "now": NOW + timedelta(minutes=2)},
        f"web on web-1 (seen {SINCE}) still encrypts with {KEY}",
    ),
    "a service that fell silent": (
        {"silent": [InstanceRecord("web-1", "web", PRIMARY, NOW)]},
        f"web on web-1 (seen {SINCE}) announced itself each minute, and does no more",
    ),
    "a transaction that is open": (
        {"uncommitted": [OpenTransaction("1", "app.db: somebody", wrote=True, end="end it")]},
        "app.db: somebody: it has written and is not committed",
    ),
}
"""Per name what is found, and what the reason says."""
LISTED = "'run', '--dry-run', '--problems'"
WAYS_OUT = {
    "tokens under it": "Next(command=('run',), when=''",
    "tokens inside something else": f"{LISTED}|set the target's `format` in rotation.toml, then:",
    "some of the unreadable cells": LISTED,
    "plaintext that may hold one": f"{LISTED}|if none is a token: --force {KEY}",
    "an uncovered column": "('discover',), when='print the entry to add:'",
    "a bound column": "name it, with its context; if its tokens are another application's, say so in an [[ignore]]",
    "the same, and keys that are not set": "the keys of [keys.other] cannot be loaded here: set them, then run this",
    "a second look at a target of another key set": "name the key among the previous ones of that set",
    # The words of the fault say what it needs: no GRANT helps a server that lacks memory.
    "a table that may not be read": f"'correct that, then run this again; if no token can be there: --force {KEY}'",
    "a service with another key": f"give it {PRIMARY} as its primary key, and restart it|announced itself 2 minutes "
    "ago, and counts as gone in 8 minutes, after 2026-06-15 02:10:00 UTC|Repeats.COMMAND",
}


def test_each_reason_keeps_the_key(named: Named) -> None:
    """R31: each by itself, with what leads out of it."""
    for name, (found, words) in AGAINST.items():
        with named(name):
            [refusal] = refusals(evidence(**found))

            assert words in refusal.reason
            assert refusal.remedy
            assert standing(evidence(**found)) is Standing.NEEDED
    for name, ways in WAYS_OUT.items():
        found, _ = AGAINST[name]
        with named(name, "the way out"):
            [refusal] = refusals(evidence(**found))

            assert [way for way in ways.split("|") if way not in repr(refusal.remedy).replace("\\'", "'")] == []


AGAINST_SUSPENDING = {
    "tokens under it": "1 token under 22222222 is still stored, and services would refuse it",
    "tokens inside something else": "1 token under 22222222 is still stored, and services would refuse it",
    "tokens in a target of another key set": "1 token under 22222222 is still stored, and services would refuse it",
    "tokens that the ledger knows": "the ledger knows of 300 tokens under 22222222 there",
    "a service with another key": "web-1 (seen 2026-06-15 02:00:00 UTC) still encrypts with 22222222",
}


def test_each_reason_keeps_the_key_from_being_suspended(named: Named) -> None:
    """Each by itself: services would refuse tokens that are stored, or that are written from now on."""
    assert suspension_refusals(evidence(), (), has_ledger=True) == []
    for name, words in AGAINST_SUSPENDING.items():
        found, _ = AGAINST[name]
        with named(name):
            [refusal] = suspension_refusals(evidence(**found), (), has_ledger=True)

            assert words in refusal.reason
            assert refusal.remedy


def test_only_a_token_younger_than_the_latest_possible_promotion_counts() -> None:
    """Between the last look and the one that found the new key it was perhaps written before the promotion."""
    looks = Promotion(NOW - timedelta(days=2), NOW)

    for when in (NOW - timedelta(hours=1), NOW):
        assert refusals(evidence(**counted(youngest={OTHER: int(when.timestamp())}), promoted=looks)) == []
    assert refusals(evidence(**counted(youngest={OTHER: YOUNG}), promoted=None)) == []


def test_a_report_says_whether_a_context_is_named() -> None:
    """Otherwise a token that no key opens, inside of another one, would be taken for another application's."""
    for context, reasons in (None, 0), ("creds.token", 1):
        place = TargetId("", "", "creds", "token", context=context)
        part = TargetReport(TARGET, place, ("id",), Counts(nested=1, nested_unknown=1), read_to=NOW, identity="here")

        found = of_report(Report(dry_run=True, primary=PRIMARY, keys=[], targets=[part]), KEY)

        assert len(refusals(found)) == reasons


def test_what_others_need_does_not_keep_the_key() -> None:
    """A token in text under another key, unreadable cells whose tokens are known, a service that only knows the key."""
    text = column(embedded=1, under=Counter({PRIMARY: 1}), inner=Counter({PRIMARY: 1}), unknown=1, inner_unknown=1)
    foreign = column("elsewhere", tokens=1, unknown=1, elsewhere=True)
    left = column("left", covered=True, shares=(Share("other", leaves=True),), unknown=1)
    both = (Share(None, "id > 9"), Share("other", "id > 9"), Share("other", "id < 9", leaves=True))
    counted = column("counted", covered=True, shares=both, unknown=1)
    beyond = Remark("server", "billing", "its user may not enter it")
    found = evidence(
        censuses=[
            ("a.b", Counts(under=Counter({PRIMARY: 5}), inner=Counter({OTHER: 1}))),
            ("a.c", Counts(unreadable=3, identified=3, inner=Counter({OTHER: 2}), other_sets=Counter({"44444444": 1}))),
        ],
        search=Discovery(
            full=True,
            columns=[text, foreign, left, counted],
            beyond=[beyond],
            blind_indexes=[IndexValues("app", "users.copy", Counter({PRIMARY: 1, OTHER: 1}))],
        ),
        fleet=[InstanceRecord("web-1", "web", PRIMARY, NOW, previous=(KEY,))],
    )

    assert refusals(found) == []
    assert standing(found) is Standing.FREE
    assert by_database([beyond]) == {"server": ["billing: its user may not enter it"]}
    # Without the document, in which a bound token would look the same.
    bound = Discovery(full=True, has_contexts=True, columns=[foreign, left, counted])
    assert refusals(replace(found, search=bound, has_contexts=True)) == []


@pytest.mark.parametrize("wrong", ["run", "promotion", "none"])
def test_a_run_or_a_promotion_that_is_still_to_come_leaves_no_read_out(wrong: str) -> None:
    """The clock of that machine was ahead: what is read today would be from before it, and the key would go."""
    later = NOW + timedelta(days=1)
    records = [
        KeyRecord(PRIMARY, "web", NOW - timedelta(9), promoted=later if wrong == "promotion" else NOW - timedelta(8)),
        KeyRecord(KEY, "web", NOW - timedelta(9), promoted_before=NOW - timedelta(9)),
    ]
    read = ReadRecord("web", "web-1", KEY, NOW, 1, NOW - timedelta(hours=1))
    run = later if wrong == "run" else NOW - timedelta(minutes=1)
    use = KeyUses("web", [read], run, [], records, now=NOW).of_key(KEY, STATES)

    assert [one.key_id for one in use.late] == ([KEY] if wrong == "run" else [])
    assert any("still to come" in words for words in use.unheard) == (wrong != "none")


@pytest.mark.parametrize(
    ("run", "promoted", "since"), [(None, 8, 8), (9, 8, 8), (1, 8, 1)], ids=["no run", "an older run", "a run"]
)
def test_reads_count_since_the_last_run_under_the_key_of_today(run: int | None, promoted: int, since: int) -> None:
    """Otherwise since the promotion: a run from before the key came back moved nothing since then."""
    first, *others = (None if days is None else NOW - timedelta(days) for days in (run, promoted, since))
    records = [KeyRecord(PRIMARY, "web", NOW - timedelta(10), promoted=others[0])]
    use = KeyUses("web", run=first, records=records, now=NOW).of_key(KEY, STATES)

    assert (use.since, use.by_run) == (others[1], since == run)


def test_a_copy_is_covered_by_its_source_once_every_row_was_read() -> None:
    """Under other keys, or another owner's: nothing keeps the key. A sample of it proves nothing."""
    found = [copied(under=Counter({PRIMARY: 1})), copied(unknown=1, shares=(Share(None, leaves=True),))]

    assert [standing(evidence(search=each)) for each in found] == [Standing.FREE, Standing.FREE]
    sampled = [replace(each, full=False) for each in found]
    assert [standing(evidence(search=each)) for each in sampled] == [Standing.UNPROVEN, Standing.UNPROVEN]


def test_only_a_look_at_everything_frees_a_key() -> None:
    """A sample, an earlier census, rows left out, a search that was not made or not full: not proven, and named."""
    missing = [
        {"sampled": True},
        {"since": NOW},
        {"partial": True},
        {"search": None},
        {"search": Discovery(full=False)},
    ]
    for changes in missing:
        assert (standing(evidence(**changes)), len(gaps(evidence(**changes)))) == (Standing.UNPROVEN, 1)
    assert standing(evidence(partial=True, left_out=[])) is Standing.FREE


@pytest.mark.parametrize(
    ("young", "expected"), [(OTHER, [True]), (PRIMARY, [])], ids=["another previous key", "the primary key"]
)
def test_a_census_shows_which_key_a_service_still_encrypts_with(young: str, expected: list[bool]) -> None:
    """A token that is younger than the promotion keeps every previous key, unless it is under the primary key."""
    records = (KeyRecord(PRIMARY, "default", NOW - timedelta(days=9), promoted=NOW - timedelta(days=2)),)
    written = census(0, 0, youngest={young: int((NOW - timedelta(days=1)).timestamp())})
    facts = Facts(keys=STATES, records=records, targets=(TargetFacts(written),))

    reasons = [refusal.reason for refusal in refusals(facts.evidence(KEY, Policy(), NOW))]

    assert [f"a service still encrypts with {OTHER}" in reason for reason in reasons] == expected


# What the ledger knows


def census(tokens: int, days: int, **values: Any) -> CensusRecord:
    """Taken so many days from now, with tokens under the key."""
    given: dict[str, Any] = {"service": "default", "table": "creds", "column": "token"}
    under = {key_id: number for key_id, number in ((KEY, tokens), (PRIMARY, values.pop("moved", 0))) if number}
    given["rotated"] = values.pop("rotated", sum(under.values()) if values.get("by_run") else 0)
    given |= {"taken": NOW + timedelta(days=days), "complete": True, "identity": "here", "under": under}
    return census_of(**(given | values))


def walk(*censuses: CensusRecord) -> list[CensusRecord]:
    """What the ledger holds after one census after the other."""
    known: dict[Any, CensusRecord] = {}
    for one in censuses:
        known = {place: settled(other, [one]) for place, other in known.items() if place != one.place} | {
            one.place: carried(one, known.values())
        }
    return list(known.values())


def missing(*censuses: CensusRecord) -> list[int]:
    """How many tokens nobody has explained, of the places that the last of the censuses is of."""
    known = walk(*censuses)
    now = [one for one in known if one.place == censuses[-1].place]
    return [one.tokens for one in unexplained(KEY, now, known, "default")]


CASES = {
    "nothing was ever there": ([census(0, 0)], []),
    "they are there": ([census(300, 0), census(300, 1)], []),
    "gone without a run": ([census(300, 0), census(0, 1)], [300]),
    "moved by a run": ([census(300, 0), census(0, 1, by_run=True, moved=300), census(0, 2, moved=300)], []),
    "deleted, and a run has looked": ([census(300, 0), census(0, 1, by_run=True), census(0, 2)], []),
    "another, fresh database": ([census(300, 0), census(0, 1, identity="there")], [300]),
    "a run on the fresh database": ([census(300, 0), census(0, 1, identity="there", by_run=True)], [300]),
    "two runs on the fresh database": (
        [census(300, 0), *(census(0, day, identity="there", by_run=True) for day in (1, 2))],
        [300],
    ),
    "a restored copy, and a run": ([census(300, 0), census(0, 1, identity="copy", by_run=True, moved=300)], []),
    "looked at again before the run": (
        [census(300, 0), census(250, 1), census(0, 2, by_run=True, moved=300)],
        [],
    ),
    "a sample finds few": ([census(300, 0), census(3, 1, sampled=True), census(0, 2)], [300]),
    "another service's": ([census(300, 0, service="other"), census(0, 1)], []),
    "a column that is no target any more": ([census(300, 0, column="old"), census(0, 1)], [300]),
    "a run on another column": ([census(300, 0, column="old"), census(0, 1, by_run=True), census(0, 2)], [300]),
    "the column under another url, and a run": (
        [census(300, 0, database="old"), census(0, 1, database="new", by_run=True, moved=300)],
        [],
    ),
    "looked at again after that run": (
        [
            census(300, 0, database="old"),
            census(0, 1, database="new", by_run=True, moved=300),
            census(0, 2, database="new", moved=300),
        ],
        [],
    ),
    "the column under another url, with others' tokens": (
        [census(300, 0, database="old"), census(0, 1, database="new", by_run=True, moved=900, rotated=0)],
        [300],
    ),
    "another condition, and a run": ([census(300, 0, where="id > 1"), census(0, 1, by_run=True, moved=300)], []),
    "the column under another url, empty": (
        [census(300, 0, database="old"), census(0, 1, database="new", by_run=True)],
        [300],
    ),
}


@pytest.mark.parametrize(("censuses", "expected"), CASES.values(), ids=CASES.keys())
def test_what_the_ledger_knew_must_be_explained(censuses: list[CensusRecord], expected: list[int]) -> None:
    """An empty table, or another database behind the same url, proves nothing."""
    assert missing(*censuses) == expected


# The five answers


class State(NamedTuple):
    """What is stored, and what the ledger knows."""

    counts: Counts
    column: TokenColumn | None
    known: int
    """Tokens under the key that the last census found."""
    lagging: bool
    """Whether a service still encrypts with it."""
    read: bool
    """Whether a service read with it after the last complete run."""


NUMBERS = st.integers(0, 2)
UNDER = st.dictionaries(st.sampled_from([PRIMARY, KEY, OTHER]), st.integers(1, 3)).map(Counter)


@st.composite
def all_counts(draw: st.DrawFn) -> Counts:
    under, inner, wrong = draw(UNDER), draw(UNDER), {name: draw(NUMBERS) for name in ("unreadable", "plaintext")}
    nested, suspects = min(draw(NUMBERS), under.total()), min(draw(NUMBERS), wrong["plaintext"])
    rotated = under.total() - under[PRIMARY]
    scanned = under.total() + wrong["unreadable"] + wrong["plaintext"]
    return Counts(scanned, under[PRIMARY], rotated, under=under, inner=inner, nested=nested, suspects=suspects, **wrong)


@st.composite
def columns(draw: st.DrawFn) -> TokenColumn | None:
    if draw(st.booleans()):
        return None
    bare, inner, unknown = draw(UNDER), draw(UNDER), draw(NUMBERS)
    tokens, embedded = bare.total() + unknown, int(bool(inner))
    return column(tokens=tokens, embedded=embedded, under=bare + inner, inner=inner, unknown=unknown)


STATES_OF_THE_WORLD = st.builds(
    State, all_counts(), columns(), st.sampled_from([0, 0, 0, 5]), st.booleans(), st.booleans()
)


@settings(settings.get_profile("slowest"))
@given(state=STATES_OF_THE_WORLD)
def test_the_five_answers_agree(state: State, tmp_path_factory: pytest.TempPathFactory) -> None:
    """check, report, keys list, the closing words of status, and keys retire: none contradicts another."""
    before = census(state.known, -1)
    report = Report(
        dry_run=True,
        primary=PRIMARY,
        keys=[{"id": key_id, "state": str(key_state)} for key_id, key_state in STATES.items()],
        targets=[
            TargetReport(
                TARGET, TargetId("", "", "creds", "token"), ("id",), state.counts, read_to=NOW, identity="here"
            )
        ],
    )
    now = carried(census_record(report.targets[0], PRIMARY, "default", NOW), [before])
    found = [state.column] if state.column and (state.column.tokens or state.column.embedded) else []
    fleet = (InstanceRecord("web-1", "default", KEY if state.lagging else PRIMARY, NOW),)
    reads = (ReadRecord("default", "web-1", KEY, NOW, 1, NOW + timedelta(minutes=1)),) if state.read else ()
    report.uses = {KEY: KeyUses("default", reads, NOW, fleet, now=NOW).of_key(KEY, STATES)}
    full = Evidence(
        KEY,
        PRIMARY,
        [("creds.token", state.counts)],
        previous=(OTHER, KEY),
        search=Discovery(full=True, columns=found),
        unexplained=tuple(unexplained(KEY, [now], [before], "default")),
        fleet=fleet,
        use=report.uses[KEY],
    )
    facts = Facts(
        keys=STATES,
        records=tuple(KeyRecord(key_id, "default", NOW - timedelta(days=9)) for key_id in STATES),
        targets=(TargetFacts(now, before),),
        instances=fleet,
        reads=reads,
        complete_run=NOW,
        search=Discovery(full=False, columns=found),
        known=(before,),
    )
    verdict = Verdict.of(facts, Policy(), NOW)
    shown = PageTotals(facts)
    words = {
        "check": " ".join(finding.message for finding in verdict.findings if finding.subject == KEY),
        "report": page(Overview(verdict, [TARGET])),
        "status": " ".join(str(part) for part in render(report)),
        "keys list": _listed(tmp_path_factory.mktemp("ledger"), [before, now], fleet, reads),
    }

    needed = standing(full) is Standing.NEEDED
    assert all("may be retired" not in text for text in words.values())
    assert standing(facts.evidence(KEY, Policy(), NOW)) is (Standing.NEEDED if needed else Standing.UNPROVEN)
    assert ("no token that was read needs it" in words["check"]) is not needed
    assert not (shown.share == "all" and not shown.complete)
    assert not (shown.complete and (found or state.counts.nested or state.counts.unreadable or state.counts.plaintext))
    # Who looks at less may not see what speaks for the key, and never more than the proof sees.
    assert {each.reason for each in refusals(of_report(report, KEY))} <= {each.reason for each in refusals(full)}
    if f"keys retire {KEY}" in words["status"]:
        assert refusals(of_report(report, KEY)) == []
    if f"Nothing that was read needs {KEY}" in words["keys list"]:
        counts = state.counts
        speaking = (counts.under[KEY], counts.inner[KEY], counts.unreadable, state.lagging, state.read)
        assert not any(speaking)


def _listed(
    folder: Path,
    censuses: list[CensusRecord],
    fleet: tuple[InstanceRecord, ...],
    reads: tuple[ReadRecord, ...],
) -> str:
    with Ledger.open(f"sqlite:///{folder}/ledger.db", now=lambda: NOW) as ledger:
        ledger.see_keys(STATES, "default")
        for one in itertools.chain(censuses):
            ledger.keep_censuses([one])
        ledger.end_run(ledger.begin_run("run", "default", PRIMARY, whole=True), "complete")
        for instance in fleet:
            ledger.announce(instance, reads)
        return "\n".join(PLAIN.lines(after_listing(list_keys(STATES, ledger, "default"))))


def test_a_late_key_is_a_warning_whatever_keeps_it() -> None:
    """The message has the first reason, and the number of the others."""
    records = tuple(KeyRecord(key_id, "default", NOW - timedelta(days=900), promoted=NOW - timedelta(days=days))
                    for key_id, days in ((KEY, 800), (OTHER, 700), (PRIMARY, 600)))  # fmt: skip
    facts = Facts(keys=STATES, records=records, targets=(TargetFacts(census(0, 0, unreadable=2, suspects=1)),))
    [finding] = [each for each in Verdict.of(facts, Policy(), NOW).findings if each.subject == KEY]

    assert finding.level is Level.WARNING
    assert f"kept for creds.token: 2 unreadable, which may need {KEY}, and 1 reason more" in finding.message
