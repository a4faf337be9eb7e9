"""The sentences of refusals: each reason to keep a key, and what removes it. `reasons` decides which to give. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from rotation.discovery.result import IndexValues, Remark
from rotation.discovery.token_column import NOT_YOURS, TokenColumn
from rotation.ledger.records import LIVE, SKEW, InstanceRecord
from rotation.ledger.session import Unexplained
from rotation.model.key_history import Promotion
from rotation.model.key_use import SHOWN, KeyUse, in_words, of_last_run
from rotation.model.next_steps import (
    CHECK,
    LIST_ROWS,
    NAME_CONTEXT,
    RUN,
    RUN_AGAIN,
    THIS_AGAIN,
    Next,
    Refusal,
    Remedy,
    Repeats,
    Steps,
)
from rotation.model.text import UTC_SECOND, be, many, span, to_second
from rotation.retirement.evidence import Evidence
from rotation.stores.change_tracker import OpenTransaction

AGAIN = f"then {RUN_AGAIN}"
LOOK_ELSEWHERE = (
    "look into queues, caches, files, exports and other databases, and have the application write what is there again: "
    "docs/how-to/queues-and-caches.md"
)
NAME_LEDGER = "name a ledger in ROTATION_LEDGER_URL, or write a rotation.toml, beside which it is made"
NAME_ROWS = RUN.after("name these rows in a [[target]] of their own, then:")
FURTHER_TARGET = 'name the column in a further [[target]], with the `keys` of this key and others = "leave"'


def _run_and_again(first: str) -> Steps:
    return Steps(RUN.after(f"{first}, then:"), RUN_AGAIN)


def not_committed(one: OpenTransaction) -> Refusal:
    """A transaction that has written and may still be committed."""
    reason = f"{one.words}: it has written and is not committed, so nobody else sees yet what it wrote"
    return Refusal(reason, Steps(one.end, THIS_AGAIN))


def replica(database: str, words: str, remedy: str, *, is_known: bool = True) -> Refusal:
    """A server that repeats what another one commits; not *is_known*: that may do so, and does not say it."""
    lacks = "; a token may be committed that is not there yet" if is_known else ""
    return Refusal(f"{database}: {words}{lacks}", Steps(remedy, THIS_AGAIN))


def unread(label: str, why: str) -> Refusal:
    """A target that was not read to the end."""
    return Refusal(f"{label}: it was not read to the end: {why}", f"correct that, {AGAIN}")


def unnamed_indexes(label: str, columns: Sequence[str], key_id: str) -> Refusal:
    """Blind indexes that no run renews."""
    reason = f"{label}: {' and '.join(columns)} beside it holds blind indexes, which may be under {key_id}"
    return Refusal(
        f"{reason}, and no target names it",
        _run_and_again("set `index` in the target of the column that it is of"),
    )


class CountedCells(NamedTuple):
    """The cells that a reason is about."""

    label: str
    key_id: str
    run: Next
    """The step that brings the tokens in them under the primary key."""
    rows: str = ""
    """The rows that they are in, in words, if these are not all."""


class InCells(NamedTuple):
    """The words for what cells hold."""

    reason: str
    """With `{key}`, and the number alone, of tokens or of cells, as `{number}`, `{tokens}` and `{cells}`."""
    remedy: Callable[[CountedCells], Remedy]

    def about(self, at: CountedCells, number: int) -> Refusal:
        """The refusal for that many of them."""
        numbers = {"number": f"{number:,}", "tokens": many(number, "token"), "cells": many(number, "cell")}
        return Refusal(f"{at.label}: {self.reason.format(key=at.key_id, **numbers)}{at.rows}", self.remedy(at))


UNDER_IT = InCells("{tokens} under {key}", lambda at: at.run)
INSIDE = InCells(
    "{tokens} under {key} inside something else (a longer text, another encoding, another token)",
    lambda at: Steps(
        LIST_ROWS,
        at.run.after("if they are in text, base64 or hex, set the target's `format` in rotation.toml, then:"),
        "otherwise have the application write such cells again",
    ),
)
OF_ANOTHER_SET = InCells(
    "{tokens} under {key}, which is not in the key set of that target",
    lambda at: Steps(
        LIST_ROWS, at.run.after("name these rows in a [[target]] with the `keys` that they are under, then:")
    ),
)
UNREADABLE = InCells(
    "{number} unreadable, which may need {key}",
    lambda _: Steps(LIST_ROWS, NAME_CONTEXT, "otherwise have the application write these rows again"),
)
UNOPENED_INSIDE = InCells(
    "{tokens} that no key here opens, inside of other tokens",
    lambda at: Steps(LIST_ROWS, NAME_CONTEXT, f"if none of them is yours: --force {at.key_id}"),
)
GIVEN_UP = InCells(
    "{cells} with more in them than could be searched",
    lambda at: Steps(LIST_ROWS, f"if no token is in these rows: --force {at.key_id}"),
)
SUSPECTS = InCells(
    "{cells} with room for a token in a form that is not looked for",
    lambda at: Steps(LIST_ROWS, f"have the application encrypt these rows; if none is a token: --force {at.key_id}"),
)
WITHOUT_KEY = InCells("{number} not read, for a NULL in the row's key", lambda _: f"fill in that column, {AGAIN}")
OVERSIZED = InCells(
    "{cells} too large to be read, which may need {key}",
    lambda at: Steps(
        LIST_ROWS,
        "have the application store less in these, or move them itself",
        f"if none of these needs it: --force {at.key_id}",
    ),
)


def young(label: str, key_id: str, made: int, primary: str, promoted: Promotion) -> Refusal:
    """A token that is younger than the promotion of the key that should have made it."""
    then = f"{'at ' if promoted.exact else ''}{promoted.words(UTC_SECOND)}"
    return Refusal(
        f"{label}: a token under {key_id} was made at {to_second(made)}, after {primary} was promoted {then}: a "
        f"service still encrypts with {key_id}",
        RUN.after(f"give every service {primary} as its primary key, then:"),
    )


def search_failed(fault: str) -> Refusal:
    """A search that was not made."""
    return Refusal(f"columns that no target names: {fault}", f"correct that, {AGAIN}")


def out_of_sight(remark: Remark, key_id: str) -> Refusal:
    """What the search could not look at."""
    return Refusal(
        f"{remark.subject} cannot be looked at: {remark.words}",
        f"correct that, {AGAIN}; if no token can be there: --force {key_id}",
    )


class InColumn(NamedTuple):
    """The words for what a search found in a column."""

    column: TokenColumn
    evidence: Evidence

    @property
    def _tokens(self) -> str:
        return f"{many(self.column.under[self.evidence.key_id], 'token')} under {self.evidence.key_id}"

    @property
    def _unopened(self) -> str:
        may_be = "another application's, or bound to a context that no target names"
        if self.evidence.of_rows:
            may_be += f", or under the key of a row, which no search tries: {self.evidence.key_id} stands for such keys"
        return f"{many(self.evidence.unopened(self.column), 'token')} that no key here opens ({may_be})"

    @property
    def _copy(self) -> str:
        return f"{self.column.label}, a copy of {' and '.join(self.column.copy_of)}"

    def uncounted(self) -> Refusal:
        """Tokens in a target's column that no census counts, and that may be under the key."""
        column = self.column
        place = "rows of the table's past among them" if column.has_history else "a target of another key set"
        lost = dict.fromkeys(each.keys for each in column.shares if not each.is_loaded)
        whose = " and ".join(f"[keys.{name}]" if name else "the environment" for name in lost)
        return Refusal(
            f"{column.label}, {place}: {self._unopened}",
            Steps(
                *([f"the keys of {whose} cannot be loaded here: set them, {AGAIN}. Otherwise:"] if lost else []),
                _run_and_again(FURTHER_TARGET),
                *(column.remedies if column.has_history else ()),
                f"if none of them needs it: --force {self.evidence.key_id}",
            ),
        )

    def of_another_set(self) -> Refusal:
        """Tokens under the key where only a target with other keys is."""
        first = FURTHER_TARGET if self.column.others else "name the key among the previous ones of that set"
        return Refusal(
            f"{self.column.label}, a target of another key set: {self._tokens}",
            Steps(
                _run_and_again(first),
                f"if that set keeps the key in a place of its own: --force {self.evidence.key_id}",
            ),
        )

    def of_the_past(self) -> Refusal:
        """Tokens under the key in what the database keeps of earlier rows."""
        reason = f"{self.column.label}: {self._tokens}, in rows of the table's past"
        return Refusal(reason, Steps(*self.column.remedies, RUN_AGAIN))

    def left_out(self) -> Refusal:
        """Tokens under the key that no run reads."""
        return Refusal(f"{self.column.label}: {self._tokens}, in rows that its `where` leaves out", NAME_ROWS)

    def written_meanwhile(self) -> Refusal:
        """Tokens under the key in a target that the census did not find."""
        found = f"a second read of all rows found {self._tokens}: they were written or moved meanwhile"
        # Bound to a context that its target does not name, they are left as tokens of others.
        first = [NAME_CONTEXT] if self.column.others else []
        return Refusal(f"{self.column.label}: {found}", Steps(*first, RUN, RUN_AGAIN))

    def ignored(self) -> Refusal:
        """Tokens under the key where rotation.toml says that there are none."""
        reason = f"{self.column.label}: rotation.toml ignores it ({self.column.ignored}), and it holds {self._tokens}"
        remedy = _run_and_again("name it in a [[target]] in place of the [[ignore]]")
        return Refusal(reason, Steps(*self.column.remedies, RUN_AGAIN) if self.column.made_of else remedy)

    def copied(self) -> Refusal:
        """Tokens under the key in a copy of targets' columns."""
        is_partial = not self.column.refresh and all(share.where is not None for share in self.column.shares)
        ways = [NAME_ROWS] if is_partial else self.column.remedies
        return Refusal(f"{self._copy}: {self._tokens}", Steps(*ways, RUN_AGAIN))

    def unopened_copy(self) -> Refusal:
        """Tokens in a copy that may be under the key."""
        return Refusal(f"{self._copy}: {self._unopened}", Steps(*self.column.remedies, NOT_YOURS, RUN_AGAIN))

    def unsearched_copy(self, cells: int) -> Refusal:
        """Cells of a copy that are too large, or take too long."""
        reason = f"{self._copy}: {many(cells, 'cell')} of which not all was searched"
        return Refusal(reason, Steps(*self.column.remedies, NOT_YOURS, RUN_AGAIN))

    def unnamed(self) -> Refusal:
        """Tokens in a column without a target."""
        found = f": {self._tokens}" if self.column.under[self.evidence.key_id] else ""
        reason = f"{self.column.label}: holds tokens, and no target names it{found}"
        return Refusal(reason, Steps(*self.column.remedies, RUN_AGAIN))

    def unopened_unnamed(self) -> Refusal:
        """Tokens in a column without a target that may be under the key."""
        return Refusal(
            f"{self.column.label}: holds {self._unopened}, and no target names it",
            f"name it, with its context; if its tokens are another application's, say so in an [[ignore]], {AGAIN}",
        )


