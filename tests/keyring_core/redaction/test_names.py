"""Names: the last whole words decide."""

from __future__ import annotations

import pytest

from keyring_core.redaction.sensitive_names import Names, words
from tests.conftest import Named


def test_label(named: Named) -> None:
    """A name gives its value away by its last whole words only."""
    cases = [
        ("password", "password"),
        ("db_password", "password"),
        ("dbPassword", "password"),
        ("DB_PASSWORD", "password"),
        ("db-password", "password"),
        ("db.password", "password"),
        ("password2", "password"),
        ("pass", "password"),
        ("user_pass", "password"),
        ("boarding_pass", None),
        ("client_secret", "secret"),
        ("refreshToken", "token"),
        ("APIKey", "api-key"),
        ("x-api-key", "api-key"),
        ("apikey", "api-key"),
        ("aws_secret_access_key", "key"),
        ("ENCRYPTION_KEY", "key"),
        ("ENCRYPTION_PREVIOUS_KEYS", "key"),
        ("Authorization", "authorization"),
        ("set-cookie", "cookie"),
        ("connection_string", "connection-string"),
        ("key", None),
        ("primary_key", None),
        ("public_key", None),
        ("cache_key", None),
        ("password_policy", None),
        ("token_count", None),
        ("max_tokens", "token"),
        ("secretary", None),
        ("tokenizer", None),
        ("monkey", None),
        ("", None),
        ("123", None),
    ]

    for name, label in cases:
        with named(name):
            assert Names().label(name) == label


def test_own_names() -> None:
    """A service's own names work like the built-in ones: by their last whole words."""
    names = Names(["launch code"])

    assert names.label("backupLaunchCode") == "value"
    assert names.label("launch_code_age") is None


@pytest.mark.parametrize("name", ["dbPasswordHash", "DB_PASSWORD_HASH", "db-password-hash", "db.password.hash"])
def test_words(name: str) -> None:
    """Every way to join words is understood."""
    assert words(name) == ["db", "password", "hash"]


def test_names_from_outside_do_not_fill_the_memory() -> None:
    """What was answered is remembered up to a bound."""
    names = Names()
    for number in range(10_000):
        names.label(f"field_{number}")

    assert len(names._known) <= 4096
