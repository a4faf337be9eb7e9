"""Tokens that are part of something else: inside text or JSON, encoded again, or inside another token. Pure.

Every token is looked for in one form, its raw bytes. Each possible reading of a value (base64 and hex decoded, escapes
resolved, line breaks taken out) is a view, and so is the plaintext of each token found. A view is only a guess: the MAC
alone says what is a token under a key, so a wrong guess costs time and claims nothing.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from keyring_core import Key, Keyring
from keyring_core.tokens import BLOCK, OVERHEAD, TAG, Token
from rotation.planning.cell_readings import (
    IN_BASE32,
    IN_DECIMAL,
    IN_HEX,
    READINGS,
    decoded,
    text_runs,
)

SHORTEST = OVERHEAD + BLOCK
"""Bytes of the shortest token, decoded. It is random, so that nothing makes it shorter: no text of fewer bytes holds
one, in whatever form."""


def _in_base64(size: int) -> int:
    """The characters in which base64 spells *size* bytes, without padding."""
    return -(-size * 8 // 6)


_TEXT = _in_base64(SHORTEST)
"""Characters of the shortest token."""


class Spelled(NamedTuple):
    """What the beginning of a token, `gAAAAAB` or the bytes that it spells, turns into in forms that share a piece."""

    marks: tuple[bytes, ...]
    """Every value that holds a token in one of these forms holds one of these byte strings."""
    least: int
    """Bytes of the smallest such value."""
    piece: bytes
    """It stands in each of the marks, so that a value without it needs no further look."""


SPELLED: tuple[Spelled, ...] = (
    # In columns of bytes alone, since no text holds a NUL or is the byte 0x80: raw, UTF-16, UTF-32.
    Spelled((b"\x80\0\0\0\0",), SHORTEST, b"\x80\0\0\0\0"),
    Spelled((b"\0A\0A\0", b"A\0\0\0A\0\0\0A"), 2 * _TEXT, b"\0A\0"),
    # In escapes: of JSON, text and a raw token; of Python, a raw token; of URLs, text. Random bytes need many of them.
    Spelled((b"u0041", b"u0080"), _TEXT, b"u00"),
    Spelled((b"\\x80",), _TEXT, b"\\x80"),
    Spelled((b"%41%41",), _TEXT, b"%41%41"),
    # As it is: any one of them has a line break left over.
    Spelled((b"gAAA", b"AAAA", b"AAAB"), _TEXT, b"AAA"),
    # In base64, at any place in it, with a line break anywhere; in base32; UTF-16 in base64.
    Spelled((b"QUFB", b"UFBQ", b"FBQU", b"BQUF", IN_BASE32[1], b"QQBBAE"), _in_base64(_TEXT), b"Q"),
    Spelled((IN_BASE32[0],), _TEXT * 8 // 5, IN_BASE32[0]),
    # In base64 twice; hex in base64.
    Spelled((b"RVUZC", b"UVVGQ", b"FVRkJ"), _in_base64(_in_base64(_TEXT)), b"V"),
    Spelled((b"NDE0MT",), _in_base64(2 * _TEXT), b"NDE0MT"),
    *(
        Spelled((mark,), least, mark)
        for mark, least in zip(IN_HEX, (2 * SHORTEST, 2 * _TEXT, 2 * _in_base64(_TEXT), 4 * _TEXT), strict=True)
    ),
    *(Spelled((mark,), 3 * _TEXT - 1, mark) for mark in IN_DECIMAL),
)
"""Every form that is looked for, so that a database can select the cells to fetch."""

MARKS = tuple(mark for spelled in SPELLED for mark in spelled.marks)


def forms_of_texts(forms: Sequence[Spelled]) -> list[Spelled]:
    """The ones of *forms* that a text can have: it holds no NUL, and nothing that is not UTF-8."""
    return [form for form in forms if all(mark.isascii() and b"\0" not in mark for mark in form.marks)]


LONGEST_OPEN = 16 * 1024
"""Bytes of the longest token, decoded, that is found where other data follow it without any sign."""

WORK, WORK_PER_BYTE = 16 * 1024 * 1024, 16
"""The number of bytes that are looked at for one value, and the number added for each of its bytes."""

# The version and a time under 2**42, which is what `gAAAA` spells.
_HEAD = re.compile(rb"\x80\0\0[\0-\3]")
_NAME = 1 + 8 + BLOCK
# Ciphertext and tag look random: of their first 48 bytes about 44 are different, and NULs are rare.
# That a token is refused has a chance below 2**-40; numbers in a row and pixels are.
_RANDOM = slice(_NAME, SHORTEST)
# Two tokens have no piece of this length in common.
_PIECE = 8
_LEAST_DIFFERENT, _MOST_NULS = 26, 8
OF_THESE_YEARS, _LEAST_DIFFERENT_OF_64 = re.compile(rb"\x80\0{4}[\x40-\xbf]"), 42
# What `holds_mark` looks for: the beginning of a raw token is shorter than its mark, which a database looks for.
_GATES = (*MARKS[1:], *(b"\x80\0\0" + bytes([byte]) for byte in range(4)))


def _one_pass_each(shared: Iterable[bytes], marks: Iterable[bytes]) -> Iterator[re.Pattern[bytes]]:
    """Patterns that find each of *marks*, and nothing else: one for all marks with the same piece of *shared*.

    `re` seeks the letters that a pattern begins with as fast as `in` does, and tries the rest only where they stand.
    """
    left = list(marks)
    for piece in shared:
        tails = [re.escape(mark.split(piece, 1)[1]) + b"(?<=%b)" % re.escape(mark) for mark in left if piece in mark]
        yield re.compile(re.escape(piece) + b"(?:%b)" % b"|".join(tails))
        left = [mark for mark in left if piece not in mark]
    yield from (re.compile(re.escape(mark)) for mark in left)


_SEARCHES = [
    each.search for each in _one_pass_each((b"AAA", b"U", b"41", b"80", b"Q", b"65,", b"A\0", b"\x80\0\0"), _GATES)
]

BEGINNING = b"gAAAA"
"""How a token begins, as text."""
_WHOLE = re.compile(rb"gAAAA[A-Za-z0-9+/_-]{93,}")
OF_TOKENS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_="
_OUTSIDE = bytes(set(range(256)) - set(OF_TOKENS))
"""Bytes that no token has; stock Fernet drops them up to cryptography 50."""


@dataclass
class InnerTokens:
    """The tokens in one value, each counted once however often it stands there."""

    under: Counter[str] = field(default_factory=Counter)
    """Tokens per key id, under the keys of these keyrings."""
    decrypted: int = 0
    """The ones of these that their key decrypts, too: a key with the same first half signs alike."""
    unknown: int = 0
    """Whole tokens by their looks that none of the keys signed."""
    has_endless: bool = False
    """Something else begins like a token that none of the keys signed, and its end does not show."""
    unopened: int = 0
    """What none of the keys signed, whole or without an end that shows, and is too much like a token to be chance."""
    beside: Sequence[bytes] = ()
    """The data beside the tokens under these keys, in the value and in whatever is encoded in it."""
    rest: Sequence[bytes] = ()
    """If it was asked for: the data beside all tokens, unknown ones too; the value if no place of one is known."""
    given_up: bool = False
    """There was more to look at than a value of this size may cost, so that a token may have been missed."""

    def __bool__(self) -> bool:
        return bool(self.under or self.unknown or self.given_up)


def holds_mark(data: bytes) -> bool:
    """True if *data* may hold a token; a quick test, for gigabytes of data."""
    return any(search(data) for search in _SEARCHES)


def bytes_of(value: str | bytes) -> bytes:
    """The bytes that *value* stands for in its database, also where they are no UTF-8, as SQLite allows in a text."""
    if not isinstance(value, str):
        return bytes(value)
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # Half a surrogate pair of the value's own.
        return value.encode("utf-8", "surrogatepass")


def find_inner(keyrings: Sequence[Keyring], value: str | bytes, *, with_rest: bool = False) -> InnerTokens:
    """Every token in *value*, at any depth; each is tried under the keys of all *keyrings*. Raises nothing.

    *with_rest*: finds the `rest` too.
    """
    data = bytes_of(value)
    scan = _ValueScan(list(dict.fromkeys(key for keyring in keyrings for key in keyring.states)), data)
    return scan.result(with_rest=with_rest)


class _ValueScan:
    """The search of one value. Each view is shorter than the one that it comes from, so the search ends."""

    def __init__(self, keys: Sequence[Key], data: bytes) -> None:
        self._keys, self._value = keys, data
        self._views = deque[tuple[bytes, bool, bool]]()
        """Each holds a mark. With whether what looks like a token in it is one, even if none of the keys signed it, and
        whether nothing was taken out of it or resolved."""
        self._exact: list[bytes] = []
        """The views of which the latter is so; first of all the value."""
        self._seen: set[bytes] = set()
        # Tokens by version, time and IV; the latter is random, so that no two share it.
        self._sizes: dict[bytes, int] = {}
        self._found = InnerTokens()
        self._pieces: set[bytes] = set()
        """Of the beginnings of these tokens."""
        self._unknown: set[bytes] = set()
        """The beginnings of what looks like a whole token and none of the keys signed."""
        self._whole: dict[bytes, int] = {}
        """Their sizes, by version, time and IV."""
        self._endless: set[bytes] = set()
        """The same of what does not show its end."""
        self._alone: set[bytes] = set()
        """The same of what is all of a view, such as a word of a text decoded: hardly anything else is so by chance."""
        self._words: set[bytes] = set()
        """The same where the view may be words that were put together."""
        # In bytes looked at. Without a bound, a value made for it would take time in the square of its size.
        self._allowance = WORK_PER_BYTE * len(data) + WORK
        self._add(data, certain=True, exact=True)

    def _add(self, view: bytes, *, certain: bool, exact: bool) -> None:
        # A view without a mark is not kept: of a value of megabytes there are many.
        if len(view) >= SHORTEST and holds_mark(view):
            self._views.append((view, certain, exact))

    def result(self, *, with_rest: bool) -> InnerTokens:
        """Looks at every view, up to the bound."""
        while self._views and self._allowance > 0:
            view, certain, exact = self._views.popleft()
            if view in self._seen:
                continue
            self._seen.add(view)
            self._allowance -= len(view)
            head = _HEAD.search(view)
            while head and self._allowance > 0:
                size = self._token_at(view, head.start(), certain=certain)
                head = _HEAD.search(view, head.start() + (size or 1))
            self._exact += [view] if exact else []
            for each, _ in decoded(view):
                self._add(each, certain=certain, exact=exact)
            for each in _unwrapped(view):
                self._add(each, certain=certain, exact=False)
            # Words that were put together look like a token, too.
            self._add(_without_strangers(view), certain=False, exact=False)
        found, unknown = self._found, {each[:_NAME] for each in self._unknown if self._is_another(each)}
        found.unknown, found.given_up = len(unknown), self._allowance <= 0
        found.has_endless = any(map(self._is_another, self._endless))
        # So much like a token that hardly anything else is: its time is of the years 2004 to 2072, and of its 64 random
        # bytes, of which 57 are different on average, fewer than these with a chance of 2**-28. `looks_random` alone
        # takes pieces of pictures, archives and programs for tokens.
        like = self._alone | {
            each
            for each in self._unknown | self._endless | self._words
            if OF_THESE_YEARS.match(each) and len(set(each[9:])) >= _LEAST_DIFFERENT_OF_64
        }
        found.unopened = len({each[:_NAME] for each in like if self._is_another(each)})
        found.beside = self._beside(self._sizes) if found.under else ()
        if with_rest:
            whole = {name: self._whole[name] for name in unknown}
            found.rest = self._beside(whole | self._sizes) or [self._value]
        return found

    def _beside(self, sizes: Mapping[bytes, int]) -> list[bytes]:
        """The rest of each view in which a token of *sizes* is encoded, without these places."""
        found, holding = list[bytes](), set[bytes]()
        # What is encoded in a view comes behind it.
        for view in reversed(self._exact):
            places = [place for data, place in decoded(view) if data in holding]
            starts = (head.start() for head in _HEAD.finditer(view))
            known = [(at, at + sizes[name]) for at in starts if (name := view[at : at + _NAME]) in sizes]
            if places or known:
                holding.add(view)
            if view is self._exact[0]:
                # In another one raw bytes may be a further token, read from a wrong character on.
                places += known
            if places:
                found.append(_without(view, places))
        return found

    def _is_another(self, beginning: bytes) -> bool:
        """True if no token found has this *beginning*; a view that is a wrong guess has most bytes of one."""
        places = range(_NAME, SHORTEST - _PIECE + 1)
        return not any(beginning[at : at + _PIECE] in self._pieces for at in places)

    def _token_at(self, data: bytes, begin: int, *, certain: bool) -> int:
        """The size of the token that begins there; 0 if none of the keys signed one."""
        if not looks_random(data[begin : begin + SHORTEST]):
            return 0
        name = data[begin : begin + _NAME]
        if name in self._sizes:
            return self._sizes[name]
        following = _HEAD.search(data, begin + 1)
        whole = (len(data), following.start() if following else 0)
        ends = [end for end in dict.fromkeys(whole) if is_raw_size(end - begin)]
        for key in self._keys:
            size = self._signed_size(key, data, begin, ends)
            if size:
                self._hold(key, name, data[begin : begin + size])
                return size
        if certain:
            (self._unknown if ends else self._endless).add(data[begin : begin + SHORTEST])
            if ends:
                self._whole[name] = min(self._whole.get(name, len(data)), *(end - begin for end in ends))
        if begin == 0 and len(data) in ends:
            (self._alone if certain else self._words).add(data[:SHORTEST])
        return 0

    def _signed_size(self, key: Key, data: bytes, begin: int, ends: Sequence[int]) -> int:
        for end in ends:
            self._allowance -= (end - begin) // BLOCK
            if key.signed(Token(data[begin : end - TAG], data[end - TAG : end])):
                return end - begin
        # Something follows it, or it would end where the data or the next one do.
        piece = data[begin : begin + LONGEST_OPEN]
        self._allowance -= len(piece)
        return key.signed_size(piece)

    def _hold(self, key: Key, name: bytes, token: bytes) -> None:
        self._sizes[name] = len(token)
        self._pieces |= {token[at : at + _PIECE] for at in range(_NAME, SHORTEST, _PIECE)}
        self._found.under[key.id] += 1
        plain = key.open(Token(token[:-TAG], token[-TAG:]))
        if plain is not None:
            self._found.decrypted += 1
            self._add(plain, certain=True, exact=False)


def looks_random(beginning: bytes) -> bool:
    """True if the first SHORTEST bytes of a possible token, decoded, are as random as a token's."""
    random = beginning[_RANDOM]
    return random.count(0) <= _MOST_NULS and len(set(random)) >= _LEAST_DIFFERENT


def is_raw_size(size: int) -> bool:
    """True if a token may have *size* bytes, decoded."""
    return size >= SHORTEST and (size - OVERHEAD) % BLOCK == 0


def _without(data: bytes, places: Sequence[tuple[int, int]]) -> bytes:
    pieces, end = list[bytes](), 0
    for begin, behind in sorted(places):
        pieces.append(data[end:begin])
        end = max(end, behind)
    return b" ".join([*pieces, data[end:]])


def _unwrapped(data: bytes) -> Iterator[bytes]:
    """Possible readings of texts in *data*, which holds a mark. Each is shorter than *data*."""
    for begin, end in text_runs(data):
        text = data[begin:end]
        if text is data or holds_mark(text):
            # One after the other, since each may be as large as the value.
            for view in (read(text) for read in READINGS):
                if len(view) < len(text):
                    yield view


def _without_strangers(data: bytes) -> bytes:
    """*data* as stock Fernet reads it, without what no token has, if that may stand inside of a token."""
    bare = data.translate(None, _OUTSIDE)
    beginnings = bare.count(BEGINNING) if len(bare) < len(data) else 0
    return bare if beginnings and beginnings > len(_WHOLE.findall(data)) else b""
