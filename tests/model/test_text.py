"""Numbers in sentences."""

from __future__ import annotations

import pytest

from rotation.model.text import be, many


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 rows are"), (1, "1 row is"), (2, "2 rows are"), (2000, "2,000 rows are")]
)
def test_one_is_singular(number: int, words: str) -> None:
    """Noun and verb agree with the number, which has its thousands parted."""
    assert f"{many(number, 'row')} {be(number)}" == words
