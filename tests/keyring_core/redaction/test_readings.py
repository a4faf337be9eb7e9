"""Readings: a loaded key is masked however its bytes are spelt one by one, on one line or over many."""

from __future__ import annotations

import io
import json
import pprint
import re
import secrets
import subprocess
import urllib.parse
from base64 import urlsafe_b64encode
from collections.abc import Callable

import pytest
import structlog

from keyring_core.loaded_keys import protect_key
from keyring_core.redaction import Redactor, configure_logging
from tests.conftest import Named
from tests.keyring_core.redaction.leaks.dumps import hex_dump

RAW = secrets.token_bytes(32)
KEY = urlsafe_b64encode(RAW)
MASK = "[REDACTED:key a11ce5ed]"


@pytest.fixture(autouse=True)
def _loaded_key() -> None:
    protect_key(RAW, "a11ce5ed")


def wrapped(spelling: str, width: int = 72) -> str:
    """*spelling* over lines, as an editor or xxd -i breaks it."""
    return "\n".join(f"  {spelling[start : start + width]}" for start in range(0, len(spelling), width))


def by(*command: str) -> Callable[[bytes], str]:
    """What *command* prints of some bytes."""

    def spell(data: bytes) -> str:
        try:
            return subprocess.run(command, input=data, capture_output=True, check=True).stdout.decode()
        except FileNotFoundError:
            pytest.skip(f"{command[0]} is not installed")

    return spell


SPELLINGS: dict[str, Callable[[bytes], str]] = {
    "C": lambda data: ", ".join(f"0x{byte:02x}" for byte in data),
    "C in capitals": lambda data: ", ".join(f"0X{byte:02X}" for byte in data),
    "C without blanks": lambda data: "{" + ",".join(f"0x{byte:02X}" for byte in data) + "}",
    "C over lines": lambda data: wrapped(", ".join(f"0x{byte:02x}" for byte in data)),
    "Go": lambda data: "[]byte{" + ", ".join(f"{byte:#x}" for byte in data) + "}",
    "Go's numbers": lambda data: "[" + " ".join(map(str, data)) + "]",
    "Java": lambda data: ", ".join(f"(byte) 0x{byte:02x}" for byte in data),
    "pprint": lambda data: pprint.pformat({"a": [data], "b": data}),
    "escapes": lambda data: 'b"' + "".join(f"\\x{byte:02x}" for byte in data) + '"',
    "percent": lambda data: "".join(f"%{byte:02X}" for byte in data),
    "percent in small letters": lambda data: "".join(f"%{byte:02x}" for byte in data),
    "percent twice": lambda data: "".join(f"%25{byte:02X}" for byte in data),
    "percent where needed": urllib.parse.quote,
    "form": urllib.parse.quote_plus,
    "hexdump -C, rebuilt": hex_dump,
    "hexdump -C": by("hexdump", "-C"),
    "hexdump": by("hexdump"),
    "xxd": by("xxd"),
    "xxd -u": by("xxd", "-u"),
    "xxd -i": by("xxd", "-i"),
    "od -t x1": by("od", "-t", "x1"),
    "od -t x1z": by("od", "-A", "x", "-t", "x1z"),
    "od -x": by("od", "-x"),
}
CONTENTS = {
    "bytes": RAW,
    "text": KEY,
    "a file": b"a=b\nENCRYPTION_KEY=" + KEY + b"\nc=d\n",
    "among bytes": b"\0\1" + RAW + b"\2",
}


def test_a_key_is_masked_however_its_bytes_are_spelt(named: Named) -> None:
    """No eight bytes of a key are left, in text and in JSON, and JSON stays JSON."""
    for content, data in CONTENTS.items():
        for spelling, spell in SPELLINGS.items():
            with named(content, "as", spelling):
                text = spell(data)
                stream = io.StringIO()
                configure_logging(Redactor(), stream=stream, renderer="json")

                structlog.get_logger().info("read", text=text, inner=json.dumps(text))

                shown = json.loads(stream.getvalue())
                for masked in (shown["text"], json.loads(shown["inner"])):
                    assert MASK in masked
                    assert left_of_the_key(text)
                    assert not left_of_the_key(masked)


