"""The ledger's dates for tokens: the keys that are newer, and the retired key that a token may need. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from rotation.model.text import UTC_MINUTE


class Promotion(NamedTuple):
    """When a key became primary: not before *earliest*, if that is known, and not after *latest*.

    A command of this program gives both the same time; a key that was found primary became so at an earlier time.
    """

    earliest: datetime | None
    latest: datetime
    is_close: bool = False
    """True if it was later than the primary key's, perhaps because a clock was wrong."""

    @property
    def exact(self) -> bool:
        """True if the time itself is known."""
        return self.earliest == self.latest

    def words(self, form: str = UTC_MINUTE) -> str:
        """`2026-01-03 12:00 UTC`, `before 2026-01-03 12:00 UTC`, or `between ... and ...`."""
        latest = f"{self.latest:{form}}"
        if self.exact:
            return latest
        return f"between {self.earliest:{form}} and {latest}" if self.earliest else f"before {latest}"

    @property
    def causes(self) -> str:
        """The possible causes, in words, if it is later than the one of the primary key."""
        if self.is_close:
            return (
                "the keys look swapped, this configuration is an old one, or a clock was wrong: the two dates are close"
            )
        return "the keys look swapped, or this configuration is an old one"


class Retired(NamedTuple):
    """A retired key, and the time in which it encrypted, in seconds since 1970 as in tokens."""

    id: str
    begin: float | None
    """None: before the ledger's time."""
    end: float
    forced: bool = False
    """It was retired although something spoke against that, as after a leak."""


@dataclass(frozen=True)
class History:
    """The past of one service's keys, as far as a run needs it. It holds no secret, and may be pickled."""

    newer: Mapping[str, Promotion] = field(default_factory=dict)
    """Previous keys that were promoted later than the primary key, and when; their tokens are not moved back."""
    retired: tuple[Retired, ...] = ()

    def probable_key(self, issued: int) -> Retired | None:
        """The retired key that a token of that time is probably under; a token does not name its key."""
        held = [key for key in self.retired if (key.begin is None or key.begin <= issued) and issued <= key.end]
        # The key that was promoted last before that time: the others were previous keys by then.
        return max(held, key=lambda key: (key.begin is not None, key.begin or -key.end), default=None)

    def hint(self, issued: int) -> str | None:
        """Advice about a token of that time that no key opens."""
        key = self.probable_key(issued)
        if key is None:
            return None
        retired = f"retired {datetime.fromtimestamp(key.end, UTC):%Y-%m-%d}"
        if key.forced:
            return f"perhaps under {key.id}, {retired} although something spoke against it: restore no key that leaked"
        return f"probably under {key.id}, {retired}: restore that key if a backup brought this token"


UNKNOWN = History()
"""Without a ledger."""
