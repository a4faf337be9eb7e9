"""Tokens that hold tokens."""

from __future__ import annotations

import pytest

from keyring_core import Key, Keyring
from keyring_core.tokens import parse_token
from rotation.census import Row, sort_rows
from rotation.nested import count_nested
from tests.fakes import token


def signed(label: str, text: str) -> bytes:
    return parse_token(token(label, text)).signed


@pytest.mark.parametrize(
    ("text", "number"),
    [
        pytest.param(token("old"), 1, id="a token under a known key"),
        pytest.param(token("nobody"), 1, id="a token under any key"),
        pytest.param(token("old", "x" * 5000), 1, id="a long token"),
        pytest.param("secret", 0, id="a short secret"),
        pytest.param("x" * 200, 0, id="a long secret"),
        pytest.param("gAAAA" + "x" * 200, 0, id="begins like a token"),
        pytest.param(token("old")[:-4], 0, id="most of a token"),
        pytest.param("", 0, id="nothing"),
    ],
)
def test_a_token_that_holds_a_token_is_counted(new: Key, text: str, number: int) -> None:
    """What a token holds is looked at from its first block, and only a whole token counts."""
    tokens = [signed("new", "x" * 300), signed("new", text), signed("new", "short")]

    assert count_nested(new, tokens) == number


def test_no_token_holds_no_token(new: Key) -> None:
    """An empty list is looked at, too."""
    assert count_nested(new, []) == 0


def test_a_damaged_token_holds_none(new: Key) -> None:
    """A first block of a token before a padding that is none does not end the census."""
    padded = b"gAAAA" + bytes(1000)
    encryptor = new.cbc(bytes(16)).encryptor()
    damaged = b"\x80" + bytes(8) + bytes(16) + encryptor.update(padded[:992])

    assert count_nested(new, [damaged]) == 0


def test_a_look_counts_them_and_a_run_does_not(keyring: Keyring) -> None:
    """A dry run counts double encryption under every key; a run has other things to do."""
    rows = [Row((1,), token("old", token("new"))), Row((2,), token("new", token("old"))), Row((3,), token("new"))]

    assert sort_rows(keyring, rows, dry_run=True).counts.nested == 2
    assert sort_rows(keyring, rows).counts.nested == 0
