"""What the ledger's dates tell of tokens: which way would be back, and which retired key they may need. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from rotation.model.times import UTC_MINUTE


class Promotion(NamedTuple):
    """When a key became primary: not before *earliest*, where that is known, and not after *latest*.

    A step of this program gives both the same time; a key that was found primary became so at some time before.
    """

    earliest: datetime | None
    latest: datetime

    @classmethod
    def of(cls, exact: datetime | None, after: datetime | None, before: datetime | None) -> Promotion | None:
        """From the dates that a ledger holds; None where it has none."""
        if exact:
            return cls(exact, exact)
        return cls(after, before) if before else None

    @property
    def exact(self) -> bool:
        """Whether the time itself is known."""
        return self.earliest == self.latest

    def words(self, form: str = UTC_MINUTE) -> str:
        """`2026-01-03 12:00 UTC`, `before 2026-01-03 12:00 UTC`, or `between ... and ...`."""
        latest = f"{self.latest:{form}}"
        if self.exact:
            return latest
        return f"between {self.earliest:{form}} and {latest}" if self.earliest else f"before {latest}"


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
