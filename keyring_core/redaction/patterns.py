"""What a shape is, and how its pattern is matched: anchored, bounded, compiled when first needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from keyring_core.redaction.spans import MASK_START, Span


class Shape(NamedTuple):
    """*pattern* is matched where *gate* stands; what its last named group (else all of it) matches is the secret.

    Bare numbers in it are none, unless *numbers* says so.
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


# Numbers, since an enum's hash, which the cache asks for, is slow.
EXACT = int(re.ASCII)
EXACT_VERBOSE = int(re.ASCII | re.VERBOSE)
ANY_CASE = int(re.ASCII | re.IGNORECASE)
ANY_CASE_VERBOSE = int(re.ASCII | re.IGNORECASE | re.VERBOSE)


@cache
def compiled(pattern: str, flags: int = EXACT) -> re.Pattern[str]:
    """*pattern*, compiled once. Nothing is compiled by an import."""
    return re.compile(pattern, flags)


_NUMBERS = re.compile(r"[\d\s.,()\[\]{}+-]*")


def hidden(found: re.Match[str], shape: Shape) -> Iterator[Span]:
    """The secret in a match of *shape*: its group that took part, else all of it. Masks are none."""
    group = found.lastgroup or 0
    secret = found[group]
    if not secret.startswith(MASK_START) and (shape.numbers or not _NUMBERS.fullmatch(secret)):
        yield Span(found.start(group), found.end(group), shape.label)
