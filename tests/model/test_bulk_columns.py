"""Values by the thousand are what they are one by one."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from rotation.model.bulk_columns import are_all, each, weight_of


class Pair(NamedTuple):
    """A named tuple."""

    left: int
    right: str


def test_each_is_what_the_type_makes() -> None:
    """Equal to a call for each row, and of that type."""
    made = each(Pair, [1, 2], ["a", "b"])

    assert made == [Pair(1, "a"), Pair(2, "b")]
    assert {type(pair) for pair in made} == {Pair}


def test_columns_of_other_lengths_are_refused() -> None:
    """A row that is missing a value is a mistake of ours, and not a shorter batch."""
    with pytest.raises(ValueError, match="shorter"):
        each(Pair, [1, 2], ["a"])


@pytest.mark.parametrize(
    ("values", "weight"),
    [(["ab", b"\xff"], 3), (["ab", None, 7, "c"], 3), ([], 0)],
    ids=["texts and bytes", "others weigh nothing", "none"],
)
def test_texts_and_bytes_have_a_weight(values: list[object], weight: int) -> None:
    """Characters of a text, bytes of bytes."""
    assert weight_of(values) == weight


def test_a_subclass_is_another_type() -> None:
    """A bool is no whole number here: it is looked at one by one."""
    assert are_all([1, 2], int)
    assert not are_all([1, True], int)