def in_blind_index(index: IndexValues, key_id: str) -> Refusal:
    """Values of a blind index under the key."""
    return Refusal(
        f"{index.label}: {many(index.under[key_id], 'value')} of a blind index under {key_id}, and no target names the "
        "column as its `index`",
        Steps(
            RUN.after("if a target of that table has the values, set its `index`, then:"),
            "otherwise have the application write these values again",
            RUN_AGAIN,
            f"if nothing looks rows up by them: --force {key_id}",
        ),
    )


def vanished(one: Unexplained, key_id: str) -> Refusal:
    """Tokens under the key that were counted once, and not moved."""
    return Refusal(
        f"{one.target.words}: the ledger knows of {many(one.tokens, 'token')} under {key_id} there, "
        f"counted at {to_second(one.counted)}; no run rotated them, and they were not found again",
        Steps(
            "if this is the wrong database, or the column is no target any more, correct rotation.toml",
            RUN.after("record what is there:"),
            f"if they are gone for good: --force {key_id}",
        ),
    )


def encrypts_with_another(one: InstanceRecord, primary: str, now: datetime) -> Refusal:
    """A running service that makes tokens under an older key."""
    act = f"give it {primary} as its primary key"
    return Refusal(f"{one.words} still encrypts with {one.primary}", restart(one, act, now))


