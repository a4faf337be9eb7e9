"""The secrets of a leak case, and a search for them that knows nothing of the code under test."""

from __future__ import annotations

import base64
import html
import json
import re
import secrets
import unicodedata
import urllib.parse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache

from cryptography.fernet import Fernet

# What a reader could still use: eight characters in a row of a secret, or half of one of its other spellings.
RUN = 8


@dataclass(frozen=True, repr=False)
class Canaries:
    """One set of secrets; all but *unknown* and *token* are registered with the redactor."""

    key: str
    token: str  # a Fernet token, known by its shape
    password: str  # holds all that JSON, HTML, URLs, shells and SQL escape
    plaintext: str
    accented: str
    letter: str  # several lines
    long: str
    unknown: str  # registered nowhere: only a name gives it away

    @classmethod
    def make(cls) -> Canaries:
        key = Fernet.generate_key().decode()
        return cls(
            key=key,
            token=Fernet(key).encrypt(secrets.token_bytes(20)).decode(),
            # Between its odd characters no run is long enough to give the whole away.
            password=secrets.token_urlsafe(6) + "/\"'\\&<%+ é~" + secrets.token_hex(4),
            plaintext="plain-" + secrets.token_urlsafe(24),
            accented="Zoë-Åsa-" + secrets.token_hex(3) + "-crème-brûlée-" + secrets.token_hex(3),
            letter="\n".join(secrets.token_urlsafe(30) for _ in range(4)),
            long=secrets.token_urlsafe(160),
            unknown="u" + secrets.token_hex(4) + "X" + secrets.token_urlsafe(12),
        )

    @classmethod
    def from_json(cls, text: str) -> Canaries:
        return cls(**json.loads(text))

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @property
    def raw(self) -> bytes:
        """The key's 32 bytes."""
        return base64.urlsafe_b64decode(self.key)


def leaked(canaries: Canaries, output: str) -> list[str]:
    """Which secrets *output* shows, in which spelling, as ``name: spelling``; shows nothing of them itself."""
    needles, found = _all_needles(canaries), set[str]()
    for text in {text.lower() for text in _readings(output)}:
        # Few needles' beginnings stand in a text: to search it for each needle takes a hundred times as long.
        runs = {text[start : start + RUN] for start in range(len(text) - RUN + 1)}
        found |= {how for run in needles.keys() & runs for how, needle in needles[run] if needle in text}
    return sorted(found)


@cache
def _all_needles(canaries: Canaries) -> dict[str, list[tuple[str, str]]]:
    """Each spelling and what it is of, by its first characters."""
    named = [
        (f"{name}: {how}", needle) for name, value in asdict(canaries).items() for how, needle in _needles(name, value)
    ]
    named += [(f"key: {how}", needle) for how, needle in _key_needles(canaries.raw)]
    needles: dict[str, list[tuple[str, str]]] = {}
    for how, needle in named:
        assert len(needle) >= RUN
        lowered = needle.lower()
        needles.setdefault(lowered[:RUN], []).append((how, lowered))
    return needles


def _readings(output: str) -> Iterator[str]:
    """*output* as it is, and as a reader of JSON inside JSON would see it, also with its line breaks taken out.

    pprint breaks a bytes literal into several, one a line.
    """
    for _ in range(4):
        yield output
        yield output.replace("\n", "")
        yield re.sub(r"['\"]\n +b['\"]", "", output)
        output = _ESCAPE.sub(lambda found: _unescape(found[1]), output)


_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|[\\\"/bfnrt])")


def _unescape(escape: str) -> str:
    if escape[0] == "u":
        return chr(int(escape[1:], 16))
    return {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}.get(escape, escape)


def _needles(name: str, value: str) -> Iterator[tuple[str, str]]:
    plain = value.replace("\n", "")
    if name != "accented":
        for start in range(len(plain) - RUN + 1):
            # The prefix that names a kind of secret is not the secret.
            if "gAAAAA" not in plain[start : start + RUN] and "plain-" not in plain[start : start + RUN]:
                yield "a run of it", plain[start : start + RUN]
    for how, spelled in _spellings(value):
        half = len(spelled) // 2
        yield how, spelled
        if half >= 10:
            yield f"half of {how}", spelled[:half]
            yield f"half of {how}", spelled[half:]


def _spellings(value: str) -> Iterator[tuple[str, str]]:
    data = value.encode()
    yield "itself", value
    for ascii_only in (True, False):
        once = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield "JSON", once
        yield "JSON twice", json.dumps(once, ensure_ascii=ascii_only)[1:-1]
    yield "repr", repr(value)[1:-1]
    yield "repr of bytes", repr(data)[2:-1]
    yield "percent-encoding", urllib.parse.quote(value, safe="")
    yield "form-encoding", urllib.parse.quote_plus(value)
    yield "HTML", html.escape(value)
    yield "hex", data.hex()
    yield "hex", data.hex(":")
    yield "hex", data.hex("-")
    yield "numbers", ", ".join(map(str, data))
    for run in _byte_runs(data):
        yield "byte by byte", run
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        yield form, unicodedata.normalize(form, value)
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")
        yield "base64", whole[4 if shift else 0 : -2]
        yield "url-safe base64", whole[4 if shift else 0 : -2].replace("+", "-").replace("/", "_")


def _byte_runs(data: bytes) -> Iterator[str]:
    """Eight bytes in a row, as C, Go, URLs and hex dumps spell them one by one."""
    for start in range(len(data) - RUN + 1):
        run = data[start : start + RUN]
        yield ", ".join(f"0x{byte:02x}" for byte in run)
        yield ",".join(f"0x{byte:02x}" for byte in run)
        yield ", ".join(f"{byte:#x}" for byte in run)
        yield " ".join(map(str, run))
        yield "".join(f"%{byte:02x}" for byte in run)
        yield "".join(f"\\x{byte:02x}" for byte in run)
        yield run.hex(" ")
        yield run.hex(" ", 2)


def _key_needles(raw: bytes) -> Iterator[tuple[str, str]]:
    standard = base64.b64encode(raw).decode().rstrip("=")
    for part in (raw[:16], raw[16:]):
        yield "bytes", repr(part)[2:-1]
        yield "bytes in JSON", json.dumps(repr(part)[2:-1])[1:-1]
        # It escapes an apostrophe that stands between quotation marks.
        yield "a bytearray", repr(bytearray(part)).removeprefix("bytearray(b")[1:-2]
        yield "hex", part.hex()
        for run in _byte_runs(part):
            yield "byte by byte", run
        yield "base64 of a half", base64.b64encode(part).decode()[:20]
        yield "numbers", ", ".join(map(str, part))
        yield "numbers", ",".join(map(str, part))
        yield "numbers as text", '", "'.join(map(str, part))
    yield "one number", str(int.from_bytes(raw, "big"))
    for shift in (1, 2):
        yield "base64 of its bytes", base64.b64encode(b"\0" * shift + raw).decode()[4:40]
    for start in range(len(standard) - RUN + 1):
        yield "standard alphabet", standard[start : start + RUN]
