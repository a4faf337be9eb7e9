"""Tokens of one length side by side: one call reads or writes the base64 of all of them.

If any token of a batch may be invalid, each is read by itself, so that every token gets its own verdict.
"""

from __future__ import annotations

import binascii
import importlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from struct import iter_unpack
from typing import Any, NamedTuple, TypeVar, cast

from keyring_core.errors import InvalidToken, MalformedToken
from keyring_core.tokens import BLOCK, OVERHEAD, TAG, VERSION, TokenText, decode_token, string_of

T = TypeVar("T")

BATCH_BYTES = 48 * 1024
"""The bytes that one call handles: data that fits into the L1 cache is fastest."""


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


def alike(lengths: Iterable[int]) -> Iterator[Sequence[int]]:
    """The places of equal lengths, in runs of up to BATCH_BYTES."""
    lengths = list(lengths)
    places_of = {lengths[0]: range(len(lengths))} if len(set(lengths)) == 1 else _places_of(lengths)
    for length, places in places_of.items():
        step = max(1, BATCH_BYTES // max(1, length))
        for start in range(0, len(places), step):
            yield places[start : start + step]


def _places_of(lengths: Sequence[int]) -> Mapping[int, Sequence[int]]:
    places_of = defaultdict(list)
    for place, length in enumerate(lengths):
        places_of[length].append(place)
    return places_of


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
        data = _decode(raw)
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


def _standard(texts: bytes | bytearray) -> bytes | bytearray:
    """*texts* in the standard alphabet; stock Fernet reads both."""
    # Two quick searches: translate() takes three times as long.
    return texts.replace(b"-", b"+").replace(b"_", b"/")


def _a2b(texts: bytes | bytearray) -> bytes:
    return binascii.a2b_base64(_standard(texts))


def _b2a(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False).replace(b"+", b"-").replace(b"/", b"_")


def _codec() -> tuple[Callable[[bytes | bytearray], bytes], Callable[[bytes], bytes]]:
    """A decoder of both alphabets of base64, and an encoder of the URL-safe one; from the extra `speed` if possible."""
    try:
        pybase64: Any = importlib.import_module("pybase64")
    except ImportError:
        return _a2b, _b2a
    return lambda texts: pybase64.b64decode(_standard(texts), validate=True), pybase64.urlsafe_b64encode


_decode, _encode = _codec()
