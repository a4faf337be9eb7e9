"""Many tokens in a few cipher calls: one CBC call decrypts a batch of tokens of one length and one encrypts it.

Decrypting `IV1|C1|IV2|C2|...` in one call is correct: in CBC a block needs only the block before it. Every ciphertext
follows its own IV, and the output at an IV's place is thrown away.

Encrypting `R1|P1|R2|P2|...`, each R one fresh random block, makes each encrypted R the IV of the ciphertext behind it:
a block cipher's output for a uniformly random block, so uniformly random itself (NIST SP 800-38A, appendix C: "apply
the forward cipher function, under the same key that is used for the encryption of the plaintext, to a nonce").

A padded plaintext is copied as it is, so a rotated token has its old length.

Tokens of one length stand side by side, so that one call reads or writes the base64 of all of them, too. If any token
of a batch may be invalid, each is read by itself, so that every token gets its own verdict.
"""

from __future__ import annotations

import binascii
import importlib
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain, compress
from struct import iter_unpack
from typing import Any, NamedTuple, TypeVar, cast

from keyring_core.errors import DamagedToken, InvalidToken, MalformedToken, UndecryptableToken
from keyring_core.keys import Key, in_cipher
from keyring_core.tokens import BLOCK, OVERHEAD, TAG, VERSION, Token, TokenText, decode_token, string_of, timestamp_of

T = TypeVar("T")

BATCH_BYTES = 48 * 1024
"""The bytes that one call handles: data that fits into the L1 cache is fastest."""
_HEAD = 9  # version, timestamp
# How a padded plaintext ends, by its last byte; an empty tuple matches nothing.
_ENDINGS: list[bytes | tuple[bytes, ...]] = [bytes([last]) * last if 1 <= last <= BLOCK else () for last in range(256)]
_PADDING_BYTES = bytes(range(1, BLOCK + 1))
_ABOVE = [bytes(255 * (last > least) for last in range(256)) for least in range(BLOCK)]
"""For each number the table that makes 255 of the bytes above it, and 0 of the others."""


class TokenBatch(NamedTuple):
    """Tokens of one length; nothing about them is verified yet."""

    places: Sequence[int]
    """The index of each in the batch."""
    data: bytes
    """Their bytes, one after the other; if the texts are padded, zeros fill each token up to a multiple of three."""

    def tokens(self) -> Iterator[tuple[bytes, bytes]]:
        """The signed part (version, timestamp, IV and ciphertext) and the tag of each."""
        stride = len(self.data) // len(self.places)
        padding = (stride - OVERHEAD) % BLOCK
        return iter_unpack(f"{stride - padding - TAG}s{TAG}s{padding}x", self.data)

    def only(self, chosen: Iterable[int]) -> TokenBatch:
        """Some of its tokens, by their indexes in the batch."""
        rows = [row for (row,) in iter_unpack(f"{len(self.data) // len(self.places)}s", self.data)]
        return TokenBatch([self.places[at] for at in chosen], b"".join([rows[at] for at in chosen]))


class Refused(NamedTuple):
    """A text of a batch that is not a token, or a token that does not open."""

    place: int
    error: InvalidToken


@dataclass(frozen=True)
class SignedBatch:
    """Tokens of one length under one key; their MACs were checked."""

    key: Key
    batch: TokenBatch

    @cached_property
    def places(self) -> Sequence[int]:
        """The index of each among the texts that were given."""
        return self.batch.places

    @cached_property
    def signed(self) -> list[bytes]:
        """The version, timestamp, IV and ciphertext of each."""
        return [signed for signed, _ in self.batch.tokens()]

    def only(self, chosen: Sequence[int]) -> SignedBatch:
        """Some of its tokens, by their indexes here."""
        return self if len(chosen) == len(self.places) else SignedBatch(self.key, self.batch.only(chosen))


