"""Token text: what is a token, and in which way a text is none. Its table serves the keyring's tests too."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import string
from collections.abc import Callable
from typing import NamedTuple

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keyring_core import (
    ExpiredToken,
    InvalidToken,
    Malformed,
    MalformedToken,
    PlaintextError,
    UndecryptableToken,
)
from keyring_core.tokens import explain, parse_token, token_length
from tests.keyring_core.test_errors import leaks, shown_by
from tests.keys import key_text

ISSUED_AT = 1_700_000_000
YEAR = 365 * 24 * 3600
ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


def sign(body: bytes, label: str = "old") -> str:
    """The text of *body* with a right tag."""
    tag = hmac.digest(base64.urlsafe_b64decode(key_text(label))[:16], body, "sha256")
    return base64.urlsafe_b64encode(body + tag).decode()


def flip(token: str, byte: int, bit: int = 0) -> str:
    """*token* with one bit of its decoded bytes changed."""
    data = bytearray(base64.urlsafe_b64decode(token))
    data[byte] ^= 1 << bit
    return base64.urlsafe_b64encode(data).decode()


def seal(padded: bytes, label: str, at: int) -> str:
    """A token over whole blocks, with a right tag. Its IV comes from its content: each run has the same tokens."""
    iv = hashlib.sha256(padded).digest()[:16]
    encryptor = Cipher(algorithms.AES(base64.urlsafe_b64decode(key_text(label))[16:]), modes.CBC(iv)).encryptor()
    ciphertext = encryptor.update(padded) + encryptor.finalize()
    return sign(b"\x80" + at.to_bytes(8, "big") + iv + ciphertext, label)


def issue(plaintext: str | bytes, label: str = "old", at: int = ISSUED_AT) -> str:
    """A token as the Fernet specification has it."""
    data = plaintext.encode() if isinstance(plaintext, str) else plaintext
    padding = 16 - len(data) % 16
    return seal(data + bytes([padding]) * padding, label, at)


def in_standard_alphabet() -> str:
    texts = (issue(SECRET, at=ISSUED_AT + second) for second in range(100))
    return next(text for text in texts if "-" in text and "_" in text).replace("-", "+").replace("_", "/")


SECRET = "sk-live-4f9c"
TOKEN = issue(SECRET)  # ends in ==
LONG_SECRET = "xoxb-71-longer-xoxb-72-longer-xoxb-73-ab"
UNPADDED = issue(LONG_SECRET)  # needs no padding
BODY = base64.urlsafe_b64decode(TOKEN)[:-32]
NOT_UTF8 = b"\xff\xfe secret bytes"
INNER = issue(SECRET, "new")
LARGE = 50 * 10**6


class Case(NamedTuple):
    id: str
    comment: str
    make: Callable[[], object]
    outcome: str | type[Exception]
    """The plaintext, or the error."""
    category: str | None = None
    ttl: int | None = None
    now: int = ISSUED_AT


def malformed(name: str, comment: str, make: Callable[[], object], category: Malformed) -> Case:
    return Case(name, comment, make, MalformedToken, category)


TOKEN_CASES = [
    Case("T01", "valid, str", lambda: TOKEN, SECRET),
    Case("T02", "valid, bytes", TOKEN.encode, SECRET),
    Case("T03", "valid, no padding characters", lambda: UNPADDED, LONG_SECRET),
    Case("T04", "bytearray", lambda: bytearray(TOKEN.encode()), SECRET),
    Case("T05", "memoryview", lambda: memoryview(TOKEN.encode()), SECRET),
    Case("T06", "None", lambda: None, TypeError),
    Case("T07", "int", lambda: 1234567890, TypeError),
    malformed("T08", "empty str", lambda: "", Malformed.EMPTY),
    malformed("T09", "empty bytes", lambda: b"", Malformed.EMPTY),
    malformed("T10", "blanks only", lambda: " \t\r\n ", Malformed.EMPTY),
    Case("T11", "newline at the end", lambda: f"{TOKEN}\n", SECRET),
    Case("T12", "blank before", lambda: f" {TOKEN}", SECRET),
    Case("T13", "blanks after, CHAR(200)", lambda: TOKEN.ljust(200), SECRET),
    Case("T14", "blank inside", lambda: f"{TOKEN[:40]} {TOKEN[40:]}", SECRET),
    Case("T15", "newline inside", lambda: f"{TOKEN[:76]}\n{TOKEN[76:]}", SECRET),
    malformed("T16", "JSON quotes", lambda: json.dumps(TOKEN), Malformed.QUOTED),
    malformed("T17", "in a JSON object", lambda: json.dumps({"token": TOKEN}), Malformed.NOT_A_TOKEN),
    malformed("T18", "garbage after the padding", lambda: f"{TOKEN}xyz", Malformed.GLUED),
    malformed("T19", "two tokens glued together", lambda: TOKEN + issue("second"), Malformed.GLUED),
    malformed("T20", "two tokens, comma", lambda: f"{TOKEN},{issue('second')}", Malformed.GLUED),
    malformed("T21", "padding stripped", lambda: TOKEN.rstrip("="), Malformed.TRUNCATED),
    malformed("T22", "one padding character of two", lambda: TOKEN[:-1], Malformed.TRUNCATED),
    malformed("T23", "extra padding", lambda: f"{TOKEN}=", Malformed.GLUED),
    Case("T24", "standard alphabet", in_standard_alphabet, SECRET),
    Case("T25", "unused bits of the last character", lambda: respelt(TOKEN), SECRET),
    malformed("T26", "truncated by 1 character", lambda: UNPADDED[:-1], Malformed.TRUNCATED),
    malformed("T27", "truncated by 4 characters", lambda: TOKEN[:-4], Malformed.TRUNCATED),
    malformed("T28", "truncated to VARCHAR(64)", lambda: TOKEN[:64], Malformed.TRUNCATED),
    malformed("T29", "truncated to the 9-byte header", lambda: TOKEN[:12], Malformed.TRUNCATED),
    malformed("T30", "version byte only", lambda: "gA==", Malformed.PLAINTEXT),
    malformed("T31", "bit flip: version", lambda: flip(TOKEN, 0), Malformed.NOT_A_TOKEN),
    Case("T32", "bit flip: timestamp", lambda: flip(TOKEN, 8), UndecryptableToken, "unknown-key"),
    Case("T33", "bit flip: IV", lambda: flip(TOKEN, 9), UndecryptableToken, "unknown-key"),
    Case("T34", "bit flip: ciphertext", lambda: flip(TOKEN, 25), UndecryptableToken, "unknown-key"),
    Case("T35", "bit flip: first tag byte", lambda: flip(TOKEN, -32), UndecryptableToken, "unknown-key"),
    Case("T36", "bit flip: last tag byte", lambda: flip(TOKEN, -1), UndecryptableToken, "unknown-key"),
    malformed("T37", "version 0x81, right tag", lambda: sign(b"\x81" + BODY[1:]), Malformed.NOT_A_TOKEN),
    malformed("T38", "version 0x00, right tag", lambda: sign(b"\x00" + BODY[1:]), Malformed.NOT_A_TOKEN),
    malformed("T39", "ciphertext of 15 bytes, right tag", lambda: sign(BODY[:-1]), Malformed.TRUNCATED),
    malformed("T40", "no ciphertext, right tag", lambda: sign(BODY[:25]), Malformed.TRUNCATED),
    Case("T41", "bad padding, right tag", lambda: seal(b" " * 16, "old", ISSUED_AT), UndecryptableToken, "damaged"),
    Case("T42", "plaintext empty", lambda: issue(""), ""),
    Case("T43", "timestamp 0", lambda: issue(SECRET, at=0), SECRET),
    Case("T44", "timestamp 2**64-1", lambda: issue(SECRET, at=2**64 - 1), SECRET),
    Case("T45", "timestamp 10 years ahead", lambda: issue(SECRET, at=ISSUED_AT + 10 * YEAR), SECRET),
    Case("T46", "61 s ahead, ttl 60", lambda: TOKEN, ExpiredToken, ttl=60, now=ISSUED_AT - 61),
    Case("T47", "60 s ahead, ttl 60", lambda: TOKEN, SECRET, ttl=60, now=ISSUED_AT - 60),
    Case("T48", "ttl 0 in the same second", lambda: TOKEN, SECRET, ttl=0),
    Case("T49", "ttl negative", lambda: TOKEN, ExpiredToken, ttl=-1),
    Case("T50", "expired by 1 s", lambda: TOKEN, ExpiredToken, ttl=60, now=ISSUED_AT + 61),
    malformed("T51", "non-ASCII str", lambda: f"{TOKEN[:20]}é{TOKEN[21:]}", Malformed.NOT_A_TOKEN),
    malformed("T52", "lone surrogate", lambda: f"{TOKEN[:20]}\udce9{TOKEN[21:]}", Malformed.NOT_A_TOKEN),
    malformed("T53", "zero-width space at the end", lambda: f"{TOKEN}\u200b", Malformed.NOT_A_TOKEN),
    malformed("T54", "BOM, str", lambda: f"\ufeff{TOKEN}", Malformed.NOT_A_TOKEN),
    malformed("T55", "BOM, bytes", lambda: b"\xef\xbb\xbf" + TOKEN.encode(), Malformed.NOT_A_TOKEN),
    malformed("T56", "non-ASCII bytes", f"{TOKEN[:20]}é{TOKEN[21:]}".encode, Malformed.NOT_A_TOKEN),
    malformed("T57", "NUL bytes at the end", lambda: TOKEN.encode() + bytes(4), Malformed.GLUED),
    malformed("T58", "plain text", lambda: "plain text, in words", Malformed.PLAINTEXT),
    malformed("T59", "plain text that begins like one", lambda: "gAAAAA is how they start", Malformed.NOT_A_TOKEN),
    malformed("T60", "a JWT", lambda: "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", Malformed.PLAINTEXT),
    Case("T61", "another deployment's key", lambda: issue(SECRET, "elsewhere"), UndecryptableToken, "unknown-key"),
    Case("T62", "double-encrypted", lambda: issue(INNER), INNER),
    Case("T63", "double-encrypted, inner under an older key", lambda: issue(TOKEN, "new"), TOKEN),
    Case("T64", "under an older key", lambda: TOKEN, SECRET),
    Case("T65", "under the primary already", lambda: issue(SECRET, "new"), SECRET),
    malformed("T66", "bytes repr", lambda: str(TOKEN.encode()), Malformed.BYTES_REPR),
    malformed("T67", "hex bytea", lambda: "\\x" + TOKEN.encode().hex(), Malformed.NOT_A_TOKEN),
    malformed("T68", "base64 of the token", lambda: base64.b64encode(TOKEN.encode()), Malformed.NOT_A_TOKEN),
    malformed("T69", "token bytes without base64", lambda: base64.urlsafe_b64decode(TOKEN), Malformed.NOT_A_TOKEN),
    malformed("T70", "UTF-16 bytes", lambda: TOKEN.encode("utf-16"), Malformed.NOT_A_TOKEN),
    malformed("T71", "lower-cased", TOKEN.lower, Malformed.NOT_A_TOKEN),
    malformed("T72", "URL-encoded padding", lambda: TOKEN.replace("=", "%3D"), Malformed.NOT_A_TOKEN),
    malformed("T73", "50 MB of A", lambda: "A" * LARGE, Malformed.TOO_LARGE),
    Case("T74", "valid, 50 MB", lambda: issue("A" * (LARGE * 3 // 4)), "A" * (LARGE * 3 // 4)),
    Case("T75", "float", lambda: 1234567.25, TypeError),
    Case("T76", "bool", lambda: True, TypeError),
    malformed("T77", "gAAAAA alone", lambda: "gAAAAA", Malformed.TRUNCATED),
    Case(
        "T78", "halves of two tokens", lambda: TOKEN[:50] + issue("another-one")[50:], UndecryptableToken, "unknown-key"
    ),
    Case("T79", "plaintext is not UTF-8", lambda: issue(NOT_UTF8), PlaintextError),
]
"""Tokens under the keys labelled "old" and, if it says so, "new"."""


def respelt(token: str) -> str:
    """*token*, ending in ==, with the last character's unused bits changed."""
    last = ALPHABET.index(token[-3])
    return f"{token[:-3]}{ALPHABET[last ^ 0b1010]}=="


