"""The steps that one text may cost: what is written to hold up a scan is masked, not read."""

from __future__ import annotations

from keyring_core.redaction.spans import Span

# Each place that may hold a secret costs a step, and two more to read what stands there. Dense text, such as a list of
# settings or a help text about passwords, takes one step for eight characters.
_STEPS = 96
_CHARACTERS_A_STEP = 8
READ = 2
# What a text spells in other ways is searched as well: three levels of a short text, twice the length of a long one.
_CHARACTERS_SPELT = 1024
REST = "rest"


class Effort:
    """The steps that are left for one search of a text of *length* characters."""

    __slots__ = ("_steps",)

    def __init__(self, length: int) -> None:
        self._steps = _STEPS + length // _CHARACTERS_A_STEP

    def step(self, steps: int = 1) -> bool:
        """Takes *steps*. False if they are not left."""
        self._steps -= steps
        return self._steps >= 0


class Unlimited(Effort):
    """For text of which all but a few characters are known to be harmless."""

    __slots__ = ()

    def step(self, steps: int = 1) -> bool:  # noqa: ARG002
        """Always."""
        return True


class Scan:
    """One scan of a text and of what it spells: the limit of each search, and the characters that it may spell."""

    __slots__ = ("characters", "effort")

    def __init__(self, length: int, effort: type[Effort] = Effort) -> None:
        self.effort = effort
        self.characters = _CHARACTERS_SPELT + 2 * length

    def spells(self, length: int) -> bool:
        """Takes *length* characters. False if the text spells too many."""
        self.characters -= length
        return self.characters >= 0


def rest(text: str, start: int) -> Span:
    """All of *text* from *start* on, where the steps for it have been taken."""
    return Span(start, len(text), REST)
