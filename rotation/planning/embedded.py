r"""Tokens inside text: their places, and the same text with others in their place. Pure.

A token's characters are those of URL-safe base64, which neither JSON nor YAML nor a URL escapes, and a rotated token
is as long as the old one. So the characters of its body are replaced one by one, and everything around them stays,
the padding included, however it is spelled: `=`, `\u003d`, `%3D`, or not at all.

Where a body ends is plain if something else than its characters follows. Otherwise the MAC says it.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from keyring_core import Key
from keyring_core.tokens import OVERHEAD, TAG, Token
from rotation.model.target import Format
from rotation.planning.cell_kinds import LEAST_BODY, PATTERNS
from rotation.planning.inner_tokens import LONGEST_OPEN, SHORTEST, WORK, WORK_PER_BYTE, is_raw_size, looks_random

MARK = "gAAAA"
"""The beginning of a token: its version, and a time under 2**42."""
_BODY = re.compile(r"gAAAA[A-Za-z0-9_-]*")
_URL_SAFE_TO_STANDARD = str.maketrans("-_", "+/")
_DATED = re.compile(r"gAAAAA[BC]")
"""The beginning of a token of the years 2004 to 2072."""
_LEAST_TRUNCATED = 12
"""Characters of a token's version and time."""
_WORD = re.compile(r"[A-Za-z0-9+/]")
_PADDINGS = ("", "===", "==", "=")
"""The padding of a body, by its length modulo four; no body is one character longer than a multiple of four."""