MALFORMED = [case for case in TOKEN_CASES if case.outcome is MalformedToken]
PARSED = [case for case in TOKEN_CASES if case.outcome not in (MalformedToken, TypeError)]


def test_the_table_is_complete():
    """T01 to T79 are all here, each once."""
    assert [f"T{n:02}" for n in range(1, 80)] == [case.id for case in TOKEN_CASES]


def test_stock_opens_the_tokens_of_the_table():
    """The tokens that these tests build are ordinary Fernet tokens."""
    assert Fernet(key_text("old")).decrypt(TOKEN).decode() == SECRET
    assert Fernet(key_text("old")).decrypt(UNPADDED).decode() == LONG_SECRET
    assert Fernet(key_text("old")).extract_timestamp(TOKEN) == ISSUED_AT


def test_the_table_has_the_paddings_that_it_speaks_of():
    """The tokens of the table end as its comments say."""
    assert TOKEN.endswith("==")
    assert "=" not in UNPADDED
    assert respelt(TOKEN) != TOKEN
    assert base64.urlsafe_b64decode(respelt(TOKEN)) == base64.urlsafe_b64decode(TOKEN)


def test_what_is_no_token_is_refused_with_its_category(named):
    """The error says how the cell is broken and how long it is, and shows nothing of it."""
    for case in MALFORMED:
        with named(case.id):
            value = case.make()

            with pytest.raises(MalformedToken) as caught:
                parse_token(value)

            size = len(value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value)
            assert caught.value.category is case.category
            assert f"({size} bytes)" in str(caught.value)
            assert not leaks(shown_by(caught.value), value[: 2**20])
            assert not leaks(shown_by(caught.value), TOKEN)
            assert caught.value.__context__ is None