def left_of_the_key(text: str) -> list[bytes]:
    """Which runs of four bytes of the key, or of its text, *text* still shows in one of the ways above."""
    digits = re.sub(r"0x(?=[0-9a-f]\b)", "0", text.lower())
    digits = re.sub(r"0x|\\x|%(?:25)?|\(byte\)|\|.*?\||(?m:^[0-9a-f]{5,8}:? )|[^0-9a-f]", "", digits)
    numbers = " ".join(re.findall(r"\d+", text))
    data = urllib.parse.unquote_to_bytes(urllib.parse.unquote_to_bytes(text.replace("+", " ")))
    joined = re.sub(r"['\"]\n +b['\"]", "", text).encode()
    data += b"\n" + re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), joined)
    runs = [part[start : start + 4] for part in (RAW, KEY) for start in range(len(part) - 3)]
    return [
        run
        for run in runs
        if run.hex() in digits
        or (run[1::-1] + run[:1:-1]).hex() in digits  # as hexdump without options writes it
        or " ".join(map(str, run)) in numbers
        or run in data
    ]


def test_bytes_at_the_end_of_a_dump_are_masked_with_their_text() -> None:
    """The column that shows a dump's bytes as text goes with them: of raw bytes, too."""
    printable = b"~!@#" * 8
    protect_key(printable, "b0b0b0b0")

    shown = Redactor().redact(hex_dump(b"x" * 20 + printable))

    assert "~!@#" not in shown
    assert shown.startswith("00000000  78 78")
    assert shown.endswith("00000034")


@pytest.mark.parametrize("depth", range(4))
def test_a_column_of_a_dump_may_hold_escapes(depth: int) -> None:
    """A dump's column goes with its bytes where it reads like an escape, in JSON in JSON, too."""
    escapes = b'\\n\\\\n\\"\\t"\\r\\' * 3
    protect_key(escapes[:32], "e5ca9e5e")
    dumps = hex_dump(escapes[:32]) + "\n", hex_dump(b"c" * 32) + "\n"
    text = "".join(dumps)
    for _ in range(depth):
        text = json.dumps(text)

    shown = Redactor().redact(text)

    for _ in range(depth):
        shown = json.loads(shown)
    assert shown == "00000000  [REDACTED:key e5ca9e5e]\n00000020\n" + dumps[1]


def test_json_in_a_url() -> None:
    """A key, and a value that only its name gives away, are masked in JSON in a URL; the rest stays."""
    body = json.dumps({"user": "bob", "k": KEY.decode(), "password": "hunter two"})

    shown = Redactor().redact("GET /?q=" + urllib.parse.quote_plus(body))

    assert shown == (
        "GET /?q=%7B%22user%22%3A+%22bob%22%2C+%22k%22%3A+%22"
        + MASK
        + "%22%2C+%22password%22%3A+%22[REDACTED:password]%22%7D"
    )


def test_registered_values_are_read_as_well() -> None:
    """What a service registers, and what `redacting` masks for a while, is masked in every spelling, too."""
    secret = "Zoë-" + secrets.token_urlsafe(12)
    redactor = Redactor([secret])

    for spelling in ("C", "escapes", "percent", "percent twice", "hexdump -C, rebuilt", "Go's numbers"):
        assert "REDACTED" in redactor.redact(SPELLINGS[spelling](secret.encode())), spelling


def test_a_name_in_a_dump_counts() -> None:
    """A file's password is masked in its hex dump, with the column that shows it as text."""
    shown = Redactor().redact(hex_dump(b"host=db\npassword=hunter22 x\nport=5432\n"))

    assert "hunter" not in shown
    assert b"hunter".hex(" ") not in shown


def test_what_spells_no_secret_stays(named: Named) -> None:
    """Percent signs, addresses, colours and dumps of other bytes stay as they are."""
    cases = [
        "50% done, 100%complete",
        "0x7f3a2b1c 0x0 0x1",
        "id 0000 12 34",
        "some%20words%20of%20a%20sentence",
        "\\x1b[1m" * 12,
        " ".join(f"0x{number:02x}" for number in range(60)),
        hex_dump(bytes(range(64))),
    ]

    for text in cases:
        with named(text):
            assert Redactor().redact(text) is text
