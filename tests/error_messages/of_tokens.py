"""Tokens that do not open, and values that are not encrypted."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from cryptography.fernet import Fernet

from keyring_core import CredentialEncryptionService, Keyring, get_keyring
from keyring_core.blind_index import BlindIndex
from keyring_core.integrations.cells import Cells, ValueKind
from keyring_core.integrations.values import DATE, FLOAT
from keyring_core.legacy import Legacy
from tests.error_messages.of_keys import BOUND, KEY, OTHER, SUSPENDED
from tests.keyring_core.test_bulk import damaged_token

RING = Keyring(KEY)
TOKEN = RING.encrypt("sk-live-4242")
UNKNOWN = Keyring(OTHER).encrypt("sk-live-4242")
ON_TRIAL = Keyring(SUSPENDED).encrypt("sk-live-4242")


def causes(_folder: Path) -> Iterator[Callable[[], object]]:
    """Each call ends with an error. The keys of the process are KEY, and SUSPENDED as a suspended one."""
    yield from (partial(RING.decrypt, text) for text in _malformed())
    damaged = damaged_token("primary")
    yield from (partial(RING.decrypt, value) for value in (UNKNOWN, damaged, RING.encrypt_bytes(b"\xff"), None, 7))
    yield partial(Keyring(KEY, suspended=[SUSPENDED]).decrypt, ON_TRIAL)
    yield partial(RING.decrypt, TOKEN, ttl=-1)
    yield lambda: RING.decrypt(Fernet(KEY).encrypt_at_time(b"x", int(time.time()) + 9999), ttl=60)
    yield from (partial(RING.encrypt, value) for value in ("\ud800", b"bytes"))
    yield partial(copy.copy, RING)
    yield partial(copy.copy, RING.primary)
    yield partial(CredentialEncryptionService(RING).encrypt, None)
    yield partial(CredentialEncryptionService(RING).decrypt, None)
    yield from _cells()
    index = BlindIndex("users.email")
    yield from (partial(index.of, RING, value) for value in (7, "\ud800"))
    yield partial(BlindIndex("users.email", lambda _: 7).of, RING, "a@b.c")
    yield partial(BlindIndex("users.email", lambda text: text[99]).of, RING, "a@b.c")


def _malformed() -> Iterator[str | bytes]:
    yield from ("", "x" * 2_000_000, str(TOKEN.encode()), f'"{TOKEN}"', TOKEN + UNKNOWN, f"é{TOKEN}", f"{TOKEN}=x")
    yield from (TOKEN[:64], f'{{"token": "{TOKEN}"}}', f"A{TOKEN[1:]}", "sk-live-4242", b"\xff\xfe")


def _column(kind: ValueKind = ValueKind.TEXT, **options: object) -> Cells:
    cells = Cells(kind, **options)
    cells.column = BOUND
    return cells


def _cells() -> Iterator[Callable[[], object]]:
    yield from (partial(_column().open, text, lambda: "id=812") for text in (UNKNOWN, ON_TRIAL, "sk-live-4242"))
    yield partial(_column().open, UNKNOWN)
    yield lambda: _column(context=BOUND).open(get_keyring().encrypt("sk-live-4242"), lambda: "id=812")
    yield partial(_column(ValueKind.JSON).open, TOKEN)
    yield partial(_column(of=DATE).open, TOKEN)
    yield partial(_column().open, RING.encrypt_bytes(b"\xff"))
    yield from (partial(_column().seal, value) for value in (TOKEN, 7, "\ud800"))
    yield from (partial(_column(ValueKind.JSON).seal, value) for value in ((1, 2), object()))
    yield partial(_column(ValueKind.BYTES).seal, "text")
    yield partial(_column(of=DATE).seal, "2026-11-29")
    yield partial(_column(of=FLOAT).seal, float("inf"))
    yield partial(_column(length=3).seal, "four")
    legacy = Legacy("django-encrypted-model-fields", secret="$OLD_SECRET")
    yield partial(_column(legacy=legacy, secrets=lambda: {"OLD_SECRET": KEY}).open, UNKNOWN, lambda: "id=812")
    yield lambda: _column(accept_plaintext=True, legacy=Legacy("django-cryptography", secret="$OLD_SECRET"))
