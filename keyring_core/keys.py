"""A key: 32 secret bytes with a public id. Its repr shows no secret.

A key for one use, to encrypt or to compute a blind index, is derived from another by HKDF-SHA256 (RFC 5869). There is
no salt: it would have to be stored beside every token, and the key is uniformly random already (section 3.1). The info
string separates the uses (section 3.2): a label with a version, and the context.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from hmac import compare_digest
from itertools import count
from typing import NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keyring_core.errors import KeyConfigError, without_frames
from keyring_core.key_reads import Tally, counter_of
from keyring_core.key_text import KEY_BYTES, decode_key
from keyring_core.loaded_keys import protect_key
from keyring_core.tokens import BLOCK, OVERHEAD, TAG, Token, utf8_of

_ID_LABEL = b"keyring-core key id v1\0"
TOKENS = b"keyring-core bind v1\0"
BLIND_INDEX = b"keyring-core blind index v1\0"
_PKCS7 = padding.PKCS7(128)
_SHORTEST_SIGNED = OVERHEAD - TAG + BLOCK
_LARGE = 64 * 1024


def in_cipher(context: CipherContext, data: bytes | bytearray) -> bytes:
    """What *context*, of a block cipher, makes of *data*, which are whole blocks. Raises MemoryError."""
    if len(data) < _LARGE:
        return context.update(data) + context.finalize()
    # If memory is too short for the buffer that `update` makes, the library ends the process, or hangs in doing so.
    made = bytearray(len(data) + BLOCK - 1)
    size = context.update_into(data, made)
    context.finalize()
    del made[size:]
    return bytes(made)


class KeyState(StrEnum):
    """The state of a key (NIST SP 800-57 part 1, section 7)."""

    PRIMARY = "primary"
    PREVIOUS = "previous"
    STAGED = "staged"
    SUSPENDED = "suspended"
    """A previous key that opens no token, to try whether anything still reads with it."""

    @property
    def is_superseded(self) -> bool:
        """True if another key has taken over from it: a rotation moves its tokens."""
        return self in {KeyState.PREVIOUS, KeyState.SUSPENDED}


class CountedFernet:
    """The methods of a `cryptography.fernet.Fernet`; the tokens that it opens are counted.

    It is no `Fernet`, so that none becomes a part of a stock MultiFernet: from cryptography 51 on, that reads with the
    keys of its parts and calls none of their methods, so nothing would be counted.
    """

    def __init__(self, key: bytes, opened: Tally) -> None:
        self._fernet = Fernet(key)
        self._opened = opened
        self.encrypt = self._fernet.encrypt
        self.encrypt_at_time = self._fernet.encrypt_at_time
        self.extract_timestamp = self._fernet.extract_timestamp

    def decrypt(self, token: bytes | str, ttl: int | None = None) -> bytes:
        """As stock Fernet's."""
        plaintext = self._fernet.decrypt(token, ttl)
        self._opened.add(1)
        return plaintext

    def decrypt_at_time(self, token: bytes | str, ttl: int, current_time: int) -> bytes:
        """As stock Fernet's."""
        plaintext = self._fernet.decrypt_at_time(token, ttl, current_time)
        self._opened.add(1)
        return plaintext


