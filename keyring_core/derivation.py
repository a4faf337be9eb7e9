"""The rules by which applications make a Fernet key of a secret: one for each kind of derivation.

The rules are the applications' own, weak ones included. For a key of your own, generate one: it needs no rule.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keyring_core.errors import KeyConfigError, KeyConfigWarning, without_frames
from keyring_core.key_text import KEY_BYTES, decode_key, refuse_weak_secret
from keyring_core.keys import Key
from keyring_core.loaded_keys import protect_secret, writing
from keyring_core.redaction import Secret, revealed, trimmed, unfit
from keyring_core.tokens import utf8_of

MOST_ITERATIONS = 10_000_000
"""About three seconds; the applications use up to 1,200,000."""
MOST_SECRET_LENGTH = 16 * 1024

KINDS = MappingProxyType(
    {
        "raw": "the key itself, 44 characters of URL-safe base64 (Airflow, Prefect, Galaxy, Pulp and most others)",
        "raw-unpadded": "43 characters, to which = is appended (Langflow)",
        "hex": "64 hexadecimal digits (JupyterHub)",
        "sha256": "SHA-256 of the secret (Redash, Open WebUI, cognee, sqlalchemy-utils, advanced-alchemy, ormar)",
        "text32": "exactly 32 characters, used as bytes (PostHog, SuperAGI, Octavia)",
        "text32-first": "the first 32 characters of a longer text (old versions of Modoboa and Music Assistant)",
        "text32-doubled": "the first 32 characters; a shorter text is written twice first (Heat)",
        "text32-zeros": "32 bytes: a longer secret is cut, a shorter one filled up with the digit 0 (potpie)",
        "pbkdf2-sha256": "PBKDF2 with a salt and a number of iterations (Plane, Phoenix, Mathesar, openalgo; "
        "django-fernet-encrypted-fields)",
        "hkdf-sha256": "HKDF with a salt, an info or both (Open edX and Open WebUI; django-fernet-fields, djfernet)",
    }
)
"""Each kind of derivation, in words, with some of those who use it."""


_NEEDED = {"pbkdf2-sha256": {"salt", "iterations"}}
_ALLOWED = {**_NEEDED, "hkdf-sha256": {"salt", "info"}}
"""The parameters that a kind takes; the other kinds take none."""


class SaltForm(StrEnum):
    """What the salt is of the value in the column."""

    VALUE = "value"
    """The value itself."""
    UUID = "uuid"
    """The usual form of a UUID, of which the column holds the number: Django's integer for a user of Keycloak."""


