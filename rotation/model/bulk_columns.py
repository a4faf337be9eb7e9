"""Values by the thousand, in the interpreter's own loops: a call of a function for each costs more than they do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any, TypeVar, cast

T = TypeVar("T", bound=tuple[Any, ...])


def each(kind: type[T], *columns: Iterable[Any]) -> list[T]:
    """What `kind(*row)` makes of each row of *columns*, for a named tuple *kind*; its own `__new__` is a function."""
    make = cast(Any, tuple.__new__)
    return list(map(make, repeat(kind), zip(*columns, strict=True)))


def are_all(values: Iterable[object], *kinds: type) -> bool:
    """Whether each of *values* is of one of *kinds*, exactly."""
    return set(map(type, values)).issubset(kinds)


def weight_of(values: Sequence[object]) -> int:
    """How many characters and bytes the texts among *values* have."""
    texts = values if are_all(values, str, bytes) else [value for value in values if isinstance(value, str | bytes)]
    return sum(map(len, cast(Sequence[str], texts)))