class Key:
    """A Fernet key. Only its `id` is public. It cannot be pickled or copied, and is masked in every log.

    Examples:
        >>> Key.generate()
        <Key ...>
    """

    __slots__ = ("_aes", "_mac", "_origin", "_raw", "context", "fernet", "id", "opened", "undated")

    id: str
    """The first 8 hex digits of SHA-256 over a fixed label and the 32 bytes; a bound key has its parent's id."""
    context: str | None
    """The use that the key is bound to."""
    fernet: CountedFernet
    """The methods of the `cryptography.fernet.Fernet` of this key."""
    opened: Tally
    """The number of tokens that were opened under keys with this id, and when last."""
    undated: count[int]
    """Taking a number from it counts one token more, without its time."""
    salt_column: str | None = None
    """The column with the salt, if the key only stands for those that are made for each row: see `row_keys`."""
    _protect = staticmethod(protect_key)
    """Masks it in every log."""

    @without_frames
    def __init__(self, raw: bytes, *, _parent: Key | None = None, _context: str | None = None) -> None:
        if not isinstance(raw, bytes | bytearray | memoryview) or len(raw) != KEY_BYTES:
            found = len(raw) if isinstance(raw, bytes | bytearray | memoryview) else type(raw).__name__
            raise KeyConfigError(f"a key has {KEY_BYTES} bytes, not {found}")
        self._raw = bytes(raw)
        self._origin = _parent._raw if _parent else self._raw
        self.id = _parent.id if _parent else hashlib.sha256(_ID_LABEL + self._raw).hexdigest()[:8]
        self.context = _context
        self._protect(self._raw, self.id)
        self.opened = counter_of(self.id).opened
        self.undated = self.opened.undated
        self.fernet = CountedFernet(base64.urlsafe_b64encode(self._raw), self.opened)
        # Made once: a copy costs a fraction of a new HMAC.
        self._mac = HMAC(self._raw[:16], hashes.SHA256())
        self._aes = algorithms.AES(self._raw[16:])

    @classmethod
    @without_frames
    def parse(cls, text: object, where: str = "key", *, allow_weak: bool = False) -> Key:
        """The key that *text* (str or bytes) spells; *where* names its origin in messages.

        Raises KeyConfigError for anything but one sound key; with *allow_weak*, a weak key only gives a warning.

        Examples:
            >>> Key.parse("changeme", "API_KEY")
            Traceback (most recent call last):
            keyring_core.errors.KeyConfigError: API_KEY: a placeholder (8 characters ...
        """
        return cls(decode_key(text, where, allow_weak=allow_weak))

    @classmethod
    def generate(cls) -> Key:
        """A new random key, from the operating system's generator."""
        return cls(os.urandom(KEY_BYTES))

    def bind(self, context: str) -> Key:
        """The key for the use *context*, derived from this key; it has the same id.

        Raises KeyConfigError for an empty context, and for a key that is bound already.

        Examples:
            >>> Key.generate().bind("users.api_key")
            <Key ... bound to 'users.api_key'>
        """
        if self.context is not None:
            raise KeyConfigError(f"key {self.id} is bound to {self.context!r} already; bind the key that it came from")
        return Key(derive_key(self._raw, context), _parent=self, _context=context)

    def blind_index_key(self, context: str) -> bytes:
        """32 bytes for the blind index of *context*, derived from this key, or from the one that it was bound from."""
        return derive_key(self._origin, context, BLIND_INDEX)

    def reveal(self) -> str:
        """The key's text, 44 characters of URL-safe base64. Only for writing it to its file, never for a log."""
        return base64.urlsafe_b64encode(self._raw).decode("ascii")

    def tag(self, data: bytes) -> bytes:
        """HMAC-SHA256 of *data* under the signing half, 32 bytes."""
        mac = self._mac.copy()
        mac.update(data)
        return mac.finalize()

    def sealed(self, signed: Iterable[bytes]) -> list[bytes]:
        """Each signed part with its tag: whole tokens."""
        copy, tokens = self._mac.copy, []
        for each in signed:
            mac = copy()
            mac.update(each)
            tokens.append(each + mac.finalize())
        return tokens

    def signed(self, token: Token) -> bool:
        """True if *token* is under this key: one MAC, compared in constant time."""
        mac = self._mac.copy()
        mac.update(token.signed)
        return compare_digest(mac.finalize(), token.tag)

    def signed_size(self, data: bytes) -> int:
        """The length of a token under this key at the start of *data*, whatever follows; 0 if there is none.

        For a token whose end is not marked. One running MAC checks every possible end, in time linear in *data*.
        """
        mac, end = self._mac.copy(), _SHORTEST_SIGNED
        mac.update(data[:end])
        while end + TAG <= len(data):
            if compare_digest(mac.copy().finalize(), data[end : end + TAG]):
                return end + TAG
            mac.update(data[end : end + BLOCK])
            end += BLOCK
        return 0

    def not_signed(self, tokens: Iterable[tuple[bytes, bytes]]) -> list[int]:
        """The indexes of *tokens*, each a signed part and a tag, that are not under this key."""
        copy, places = self._mac.copy, []
        for place, (signed, tag) in enumerate(tokens):
            mac = copy()
            mac.update(signed)
            try:
                mac.verify(tag)
            except InvalidSignature:
                places.append(place)
        return places

    def cbc(self, iv: bytes) -> Cipher[modes.CBC]:
        """AES-128-CBC under the encryption half."""
        return Cipher(self._aes, modes.CBC(iv))

    def open(self, token: Token) -> bytes | None:
        """The plaintext of a token that this key signed; None if its padding is damaged."""
        return unpadded(in_cipher(self.cbc(token.iv).decryptor(), token.ciphertext))

    def __repr__(self) -> str:
        return f"<Key {self.id}>" if self.context is None else f"<Key {self.id} bound to {self.context!r}>"

    def __eq__(self, other: object) -> bool:
        return compare_digest(self._raw, other._raw) if isinstance(other, Key) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Key is not pickled or copied: it would leave the process unprotected")