@dataclass(frozen=True)
class Spelling:
    """The way in which a format writes the text of a token."""

    mark: str
    """The beginning of a token in it."""
    pattern: re.Pattern[bytes]
    """As in `rotation.planning.cell_kinds.PATTERNS`."""
    decode: Callable[[str], str]
    """Decodes some characters: to the text of a token, or of its beginning."""
    encode: Callable[[str, str], str]
    """Encodes a text, in the manner of the characters that it replaces."""
    width: tuple[int, int] = (1, 1)
    """Ratio of encoded to plain characters."""

    @cached_property
    def whole(self) -> re.Pattern[str]:
        """The same for text; splits a text into what stands around tokens, and these."""
        return re.compile(f"({self.pattern.pattern.decode('ascii')})")

    @property
    def encoded(self) -> bool:
        """True if the cell does not hold the text of the token itself."""
        return self.width != (1, 1)

    def body(self, run: str) -> str:
        """The body of the token that *run* spells, up to the first character that no body has."""
        found = _BODY.match(self.decode(run))
        return found[0] if found else ""

    def cover(self, size: int) -> int:
        """Encoded length of *size* characters, rounded up: the last one may spell a part of what follows, too."""
        coded, plain = self.width
        return -(-size * coded // plain)

    def is_alone(self, run: str, body: str) -> bool:
        """True if *run* spells *body* and its padding, and nothing behind them."""
        return self.decode(run)[len(body) :] in _PADDINGS

    def respell(self, run: str, body: str) -> str:
        """*run* with *body* in the place of the one that it spells, which is as long."""
        own = self.cover(len(body))
        # The bits that the last character spells of what follows stay.
        behind = self.decode(run + "A" * (-len(run) % self.width[0]))[len(body) :]
        return self.encode(body + behind, run)[:own] + run[own:]


def _from_base64(run: str) -> str:
    whole = run[: len(run) - (len(run) % 4 == 1)]
    return binascii.a2b_base64(whole + "=" * (-len(whole) % 4)).decode("latin-1")


def _to_base64(text: str, _: str) -> str:
    return binascii.b2a_base64(text.encode("latin-1"), newline=False).decode("ascii").rstrip("=")


def _from_hex(run: str) -> str:
    return bytes.fromhex(run[: len(run) // 2 * 2]).decode("latin-1")


def _to_hex(text: str, like: str) -> str:
    digits = text.encode("latin-1").hex()
    return digits.upper() if like == like.upper() and like != like.lower() else digits


SPELLINGS = {
    Format.EMBEDDED: Spelling(MARK, PATTERNS[Format.EMBEDDED], lambda run: run, lambda text, _: text),
    Format.BASE64: Spelling("Z0FBQU", PATTERNS[Format.BASE64], _from_base64, _to_base64, (4, 3)),
    Format.HEX: Spelling("6741414141", PATTERNS[Format.HEX], _from_hex, _to_hex, (2, 1)),
}


def _characters(size: int) -> int:
    """The number of characters of *size* bytes in base64, without padding."""
    return -(-size * 4 // 3)


def padded(bodies: Sequence[str]) -> list[str]:
    """*bodies* as whole tokens."""
    return [body + _PADDINGS[len(body) % 4] for body in bodies]


class Located(NamedTuple):
    """A token in a text."""

    start: int
    run: str
    """The characters that spell it, and maybe something behind it."""
    body: str
    """Its own text without padding."""
    key: Key | None
    """The key that signed it. None: it looks like a token, and none of the keys did."""

    @property
    def whole(self) -> bool:
        """True if a token may have this length; otherwise its end is missing, or something follows it."""
        size = len(self.body) * 3 // 4
        return is_raw_size(size) and len(self.body) == _characters(size)


def locate(spelling: Spelling, text: str, keys: Sequence[Key]) -> tuple[list[Located], bool]:
    """Every token in *text*, in their order, one by one: for texts in which something is not plain.

    A token is what one of *keys* signed, whatever stands around it; and what begins like a token of our time at the
    beginning of a word, and is long enough.

    The second value is whether the search was given up: there was more to look at than a text of this size may cost.
    """
    scan = _TextScan(spelling, text, keys)
    found = list[Located]()
    for token in scan.tokens():
        if found and found[-1].key is None and token.key:
            found[-1:] = _before(found[-1], token)
        found.append(token)
    return found, scan.allowance <= 0


def _before(unsigned: Located, signed: Located) -> list[Located]:
    """*unsigned* up to the token behind it, if that leaves more of it than a beginning."""
    size = signed.start - unsigned.start
    if size >= len(unsigned.run):
        return [unsigned]
    cut = unsigned._replace(run=unsigned.run[:size], body=unsigned.body[:size])
    return [cut] if size >= _LEAST_TRUNCATED else []


class _TextScan:
    """One text. Work is bounded as in `find_inner`."""

    def __init__(self, spelling: Spelling, text: str, keys: Sequence[Key]) -> None:
        self._spelling, self._text, self._keys = spelling, text, keys
        self.allowance = WORK_PER_BYTE * len(text) + WORK
        """The number of characters that may still be looked at."""

    def tokens(self) -> Iterator[Located]:
        """Looks at each place at which a token may begin."""
        mark, text, width = self._spelling.mark, self._text, self._spelling.width[0]
        ends: dict[int, int] = {}
        """The ends of runs, by where one begins within the characters that spell one of a token's."""
        start = text.find(mark)
        while start >= 0 and self.allowance > 0:
            if start >= ends.get(start % width, 0):
                run = self._spelling.whole.match(text, start)
                ends[start % width] = run.end() if run else 0
            found = self._token_at(start, ends[start % width])
            if found:
                yield found
            # Another token may begin inside of what looks like a token and is not.
            start = text.find(mark, start + (len(found.run) if found and found.key else 1))

    def _token_at(self, start: int, end: int) -> Located | None:
        """The token that begins there, in a run of characters up to *end*."""
        spelling, limit = self._spelling, end
        raw = self._raw(start, min(end, start + spelling.cover(LEAST_BODY)))
        if len(raw) < SHORTEST or not looks_random(raw[:SHORTEST]):
            return None
        coded, plain = spelling.width
        if not is_raw_size((end - start) * plain // coded * 3 // 4):
            # The run is not as long as a token: its end is sought up to this limit.
            limit = min(end, start + spelling.cover(_characters(LONGEST_OPEN)))
        raw = self._raw(start, limit)
        for key in self._keys:
            if size := self._signed_size(key, raw):
                characters = _characters(size)
                run = self._text[start : min(end, start + spelling.cover(characters))]
                return Located(start, run, spelling.body(run)[:characters], key)
        self.allowance -= end - start
        run = self._text[start:end]
        body = spelling.body(run)
        if _DATED.match(body) and not _WORD.match(self._text[max(0, start - 1) : start]):
            return Located(start, run, body, None)
        return None

    def _raw(self, start: int, end: int) -> bytes:
        """The bytes of a token, from the characters of its text, and the bytes of what follows it."""
        self.allowance -= end - start
        body = self._spelling.body(self._text[start:end]).translate(_URL_SAFE_TO_STANDARD)
        # A single character more is no byte.
        return binascii.a2b_base64(body + "A" * (-len(body) % 4))[: len(body) * 3 // 4]

    def _signed_size(self, key: Key, raw: bytes) -> int:
        """The size of the token under *key* at the beginning of *raw*; 0 without one."""
        if is_raw_size(len(raw)):
            self.allowance -= len(raw) // OVERHEAD
            if key.signed(Token(raw[:-TAG], raw[-TAG:])):
                return len(raw)
        piece = raw[:LONGEST_OPEN]
        self.allowance -= len(piece)
        return key.signed_size(piece)