def test_what_is_no_text_is_a_type_error(named):
    """A caller's mistake is a TypeError that names the type, so that no row is counted as broken for it."""
    for case in [case for case in TOKEN_CASES if case.outcome is TypeError]:
        with named(case.id):
            with pytest.raises(TypeError, match=f"not {type(case.make()).__name__}") as caught:
                parse_token(case.make())

            assert not isinstance(caught.value, InvalidToken)
            assert not leaks(shown_by(caught.value), case.make())


def test_a_token_parses_into_its_parts(named):
    """Every spelling that is accepted gives the bytes that stock Fernet reads."""
    for case in [case for case in PARSED if case.id != "T74"]:
        with named(case.id):
            value = case.make()
            text = value if isinstance(value, str) else bytes(value).decode()

            token = parse_token(value)

            assert token.signed + token.tag == base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_"))
            assert token.timestamp.to_bytes(8, "big") == token.signed[1:9]
            assert len(token.iv) == 16
            assert len(token.ciphertext) % 16 == 0
            assert len(token.tag) == 32


def test_blanks_count_nowhere(named):
    """A blank before, inside or after the text changes nothing, alone or as a multiple of four."""
    for blank in list(" \t\r\n\v\f"):
        for at in (0, 1, 40, 100):
            with named(blank, at):
                for count in (1, 4):
                    assert parse_token(TOKEN[:at] + blank * count + TOKEN[at:]) == parse_token(TOKEN)


