"""Ordinary words: what stands behind `password is` in a sentence."""

from __future__ import annotations

import pytest

from keyring_core.redaction.sensitive_values import is_ordinary
from tests.conftest import Named


def test_ordinary_words(named: Named) -> None:
    """Words, names of errors, algorithms, versions, numbers with units, and whatever is short."""
    cases = [
        "wrong",
        "required.",
        "Missing!",
        "NOT-SET",
        "PasswordExpired",
        "HTTPError",
        "case-sensitive",
        "docs/setup.md",
        "user's",
        "für",
        "12345678",
        "7:30",
        "sha-256",
        "SHA256-hashed",
        "pbkdf2_sha256",
        "argon2id",
        "utf-8",
        "x509",
        "v1.2.3-rc4",
        "8-character",
        "12chars",
        "30days",
        "2fa",
        "ab1",
    ]

    for word in cases:
        with named(word):
            assert is_ordinary(word, "password")
            assert is_ordinary(word, "token")


def test_no_word_of_a_sentence(named: Named) -> None:
    """A digit between letters, an odd symbol or letters in mixed case make a password."""
    cases = [
        "hunter2",
        "aBcDeFgH",
        "abc!def",
        "s3cr3t.",
        "p&ssword",
        "Tr0ub4dor&3",
        "sha2" + "x1" * 12,
        "x7Kq2mN9",
        "v7Kq2mN9",
    ]

    for word in cases:
        with named(word):
            assert not is_ordinary(word, "password")


@pytest.mark.parametrize(("word", "ordinary"), [("step12", True), ("abc!defgh", True), ("a1b2c3d4", False)])
def test_a_token_is_longer_and_has_digits(word: str, ordinary: bool) -> None:
    """Behind names of tokens and keys, short words with a digit stand for other things."""
    assert is_ordinary(word, "token") is ordinary
