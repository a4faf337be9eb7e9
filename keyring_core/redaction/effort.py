"""The steps that one text may cost: what is written to hold up a scan is masked, not read."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from keyring_core.redaction.spans import Span

# Each place that may hold a secret costs a step, and two more to read what stands there.
READ = 2


class Effort:
    """The steps that are left for one search."""

    __slots__ = ("_steps",)

    def __init__(self, steps: float) -> None:
        self._steps = steps

    def step(self, steps: int = 1) -> bool:
        """Takes *steps*. False if they are not left."""
        self._steps -= steps
        return self._steps >= 0


Limit: TypeAlias = Callable[[int], Effort]
"""Gives the steps for one search of a text by its length."""


def bounded(length: int) -> Effort:
    """The steps for a text of *length* characters: dense text, such as a list of settings, takes one for eight."""
    return Effort(96 + length // 8)


def unbounded(_length: int) -> Effort:
    """Enough steps, for text of which all but a few characters are known to be harmless."""
    return Effort(math.inf)


def rest(text: str, start: int) -> Span:
    """All of *text* from *start* on, where the steps for it have been taken."""
    return Span(start, len(text), "rest")