def test_more_ways_of_being_no_token(named):
    """Neighbours of the table's rows get the category that an admin would choose."""
    cases = [
        (f"'{TOKEN}'", Malformed.QUOTED),
        (f'b"{TOKEN}"', Malformed.BYTES_REPR),
        (f"{TOKEN}\n{TOKEN}", Malformed.GLUED),
        (f"{UNPADDED}{UNPADDED}", Malformed.GLUED),
        (f"{TOKEN}====", Malformed.GLUED),
        (f"{UNPADDED}\u200b", Malformed.NOT_A_TOKEN),
        (f"{UNPADDED}\0", Malformed.NOT_A_TOKEN),
        (f"password={TOKEN}", Malformed.NOT_A_TOKEN),
        (f"{TOKEN}\x1c", Malformed.GLUED),
        (f"{TOKEN}\N{NO-BREAK SPACE}", Malformed.NOT_A_TOKEN),
        ("pässwörd", Malformed.PLAINTEXT),
        ("\udce9", Malformed.NOT_A_TOKEN),
        (b"\xff\xfe\xfd", Malformed.NOT_A_TOKEN),
        ("g", Malformed.PLAINTEXT),
        ("gAAA", Malformed.PLAINTEXT),
        ("====", Malformed.PLAINTEXT),
        ("g===", Malformed.PLAINTEXT),
    ]

    for text, category in cases:
        with named(text):
            with pytest.raises(MalformedToken) as caught:
                parse_token(text)

            assert caught.value.category is category


