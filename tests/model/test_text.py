"""Numbers in sentences, times in words, and the time in a token."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from rotation.model.text import LAST, be, issued, many, size_of, time_left, to_minute, to_second


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


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than a minute left"),
        (59, "less than a minute left"),
        (60, "about 1 minute left"),
        (170, "about 3 minutes left"),
        (7000, "about 117 minutes left"),
        (7200, "about 2 hours left"),
        (200_000, "about 56 hours left"),
    ],
)
def test_the_time_in_words(seconds: int, words: str) -> None:
    """Rounded: it is an estimate."""
    assert time_left(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (16_384, "16 kB"),
        (1_999_999, "1 MB"),
        (12_440_000_000, "12.4 GB"),
        (340_900_000_000, "340 GB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_the_size_in_words(count: int, words: str) -> None:
    """As disks are sold: a kB has 1000 bytes."""
    assert size_of(count) == words
