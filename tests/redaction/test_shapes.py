"""Shapes: what stands around a secret gives it away, and what names a digest does not."""

from __future__ import annotations

import base64
import secrets

import pytest

from keyring_core.redaction import Redactor


def key() -> str:
    """What may be a Fernet key."""
    return "Ab1" + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()[3:]


@pytest.mark.parametrize("before", ["authorization ", "authorizationAuthorization ", "authorization authorization\\ "])
def test_a_repeated_word_hides_no_header(before: str) -> None:
    """A header is found behind its own name in the text before it."""
    shown = Redactor().redact(f"failed {before}Authorization: Basic dXNlcjpwYXNz")

    assert shown == f"failed {before}Authorization: Basic [REDACTED:authorization]"


def test_a_repeated_word_hides_no_parameters() -> None:
    """The same for a gate that ends in a blank."""
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


@pytest.mark.parametrize(
    "text",
    ["Digest: SHA-256={}", "x-amz-checksum-sha256: {}", '{{"contentHash": "{}"}}', "{{\\\"public_key\\\": \\\"{}\\\"}}",
     "publicKey = {}", "ETag: W/\"{}\"", "public_key_b64={}", "fingerprints:\n  - {}", "CONTENT_HASH='{}'"],
)  # fmt: skip
def test_what_names_a_digest_leaves_it(text: str) -> None:
    """A digest or a public key, named so right before it, stays."""
    shown = text.format(key())

    assert Redactor().redact(shown) is shown
