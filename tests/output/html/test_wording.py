"""Numbers and dates as the page writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from rotation.ledger.records import KeyRecord
from rotation.output.html.page import day, issued, moment, promoted, share


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 0, "0 %"),
        (0, 5, "0 %"),
        (5, 5, "all"),
        (1, 3, "33.3 %"),
        (1, 10**9, "0.1 %"),
        (10**9 - 1, 10**9, "99.9 %"),
    ],
)
def test_a_share_is_never_rounded_to_all_or_nothing(part: int, whole: int, shown: str) -> None:
    """99.99 % is not all of it."""
    assert share(part, whole) == shown


def test_times_are_shown_in_utc() -> None:
    """Whatever zone a time comes in."""
    when = datetime(2026, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=5)))

    assert ">2025-12-31<" in day(when)
    assert ">2025-12-31 20:30<" in moment(when)
    assert moment(None) == day(None)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "1970-01-01"),
        (253402300799, "9999-12-31"),
        (253402300800, "after 9999"),
        (2**64 - 1, "after 9999"),
        (None, "–"),  # noqa: RUF001
    ],
)
def test_a_tokens_time_may_be_any_number(seconds: int | None, shown: str) -> None:
    """T44: a calendar ends, a token's time does not."""
    assert shown in issued(seconds)


FIRST, LATER = datetime(2026, 1, 3, tzinfo=UTC), datetime(2026, 2, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        pytest.param(KeyRecord("k", "s", FIRST, promoted=LATER), "2026-02-03", id="a step made it so"),
        pytest.param(KeyRecord("k", "s", FIRST, promoted_before=FIRST), "before 2026-01-03", id="found so"),
        pytest.param(
            KeyRecord("k", "s", FIRST, promoted_after=FIRST, promoted_before=LATER),
            "between 2026-01-03 and 2026-02-03",
            id="between two checks",
        ),
        pytest.param(KeyRecord("k", "s", FIRST), "before 2026-01-03", id="a previous key at first"),
        pytest.param(KeyRecord("k", "s", FIRST, staged=FIRST), "–", id="staged"),  # noqa: RUF001 - a dash
        pytest.param(None, "–", id="unknown"),  # noqa: RUF001
    ],
)
def test_a_promotion_is_dated_as_far_as_it_is_known(key: KeyRecord | None, shown: str) -> None:
    """A date that is not known is never guessed."""
    assert promoted(key).striptags() == shown