def test_explain_takes_every_kind_of_buffer():
    """A driver's memoryview is explained like the bytes behind it."""
    texts = ["plain", b"plain", bytearray(b"plain"), memoryview(b"plain")]

    assert {(explain(text).category, str(explain(text))) for text in texts} == {
        (Malformed.PLAINTEXT, "not a Fernet token: legible as it stands (5 bytes)")
    }


def reference(text: str | bytes) -> bytes | None:
    """The bytes of a token by its canonical round trip; None for anything that is none."""
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    bare = bytes(byte for byte in raw if byte not in b" \t\r\n\v\f").translate(bytes.maketrans(b"+/", b"-_"))
    try:
        data = base64.urlsafe_b64decode(bare)
    except ValueError:
        return None
    canonical = base64.urlsafe_b64encode(data)
    body = len(canonical.rstrip(b"="))
    # The last character before padding may differ in its unused bits.
    free = {0: 0, 1: 0b11, 2: 0b1111}[len(canonical) - body]
    same = len(bare) == len(canonical) and bare[: body - 1] == canonical[: body - 1] and bare[body:] == canonical[body:]
    if not (same and len(data) >= 73 and (len(data) - 73) % 16 == 0 and data[0] == 0x80):
        return None
    last, expected = (ALPHABET.find(chr(each[body - 1])) for each in (bare, canonical))
    return data if last >= 0 and last | free == expected | free else None


pieces = st.sampled_from(["", " ", "\n", "=", "==", "A", "AAAA", "-", "+", "/", "é", "\udce9", "\0", "%", '"', "gAAAA"])
near_tokens = st.builds(
    lambda base, at, cut, put, end: base[:at] + put + base[at + cut :] + end,
    st.sampled_from([TOKEN, UNPADDED, issue(""), TOKEN.replace("-", "+"), flip(TOKEN, 0), TOKEN + TOKEN]),
    st.integers(0, 140),
    st.integers(0, 5),
    pieces,
    pieces,
)


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


raw_tokens = st.builds(
    lambda version, body: base64.urlsafe_b64encode(version + body).decode(),
    st.sampled_from([b"\x80", b"\x81", b""]),
    st.binary(min_size=50, max_size=120),
)


@given(
    st.one_of(
        near_tokens,
        raw_tokens,
        st.text(),
        st.binary(max_size=100),
        near_tokens.map(as_bytes),
    )
)
@example("")
@example("g")
@example("gA==")
@settings(deadline=None, max_examples=1000)
def test_the_verdict_equals_the_canonical_round_trip(text):
    """The parser agrees with one plain reference on every text, and raises nothing but MalformedToken."""
    try:
        token = parse_token(text)
    except MalformedToken:
        found = None
    else:
        found = token.signed + token.tag

    assert found == reference(text)


@given(st.integers(0, 5000))
def test_the_length_of_a_token_is_known_from_its_plaintext(size: int) -> None:
    """Of real tokens: what a column has to hold."""
    assert token_length(size) == len(Fernet(key_text("any")).encrypt(b"x" * size))
