"""Why a step of a key's life is refused, and what deals with it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from rotation.ledger.records import LIVE, InstanceRecord

SECOND = "%Y-%m-%d %H:%M:%S UTC"
"""How a time is written where a second counts."""


class Refusal(NamedTuple):
    """A reason, and the command or deed that deals with it."""

    reason: str
    remedy: str


def promotion_refusals(fleet: Sequence[InstanceRecord], key_id: str) -> list[Refusal]:
    """One for each live instance that could not read what is written under the key *key_id*."""
    return [
        Refusal(
            f"{called(one)} does not have {key_id}",
            "give it the key, and restart it unless it reloads; one that is gone for good counts as gone "
            f"{LIVE // timedelta(minutes=1)} minutes after it was seen",
        )
        for one in fleet
        if key_id not in one.known
    ]


def retirement_refusals(fleet: Sequence[InstanceRecord], primary: str) -> list[Refusal]:
    """One for each live instance that encrypts under another key than *primary*."""
    return [
        Refusal(
            f"{called(one)} still encrypts with {one.primary}",
            f"give it {primary} as its primary key and restart it, then: rotate.py run",
        )
        for one in fleet
        if one.primary != primary
    ]


def called(instance: InstanceRecord) -> str:
    """An instance in words: `billing on web-1:4242 (seen 2026-01-03 12:00:00 UTC)`."""
    return f"{instance.service} on {instance.instance} (seen {at(instance.seen)})"


def at(time: datetime | float) -> str:
    """A time in words. A token may carry any number of seconds; one that no calendar has is given as it is."""
    if isinstance(time, datetime):
        return time.astimezone(UTC).strftime(SECOND)
    try:
        return at(datetime.fromtimestamp(time, UTC))
    except (OverflowError, ValueError, OSError):
        return f"second {time}"
