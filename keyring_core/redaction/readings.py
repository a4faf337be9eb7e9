"""Reads bytes that a text spells one by one, or in parts: percent-encoding, C, Go, Python's ``pprint``, hex dumps.

They are searched as the text itself is. So a value needs no form for these, and a name in a URL's JSON counts.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import NamedTuple

from keyring_core.redaction.effort import lower, reduced
from keyring_core.redaction.patterns import ANY_CASE, compiled

_PERCENT = r"%[0-9a-f]{2}"
_ESCAPED = r"(?:0x|\\x)[0-9a-f]{1,2}(?![0-9a-f])"
# An offset and up to sixteen bytes, as hexdump -C, xxd, od -t x1 and Python libraries print them. In JSON, the letter
# of an escaped newline precedes it.
_DUMPED = r"(?:(?<![0-9a-z])|(?<=\\[nrt]))[0-9a-f]{4,16}:?[ ]{1,3}(?P<bytes>(?:[0-9a-f]{2}[ ]{0,2}){1,16})"
_FIRST_LINE = r"0000[0-9a-f]{0,12}:?[ ]{1,3}[0-9a-f]{2}[0-9a-f ]"
# Between two lines of one bytes literal, as pprint breaks it. In JSON, the newline is escaped.
_NEXT_LITERAL = r"[\"'](?:\n|\\+n)[ ]+b\\*[\"']"
# Ends a value of several bytes.
_NEXT_FIELD = r"[\"']\s?:|="
# Escapes, and what is between them, in one field.
_LIST = rf"(?:{_ESCAPED}(?:[^\"'=0\\]++|(?!{_NEXT_FIELD}|{_ESCAPED})[\s\S])*+)++"
# Ordinary text can hold fewer bytes than this; they make no value.
_FEWEST = 8
_ZEROS, _X, _ZERO_X = reduced(b"0000"), reduced(b"x"), reduced(b"0x")


class Reading(NamedTuple):
    """The bytes that a text spells. *place* turns a range of them into a range of the text."""

    data: bytes
    place: Callable[[int, int], tuple[int, int]]


def spells_bytes(flat: str, gist: str) -> bool:
    """True if *flat*, of which `reduced` leaves *gist*, may spell bytes; usually not."""
    if "%" in flat or _ZEROS in gist:
        return True
    return gist.count(_X) >= _FEWEST and (_ZERO_X in gist or "\\x" in flat or "\\X" in flat)


def readings(flat: str) -> Iterator[Reading]:
    """The readings of *flat*, which has one character for each byte."""
    low = lower(flat)
    if "%" in low:
        yield from _percent(flat)
    if "0x" in low or "\\x" in low:
        yield from _listed(low)
        yield from _joined(flat)
    if "0000" in low and compiled(_FIRST_LINE).search(low):
        yield from _dumped(low)


def _percent(flat: str) -> Iterator[Reading]:
    """*flat* without percent-encoding. A plus stands for a blank, as in forms."""
    if not compiled(_PERCENT, ANY_CASE).search(flat):
        return
    from urllib.parse import unquote_to_bytes  # noqa: PLC0415 - loaded on first use: importing this package has to stay cheap

    @cache
    def places() -> list[int]:
        # The place of each escape's character, when each escape before it has become one character.
        return [found.start() - 2 * number for number, found in enumerate(compiled(_PERCENT, ANY_CASE).finditer(flat))]

    yield Reading(
        unquote_to_bytes(flat.encode("latin-1").replace(b"+", b" ")),
        lambda start, end: (start + 2 * bisect_left(places(), start), end + 2 * bisect_left(places(), end)),
    )


def _joined(flat: str) -> Iterator[Reading]:
    """*flat* with each bytes literal that goes on in the next line joined."""
    # Where each next line begins when the lines before it are joined, and what was left out up to there.
    places, gaps = [], [0]
    for found in compiled(_NEXT_LITERAL).finditer(flat):
        places.append(found.start() - gaps[-1])
        gaps.append(gaps[-1] + len(found[0]))
    if places:
        yield Reading(
            compiled(_NEXT_LITERAL).sub("", flat).encode("latin-1"),
            lambda start, end: (start + gaps[bisect_right(places, start)], end + gaps[bisect_left(places, end)]),
        )


def _listed(low: str) -> Iterator[Reading]:
    """The bytes that *low* spells with escapes; in JSON, one reading for each field."""
    for field in compiled(_LIST).finditer(low):
        escapes = compiled(_ESCAPED).findall(field[0])
        if len(escapes) >= _FEWEST:
            places = (found.span() for found in compiled(_ESCAPED).finditer(low, *field.span()))
            yield Reading(bytes.fromhex("".join([escape[2:].zfill(2) for escape in escapes])), _of_bytes(places))


def _of_bytes(places: Iterable[tuple[int, int]]) -> Callable[[int, int], tuple[int, int]]:
    """The place of a range of bytes, of which each has one of *places*; these are read when the first is needed."""
    known = cache(lambda: list(places))
    return lambda start, end: (known()[start][0], known()[end - 1][1])


def _dumped(low: str) -> Iterator[Reading]:
    """The bytes of hex dumps in *low*; in JSON, for each field."""
    # Of each dump its bytes, and the lines with their ends, behind the column that shows the bytes as text.
    dumps: list[tuple[bytearray, list[tuple[re.Match[str], int]]]] = []
    end = 0
    for found in compiled(_DUMPED).finditer(low):
        if not dumps or compiled(_NEXT_FIELD).search(low, end, found.start()):
            dumps.append((bytearray(), []))
        line = bytes.fromhex(found["bytes"])
        end = found.start("bytes") + len(found["bytes"].rstrip())
        column = compiled(_text_column(len(line))).match(low, end)
        end = end if column is None else column.end()
        data, lines = dumps[-1]
        data += line
        lines.append((found, end))
    for data, lines in dumps:
        if len(data) >= _FEWEST:
            yield from _dump(bytes(data), lines)


def _dump(data: bytes, lines: list[tuple[re.Match[str], int]]) -> Iterator[Reading]:
    """*data*, and once more as hexdump without options and od -x write it: swapped in pairs."""
    place = _of_bytes(
        (byte.start(), end)  # a byte spans the rest of its line
        for found, end in lines
        for byte in compiled(r"[0-9a-f]{2}").finditer(found.string, *found.span("bytes"))
    )
    yield Reading(data, place)
    swapped = bytearray(data[: len(data) & -2])
    swapped[::2], swapped[1::2] = data[1::2], data[: len(swapped) : 2]
    yield Reading(bytes(swapped), lambda start, end: place(start & -2, (end + 1) & -2))


@cache
def _text_column(count: int) -> str:
    r"""The pattern of *count* characters as a hex dump shows them; in JSON some are escaped, but ``\n`` ends them."""
    # If the line ends right after them, it shows how the text is escaped: a backslash and an n may be two of them.
    exact = ""
    for depth in range(3):  # the number of times that it stands in JSON in JSON
        backslash, quote = r"\\" * 2**depth, r"\\" * (2**depth - 1) + '"'
        newline = r"\\" * 2 ** (depth - 1) + "n" if depth else r"\n"
        exact += rf"(?:{backslash}|{quote}|[^\\\"\n]){{{count}}}[|<]?(?={newline}|\Z)|"
    return rf"[ ]{{2,60}}[|>]?(?:{exact}(?:(?!\\{{1,7}}[nrt])\\{{1,7}}.|[^\n\\]){{0,{count}}}[|<]?)"
