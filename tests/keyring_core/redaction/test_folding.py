"""Folding: what is left out of a text before a search can make it find too much, and never too little."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from keyring_core.redaction.effort import neighbours, reduced


@given(st.text("keyTOKpS x0"), st.text("keyTOKpS x0", max_size=12), st.text("keyTOKpS x0"))
@example("", "", "")
@example("k", "key", "")
def test_what_is_left_of_a_word_is_in_what_is_left_of_its_text(before: str, word: str, behind: str) -> None:
    """Neither the letters left of a word nor any two of them are missing from what is left of a text around it."""
    gist, left = reduced((before + word + behind).encode()), reduced(word.encode())

    assert left in gist
    assert set(neighbours(left)) <= set(neighbours(gist))


def test_two_letters_are_one_byte() -> None:
    """Words of the same letters in another order have other neighbours."""
    assert set(neighbours(reduced(b"token"))) != set(neighbours(reduced(b"kto")))
    assert neighbours(reduced(b"k")) == b""
