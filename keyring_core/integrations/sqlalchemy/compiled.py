"""What is known of a compiled statement: SQLAlchemy keeps it for the next execution, and this with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def once(compiled: Any, name: str, make: Callable[[Any], T]) -> T:
    """What *make* returns for *compiled*: made once, and kept as its attribute *name*."""
    known: dict[str, T] = compiled.__dict__
    try:
        return known[name]
    except KeyError:
        made = known[name] = make(compiled)
        return made
