"""When tokens were issued: their months, coarsely and cheaply."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter

_COARSE = itemgetter(slice(1, 7))
"""The first six of a timestamp's eight bytes: steps of 65,536 seconds, some 18 hours."""
_STEP = 16
_LAST = datetime(9999, 12, 31, tzinfo=UTC)


def months(signed: Iterable[bytes]) -> Counter[str]:
    """Tokens per month of issue, as "2026-01" in UTC, from their signed parts; nine hours off at most."""
    found: Counter[str] = Counter()
    for step, tokens in Counter(map(_COARSE, signed)).items():
        found[_month(step)] += tokens
    return found


# A service's tokens lie within a few years, and a year has 481 steps.
@lru_cache(maxsize=8192)
def _month(step: bytes) -> str:
    middle = (int.from_bytes(step, "big") << _STEP) + (1 << _STEP - 1)
    # A token may bear any time up to 2**64 - 1; a calendar ends with the year 9999.
    return f"{datetime.fromtimestamp(min(middle, _LAST.timestamp()), UTC):%Y-%m}"
