"""Shapes of secrets and their patterns: anchored, bounded, compiled on first use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from keyring_core.redaction.spans import MASK_START, Span


class Shape(NamedTuple):
    """*pattern* is matched wherever *gate* occurs. Its last named group, or all of it, is the secret.

    A match of nothing but numbers is no secret, unless *numbers* is set.
    """

    gate: str
    pattern: str
    label: str
    numbers: bool = False


def by_gate(*shapes: Shape) -> dict[str, tuple[Shape, ...]]:
    """*shapes* under their gates."""
    gates: dict[str, tuple[Shape, ...]] = {}
    for shape in shapes:
        gates[shape.gate] = (*gates.get(shape.gate, ()), shape)
    return gates


# Numbers: the cache hashes them, and an enum's hash is slow.
EXACT = int(re.ASCII)
EXACT_VERBOSE = int(re.ASCII | re.VERBOSE)
ANY_CASE = int(re.ASCII | re.IGNORECASE)
ANY_CASE_VERBOSE = int(re.ASCII | re.IGNORECASE | re.VERBOSE)


@cache
def compiled(pattern: str, flags: int = EXACT) -> re.Pattern[str]:
    """*pattern*, compiled once, and not by an import."""
    return re.compile(pattern, flags)


_NUMBERS = re.compile(r"[\d\s.,()\[\]{}+-]*")


def hidden(found: re.Match[str], shape: Shape) -> Iterator[Span]:
    """The secret in a match of *shape*: its matched group, or all of it. A mask is not a secret."""
    group = found.lastgroup or 0
    secret = found[group]
    if not secret.startswith(MASK_START) and (shape.numbers or not _NUMBERS.fullmatch(secret)):
        yield Span(found.start(group), found.end(group), shape.label)
