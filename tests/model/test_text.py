"""Numbers in sentences, times in words, and the time in a token."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from rotation.model.text import LAST, be, issued, many, to_minute, to_second


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 rows are"), (1, "1 row is"), (2, "2 rows are"), (2000, "2,000 rows are")]
)
def test_one_is_singular(number: int, words: str) -> None:
    """Noun and verb agree with the number, which has its thousands parted."""
    assert f"{many(number, 'row')} {be(number)}" == words


NOON = datetime(2026, 1, 3, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "time"),
    [
        pytest.param(0, datetime(1970, 1, 1, tzinfo=UTC), id="epoch"),
        pytest.param(int(NOON.timestamp()), NOON, id="today"),
        pytest.param(253402300799, LAST.replace(microsecond=0), id="last"),
        pytest.param(253402300800, None, id="after-9999"),
        pytest.param(2**64 - 1, None, id="most"),
    ],
)
def test_a_token_may_carry_any_time(seconds: int, time: datetime | None) -> None:
    """A calendar ends, a token's time does not."""
    assert issued(seconds) == time


def test_times_in_words_are_utc() -> None:
    """Whatever the zone; a token's seconds stand as they are if no calendar has them."""
    there = NOON.astimezone(timezone(timedelta(hours=5)))

    assert to_minute(there) == "2026-01-03 12:00 UTC"
    assert to_second(there) == to_second(NOON.timestamp()) == "2026-01-03 12:00:00 UTC"
    assert to_second(2**64 - 1) == "second 18446744073709551615"