class CountedMultiFernet:
    """The methods of a `cryptography.fernet.MultiFernet`; suspended keys open no token, and each opened one is counted.

    For code that reads with it in place of a keyring. From cryptography 51 on, no class can derive from MultiFernet.
    """

    def __init__(self, keys: Sequence[Key], check: Callable[[Key], None], count: Callable[[Key], None]) -> None:
        """Calls *check* with the key of a token to open, which may raise, and *count* with that of an opened one."""
        self._keys = keys
        self._stock = MultiFernet([key.fernet._fernet for key in keys])
        self._check, self._count = check, count
        self.encrypt = self._stock.encrypt
        self.encrypt_at_time = self._stock.encrypt_at_time
        self.extract_timestamp = self._stock.extract_timestamp

    def decrypt(self, msg: bytes | str, ttl: int | None = None) -> bytes:
        """As stock MultiFernet's."""
        return self._counted(self._stock.decrypt, msg, ttl)

    def decrypt_at_time(self, msg: bytes | str, ttl: int, current_time: int) -> bytes:
        """As stock MultiFernet's."""
        return self._counted(self._stock.decrypt_at_time, msg, ttl, current_time)

    def rotate(self, msg: bytes | str) -> bytes:
        """As stock MultiFernet's."""
        return self._counted(self._stock.rotate, msg)

    def _counted(self, read: Callable[..., bytes], msg: bytes | str, *times: int | None) -> bytes:
        key = self._key_of(msg)
        if key is None:
            return read(msg, *times)
        self._check(key)
        result = read(msg, *times)
        self._count(key)
        return result

    def _key_of(self, msg: bytes | str) -> Key | None:
        for key in self._keys:
            # Checks the MAC as stock Fernet reads the token, which is less strict than a keyring.
            with suppress(InvalidToken):
                key.fernet.extract_timestamp(msg)
                return key
        return None


def derive_key(raw: bytes, context: str, label: bytes = TOKENS) -> bytes:
    """The 32 bytes of the key for *context* under the key *raw*, for the use *label*. Errors as for `check_context`."""
    info = label + check_context(context)
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=info).derive(raw)


def check_context(context: str) -> bytes:
    """The bytes of *context*, the name of one use such as `users.api_key`. A context is not secret.

    Raises KeyConfigError if it is empty, begins or ends with a blank, or has no UTF-8 form; TypeError if it is no str.
    """
    if not isinstance(context, str):
        raise TypeError(f"a context is str, not {type(context).__name__}")
    if not context:
        raise KeyConfigError('the context is empty; name the one use of these tokens, such as "users.api_key"')
    if context != context.strip():
        raise KeyConfigError(f"the context {context!r} begins or ends with a blank, which nobody would see; drop it")
    return utf8_of(context, f"the context {context!r} has a lone surrogate and so no UTF-8 form", KeyConfigError)


def unpadded(padded: bytes) -> bytes | None:
    """*padded* without its PKCS #7 padding for blocks of 16 bytes; None if that is damaged."""
    unpadder = _PKCS7.unpadder()
    try:
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        return None


def check_told_apart(places: Mapping[Key, str]) -> None:
    """Raises KeyConfigError if two keys share an id or sign alike; *places* are the keys' places in words."""
    ids: dict[str, Key] = {}
    signers: dict[bytes, Key] = {}
    for key, place in places.items():
        if ids.setdefault(key.id, key) is not key:
            raise KeyConfigError("two different keys have the same key id; replace one of them by a new key")
        # Keys with the same first half. Trying both is unsafe: a wrong second half opens one token in 256, to nonsense.
        twin = signers.setdefault(key.tag(b""), key)
        if twin is not key:
            raise KeyConfigError(
                f"{places[twin]} ({twin.id}) and {place} ({key.id}) sign alike, so no token shows which of them it is "
                "under: one is probably a mistyped copy of the other.\n"
                "Keep the one that decrypts your tokens; if both have encrypted, see docs/explanation/keys.md."
            )
