"""How much one text may cost: what is written to hold up a scan is masked, not read."""

from __future__ import annotations

from keyring_core.redaction.spans import Span

# Ordinary text has fewer places that are worth a closer look.
_LOOKS = 24
_CHARACTERS_A_LOOK = 64
# Looks that a secret costs besides: it is read to its end, merged and masked.
SECRET = 1
# What a text spells in other ways is searched too, so many times its own length in all.
_READINGS = 3
REST = "rest"


class Effort:
    """What is left for one text of *length* characters. So no text costs more than a multiple of its length."""

    __slots__ = ("looks", "reading")

    def __init__(self, length: int) -> None:
        self.looks = _LOOKS + length // _CHARACTERS_A_LOOK
        self.reading = length * _READINGS

    def look(self, cost: int = 1) -> bool:
        """Whether one more place may be looked at closely."""
        self.looks -= cost
        return self.looks >= 0

    def read(self, length: int) -> bool:
        """Whether another *length* characters may be searched."""
        self.reading -= length
        return self.reading >= 0


def rest(text: str, start: int) -> Span:
    """All of *text* from *start* on, where the effort for it has been spent."""
    return Span(start, len(text), REST)