def alike(lengths: Iterable[int]) -> Iterator[Sequence[int]]:
    """The places of equal lengths, in runs of up to BATCH_BYTES."""
    lengths = list(lengths)
    places_of: defaultdict[int, Any] = defaultdict(list)
    if len(set(lengths)) == 1:
        places_of[lengths[0]] = range(len(lengths))
    else:
        for place, length in enumerate(lengths):
            places_of[length].append(place)
    for length, places in places_of.items():
        step = max(1, BATCH_BYTES // max(1, length))
        for start in range(0, len(places), step):
            yield places[start : start + step]


def pick(items: Sequence[T], places: Sequence[int]) -> Sequence[T]:
    """The items at *places*, as `alike` gives them."""
    return items[places.start : places.stop] if isinstance(places, range) else [items[place] for place in places]


def put(items: list[T], places: Sequence[int], new: Iterable[T]) -> None:
    """Replaces the items at *places*."""
    if isinstance(places, range):
        items[places.start : places.stop] = new
    else:
        for place, item in zip(places, new, strict=True):
            items[place] = item


def find(keys: Iterable[Key], texts: Sequence[TokenText]) -> Iterator[SignedBatch | Refused]:
    """All *texts*, each once, by key and length; or the error with which `Keyring.key_for` refuses it.

    Checks MACs; decrypts nothing. *keys* are the keys of a keyring, the primary key first.
    """
    return _find(tuple(keys), read_tokens(texts))


def find_on_end(keys: Iterable[Key], texts: bytes, size: int) -> Iterator[SignedBatch | Refused]:
    """As `find`, for the texts that stand in *texts* one after the other, each of *size* bytes."""
    return _find(tuple(keys), read_on_end(texts, size))


def unknown_key(keys: Sequence[Key], signed: bytes) -> UndecryptableToken:
    """The error for a token under none of *keys*, by its signed part."""
    # A keyring that accepts unbound tokens has each id twice.
    ids = list(dict.fromkeys(key.id for key in keys))
    tried = ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
    context = keys[0].context
    bound = "" if context is None else f", bound to {context!r}"
    return UndecryptableToken(f"no key opens this token (tried {tried}{bound})", timestamp_of(signed))


def _find(keys: Sequence[Key], parts: Iterator[TokenBatch | Refused]) -> Iterator[SignedBatch | Refused]:
    order = list(keys)
    for part in parts:
        if isinstance(part, Refused):
            yield part
            continue
        batch = part
        first = Token._make(next(batch.tokens()))
        for key in order:
            if key.signed(first):
                # Neighbours in a table mostly share a key.
                order.remove(key)
                order.insert(0, key)
                break
        for key in tuple(order):
            others = key.not_signed(batch.tokens())
            if not others:
                yield SignedBatch(key, batch)
                break
            if len(others) < len(batch.places):
                elsewhere = set(others)
                yield SignedBatch(key, batch.only([at for at in range(len(batch.places)) if at not in elsewhere]))
                batch = batch.only(others)
        else:
            for place, (signed, _) in zip(batch.places, batch.tokens(), strict=True):
                yield Refused(place, unknown_key(keys, signed))


def decrypt(found: SignedBatch) -> list[bytes | InvalidToken]:
    """The plaintext of each, or DamagedToken."""
    signed = found.signed
    return [
        padded[: -padded[-1]] if _is_padded(padded) else _damaged(found.key, each)
        for each, padded in zip(signed, decrypt_padded(found.key, signed), strict=True)
    ]


def damaged(found: SignedBatch) -> dict[int, DamagedToken]:
    """The tokens that do not decrypt, by their index in *found*. Decrypts only the last block of each.

    If the key is mistyped in its second half, nearly all of them fail: it signs as the right key does.
    """
    signed = found.signed
    ends = decrypt_padded(found.key, [each[:_HEAD] + each[-2 * BLOCK :] for each in signed])
    return {index: _damaged(found.key, signed[index]) for index, end in enumerate(ends) if not _is_padded(end)}


def reencrypt(primary: Key, found: SignedBatch) -> list[str | DamagedToken]:
    """For each a token under *primary* with the same plaintext and timestamp, or DamagedToken."""
    heads = [signed[:_HEAD] for signed in found.signed]
    padded = decrypt_padded(found.key, found.signed)
    sound = list(map(_is_padded, padded))
    new = iter(_encrypted(primary, list(compress(heads, sound)), list(compress(padded, sound))))
    return [next(new) if good else _damaged(found.key, head) for head, good in zip(heads, sound, strict=True)]


def reencrypt_on_end(primary: Key, found: SignedBatch, suspicious: Callable[[bytes], bool]) -> bytes | None:
    """The tokens of `reencrypt`, one after the other. None if one is damaged, or the plaintexts are *suspicious*.

    No token becomes an object of its own but for its MAC. *suspicious* looks at all plaintexts at once.
    """
    signed = found.signed
    blocks = _decrypted(found.key, signed)
    width = len(blocks) // len(signed)
    if not _are_padded(blocks, width) or suspicious(blocks):
        return None
    # The output at an IV's place makes room for the random block that becomes the new IV.
    noise, plain = os.urandom(BLOCK * len(signed)), bytearray(blocks)
    for place in range(BLOCK):
        plain[place::width] = noise[place::BLOCK]
    return write_on_end(_sealed(primary, (each[:_HEAD] for each in signed), plain, width))


def encrypt(primary: Key, plaintexts: Sequence[bytes]) -> list[str]:
    """A new token under *primary* for each, all with the present time."""
    padded = [text + bytes([left]) * left for text in plaintexts for left in [BLOCK - len(text) % BLOCK]]
    head = VERSION + int(time.time()).to_bytes(8, "big")
    tokens = [""] * len(padded)
    for places in alike(map(len, padded)):
        put(tokens, places, _encrypted(primary, [head] * len(places), pick(padded, places)))
    return tokens


def decrypt_padded(key: Key, signed: Sequence[bytes]) -> list[bytes]:
    """The padded plaintext of each of *signed*, which are under *key* and of one length; one cipher call."""
    blocks = _decrypted(key, signed)
    size = len(blocks) // len(signed) - BLOCK
    return [padded for (padded,) in iter_unpack(f"{BLOCK}x{size}s", blocks)]


def _decrypted(key: Key, signed: Sequence[bytes]) -> bytes:
    """For each of *signed* one block of no meaning, in its IV's place, and its padded plaintext."""
    return in_cipher(key.cbc(bytes(BLOCK)).decryptor(), b"".join([each[_HEAD:] for each in signed]))


def _encrypted(key: Key, heads: Sequence[bytes], padded: Sequence[bytes]) -> list[str]:
    """A token for each version and timestamp and padded plaintext; the latter are of one length."""
    if not padded:
        return []
    noise = os.urandom(BLOCK * len(padded))
    starts = range(0, len(noise), BLOCK)
    blocks = chain.from_iterable(zip([noise[start : start + BLOCK] for start in starts], padded, strict=True))
    return write_tokens(_sealed(key, heads, b"".join(blocks), BLOCK + len(padded[0])))


def _sealed(key: Key, heads: Iterable[bytes], plain: bytes | bytearray, width: int) -> list[bytes]:
    """The bytes of a token for each of *heads*, from a random block and a padded plaintext, which are *width* long."""
    bodies = in_cipher(key.cbc(bytes(BLOCK)).encryptor(), plain)
    signed = [head + body for head, (body,) in zip(heads, iter_unpack(f"{width}s", bodies), strict=True)]
    # One token may be as large as all else in memory.
    del bodies
    return key.sealed(signed)


def _is_padded(plain: bytes) -> bool:
    # The MAC was right, so an attacker learns nothing from a padding that is wrong.
    return plain.endswith(_ENDINGS[plain[-1]])


def _are_padded(blocks: bytes, width: int) -> bool:
    """True if each plaintext in *blocks* ends as `_is_padded` wants it, in a few operations over all of them.

    The n-th byte before the last one is compared in those whose last byte, their number of padding bytes, is above n.
    """
    last = blocks[width - 1 :: width]
    if last.translate(None, _PADDING_BYTES):
        return False
    whole = int.from_bytes(last)
    for back in range(1, max(last)):
        differing = int.from_bytes(blocks[width - 1 - back :: width]) ^ whole
        if differing & int.from_bytes(last.translate(_ABOVE[back])):
            return False
    return True


def _damaged(key: Key, signed: bytes) -> DamagedToken:
    return DamagedToken.under(key.id, timestamp_of(signed))


def read_tokens(texts: Sequence[TokenText]) -> Iterator[TokenBatch | Refused]:
    """All *texts*, each once. Raises TypeError as `decode_token` does."""
    whole = set(map(type, texts)) == {str}
    strings = cast(Sequence[str], texts) if whole else list(map(string_of, texts))
    for places in alike(map(len, strings)):
        text = "".join(pick(strings, places))
        data = _decode_on_end(text.encode("ascii"), len(places)) if text.isascii() else None
        if data is None:
            yield from _read_each(texts, places)
        else:
            yield TokenBatch(places, data)


def read_on_end(texts: bytes, size: int) -> Iterator[TokenBatch | Refused]:
    """As `read_tokens`, for texts that stand in *texts* one after the other, each of *size* bytes."""
    count, step = len(texts) // size, max(1, BATCH_BYTES // size)
    for start in range(0, count, step):
        places = range(start, min(start + step, count))
        part = texts[places.start * size : places.stop * size]
        data = _decode_on_end(part, len(places))
        if data is None:
            yield from _read_each({place: texts[place * size : (place + 1) * size] for place in places}, places)
        else:
            yield TokenBatch(places, data)


def write_on_end(tokens: Sequence[bytes]) -> bytes:
    """The texts of *tokens*, which are of one length, one after the other."""
    padding = -len(tokens[0]) % 3
    texts = _encode(bytes(padding).join(tokens) + bytes(padding))
    if not padding:
        return texts
    padded, length = bytearray(texts), len(texts) // len(tokens)
    # One token may be as large as all else in memory.
    del texts
    for back in range(1, padding + 1):
        padded[length - back :: length] = b"=" * len(tokens)
    return bytes(padded)


def write_tokens(tokens: Sequence[bytes]) -> list[str]:
    """The texts of *tokens*, which are of one length."""
    texts = write_on_end(tokens).decode("ascii")
    length = len(texts) // len(tokens)
    return [texts[start : start + length] for start in range(0, len(texts), length)]


def is_token_size(size: int) -> bool:
    """True if a token may have *size* characters, as `write_tokens` writes it."""
    data = size // 4 * 3 - OVERHEAD
    return size % 4 == 0 and data >= BLOCK and data % BLOCK <= 2


def _decode_on_end(texts: bytes, count: int) -> bytes | None:
    """The bytes of *count* texts of one length, as in a batch; None if one of them may be invalid."""
    length = len(texts) // count
    if not is_token_size(length):
        return None
    stride = length // 4 * 3
    padding = (stride - OVERHEAD) % BLOCK
    raw: bytes | bytearray = texts
    if padding:
        raw = bytearray(raw)
        for back in range(1, padding + 1):
            if raw[length - back :: length] != b"=" * count:
                return None
            # These are zero bits, behind the token's bytes.
            raw[length - back :: length] = b"A" * count
    try:
        # Both alphabets, as stock Fernet reads them. Two quick searches: translate() takes three times as long.
        data = _decode(raw.replace(b"-", b"+").replace(b"_", b"/"))
    except binascii.Error:
        return None
    # A decoder may skip characters outside the alphabet, which makes the data too short.
    return data if len(data) == stride * count and data[::stride] == VERSION * count else None


def _read_each(
    texts: Mapping[int, TokenText] | Sequence[TokenText], places: Sequence[int]
) -> Iterator[TokenBatch | Refused]:
    decoded: list[tuple[int, bytes]] = []
    for place in places:
        try:
            decoded.append((place, decode_token(texts[place])))
        except MalformedToken as error:
            refused = Refused(place, error.with_traceback(None))
        else:
            continue
        yield refused
    for part in alike(len(data) for _, data in decoded):
        yield TokenBatch([decoded[at][0] for at in part], b"".join([decoded[at][1] for at in part]))


def _b2a(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False).replace(b"+", b"-").replace(b"/", b"_")


# A decoder of the standard alphabet, and an encoder of the URL-safe one; from the extra `speed` if possible.
_decode: Callable[[bytes | bytearray], bytes] = binascii.a2b_base64
_encode: Callable[[bytes], bytes] = _b2a
with suppress(ImportError):
    _pybase64: Any = importlib.import_module("pybase64")
    _decode, _encode = partial(_pybase64.b64decode, validate=True), _pybase64.urlsafe_b64encode
