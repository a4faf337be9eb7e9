"""Finds credentials with a well-known prefix. Each has a long run of letters and digits, which is searched first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from keyring_core.redaction.effort import READ, Effort, rest
from keyring_core.redaction.patterns import ANY_CASE, Shape, by_first_character, compiled, hidden
from keyring_core.redaction.spans import Span
from keyring_core.redaction.vendors import JWT, SHAPES, START

_BEARER = Shape("bearer", r"bearer\s{1,3}(?P<hide>(?=[\w.~+/-]{0,80}[0-9])[\w.~+/-]{16,}=*)", "authorization")
_LONGEST_OUTSIDE = 16  # of a gate, or of "Bearer" and the blanks behind it, before the run
# What can stand between "Bearer" and the run.
_BEFORE_THE_RUN = " \t\r\n.~+/"

_CLASSES = bytes(
    ord("a") if (chr(byte).isalnum() and byte < 128) or chr(byte) in "_-" else ord(" ") for byte in range(256)
)
_LONG_RUN = b"a" * 16
# A UUID, a trace id, a digest and a time need no search: each gate and each key holds another character.
_HEX = b"0123456789abcdef-"

_KEY_LENGTH = 43
# The last character of 32 bytes in base64 carries four bits.
_KEY_ENDS = frozenset("AEIMQUYcgkosw048")
# After "/" and "-" too, as in a URL or an option, unless that is a character of a longer base64 text.
_KEY = (
    r"(?:(?<![A-Za-z0-9_+])|(?<=\\[nrt]))(?<![A-Za-z0-9_+/=-]{44})"
    r"(?=\S{0,42}[A-Z])(?=\S{0,42}[a-z])(?=\S{0,42}[0-9])[A-Za-z0-9_+/-]{43}=(?![A-Za-z0-9=])"
)
# The name of a digest or public key, which looks like a Fernet key: "sha256=", contentHash: ", public_key '.
_DIGEST_NAME = (
    r"(?:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))"
    r"(?i:(?:hostpub)?sha-?256|digest|hash|checksum|integrity|fingerprint|thumbprint|etag|pubkey|public(?:[ _-]?key)?)"
    r"(?i:e?s|[ _-]?value)?(?i:[ _-]?\(?(?:b64|base64))?[^A-Za-z0-9]{0,12}(?:W/\\{0,7}\")?\Z|(?<= h1:)\Z"
)
_NAME_REACH = 32


def find_credentials(text: str, data: bytes, limit: type[Effort] = Effort) -> list[Span]:
    """The credentials in *text*. *data* is *text* as bytes of its length."""
    effort = limit(len(text))
    spans: list[Span] = []
    classes = data.translate(_CLASSES)
    start = classes.find(_LONG_RUN)
    while start >= 0:
        end = classes.find(b" ", start + len(_LONG_RUN))
        end = len(classes) if end < 0 else end
        if start and text[start - 1] in _BEFORE_THE_RUN:
            spans += _bearer(text, start)
        run = data[start:end]
        if run.strip(_HEX):
            if not _is_words(run):
                spans += _in_run(text, start, end, effort)
            equals = text.find("=", end, end + _KEY_LENGTH - len(_LONG_RUN))
            if equals >= _KEY_LENGTH:
                spans += _key(text, equals)
        start = classes.find(_LONG_RUN, end)
    return spans


def _is_words(run: bytes) -> bool:
    """Whether *run* is small letters only, but for what joins words."""
    letters = run.translate(None, b"_-")
    return letters.islower() and letters.isalpha()


def _in_run(text: str, start: int, end: int, effort: Effort) -> Iterator[Span]:
    """The secrets in one run of letters, digits, ``_`` and ``-``."""
    failed = ""
    # A gate of several parts begins before the run.
    begin = max(0, start - _LONGEST_OUTSIDE) if start and text[start - 1] in ".~:" else start
    gate = _any_gate().search(text, begin, end)
    while gate is not None:
        place = gate.start()
        if gate[0] != failed:
            if not effort.step(READ):
                yield rest(text, place)
                return
            for shape in _shapes_at(gate[0]):
                found = compiled(shape.pattern).match(text, max(0, place - shape.before))
                if found is not None:
                    yield from hidden(found, shape)
                    # A gate inside a match is part of it.
                    place = max(place, found.end() - 1)
                    break
            else:
                # Searching on would be quadratic: if one gate of a JWT in this run does not match, none does.
                failed = JWT if gate[0] == JWT and place >= start else failed
        gate = _any_gate().search(text, place + 1, end)


@cache
def _shapes_at(gate: str) -> tuple[Shape, ...]:
    """The shapes of *gate*, and of those that it begins with."""
    return tuple(shape for other in (gate, *SHAPES) if gate.startswith(other) for shape in SHAPES[other])


def _bearer(text: str, start: int) -> Iterator[Span]:
    """The token that holds the run at *start*, if it follows ``Bearer``."""
    gate = compiled(r"bearer\s", ANY_CASE).search(text, max(0, start - _LONGEST_OUTSIDE), start)
    found = compiled(_BEARER.pattern, ANY_CASE).match(text, gate.start()) if gate is not None else None
    if found is not None:
        yield from hidden(found, _BEARER)


def _key(text: str, equals: int) -> Iterator[Span]:
    """The Fernet key that ends in the sign at *equals*. "+" and "/" of the other alphabet cut it into several runs."""
    start = equals - _KEY_LENGTH
    is_key = text[equals - 1] in _KEY_ENDS and compiled(_KEY).match(text, start)
    if is_key and not compiled(_DIGEST_NAME).search(text, max(0, start - _NAME_REACH), start):
        yield Span(start, equals + 1, "fernet-key")


@cache
def _any_gate() -> re.Pattern[str]:
    """Finds the gates: first those that may stand anywhere in a run, then those that begin a word."""
    longest_first = sorted(SHAPES, key=len, reverse=True)
    begin_words = [gate for gate in longest_first if all(shape.pattern.startswith(START) for shape in SHAPES[gate])]
    anywhere = by_first_character(re.escape(gate) for gate in longest_first if gate not in begin_words)
    return re.compile(f"{anywhere}|{START}(?:{by_first_character(map(re.escape, begin_words))})")
