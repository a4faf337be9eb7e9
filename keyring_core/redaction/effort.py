"""How much one text may cost: what is written to hold up a scan is masked, not read."""

from __future__ import annotations

from keyring_core.redaction.spans import Span

# Ordinary text has fewer places that may hold a secret. Most of these are ruled out by a word or two.
_STEPS = 40
_CHARACTERS_A_STEP = 16
# Steps that it takes to read what stands at such a place.
READ = 2
# What a text spells in other ways is searched as well: three levels of a short text, twice the length of a long one.
_CHARACTERS_SPELT = 1024
REST = "rest"


class Effort:
    """What is left for one text of *length* characters. So no text costs more than a multiple of its length."""

    __slots__ = ("characters", "steps")

    def __init__(self, length: int) -> None:
        self.steps = _STEPS + length // _CHARACTERS_A_STEP
        self.characters = _CHARACTERS_SPELT + 2 * length

    def step(self, steps: int = 1) -> bool:
        """Whether so many more *steps* may be taken."""
        self.steps -= steps
        return self.steps >= 0

    def search(self, length: int) -> bool:
        """Whether another *length* characters may be searched."""
        self.characters -= length
        return self.characters >= 0


def rest(text: str, start: int) -> Span:
    """All of *text* from *start* on, where the effort for it has been spent."""
    return Span(start, len(text), REST)