@dataclass(frozen=True, slots=True)
class Derivation:
    """One rule for making a key of a secret. Holds no secret, unless its salt is one; its repr does not show the salt.

    Raises KeyConfigError for an unknown *kind*, and for parameters that the kind does not take or lacks.

    Examples:
        >>> Derivation("pbkdf2-sha256", salt="pepper", iterations=30_000)
        Derivation(kind='pbkdf2-sha256', info=None, iterations=30000)
    """

    kind: str
    """One of `KINDS`."""
    salt: str | bytes | None = field(default=None, repr=False)
    """For `pbkdf2-sha256` and `hkdf-sha256`; text stands for its UTF-8 bytes."""
    info: str | bytes | None = None
    """For `hkdf-sha256`; text stands for its UTF-8 bytes."""
    iterations: int | None = None
    """For `pbkdf2-sha256`."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            near = difflib.get_close_matches(str(self.kind), KINDS, n=1, cutoff=0.5)
            meant = f"; did you mean {near[0]}?" if near else "."
            # Not shown: a secret may have been put in its place.
            raise KeyConfigError(f"unknown kind of derivation{meant} The kinds are {', '.join(KINDS)}")
        given = {name for name in ("salt", "info", "iterations") if getattr(self, name) is not None}
        if missing := sorted(_NEEDED.get(self.kind, set()) - given):
            raise KeyConfigError(f"derivation {self.kind}: set its {' and '.join(missing)}, as the application does")
        if extra := sorted(given - _ALLOWED.get(self.kind, set())):
            raise KeyConfigError(f"derivation {self.kind}: it takes no {' and no '.join(extra)}; leave that out")
        for name in given & {"salt", "info"}:
            _utf8(getattr(self, name), f"derivation {self.kind}: its {name}")
        is_count = type(self.iterations) is int and 1 <= self.iterations <= MOST_ITERATIONS
        if self.iterations is not None and not is_count:
            raise KeyConfigError(
                f"derivation {self.kind}: its iterations are a whole number from 1 to {MOST_ITERATIONS:,}"
            )

    @without_frames
    def key(self, secret: str | bytes | Secret, where: str = "secret", *, allow_weak: bool = False) -> Key:
        """The key that an application with this derivation makes of *secret*; *where* names its origin in messages.

        Both are masked in every log of this process from now on; a secret that is too short to be masked by its text
        gives a KeyConfigWarning. A derivation that takes long is done once in a process.

        Raises KeyConfigError for a secret that the application would not take, and WeakKeyError for one that anybody
        can guess; with *allow_weak* that only gives a warning. No message shows anything of the secret.
        """
        value = revealed(secret)
        if len(value) > MOST_SECRET_LENGTH:
            raise KeyConfigError(f"{where}: longer than any secret, {len(value)} of at most {MOST_SECRET_LENGTH}")
        try:
            key = Key(self._raw(value, where, allow_weak=allow_weak))
        except KeyConfigError:
            # It may be the secret of another derivation.
            protect(value, "secret")
            raise
        # The text of a raw key is a form of the key, which is masked already.
        if value and self.kind != "raw" and (reason := protect(value, f"secret of key {key.id}")):
            warnings.warn(f"{where}: logs are not masked for it, only for its key: {reason}", KeyConfigWarning, 2)
        return key

    def _raw(self, value: str | bytes, where: str, *, allow_weak: bool) -> bytes:
        if self.kind == "raw":
            return decode_key(value, where, allow_weak=allow_weak)
        secret = _utf8(value, where)
        is_text = self.kind in _KEY_TEXTS
        rule = _RULES.get(self.kind, self._derived)
        raw = rule(secret.strip() if is_text else secret)
        if isinstance(raw, str):
            raise KeyConfigError(f"{where}: {raw}, for the derivation {self.kind}")
        if is_text:
            return decode_key(raw, where, allow_weak=allow_weak)
        refuse_weak_secret(raw, secret, where, allow_weak=allow_weak)
        return raw

    def _derived(self, secret: bytes) -> bytes:
        salt, info = (None if part is None else _utf8(part, "") for part in (self.salt, self.info))
        if self.iterations is None:
            return HKDF(hashes.SHA256(), KEY_BYTES, salt, info).derive(secret)
        assert salt is not None  # noqa: S101 - for the type checker
        return _stretched(secret, salt, self.iterations)

    @without_frames
    def row_bytes(self, secret: str | bytes, salt: bytes) -> bytes:
        """The 32 bytes of the key that is made of *secret* with *salt* in place of this rule's own.

        For a kind that takes a salt, and a secret that `key` has taken.
        """
        return replace(self, salt=salt)._derived(_utf8(secret, ""))


# The frame of a dataclass's own __init__ holds what it was given.
Derivation.__init__ = without_frames(Derivation.__init__)  # type: ignore[method-assign]


def protect(value: str | bytes, label: str) -> str | None:
    """Masks *value* in every log; or returns why it cannot be masked by its text."""
    reason = unfit(value)
    if reason is None:
        protect_secret(trimmed(value), label)
    return reason


def _hex(secret: bytes) -> bytes | str:
    """JupyterHub, jupyterhub/crypto.py."""
    if not re.fullmatch(rb"[0-9A-Fa-f]{64}", secret):
        return f"{len(secret)} characters, expected 64 hexadecimal digits"
    return base64.urlsafe_b64encode(bytes.fromhex(secret.decode()))


def _exactly(secret: bytes) -> bytes | str:
    """PostHog, posthog/helpers/encrypted_fields.py; Octavia, octavia/common/utils.py."""
    return secret if len(secret) == KEY_BYTES else f"{len(secret)} bytes, expected {KEY_BYTES}"


def _first(secret: bytes) -> bytes | str:
    """Modoboa before its HKDF, Music Assistant before its key file: characters are cut, bytes have to be 32."""
    return _exactly(_text(secret)[:32].encode("utf-8", "surrogateescape"))


_RULES: dict[str, Callable[[bytes], bytes | str]] = {
    "hex": _hex,
    # Langflow, services/auth/utils.py.
    "raw-unpadded": lambda secret: secret + b"=" if len(secret) == 43 else f"{len(secret)} characters, expected 43",
    # sqlalchemy-utils and all that take their keys from it; Open WebUI, models/oauth_sessions.py.
    "sha256": lambda secret: hashlib.sha256(secret).digest(),
    "text32": _exactly,
    "text32-first": _first,
    # Heat, heat/common/crypt.py, get_valid_encryption_key: written twice, and no more often.
    "text32-doubled": lambda secret: _first(secret * 2 if len(_text(secret)) < 32 else secret),
    # potpie, app/modules/integrations/token_encryption.py: bytes are cut, not characters.
    "text32-zeros": lambda secret: secret[:KEY_BYTES].ljust(KEY_BYTES, b"0"),
}
"""A rule returns the bytes of the key, or of its text; or, as a str, what is wrong with a secret that it refuses."""
_KEY_TEXTS = {"hex", "raw-unpadded"}
"""The kinds whose rule returns the text of a key."""

# By a digest that only this process can compute: neither a secret nor anything to test guesses with is kept here.
_known: dict[bytes, bytes] = {}
_pepper = os.urandom(32)
MOST_KNOWN = 10_000
"""Derivations to remember, the last ones: a salt may be another one in each of very many rows."""


def _stretched(secret: bytes, salt: bytes, iterations: int) -> bytes:
    """PBKDF2-HMAC-SHA256, computed once in a process: Plane, Phoenix, jazzband's django-fernet-encrypted-fields."""
    digest = hashlib.blake2b(key=_pepper)
    for part in (iterations.to_bytes(8), len(salt).to_bytes(8), salt, secret):
        digest.update(part)
    place = digest.digest()
    # Without a lock, so that several threads compute at once.
    found = _known.get(place) or hashlib.pbkdf2_hmac("sha256", secret, salt, iterations, KEY_BYTES)
    with writing:
        # The last one stands last.
        _known.pop(place, None)
        _known[place] = found
        if len(_known) > MOST_KNOWN:
            del _known[next(iter(_known))]
    return found


def _text(secret: bytes) -> str:
    return secret.decode("utf-8", "surrogateescape")


def _utf8(value: str | bytes, where: str) -> bytes:
    """The bytes of *value*. Raises KeyConfigError if it is neither bytes nor text that has some."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise KeyConfigError(f"{where}: expected text, not {type(value).__name__}")
    # Python reads variables that are not UTF-8 with surrogates of this kind.
    return utf8_of(value, f"{where}: a lone surrogate, which has no UTF-8 form", KeyConfigError, "surrogateescape")
