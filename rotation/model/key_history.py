"""What the ledger's dates tell of tokens: which way would be back, and which retired key they may need. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rotation.ledger.records import KeyRecord, Promotion


class Retired(NamedTuple):
    """A key that is gone, and the time in which it encrypted; in seconds since 1970, as in tokens."""

    id: str
    begin: float | None
    """None: before the ledger's time."""
    end: float


@dataclass(frozen=True)
class History:
    """The past of one service's keys, as far as a run needs it. Nothing in it is secret, and it may be pickled."""

    newer: Mapping[str, Promotion] = field(default_factory=dict)
    """Previous keys that were promoted later than the primary key, and when: its tokens are not moved back."""
    retired: tuple[Retired, ...] = ()

    def probable_key(self, issued: int) -> Retired | None:
        """The retired key that a token of that time is probably under: a token does not name its key."""
        held = [key for key in self.retired if (key.begin is None or key.begin <= issued) and issued <= key.end]
        # The one that took over last before: the others were previous keys by then.
        return max(held, key=lambda key: (key.begin is not None, key.begin or -key.end), default=None)

    def hint(self, issued: int) -> str | None:
        """What to do about a token of that time that no key opens."""
        key = self.probable_key(issued)
        if key is None:
            return None
        retired = datetime.fromtimestamp(key.end, UTC)
        return f"probably under {key.id}, retired {retired:%Y-%m-%d}: restore that key from your archive"

    def demotion(self, key_id: str) -> str | None:
        """Why tokens under that key stay, where the primary key is the older one."""
        promoted = self.newer.get(key_id)
        if promoted is None:
            return None
        return f"under {key_id}, promoted {promoted.words()}, later than the primary key"


UNKNOWN = History()
"""Without a ledger."""


def history_of(primary: str, previous: Collection[str], records: Iterable[KeyRecord], service: str) -> History:
    """What *records* tell a run of *service* with these keys."""
    own = {record.id: record for record in records if record.service == service}
    return History(
        _promoted_later(own[primary], [own[key_id] for key_id in previous if key_id in own]) if primary in own else {},
        tuple(_retired(record) for record in own.values() if record.id not in {primary, *previous} and record.retired),
    )


def took_over(primary: str, previous: Collection[str], records: Iterable[KeyRecord], service: str) -> Promotion | None:
    """When the primary key took over from the *previous* ones, as far as the ledger knows; None: it does not.

    Nor does it where one of these was promoted later: somebody has put the primary key back, and nobody saw when.
    """
    own = {record.id: record for record in records if record.service == service}
    if primary not in own or _promoted_later(own[primary], [own[key_id] for key_id in previous if key_id in own]):
        return None
    return own[primary].promotion


def _promoted_later(primary: KeyRecord, previous: Iterable[KeyRecord]) -> dict[str, Promotion]:
    # A primary key that was never promoted was a previous one when it was first seen: older than all that were.
    # Of a key that was found primary the latest possible time counts: it was seen in that order.
    return {
        key.id: key.promotion
        for key in previous
        if key.promotion and (primary.promotion is None or primary.promotion.latest < key.promotion.latest)
    }


def _retired(record: KeyRecord) -> Retired:
    # It may have encrypted from the earliest possible time on.
    begin = record.promotion and record.promotion.earliest
    end = record.retired.timestamp() if record.retired else 0
    return Retired(record.id, begin.timestamp() if begin else None, end)
