"""Fixed work, the same for each revision: benchmarks/pair.py measures its time and .ci/costs.py counts its lines.

As a script it does one of CALLS in this process: `python -P benchmarks/fixed.py NAME TIMES`, with the code that
PYTHONPATH names. So it imports only names that are public for long, and nothing of the tests.
"""

from __future__ import annotations

import base64
import hashlib
import io
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import structlog
from cryptography.fernet import Fernet

from keyring_core import Keyring, configure_logging
from keyring_core.encryption_service import CredentialEncryptionService

Call = Callable[[], object]

PASSWORD = "correct-horse-battery"  # it is masked
SECRET = "sk-live-0123456789abcdefghijklmnopqrstuvwxyz"
TOKENS = 100
"""The tokens of one call of `rotate_many`."""
ISSUED_AT = 1_600_000_000


def key_text(label: str) -> str:
    """The text of the key of that *label*; worthless anywhere else."""
    return base64.urlsafe_b64encode(hashlib.sha256(label.encode()).digest()).decode()


def prepare(folder: Path, rows: int, keys: str = "INTEGER", label: str = "old") -> None:
    """A database with *rows* tokens of one length under the key *label*, rotation.toml and the keys, in *folder*.

    A key of the type TEXT has a run go row by row, since a block takes numbers.
    """
    (folder / "rotation.toml").write_text(
        'env_file = ".env"\n\n[[target]]\nurl = "sqlite:///app.db"\ntable = "creds"\ncolumns = ["token"]\n'
    )
    (folder / ".env").touch(mode=0o600)
    (folder / ".env").write_text(f"ENCRYPTION_KEY={key_text('new')}\nENCRYPTION_PREVIOUS_KEYS={key_text('old')}\n")
    fernet = Fernet(key_text(label))
    tokens = [fernet.encrypt_at_time(f"{number:040}".encode(), ISSUED_AT).decode() for number in range(min(rows, 1000))]
    database = sqlite3.connect(folder / "app.db")
    database.execute(f"CREATE TABLE creds (id {keys} PRIMARY KEY, token TEXT)")
    named = (number if keys == "INTEGER" else f"row {number:09}" for number in range(1, rows + 1))
    database.executemany("INSERT INTO creds VALUES (?, ?)", ((key, tokens[at % 1000]) for at, key in enumerate(named)))
    database.commit()
    database.close()


def encrypt() -> Call:
    """One credential of a service."""
    service = _service()
    return lambda: service.encrypt(SECRET)


def decrypt() -> Call:
    """One token of a service that has two keys, under the second."""
    service, token = _service(), Fernet(key_text("old")).encrypt(SECRET.encode()).decode()
    return lambda: service.decrypt(token)


def rotate_many() -> Call:
    """TOKENS tokens under the second key."""
    ring, old = _ring(), Fernet(key_text("old"))
    tokens = [old.encrypt(SECRET.encode()).decode() for _ in range(TOKENS)]
    return lambda: ring.rotate_many(tokens)


def log_event() -> Call:
    """A log event without a secret, as JSON."""
    return _log(customer="Ada")


def log_event_with_secrets() -> Call:
    """A log event with a password and a key."""
    return _log(password=PASSWORD, text=f"read {key_text('new')}")


CALLS: dict[str, Callable[[], Call]] = {
    "encrypt": encrypt,
    "decrypt": decrypt,
    f"rotate_many, {TOKENS} tokens": rotate_many,
    "a log event without a secret": log_event,
    "a log event with a password and a key": log_event_with_secrets,
}
"""Each makes what is called again and again; that part is not measured."""


def _ring() -> Keyring:
    return Keyring(key_text("new"), previous=[key_text("old")])


def _service() -> CredentialEncryptionService:
    return CredentialEncryptionService(_ring())


def _log(**facts: str) -> Call:
    configure_logging(stream=io.StringIO(), renderer="json")
    # It is known from here on.
    _ring()
    log = structlog.get_logger("app")
    return lambda: log.info("order.paid", order=17, **facts)


if __name__ == "__main__":
    call = CALLS[sys.argv[1]]()
    for _ in range(int(sys.argv[2])):
        call()
