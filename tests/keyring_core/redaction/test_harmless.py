"""What must not be masked: text that looks like a secret, or stands under a name that looks like one's."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import secrets
import uuid
from typing import Any

import pytest
import structlog

from keyring_core.redaction import Redactor, configure_logging
from tests.conftest import Named


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    """A hundred secrets, whose patterns take a tenth of a second to make."""
    return Redactor([secrets.token_urlsafe(24) for _ in range(100)])


@pytest.fixture
def stream(redactor: Redactor) -> io.StringIO:
    """What a service with a hundred secrets logs."""
    stream = io.StringIO()
    configure_logging(redactor, stream=stream, renderer="json", level="DEBUG")
    return stream


def logged(stream: io.StringIO) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(stream.getvalue().splitlines()[-1])
    return event


DIGEST = hashlib.sha256(b"x").digest()
FIELDS: dict[str, Any] = {
    "git_hash": hashlib.sha1(b"x").hexdigest(),
    "short_hash": "a08debb",
    "image": "registry.example/app@sha256:" + DIGEST.hex(),
    "digest": DIGEST.hex(),
    "uuid": str(uuid.uuid4()),
    "traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01",
    "started": "2026-11-25T00:21:39.506549Z",
    "epoch": 1764030099,
    "epoch_text": "1764030099",
    "integrity": "sha256-" + base64.b64encode(DIGEST).decode(),
    "integrity_384": "sha384-" + base64.b64encode(hashlib.sha384(b"x").digest()).decode(),
    "link": '<link integrity="sha256-' + base64.b64encode(DIGEST).decode() + '">',
    "host_fingerprint": "SHA256:" + base64.b64encode(DIGEST).decode().rstrip("="),
    "etag": 'W/"' + secrets.token_hex(16) + '"',
    "primary": "5f0c1a9e",
    "key_id": "5f0c1a9e",
    "key_ids": ["5f0c1a9e", "b7d2440b"],
    "key_version": 3,
    "version": "v1.2.3-rc.4+build.5678",
    "token_count": 812,
    "max_tokens": 4096,
    "tokens": 17,
    "tokens_rotated": 2000,
    "token": None,
    "password": None,
    "has_password": True,
    "secret": False,
    "passwords": 0,
    "token_seconds": 0.25,
    "password_policy": "strict",
    "password_changed_at": "2026-01-02",
    "password_min_length": 12,
    "secret_name": "db/primary",
    "secret_manager": "vault",
    "primary_key": "id",
    "foreign_key": "user_id",
    "cache_key": "users:812",
    "sort_key": "created_at",
    "partition_key": "tenant-7",
    "key": "users.api_key",
    "column": "api_key",
    "missing": ["password", "email"],
    "unique_together": ("token", "email"),
    "targets": ["users.api_key", "users.refresh_token"],
    "paths": ["/run/secrets/db_password", "/run/secrets/db1"],
    "two_messages": ["missing token", "try again in 5 minutes"],
    "token_type": "Bearer",
    "tokenizer": "cl100k_base",
    "author": "bob",
    "monkey": "rhesus",
    "keyboard": "qwerty",
    "compass": "north",
    "secretary": "alice",
    "passenger": "carol",
    "cookie_policy": "lax",
    "password_prose": "invalid password for user bob",
    "token_prose": "token expired 5 minutes ago",
    "key_prose": "the key to the problem: patience and 3 tries",
    "secret_prose": "it is no secret that passwords expire",
    "rule_prose": "password: must be 12 characters or longer",
    "option_prose": "the option --password is required",
    "plaintext_prose": "a plaintext of 12 bytes, context: request-12, next=page2",
    "switches": "grpcurl --plaintext localhost:50051 list; pg_dump --no-password production-2",
    "switches_in_a_list": "['pg_dump', '--no-password', 'production'] ['grpcurl', '--plaintext', 'db:50051']",
    "xml_digest": f"<ds:DigestValue>{base64.b64encode(DIGEST).decode()}</ds:DigestValue>",
    "json_digest": json.dumps({"digestValue": base64.b64encode(DIGEST).decode()}),
    "public_key_prose": f"ed25519 public key (base64): {base64.b64encode(DIGEST).decode()}",
    "otp_prose": "the one-time code (OTP) and the JWT are required, creds come later",
    "pw_prose": "pwned and upward, cwd=/srv/app1",
    "string_prose": "the connection string is wrong, string='abc', docstring: a1b2c3d4",
    "context_text": "context=production-2 credit_card_type=visa2 accredited='A1'",
    "names_in_list": "choose from 'token', 'secret', 'key'",
    "fernet_prose": "Fernet tokens start with gAAAAA",
    "bearer_prose": "bearer authentication required",
    "url_prose": "expected https://user:password as in RFC 3986",
    "public_key": base64.b64encode(secrets.token_bytes(32)).decode(),
    "ssh_public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + base64.b64encode(secrets.token_bytes(32)).decode()[:43],
    "certificate": "-----BEGIN CERTIFICATE-----\nMIIB" + secrets.token_hex(40) + "\n-----END CERTIFICATE-----",
    "public_pem": "-----BEGIN PUBLIC KEY-----\nMIIB" + secrets.token_hex(40) + "\n-----END PUBLIC KEY-----",
    "url": "https://example.com:8443/a/b?page=2&sort=name#top",
    "url_left_out": "postgresql://app:***@db/app and dialect://user:...@host",
    "url_with_mail": "https://example.com/invite?email=bob@example.com",
    "url_with_port_and_at": "http://host:8080/@scope/package",
    "git_url": "ssh://git@host/team/repo.git",
    "scp_url": "git@host:team/repo.git",
    "sqlite_url": "sqlite:///app.db",
    "mail": "bob.smith@example.com",
    "path": "/var/lib/app/secrets/current/password-policy.yaml",
    "windows_path": "C:\\Users\\bob\\secret\\token.txt",
    "dotted": "app.auth.password.reset.Handler",
    "call": "get_password(user)",
    "code": "token = request.user.token",
    "keyword_code": "def login(password=password, token=token): ...",
    "json_text": '{"user": "bob", "token_count": 3, "password_policy": "strict", "password": null}',
    "sql": "SELECT password, token FROM users WHERE token = :token AND password IS NOT NULL",
    "sql_placeholders": "UPDATE users SET password = ?, token = %s, secret = $1 WHERE id = %(id)s",
    "sql_named_placeholders": "UPDATE users SET api_key=%(api_key)s::VARCHAR, token = %(token)s WHERE id = %(id)s",
    "empty_json": '{"password": "", "user": "bob", "token":"","x":1}',
    "empty_in_json_twice": json.dumps(json.dumps({"password": "", "user": "bob"})),
    "empty_repr": "{'password': '', 'user': 'bob'}",
    "parser_prose": "Unexpected token '<' in line 1, unexpected token: ';' in line 2",
    "shell_folder": "PWD=/srv/app OLDPWD=/srv HOME=/home/bob",
    "shell_folder_in_json": '{"PWD": "/home/bob/src"}',
    "bearer_required": "Bearer required, Authorization: Bearer required",
    "url_template": "postgresql://user:%s@host/db postgresql://{user}:{password}@{host} redis://u::name@h",
    "login_template": "user:%s@host user:{}@host user::name@host user:***@host",
    "required_prose": "password is required, the password is too short and the passphrase was wrong",
    "empty_prose": "password: must not be empty; secret: see docs/setup.md; token:refresh",
    "reset_prose": "password reset, (password optional), (password unchanged), password hash, password & user",
    "error_prose": "password is PasswordExpired; the password is case-sensitive; is the password is user-supplied?",
    "algorithm_prose": "password SHA-256 digest, password is sha256-hashed, passwords are bcrypt12, password 2fa",
    "length_prose": "password is 12 characters, password is 8-character, password was changed at 12:30",
    "pass_prose": "pass user42@example.com to it, a by-pass is abc123, they pass 2nd-factor",
    "token_said": "token is invalid, token is a JWT, token is step12, the secret is out, token 5f0c1a9e-b7d2 expired",
    "scopes": "user:password:change token:refresh secret:read secret::Key2Thing",
    "identified_prose": "rows are identified by id, a service identified by its id, MariaDB 10.11 IDENTIFIED BY",
    "getters": "getPassword('user') get_secret('db/primary') _('password') Token('NAME', 'x')",
    "form_placeholders": "?password=&user=bob password=%s&user=%s password={}&user={}",
    "dotted_code": "token = request.user.token, password=settings.database, secret=vault.db_password",
    "time_at": "time 12:30@noon, mail to: a:b@c, 12:30:05@node",
    "addresses": "mailto:bob42@example.com email:bob.smith1985@example.com user:bob42@example.com",
    "git_remote": "git@github.com:team/repo2 and git@host:path",
    "image_ref": "python:3.11-slim@sha256:" + DIGEST.hex(),
    "package_refs": "npm:react2@18.2.0 pkg:npm/left2@1.0 uses: setup:node18@v4",
    "proxy_prose": "cannot reach http://proxy: mail admin@example.com, or http://proxy:8080 and bob@example.com",
    "percent_prose": "50% done, 100%complete, %20 is a blank: a%20b%2Fc",
    "addresses_in_memory": "0x7f3a2b1c at 0x0, 0x1 and 0x2",
    "bytes_in_c": ", ".join(f"0x{number:02x}" for number in range(40)),
    "canonical_dump": "00000000  00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f  |................|\n00000010",
    "html": '<input type="password" name="password" placeholder="Password"><label for="token">Token</label>',
    "template": "password={password} token=${TOKEN} secret=<secret>",
    "stars": "password=***** token=None secret=true",
    "parameters": "[parameters: (7, 812)]",
    "number_text": "access_token=-1 secret=0.25 password=812,",
    "startup": "ENCRYPTION_KEY configured (key id 5f0c1a9e)",
    "not_set": "ENCRYPTION_KEY NOT SET (required for credentials)",
    "key_error": 'ENCRYPTION_PREVIOUS_KEYS, key 2 of 3: 43 characters, expected 44 (the padding "=" is missing)',
    "row_error": "user_credentials.api_key, id=812: no key opens this token (tried 5f0c1a9e, b7d2440b)",
    "unicode": "Zoë läuft über die Straße - 日本語のテキスト",
    "emoji": "done ✅",
    "empty": "",
    "list": [1, 2, 3],
    "numbers": list(range(40)),
    "nested": {"a": {"b": [1, {"c": None}]}},
    "hex_dump": secrets.token_bytes(16).hex(" "),
    "base64_picture": "data:image/png;base64,iVBORw0KGgo" + base64.b64encode(secrets.token_bytes(90)).decode(),
}


def test_harmless_field_stays(stream: io.StringIO, named: Named) -> None:
    """A harmless field comes out as it went in."""
    for name, value in FIELDS.items():
        with named(name):
            structlog.get_logger().info("event", **{name: value})

            assert logged(stream)[name] == (list(value) if isinstance(value, tuple) else value)


def test_harmless_text_stays(named: Named) -> None:
    """Harmless text without its name comes back as the very same object."""
    for name in [name for name, value in FIELDS.items() if isinstance(value, str)]:
        with named(name):
            text = f"{name}={FIELDS[name]}" if name == "public_key" else FIELDS[name]

            assert Redactor().redact(text) is text


def test_there_are_enough_harmless_values() -> None:
    """The list has at least sixty harmless values."""
    assert len(FIELDS) >= 60


def test_project_events_stay(stream: io.StringIO) -> None:
    """The project's own log lines pass."""
    log = structlog.get_logger()
    log.info("rotation.range", target="users.api_key", upto=812, rotated=2000, primary="5f0c1a9e", unreadable=0)

    event = logged(stream)
    assert (event["event"], event["target"], event["upto"], event["primary"]) == (
        "rotation.range",
        "users.api_key",
        812,
        "5f0c1a9e",
    )
