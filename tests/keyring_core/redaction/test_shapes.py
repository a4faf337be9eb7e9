"""Shapes: what stands around a secret gives it away, and what names a digest does not."""

from __future__ import annotations

import base64
import secrets

import pytest
from sqlalchemy import URL

from keyring_core.redaction import Redactor
from tests.conftest import Named


def key() -> str:
    """What may be a Fernet key."""
    return "Ab1" + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()[3:]


@pytest.mark.parametrize("before", ["authorization ", "authorizationAuthorization ", "authorization authorization\\ "])
def test_a_repeated_word_hides_no_header(before: str) -> None:
    """A header is found after its own name in the text."""
    shown = Redactor().redact(f"failed {before}Authorization: Basic dXNlcjpwYXNz")

    assert shown == f"failed {before}Authorization: Basic [REDACTED:authorization]"


def test_a_repeated_word_hides_no_parameters() -> None:
    """A repeated gate that ends in a blank hides no parameters."""
    shown = Redactor().redact("[parameters: [parameters: ('hunter22', 7)]\n[parameters: ('hunter33', 7)]")

    assert "hunter" not in shown


@pytest.mark.parametrize(
    "text",
    ["HashiCorp Vault returned {}", '{{"fingerprint": "5f0c1a9e", "value": "{}"}}', "published {}", "rehash {}",
     '{{"algorithm": "sha256", "key": "{}"}}', "hash none, key={}"],
)  # fmt: skip
def test_a_key_is_no_digest_because_one_is_spoken_of(text: str) -> None:
    """A word about digests near a key does not make it one."""
    shown = Redactor().redact(text.format(key()))

    assert "[REDACTED:fernet-key]" in shown


def test_what_names_a_digest_leaves_it(named: Named) -> None:
    """A digest or a public key, named so right before it, stays."""
    cases = [
        "Digest: SHA-256={}",
        "x-amz-checksum-sha256: {}",
        '{{"contentHash": "{}"}}',
        '{{\\"public_key\\": \\"{}\\"}}',
        "publicKey = {}",
        'ETag: W/"{}"',
        "public_key_b64={}",
        "fingerprints:\n  - {}",
        "CONTENT_HASH='{}'",
    ]

    for text in cases:
        with named(text):
            shown = text.format(key())

            assert Redactor().redact(shown) is shown


@pytest.mark.parametrize("database", ["/orders", "", "/orders?sslmode=require and mail bob@example.com"])
def test_urls_as_sqlalchemy_renders_them(database: str) -> None:
    """A blank in a password stays in a rendered URL; all of the password is masked, registered or not."""
    url = URL.create("postgresql+psycopg", "app", "pass word + f@our/ten", "db", 5432).render_as_string(
        hide_password=False
    )

    shown = Redactor().redact(f"cannot connect to {url}{database}")

    assert " word" in url
    assert shown == f"cannot connect to postgresql+psycopg://app:[REDACTED:password]@db:5432{database}"
    assert Redactor([url]).redact("is pass word + f%40our%2Ften so") == "is [REDACTED:secret] so"


def test_a_blank_in_a_users_name() -> None:
    """A password is masked after a user's name that holds blanks."""
    assert Redactor().redact("mssql+pyodbc://My own User:pass word@db/app") == (
        "mssql+pyodbc://My own User:[REDACTED:password]@db/app"
    )


def test_a_placeholder_in_a_url_is_no_password(named: Named) -> None:
    """A placeholder for a password stays; a password after it is masked."""
    cases = ["%s", "{}", "{password}", "{0!r}", "$PASSWORD", "${DB_PASSWORD}", ":name", "***", "xxxx", "%(pw)s"]

    for password in cases:
        with named(password):
            text = f"postgresql://app:{password}@db/app"

            assert Redactor().redact(text) is text
            assert "a1b2" not in Redactor().redact(f"postgresql://app:{password}@a1b2@db/app")


@pytest.mark.parametrize("said", ["required", "token expected", "is missing", "realm=x", "credentials were not sent"])
def test_a_header_that_is_spoken_of(said: str) -> None:
    """A sentence about the header holds no credential."""
    text = f"Authorization: Bearer {said}"

    assert Redactor().redact(text) is text


@pytest.mark.parametrize("token", ["requiredX1", "required-x1", "abcdefgh"])
def test_a_token_that_begins_like_a_word(token: str) -> None:
    """A token is one also if it begins with a word of such a sentence."""
    assert Redactor().redact(f"Authorization: Bearer {token}") == "Authorization: Bearer [REDACTED:authorization]"


def test_a_gate_hides_no_other() -> None:
    """Where the longer of two literals does not fit, the shorter one, or one inside it, is tried."""
    jwt = "eyJhbGciOiJIUzI1NiJ9.aB3xQ9zT7kLmaB3x.dBjftJeZ4CVPaB3xQ9zT7kLm"

    assert Redactor().redact(f"ops_{jwt}") == "ops_[REDACTED:jwt]"
    assert Redactor().redact("with EAAAB" + "a1B2" * 40) == "with [REDACTED:facebook-token]"
