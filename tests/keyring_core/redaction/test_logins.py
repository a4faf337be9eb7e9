"""Logins: a password between a user's name and a host is masked without a scheme before it; other text is not."""

from __future__ import annotations

import json

import pytest

from keyring_core.redaction import Redactor
from tests.conftest import Named


@pytest.mark.parametrize(
    ("before", "password", "behind"),
    [
        ("user:", "s3cr3t-Pa55", "@db"),
        ("bob:", "hunter2", "@db.example.com:5432/app"),
        ("--dsn=app:", "aB!cd#ef", "@10.0.0.5"),
        ("cannot log in as bob:", "p@ss1wd", "@db, giving up"),
        ("('app:", "a:b:c:d1", "@[2001:db8::1]:5432')"),
        ("mailto:", "x7Kq2mN9", "@relay"),
    ],
)
def test_a_password_in_a_login(before: str, password: str, behind: str) -> None:
    """Up to the host, also with an at sign or a colon of its own, in text and in JSON."""
    for text in (f"{before}{password}{behind}", f"a\n{before}{password}{behind}"):
        expected = text.replace(password, "[REDACTED:password]")

        assert Redactor().redact(text) == expected
        assert Redactor().redact_json(json.dumps({"event": text})) == json.dumps({"event": expected})


def test_no_login(named: Named) -> None:
    """Placeholders, addresses, times, versions, images and repositories stay."""
    cases = [
        "user:%s@host",
        "user:{}@host",
        "{user}:{password}@{host}",
        "user::name@host",
        "user:***@host",
        "user:$PASSWORD@host",
        "user:${DB_PASSWORD}@host",
        "user:%(password)s@host",
        "user:<password>@host",
        "time 12:30@noon",
        "mail to: a:b@c",
        "mailto:bob42@example.com",
        "email:bob.smith1985@example.com",
        "user:bob42@example.com",
        "cc:team2@example.com",
        "git@host:path2/x",
        "git@github.com:team/repo2@v1",
        "python:3.11-slim@sha256:5f0c1a9e",
        "registry.example:5000/app:v1.2@sha256:5f0c1a9e",
        "npm:react2@18.2.0",
        "uses: setup:node18@v4",
        "rsync a:dir1 b@host",
        "C:/assets1/logo@2x.png",
        "12:30:05.123456@node",
        "key: a1b2c3d4 @ host",
        "bob:staff@host",
    ]

    for text in cases:
        with named(text):
            assert Redactor().redact(text) is text