def restart(instance: InstanceRecord, act: str, now: datetime) -> Steps:
    """The remedy for an instance that lacks a key: *act*, then the same command, which looks at everything again."""
    gone = instance.seen + LIVE
    seen = f"The old process announced itself {span(now - instance.seen)} ago, and counts as gone in {span(gone - now)}"
    return Steps(
        f"{act}, and restart it, unless it reloads: then wait two minutes. Restarted already? {seen}, "
        f"after {to_second(gone)}",
        THIS_AGAIN,
    )


def silent(one: InstanceRecord) -> Refusal:
    """A running service whose last reads are not known."""
    return Refusal(
        f"{one.words} announced itself each minute, and does no more: nobody knows what it has read since",
        Steps(
            f"see whether it still runs; if it was killed, it counts as gone after {to_second(one.seen + LIVE)}",
            THIS_AGAIN,
            Next(("--no-wait",), "without its word:", repeats=Repeats.COMMAND),
        ),
    )


def read_late(use: KeyUse, key_id: str, primary: str, key_set: str | None) -> Refusal:
    """Reads with the key that the tokens in the targets do not explain."""
    late, who = use.late, in_words(use.late, use.since)
    resume = Next(("keys", "resume", key_id), "let services read these tokens again:", key_set)
    back = [resume] if use.is_suspended and use.refused else []
    if not (use.by_run and use.since):
        return Refusal(f"reads with {key_id}: {who}; {of_last_run(use, primary)}", Steps(*back, RUN, THIS_AGAIN))
    reason = f"reads since the last complete run, of {to_second(use.since)}: {who}; so something outside of "
    reason += f"the targets holds tokens under {key_id}"
    if all(one.last and one.last - use.since <= SKEW for one in late):
        reason += ", or a clock was wrong: the times are close"
    return Refusal(reason, Steps(*back, LOOK_ELSEWHERE, RUN, THIS_AGAIN))


