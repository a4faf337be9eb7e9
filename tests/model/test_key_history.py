"""The ledger's dates: the keys that are newer, and the key that a lost token needs."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from keyring_core import Key, Keyring
from rotation.ledger.records import KeyRecord, history_of, took_over
from rotation.model.key_history import UNKNOWN, History, Promotion
from rotation.planning.planner import Planner
from tests.conftest import Named
from tests.fakes import batch_of, token

DAY = timedelta(days=1)
T0 = datetime(2026, 1, 1, tzinfo=UTC)


def record(key_id: str, promoted: int | None, *, retired: int | None = None, staged: int | None = None) -> KeyRecord:
    """A key's dates, in days; one that was staged was first seen then."""
    days = [None if day is None else T0 + day * DAY for day in (staged, promoted, retired)]
    return KeyRecord(key_id, "billing", T0 + (staged or 0) * DAY, staged=days[0], promoted=days[1], retired=days[2])


def found(key_id: str, before: int, after: int | None = None, *, retired: int | None = None) -> KeyRecord:
    """A key that was found primary."""
    days = [None if day is None else T0 + day * DAY for day in (retired, before, after)]
    return KeyRecord(
        key_id, "billing", T0 + before * DAY, retired=days[0], promoted_before=days[1], promoted_after=days[2]
    )


def newer(*records: KeyRecord, primary: str = "one", previous: tuple[str, ...] = ("two",)) -> list[str]:
    return list(history_of(primary, previous, records, "billing").newer)


def test_a_key_that_was_promoted_later_is_newer() -> None:
    """R08: whatever the order in the environment."""
    assert newer(record("one", 1), record("two", 2)) == ["two"]
    assert newer(record("one", 2), record("two", 1)) == []
    assert newer(record("one", 2), record("two", 2)) == []


def test_a_primary_key_that_was_a_previous_one_at_first_is_the_older() -> None:
    """R09: keys that are swapped on the day after the ledger was made; a previous key has no date yet."""
    assert newer(record("one", None), record("two", 0)) == ["two"]
    assert newer(record("one", 0), record("two", None)) == []


def test_of_keys_that_were_found_primary_the_later_find_is_the_newer() -> None:
    """R09: between two looks nobody knows the time, and still the order in which they were seen."""
    assert newer(found("one", 0), found("two", 3, 1)) == ["two"]
    assert newer(found("one", 3, 1), found("two", 0)) == []
    assert newer(found("one", 0), record("two", 3)) == ["two"]
    assert newer(record("one", None), found("two", 0)) == ["two"]


@pytest.mark.parametrize(
    ("primary", "promotion"),
    [
        pytest.param(record("one", 3), Promotion(T0 + 3 * DAY, T0 + 3 * DAY), id="a step made it so"),
        pytest.param(found("one", 3, 2), Promotion(T0 + 2 * DAY, T0 + 3 * DAY), id="found so"),
        pytest.param(record("one", 0), None, id="put back by hand: two was promoted later"),
        pytest.param(record("one", None), None, id="it was a previous key at first"),
        pytest.param(record("three", 3), None, id="the ledger does not know it"),
    ],
)
def test_when_a_key_took_over(primary: KeyRecord, promotion: Promotion | None) -> None:
    """Younger tokens were written after it; keys that were put back by hand have no time."""
    assert took_over("one", ["two"], [primary, record("two", 1)], "billing") == promotion


def test_what_is_not_known_is_no_reason_to_stop() -> None:
    """A key the ledger never saw, another service's dates, or no ledger at all."""
    assert newer() == []
    assert newer(record("two", 2)) == []
    assert newer(record("one", 1)) == []
    assert newer(record("one", 1), replace(record("two", 2), service="shop")) == []
    assert newer(record("one", 1), record("two", 2), previous=()) == []


def at(day: float) -> int:
    return int((T0 + day * DAY).timestamp())


PAST = history_of(
    "now",
    ["before"],
    [
        found("first", 0, retired=30),
        record("second", 10, retired=95, staged=8),
        record("third", 20, retired=90, staged=18),
        record("before", 30, staged=28),
        record("now", 40, staged=38),
        replace(record("foreign", 0, retired=90), service="shop"),
    ],
    "billing",
)


def test_a_lost_token_needs_the_key_of_its_time(named: Named) -> None:
    """R32: the retired key that took over last before the token was made, and was not retired yet."""
    cases = {
        "long before the ledger": (-900, "first"),
        "in the first key's time": (5, "first"),
        "when two of them were known, the one that was primary": (15, "second"),
        "when three were": (25, "third"),
        "a service that lagged behind": (50, "third"),
        "in its last second": (90, "third"),
        "when one was left": (94, "second"),
        "when all were retired": (96, None),
        "beyond any calendar": (2**40, None),
    }

    for name, (day, key_id) in cases.items():
        with named(name):
            issued = at(day) if day < 10_000 else int(day)

            found = PAST.probable_key(issued)

            assert (found and found.id) == key_id


LEAKED = history_of("now", [], [replace(record("second", 10, retired=95, staged=8), forced=True)], "billing")


def test_a_hint_names_the_key_the_day_and_the_way_out() -> None:
    """R32: the words that an admin reads at three in the morning."""
    hint = PAST.hint(at(15))

    assert hint == "probably under second, retired 2026-04-06: restore that key if a backup brought this token"
    assert PAST.hint(at(96)) is None
    assert LEAKED.hint(at(15)) == (
        "perhaps under second, retired 2026-04-06 although something spoke against it: restore no key that leaked"
    )
    assert UNKNOWN.hint(at(15)) is None


def test_a_key_that_is_back_is_not_missing() -> None:
    """R32: restored among the previous ones, it was tried; so it is not the one."""
    history = history_of("now", ["gone"], [record("now", 40), record("gone", 10, retired=60, staged=8)], "billing")

    assert history.retired == ()


def test_tokens_under_a_newer_key_stay(keyring: Keyring, old: Key, new: Key) -> None:
    """R08: they are counted and reported, and no change is planned; older ones are rotated all the same."""
    rows = [((1,), token("old")), ((2,), token("older")), ((3,), token("new"))]

    swaps, _, _, counts, *_ = Planner(keyring, history=History(newer={old.id: Promotion(T0, T0)})).plan(batch_of(rows))

    assert list(swaps.keys) == [(2,)]
    assert (counts.unsettled, counts.current, counts.under) == (1, 1, {old.id: 1, new.id: 1})
    [(key, category, detail)] = counts.problems
    assert (key, category) == ((1,), "newer-key")
    assert detail == f"under {old.id}, promoted 2026-01-01 00:00 UTC, later than the primary key"


def test_a_history_goes_to_other_processes() -> None:
    """Workers read keys from their own environment; what the ledger says they get with their work."""
    assert pickle.loads(pickle.dumps(PAST)) == PAST
