"""Checks of what is stored: tokens, by key and time, and cells that hold none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from keyring_core import UndecryptableToken
from rotation.checks.facts import Facts, Finding, Level, TargetFacts
from rotation.configuration.policy import Policy
from rotation.ledger.records import history_of, missing
from rotation.model.counts import KEPT_PROBLEMS
from rotation.model.next_steps import LIST_ROWS, NAME_CONTEXT, RUN, Steps
from rotation.model.report import NOT_UNREADABLE
from rotation.model.text import issued, many, span, to_minute

if TYPE_CHECKING:
    from rotation.ledger.records import CensusRecord


def check_tokens_left(facts: Facts, policy: Policy, now: datetime) -> Iterator[Finding]:
    """Tokens are left under previous keys, longer after the promotion of the primary key than the policy allows; or
    cells are left that another package wrote.

    Remedy: `keyring-rotate run`; schedule it if it does not run by itself.
    """
    left = Counter[str]()
    demotion = facts.demotion(policy)
    for target, key_id in facts.previous_in_targets():
        left[target.label] += target.counts.under[key_id]
    for label, tokens in left.items():
        if demotion:
            # A run leaves them, since their key is newer than the primary one.
            words, causes, steps = demotion
            message = f"{many(tokens, 'token')} under previous keys, and {words}: {causes}"
            yield Finding(Level.WARNING, label, message, steps)
            continue
        if facts.promotion is None:
            yield Finding(Level.UNKNOWN, label, "the ledger has no date of the primary key", RUN)
            return
        since = now - facts.promotion.latest
        level = Level.WARNING if since > policy.max_left_age else Level.OK
        after = f"{'' if facts.promotion.exact else 'at least '}{span(since)} after the promotion of {facts.primary}"
        message = f"{many(tokens, 'token')} under previous keys, {after}"
        yield Finding(level, label, message, RUN)
    for target in facts.targets:
        # A census that a run left has those that it has taken over.
        if cells := min(target.counts.taken_over, target.counts.to_rotate):
            message = f"{many(cells, 'cell')} of another package, which no key of this keyring opens"
            yield Finding(Level.WARNING, target.label, message, RUN)
        if rows := min(target.counts.reindexed, target.counts.to_rotate):
            message = f"{many(rows, 'row')} that lookups miss: the blind index is of another normal form or value"
            yield Finding(Level.WARNING, target.label, message, RUN)


def check_lagging_services(facts: Facts, policy: Policy, now: datetime) -> Iterator[Finding]:
    """A service still encrypts under a previous key: it has not loaded the new one.

    Remedy: reload or restart the service that writes to this target, then `keyring-rotate run`.
    """
    for target, key_id in facts.previous_in_targets():
        since = facts.superseded(key_id)
        youngest = issued(target.counts.youngest.get(key_id, 0))
        # A time in the future does not say when it was written; check_future_tokens reports it.
        if since is None or youngest is None or youngest > now + policy.max_clock_skew:
            continue
        late = youngest - since
        if late > policy.max_reload_age:
            level = Level.CRITICAL if late > policy.max_left_age else Level.WARNING
            message = f"a token was written under {key_id} at {to_minute(youngest)}, {span(late)} after it was replaced"
            remedy = RUN.after("reload the service that writes there, then:")
            yield Finding(level, target.label, message, remedy)
    if facts.promoted is not None and now - facts.promoted > policy.max_reload_age:
        for instance in facts.instances:
            if instance.seen - facts.promoted > policy.max_reload_age and instance.primary != facts.primary:
                at = to_minute(instance.seen)
                message = f"it had {instance.primary} as its primary key at {at}, not {facts.primary}"
                yield Finding(Level.WARNING, instance.instance, message, "reload or restart it")


def check_unreadable(facts: Facts, _policy: Policy, _now: datetime) -> Iterator[Finding]:
    """Cells cannot be read: no key opens them, or they are damaged; what is new since the last check is CRITICAL.

    Remedy: look at the rows with `keyring-rotate run --dry-run --problems problems.jsonl`; keep every key until they
    are settled.
    """
    for target in facts.targets:
        total = target.counts.unreadable
        if not total:
            continue
        new, remedy = _new_unreadable(target), Steps(LIST_ROWS)
        unknown = target.counts.categories[UndecryptableToken.category]
        gone = ", ".join(key.id for key in missing(facts.keys or (), facts.records, facts.service))
        if unknown and (gone or unknown > sum(target.counts.under.values())):
            lost = f"a key may be missing here{gone and f' ({gone}, primary before)'}; compare with your services:"
            remedy = Steps(facts.keys_step("list", when=lost), LIST_ROWS)
        if unknown and target.census.target.context is None:
            remedy = Steps(remedy, NAME_CONTEXT)
        since = f" since the last check, {total:,} in all" if new else ", as at the last check"
        message = f"{many(new or total, 'cell')} unreadable{since}: {_kinds(target)}"
        yield Finding(Level.CRITICAL if new else Level.WARNING, target.label, message, remedy)


def check_retired_key(facts: Facts, _policy: Policy, _now: datetime) -> Iterator[Finding]:
    """Tokens that no key opens date from the time of a retired key, and so may be under it.

    Remedy: if a backup from its time was restored, `keyring-rotate keys restore ID --archive ID.keys` puts that key
    back among the previous ones, then `keyring-rotate run`; otherwise compare these rows with a backup, since damage
    and forgery look the same.
    """
    history = history_of(facts.primary or "", facts.older, facts.records, facts.service)
    for target in facts.targets:
        probable = Counter(key for time in target.counts.lost if (key := history.probable_key(time)))
        # The list of times is capped, and a count of it with it.
        at_least = "at least " if len(target.counts.lost) >= KEPT_PROBLEMS else ""
        for key, number in probable.items():
            message = (
                f"{at_least}{many(number, 'token')} that no key opens, from the time of {key.id}, "
                f"retired at {to_minute(datetime.fromtimestamp(key.end, UTC))}"
            )
            archive = facts.archives.get(key.id, f"{key.id}.keys")
            restored = "if a backup from its time was restored:"
            remedy = Steps(
                "compare these rows with a backup: damage and forgery look alike, so never restore a key that leaked",
                facts.keys_step("restore", key.id, "--archive", archive, when=restored),
                RUN,
            )
            yield Finding(Level.CRITICAL, target.label, message, remedy)


def check_plaintext(facts: Facts, _policy: Policy, _now: datetime) -> Iterator[Finding]:
    """Cells of a target hold plain text where tokens belong.

    Remedy: find the rows with `keyring-rotate run --dry-run --problems problems.jsonl`, and let the service write them
    again; or let `keyring-rotate adopt` encrypt them.
    """
    for target in facts.targets:
        if number := target.counts.plaintext:
            yield Finding(Level.CRITICAL, target.label, f"plain text in {many(number, 'cell')}", LIST_ROWS)


def check_double_encryption(facts: Facts, _policy: Policy, _now: datetime) -> Iterator[Finding]:
    """Tokens decrypt to other tokens: something was encrypted twice, and its inner key is not rotated.

    Remedy: fix the code that encrypts a token once more; keep every key until these cells are written again.
    """
    remedy = "fix the code that encrypts twice, write these cells again, and retire no key until then"
    for target in facts.targets:
        if number := target.counts.nested:
            yield Finding(Level.WARNING, target.label, f"{many(number, 'token')} with another token inside", remedy)


def check_future_tokens(facts: Facts, policy: Policy, now: datetime) -> Iterator[Finding]:
    """Tokens carry times in the future: the clock of the machine that wrote them, or of this one, is wrong.

    Remedy: set the clocks by NTP; such a token expires late, or is refused if a ttl is given.
    """
    latest = (now.astimezone(UTC) + policy.max_clock_skew).timestamp()
    for target in facts.targets:
        for key_id, seconds in target.counts.youngest.items():
            if seconds > latest:
                when = issued(seconds)
                message = f"a token under {key_id} is of {to_minute(when) if when else 'a time beyond any calendar'}"
                remedy = "set the clock of the machine that wrote it, and of this one, by NTP"
                yield Finding(Level.WARNING, target.label, message, remedy)


def _new_unreadable(target: TargetFacts) -> int:
    """The number of cells that became unreadable since the last check, also if there are too many to mark each."""
    now, before = target.census, target.before
    if before is None:
        return now.counts.unreadable
    new = len(now.unreadable_marks - before.unreadable_marks)
    if now.sampled or before.sampled:
        return new
    # Rows without a mark can only be compared by number.
    more = max(0, now.counts.unreadable - before.counts.unreadable)
    return max(new, more) if _all_marked(before) else more


def _all_marked(census: CensusRecord) -> bool:
    return len(census.unreadable_marks) >= census.counts.unreadable


def _kinds(target: TargetFacts) -> str:
    found = Counter(target.counts.categories)
    kinds = [f"{number:,} {kind}" for kind, number in found.most_common() if kind not in NOT_UNREADABLE]
    if target.before and not (_all_marked(target.census) and _all_marked(target.before)):
        kinds.append("compared by number, since not all rows are listed")
    return ", ".join(kinds)