def _policy(use: KeyUse, key_id: str) -> str:
    return f"the policy (suspend_days): {key_id} has to be suspended for {many(use.days, 'day')} first"


def not_suspended(use: KeyUse, key_id: str, key_set: str | None) -> Refusal:
    """A key that was not on trial yet."""
    return Refusal(_policy(use, key_id), Next(("keys", "suspend", key_id), keys=key_set))


def still_opened(use: KeyUse, key_id: str) -> Refusal:
    """Services that do not know that the key is suspended."""
    reason = f"{_policy(use, key_id)}, and {'; '.join(use.opening[:SHOWN])} still opens its tokens"
    act = f"give it the keys of today, with {key_id} as a suspended one, and restart it"
    return Refusal(reason, Steps(act, THIS_AGAIN))


def undated_suspension(use: KeyUse, key_id: str) -> Refusal:
    """A key of which nobody knows how long it has been on trial."""
    reason = f"{_policy(use, key_id)}, and the ledger does not know since when it is"
    return Refusal(reason, CHECK.after("record it:"))


def on_trial(use: KeyUse, key_id: str, since: datetime, until: datetime) -> Refusal:
    """A key that has not been suspended for long enough."""
    reason = f"{_policy(use, key_id)}; it is since {to_second(since)}, so until {to_second(until)}"
    return Refusal(reason, CHECK.after(f"until {to_second(until)}, see what is refused:"))


def kept_by(words: str, refusal: Refusal) -> Refusal:
    """A *refusal* that is one of another key, made of the same secret, which has those *words*."""
    return Refusal(f"{words}, is made of the same secret, and this keeps it: {refusal.reason}", refusal.remedy)


def lost(whose: str, state: str, *, may_follow: bool) -> Refusal:
    """A primary or staged key of the set *whose*, made of the same secret. *may_follow*: it would go with the key."""
    reason = f"{whose} would have no {state} key" if may_follow else f"{whose} has it as its {state} key"
    return Refusal(reason, f"give {whose} a secret of its own")


def wraps_key(cell: str, key_set: str | None) -> Refusal:
    """A *cell* with a key of another set, which is a token under this one."""
    remedy = Steps(RUN, when=f'If no [[target]] has that column with keys = "{key_set}", add it. Then:')
    return Refusal(f"{cell} is a token under it", remedy)


def may_wrap_key(fault: str, key_id: str) -> Refusal:
    """A cell with a key of another set that cannot be read."""
    # A reason is one line.
    reason = fault.replace("\n", " ")
    return Refusal(
        f"{reason} It was not seen whether that token needs the key",
        Steps(f"correct that, {AGAIN}", f"if the application needs no key of it: --force {key_id}"),
    )


def not_loaded(fault: str) -> Refusal:
    """Another set whose keys do not load."""
    return Refusal(fault.replace("\n", " "), f"correct that, {AGAIN}")


def refused_by_services(label: str, tokens: int, key_id: str) -> Refusal:
    """Stored tokens that services refuse once the key is suspended."""
    stored = f"{label}: {many(tokens, 'token')} under {key_id} {be(tokens)} still stored"
    return Refusal(f"{stored}, and services would refuse {'it' if tokens == 1 else 'them'}", RUN)


def not_counted(fault: str, *, has_ledger: bool) -> Refusal:
    """A target without a count by which the key could be suspended."""
    remedy = RUN if has_ledger else RUN.after(f"{NAME_LEDGER}, then:")
    return Refusal(f"{fault}, so nobody knows what is stored under it; services would refuse that", remedy)
