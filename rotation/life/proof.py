"""Whether a key may go: what a fresh census says of it, and the certificate. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from rotation.ledger.records import InstanceRecord, Promotion
from rotation.life.refusals import SECOND, Refusal, at, retirement_refusals
from rotation.report import Report, TargetReport
from rotation.wording import many

CERTIFICATE_VERSION = 1


@dataclass(frozen=True)
class Evidence:
    """What is known when a key is to be retired."""

    key_id: str
    previous: tuple[str, ...]
    """The ids of all previous keys, this one among them."""
    census: Report
    """Of every target, fresh and full."""
    promoted: Promotion | None = None
    """When the primary key became primary; None where no ledger tells."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Tokens under the key in rows that a target's `where` leaves out, by the target's label."""
    unnamed: Collection[str] = ()
    """Columns that hold tokens of these keys, or one too large to be tried, and that no target names."""
    unopened: Collection[str] = ()
    """Such columns whose tokens no key opens: they may be bound to a context that no target names."""
    unseen: str | None = None
    """Why it cannot be said that there is no such column."""
    fleet: Sequence[InstanceRecord] = ()


def refusals(evidence: Evidence) -> list[Refusal]:
    """Every reason why the key must stay; none: nothing needs it."""
    found = [refusal for target in evidence.census.targets for refusal in _target_refusals(target, evidence)]
    found += [
        Refusal(
            f"{label}: {many(tokens, 'token')} under {evidence.key_id}, in rows that its `where` leaves out",
            "name these rows in a [[target]] of their own, then: rotate.py run",
        )
        for label, tokens in evidence.left_out.items()
        if tokens
    ]
    found += [
        Refusal(f"{column}: holds tokens, and no target names it", "rotate.py discover prints the entry to add")
        for column in evidence.unnamed
    ]
    found += [
        Refusal(
            f"{column}: holds tokens that no key opens unless they are bound, and no target names it",
            f"name it, with its context; where they are another application's: --force {evidence.key_id}",
        )
        for column in evidence.unopened
    ]
    if evidence.unseen:
        found.append(Refusal(f"columns that no target names: {evidence.unseen}", "mend that, then run this again"))
    return found + retirement_refusals(evidence.fleet, evidence.census.primary)


def _target_refusals(target: TargetReport, evidence: Evidence) -> Iterator[Refusal]:
    label, counts = target.target.label, target.counts
    if target.stopped:
        yield Refusal(f"{label}: it was not read to the end: {target.stopped}", "mend that, then run this again")
    if tokens := counts.under[evidence.key_id]:
        yield Refusal(f"{label}: {many(tokens, 'token')} under {evidence.key_id}", "rotate.py run")
    if counts.unreadable:
        yield Refusal(
            f"{label}: {counts.unreadable:,} unreadable, which may need {evidence.key_id}",
            "rotate.py status names the rows: mend or empty them",
        )
    if nameless := counts.categories["no-key"]:
        yield Refusal(f"{label}: {nameless:,} not read, for a NULL in the row's key", "give them a key")
    for key_id in evidence.previous:
        youngest = counts.youngest.get(key_id)
        # Only what is younger than the latest possible time was surely written after it.
        if evidence.promoted and youngest is not None and youngest > evidence.promoted.latest.timestamp():
            exact = "at " if evidence.promoted.exact else ""
            yield Refusal(
                f"{label}: a token under {key_id} was made at {at(youngest)}, after {evidence.census.primary} was "
                f"promoted {exact}{evidence.promoted.words(SECOND)}: a service still encrypts with {key_id}",
                f"give every service {evidence.census.primary} as its primary key, then: rotate.py run",
            )


def certificate(
    evidence: Evidence,
    service: str,
    now: datetime,
    *,
    overridden: Sequence[Refusal] = (),
    unchecked: Sequence[str] = (),
) -> dict[str, Any]:
    """What was proven, for whoever asks later; where the retirement was forced, against which reasons."""
    return {
        "certificate": CERTIFICATE_VERSION,
        "key": evidence.key_id,
        "service": service,
        "retired": now.astimezone(UTC).isoformat(timespec="seconds"),
        "primary": evidence.census.primary,
        **_promotion_document(evidence.promoted),
        "tool": f"keyring-core {version('keyring-core')}",
        "forced": bool(overridden),
        "overridden": [refusal.reason for refusal in overridden],
        "unchecked": list(unchecked),
        "instances": [f"{one.service} on {one.instance}" for one in evidence.fleet],
        "rows": sum(target.counts.scanned + target.counts.nulls for target in evidence.census.targets),
        "targets": [_target_document(target) for target in evidence.census.targets],
    }


def may_hold_certificate(data: bytes) -> bool:
    """Whether a file with that content is there for a certificate: it is empty, or holds an older one."""
    if not data.strip():
        return True
    try:
        document = json.loads(data)
    except ValueError:
        return False
    return isinstance(document, dict) and "certificate" in document


def _promotion_document(promotion: Promotion | None) -> dict[str, str | None]:
    """The time; of a key that was found primary those between which it was."""
    earliest, latest = promotion or (None, None)
    known = promotion is not None and promotion.exact
    return {
        "promoted": _iso(latest) if known else None,
        "promoted_after": None if known else _iso(earliest),
        "promoted_before": None if known else _iso(latest),
    }


def _iso(when: datetime | None) -> str | None:
    return when.astimezone(UTC).isoformat(timespec="seconds") if when else None


def _target_document(target: TargetReport) -> dict[str, Any]:
    counts = target.counts
    return {
        "name": target.target.name,
        "table": target.target.table,
        "column": target.target.column,
        "rows": counts.scanned + counts.nulls,
        "current": counts.current,
        "empty": counts.empty,
        "plaintext": counts.plaintext,
        "unreadable": counts.unreadable,
        "conflicts": counts.conflicts,
        "null": counts.nulls,
        "under": dict(counts.under),
    }
