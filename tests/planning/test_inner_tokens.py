"""Tokens in any dress are found under their keys, nothing else is, and a mark shows where to look."""

from __future__ import annotations

import base64
import html
import json
import quopri
import random
import re
import sqlite3
import struct
import textwrap
import urllib.parse
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from cryptography.fernet import Fernet
from hypothesis import given, settings
from hypothesis import strategies as st

from keyring_core import Key, Keyring
from rotation.planning import cell_readings, inner_tokens
from rotation.planning.cell_readings import runs_of
from rotation.planning.inner_tokens import MARKS, SHORTEST, SPELLED, find_inner, holds_mark
from rotation.planning.planner import Planner
from rotation.stores.sqlite.dialect import SQLite
from tests.conftest import Named
from tests.fakes import batch_of, token
from tests.keys import key_text, make_key

KEYRING = Keyring(make_key("new"), previous=[make_key("old")])
OLD, NEW = make_key("old").id, make_key("new").id


RANDOM = random.Random(1)
DECOYS = b"".join(b"\x80\0\0\0" + RANDOM.randbytes(68) for _ in range(3000))
"""Data made to cost time: each of these begins like a token, and no end of one shows."""


class Dress(NamedTuple):
    """A way in which a value that holds a token becomes another one."""

    name: str
    kind: str
    wear: Callable[[bytes, bytes], bytes]
    """Takes the value, and text to stand beside it."""


def raw(value: bytes) -> bytes:
    return base64.urlsafe_b64decode(value)


def text(value: bytes) -> str:
    return value.decode("ascii")


def wrapped(value: bytes, width: int, between: bytes) -> bytes:
    return between.join(value[at : at + width] for at in range(0, len(value), width))


def mixed_case(value: bytes) -> bytes:
    return b"".join(bytes([byte]).upper() if at % 2 else bytes([byte]) for at, byte in enumerate(value))


DRESSES = [
    Dress("sentence", "text", lambda value, other: other + b" " + value + b", " + other),
    Dress("glued to a prefix", "text", lambda value, _: b"key_" + value),
    Dress("glued to itself", "text", lambda value, _: value + value),
    Dress("glued to what follows", "text", lambda value, other: value + b"tail" + other),
    Dress("no padding", "text", lambda value, _: value.rstrip(b"=")),
    Dress("standard alphabet", "text", lambda value, _: value.replace(b"-", b"+").replace(b"_", b"/")),
    Dress("JSON", "text", lambda value, other: json.dumps({text(other): text(value)}).encode()),
    Dress("JSON list", "text", lambda value, _: json.dumps([text(value), 1]).encode()),
    Dress("JSON for HTML", "text", lambda value, _: json.dumps(text(value)).replace("=", "\\u003d").encode()),
    Dress("JSON with slashes", "text", lambda value, _: json.dumps(text(value)).replace("/", "\\/").encode()),
    Dress("JSON escapes", "escape", lambda value, _: value.replace(b"g", b"\\u0067")),
    Dress("Python list", "text", lambda value, other: repr([text(other), text(value)]).encode()),
    Dress("Python bytes", "text", lambda value, _: repr(value).encode()),
    Dress("URL", "text", lambda value, _: b"https://example.org/?t=" + urllib.parse.quote(value).encode() + b"&u=1"),
    Dress("percent-encoding", "text", lambda value, _: urllib.parse.quote(value, safe="").encode()),
    Dress("HTML", "text", lambda value, _: html.escape(text(value)).replace("=", "&#61;").encode()),
    Dress("XML", "text", lambda value, _: b"<t>" + value.replace(b"=", b"&#x3D;") + b"</t>"),
    Dress("quoted-printable padding", "text", lambda value, _: value.replace(b"=", b"=3D")),
    Dress("quoted-printable", "wrap inside", lambda value, other: quopri.encodestring(other + b" " + value)),
    Dress("64 columns", "wrap", lambda value, _: wrapped(value, 64, b"\n")),
    Dress("76 columns, CRLF", "wrap", lambda value, _: wrapped(value, 76, b"\r\n")),
    Dress("escaped line breaks", "wrap", lambda value, _: wrapped(value, 64, b"\\n")),
    Dress("YAML", "wrap", lambda value, _: textwrap.indent(text(wrapped(value, 60, b"\n")), "    ").encode()),
    Dress("base64", "base64", lambda value, _: base64.b64encode(value)),
    Dress("base64 of more", "base64", lambda value, other: base64.b64encode(other + value + other)),
    Dress("base64, URL-safe", "base64", lambda value, other: base64.urlsafe_b64encode(other + value).rstrip(b"=")),
    Dress("base64, MIME", "base64 wrap", lambda value, other: base64.encodebytes(other + value)),
    Dress("hex", "hex", lambda value, other: (other + value).hex().encode()),
    Dress("HEX", "hex", lambda value, _: value.hex().upper().encode()),
    Dress("hEx", "hex", lambda value, _: mixed_case(value.hex().encode())),
    Dress("bytea", "hex", lambda value, _: b"\\x" + value.hex().encode()),
    Dress("0x", "hex", lambda value, _: b"0x" + value.hex().encode()),
    Dress("base32", "last", lambda value, other: base64.b32encode(other + value)),
    Dress("decimal", "last", lambda value, other: ", ".join(map(str, other + value)).encode()),
    Dress("Buffer of Node.js", "last", lambda value, _: f'{{"data":{[*value]}}}'.replace(" ", "").encode()),
    Dress("percent-encoding of all", "last", lambda value, _: b"".join(b"%%%02x" % byte for byte in value)),
    Dress("JSON escapes of all", "last", lambda value, _: b"".join(b"\\u%04x" % byte for byte in value)),
    Dress("UTF-16LE", "UTF-16", lambda value, other: (text(other) + text(value)).encode("utf-16-le")),
    Dress("UTF-16BE", "UTF-16", lambda value, _: text(value).encode("utf-16-be")),
    Dress("UTF-16", "UTF-16", lambda value, _: text(value).encode("utf-16")),
    Dress("raw", "raw", lambda value, _: raw(value)),
    Dress("raw among bytes", "raw", lambda value, other: b"\xff\0" + other + raw(value) + b"\0" + other),
    Dress("raw, Python bytes", "raw text", lambda value, _: repr(raw(value)).encode()),
    Dress("raw, JSON", "raw text", lambda value, _: json.dumps(raw(value).decode("latin-1")).encode()),
    Dress("token", "token", lambda value, _: Fernet(key_text("new")).encrypt(value)),
    Dress("token of JSON", "token", lambda value, _: Fernet(key_text("new")).encrypt(b'{"t":"' + value + b'"}')),
    Dress("token of more", "token", lambda value, other: Fernet(key_text("new")).encrypt(other + value + other)),
]
FOLLOWS = {
    "bare": {"text": "text", "wrap": "text", "raw": "raw", "raw text": "end"},
    "text": {"text": "text", "wrap": "end"},
    "escaped": {"text": "escaped"},
    "base64": {"text": "base64", "wrap": "end", "wrap inside": "end", "base64": "deep", "hex": "deep"},
    "hex": {"text": "hex", "wrap": "end", "wrap inside": "end", "base64": "deep"},
    "UTF-16": {"base64": "deep", "hex": "deep"},
    "raw": {"base64": "raw base64", "hex": "deep"},
    "raw base64": {"text": "raw base64", "base64": "deep", "hex": "deep"},
    "deep": {"text": "deep"},
    "end": {},
}
"""What may be worn over what: where it stands at a place, which dresses may follow, and the place that they lead to."""
for place in ("bare", "text"):
    FOLLOWS[place] |= {"escape": "escaped", "wrap inside": "end", "last": "end"}
    FOLLOWS[place] |= {"base64": "base64", "base64 wrap": "end", "hex": "hex", "UTF-16": "UTF-16"}
for place in FOLLOWS.values():
    place["token"] = "bare"


def is_spelled(value: bytes) -> bool:
    """True if a database that looks for the forms selects *value*."""
    return any(
        len(value) >= form.least and form.piece in value and any(mark in value for mark in form.marks)
        for form in SPELLED
    )


TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=80).map(str.encode)


@st.composite
def dressed(draw: st.DrawFn) -> tuple[bytes, list[str]]:
    """A value that holds a token of stock Fernet under the key "old", and what it wears: three dresses at most."""
    secret, time = draw(st.binary(max_size=100)), draw(st.integers(2**30, 2**31 - 1))
    value, place, names = Fernet(key_text("old")).encrypt_at_time(secret, time), "bare", []
    for _ in range(draw(st.integers(0, 3))):
        dress = draw(st.sampled_from([dress for dress in DRESSES if dress.kind in FOLLOWS[place]]))
        value, place = dress.wear(value, draw(TEXTS)), FOLLOWS[place][dress.kind]
        names.append(dress.name)
    return value, names


@settings(max_examples=500, deadline=None)
@given(dressed())
def test_a_token_in_any_dress_is_found_and_marked(value: tuple[bytes, list[str]]) -> None:
    """Whatever it wears, up to three dresses: it counts under its key, and a database selects the value."""
    found = find_inner([KEYRING], value[0])

    assert found.under[OLD] == 1
    assert not found.given_up
    assert is_spelled(value[0])


def test_each_dress_is_looked_under(named: Named) -> None:
    """Each dress by itself, in bytes and, where it is text, in a str, at every alignment and under either key."""
    for dress in DRESSES:
        with named(dress.name):
            for length in range(24):
                value = dress.wear(token("old", "x" * length).encode(), b"word " * 3 + b"=" * length)

                assert find_inner([KEYRING], value).under[OLD] == 1
                assert is_spelled(value)
                if value.isascii():
                    assert find_inner([KEYRING], value.decode()).under[OLD] == 1


@pytest.mark.parametrize("between", [b"\n", b"\r\n    ", b"\\n", b"=\n"])
def test_a_line_break_may_stand_in_its_beginning(between: bytes) -> None:
    """Text, base64 at each alignment, and hex: wherever a line ends, a mark is left and the token is found."""
    value = token("old").encode()
    for form in (value, value.hex().encode(), *(base64.b64encode(b"{ "[:at] + value) for at in range(3))):
        for cut in range(1, 20):
            broken = form[:cut] + between + form[cut:]

            assert find_inner([KEYRING], broken).under == {OLD: 1}
            assert is_spelled(broken)


def in_lines(value: bytes, first: int, width: int, between: bytes) -> bytes:
    """*value* in lines of *width*, of which the first has another one."""
    return value[:first] + between + wrapped(value[first:], width, between)


@pytest.mark.parametrize("between", [b"\n", b"\r\n    ", b"\\n", b"=\n", b"\n> ", b",", "\u200b".encode()])
def test_four_characters_in_a_row_are_enough(between: bytes) -> None:
    """A token in lines of four characters, or with something in it that stock Fernet drops after each fourth one."""
    for first in range(1, 5):
        broken = in_lines(token("old").encode(), first, 4, between)

        assert find_inner([KEYRING], broken).under == {OLD: 1}
        assert is_spelled(broken)


@pytest.mark.parametrize("between", [b"\n", b"\r\n    ", b"\\n"])
def test_an_encoding_stands_in_lines_if_its_beginning_is_in_one(between: bytes, named: Named) -> None:
    """If a mark has 16 characters, it must not be divided: 20 in the first line are enough for each encoding."""
    value = token("old").encode()
    wide, twice = base64.b64encode(text(value).encode("utf-16-le")), base64.b64encode(base64.b64encode(value))
    forms = {"hex": value.hex().encode(), "raw, hex": raw(value).hex().encode(), "base32": base64.b32encode(value)}
    forms |= {"UTF-16": wide, "base64 twice": twice, "numbers": ",".join(map(str, value)).encode()}
    for name, form in forms.items():
        with named(name):
            broken = in_lines(form, 20, 19, between)

            assert find_inner([KEYRING], broken).under == {OLD: 1}
            assert is_spelled(broken)


def test_what_stock_fernet_drops_may_stand_in_a_token(named: Named) -> None:
    """Whatever is no character of base64: stock Fernet opens such a token up to cryptography 50, and two stay two."""
    value, stock = token("old"), Fernet(key_text("old"))
    for dropped in (
        *",.'\"|:;\\!\0\x7f",
        "\u00a0",
        "\u00ad",
        "\u200b",
        "\u2028",
        ", ",
        "\r\n\t",
        "\n> ",
        '" "',
        "\ufeff",
    ):
        for place in (1, 4, 6, 40, 97):
            with named(ascii(dropped), place):
                broken = value[:place] + dropped + value[place:]
                data = broken.encode()

                assert stock.decrypt(base64.urlsafe_b64encode(base64.urlsafe_b64decode(data))) == b"secret"
                assert is_spelled(data)
                for cell in (data, broken, f'{{"t": {json.dumps(broken)}}}'):
                    assert find_inner([KEYRING], cell).under == {OLD: 1}
                assert find_inner([KEYRING], f"{token('new')},{broken}").under == {OLD: 1, NEW: 1}


def test_words_beside_a_piece_of_a_token_are_no_token() -> None:
    """What is left of a text without its signs looks like a token only if a key signed it."""
    for at in range(60):
        text = f"{token('old')[:30]}, " + "begins a token, and this is not the rest of it. " * 4 + "x" * at

        assert not find_inner([KEYRING], text)


@pytest.mark.parametrize("around", [b"", b"caf\xc3\xa9 \xff"])
def test_raw_bytes_in_a_text_are_found(around: bytes) -> None:
    """SQLite keeps any bytes as a text, and the driver hands over those that are no UTF-8 as surrogates."""
    database = sqlite3.connect(":memory:")
    SQLite().set_up(database)
    value = around + raw(token("old").encode()) + around
    (cell,) = database.execute("select cast(? as text)", (value,)).fetchone()
    database.close()

    assert isinstance(cell, str)
    assert find_inner([KEYRING], cell).under == {OLD: 1}
    assert Planner(KEYRING).plan(batch_of([((1,), cell)])).counts.inner == {OLD: 1}


def test_a_lone_surrogate_beside_a_token_hides_nothing() -> None:
    """What has no UTF-8 form at all is searched all the same."""
    assert find_inner([KEYRING], f"\ud800 {token('old')}").under == {OLD: 1}


def test_alignment_hides_nothing() -> None:
    """Base64 of base64 and base64 of hex at each alignment, and hex behind an odd number of hex digits."""
    value = token("old").encode()
    for outer in range(3):
        for inner in range(3):
            for form in (
                base64.b64encode(b"ab"[:inner] + value),
                value.hex().encode(),
                value.decode().encode("utf-16"),
            ):
                twice = base64.b64encode(b"{ "[:outer] + form)

                assert find_inner([KEYRING], twice).under == {OLD: 1}
                assert is_spelled(twice)
    assert find_inner([KEYRING], b"abc" + value.hex().encode()).under == {OLD: 1}


def test_hex_of_postgresql_in_lines_is_found() -> None:
    """What PostgreSQL writes before hex is no escape of its first byte, also where the lines are escaped."""
    value = b"\\x" + wrapped(token("old").encode().hex().encode(), 64, b"\\n")

    assert find_inner([KEYRING], value).under == {OLD: 1}


def test_a_wrong_guess_is_no_other_token() -> None:
    """A raw token whose own bytes look like blanks, escapes or hex is one token, and not an unknown one besides."""
    hexadecimal = Fernet(key_text("old"))._encrypt_from_parts(b"secret", 2**31, b"\xff" + b"0123456789abcde")
    assert find_inner([KEYRING], repr(raw(hexadecimal))).under == {OLD: 1}
    for number in range(100):
        found = find_inner([KEYRING], repr(raw(token("old", f"secret {number}").encode())))

        assert (found.under, found.unknown) == ({OLD: 1}, 0)


@given(st.one_of(st.text(max_size=400), st.binary(max_size=400)))
def test_what_holds_no_token_claims_none(value: str | bytes) -> None:
    """Any text and any bytes hold nothing."""
    assert not find_inner([KEYRING], value)


@given(st.lists(st.sampled_from([*MARKS, b"=", b" "])).map(b"".join))
def test_marks_are_no_tokens(value: bytes) -> None:
    """What marks look like claims no key, and ends."""
    found = find_inner([KEYRING], value)

    assert not found.under
    assert not found.given_up


def test_what_cannot_be_opened_is_no_token(named: Named) -> None:
    """Neither a part of a token nor what looks a little like one counts."""
    cases = {
        "truncated": token("old")[:-4],
        "without its beginning": token("old")[4:],
        "in another case": token("old").replace("A", "a"),
        "begins like one": "gAAAA" + "x" * 200,
        "prose": "The quick brown fox, AAAA. " * 50,
        "PEM": f"-----BEGIN KEY-----\n{base64.encodebytes(bytes(range(256)) * 9).decode()}",
        "JWT": f"eyJhbGciOiJIUzI1NiJ9.{'eyJzdWIiOiJBQUFBQUFBIn0' * 9}.{'AAAAB3NzaC1yc2E' * 4}",
        "JSON": json.dumps({"a": "AAAA" * 40, "b": ["\\u0041", "%41%41"] * 20}),
        "nothing": "",
        "lone surrogates": "\ud800" * 80,
    }

    for name, value in cases.items():
        with named(name):
            assert not find_inner([KEYRING], value)


@pytest.mark.parametrize("around", ["{}", '{{"t": "{}"}}', "t={}&u=1", "{}{}"])
def test_a_token_that_no_key_signed_is_unknown(around: str) -> None:
    """A whole token under another key is reported, and counts under none."""
    found = find_inner([KEYRING], around.format(token("nobody"), token("nobody", "longer than the other")))

    assert found.under == {}
    assert found.unknown >= 1


def test_the_time_may_be_in_milliseconds() -> None:
    """A clock that counts milliseconds makes tokens that begin with gAAAA, too."""
    value = json.dumps({"t": token("old", issued_at=1_790_000_000_000)})

    assert find_inner([KEYRING], value).under == {OLD: 1}
    assert is_spelled(value.encode())


def test_each_token_counts_once_and_under_its_own_key() -> None:
    """Two tokens in one value are two, the same one twice is one, and each level counts under its own key."""
    inner, other = token("old", json.dumps([token("new", "deep" * 20)])), token("old")
    value = json.dumps([token("new", inner), other, other, token("old", "another")])

    assert find_inner([KEYRING], other * 2).under == {OLD: 1}
    assert find_inner([KEYRING], value).under == {NEW: 2, OLD: 3}


def test_all_keys_of_all_keyrings_are_tried() -> None:
    """A bound keyring and the one that it came from each know their own tokens."""
    bound = KEYRING.bind("users.api_key")
    values = [bound.encrypt("x"), KEYRING.encrypt("x")]

    assert find_inner([KEYRING, bound], json.dumps(values)).under == {NEW: 2}
    assert find_inner([bound], json.dumps(values)).under == {NEW: 1}
    assert find_inner([KEYRING.bind("users.api_key", accept_unbound=True)], json.dumps(values)).under == {NEW: 2}


def test_a_large_token_is_found_whole_and_open() -> None:
    """A token of any size is found if its end is visible, otherwise one of up to LONGEST_OPEN bytes."""
    large = token("old", "x" * 3_000_000)
    open_end = token("old", "x" * (inner_tokens.LONGEST_OPEN - SHORTEST))

    assert find_inner([KEYRING], f'["{large}"]').under == {OLD: 1}
    assert find_inner([KEYRING], raw(large.encode())).under == {OLD: 1}
    assert find_inner([KEYRING], b"\0" + raw(open_end.encode()) + b"more bytes").under == {OLD: 1}


def test_tokens_many_levels_deep_are_found() -> None:
    """Depth is bounded by the size alone."""
    value = "secret"
    for level in range(16):
        value = token("old" if level % 2 else "new", value)

    assert find_inner([KEYRING], value).under == {OLD: 8, NEW: 8}


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"gAAAAAA" * 30_000, id="beginnings of tokens"),
        pytest.param(b"\x80\0\0\0\0" * 30_000, id="beginnings of raw tokens"),
        pytest.param(DECOYS, id="beginnings of raw tokens that look random"),
        pytest.param(b"A" * 200_000, id="one letter"),
        pytest.param(b"41" * 100_000, id="hex"),
        pytest.param(b"\\u0041" * 30_000, id="escapes"),
        pytest.param(b"%2541" * 30_000, id="escapes of escapes"),
        pytest.param(b"Vm0wd" * 30_000, id="base64 of base64 of base64"),
    ],
)
def test_work_is_bounded(value: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data made to cost time cost no more than their size allows, and the search says that it gave up."""
    spent: list[int] = []
    signed_size, decoded = Key.signed_size, inner_tokens.decoded

    def counted_size(key: Key, data: bytes) -> int:
        spent.append(len(data))
        return signed_size(key, data)

    def counted_views(data: bytes) -> Any:
        spent.append(len(data))
        return decoded(data)

    monkeypatch.setattr(Key, "signed_size", counted_size)
    monkeypatch.setattr(inner_tokens, "decoded", counted_views)
    monkeypatch.setattr(inner_tokens, "WORK", 0)
    found = find_inner([KEYRING], value)

    allowed = inner_tokens.WORK_PER_BYTE * len(value)
    assert sum(spent) < allowed + len(value) + 2 * inner_tokens.LONGEST_OPEN
    assert found.given_up or sum(spent) < allowed
    assert not found.under


def test_a_search_that_is_given_up_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token behind data made to cost time is not silently missed."""
    monkeypatch.setattr(inner_tokens, "WORK", 0)

    assert find_inner([KEYRING], DECOYS + b'"' + token("old").encode()).given_up


@pytest.mark.some(1)
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(RANDOM.randbytes(1_000_000) + b"AAAA", id="random bytes, as of an archive"),
        pytest.param(struct.pack("<125000q", *range(125_000)), id="whole numbers of 64 bits"),
        pytest.param(
            struct.pack("<60000d", *(RANDOM.choice([-0.0, 1.5, -2.0, RANDOM.random()]) for _ in range(60_000))),
            id="fractions",
        ),
        pytest.param(struct.pack("<60000d", *[-0.0] * 60_000), id="zeros with a sign"),
        pytest.param(
            b"".join(RANDOM.choice([(bytes(3) + b"\x80") * 9, RANDOM.randbytes(3) + b"\x80"]) for _ in range(60_000)),
            id="a half-transparent picture",
        ),
        pytest.param((b"\x80\0\0\1" + b"name=alice;team=sales;" * 3) * 9000, id="records of text"),
        pytest.param((b'  {"a\\n": "b \\\\ \\"c\\" &amp; AAAA %20"},\n' * 20_000), id="a document with escapes"),
    ],
)
def test_ordinary_data_are_searched_to_the_end(value: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What images, archives and arrays hold costs in proportion to its size, and hides no token beside it."""
    monkeypatch.setattr(inner_tokens, "WORK", 0)
    raw_token, text_token = raw(token("old").encode()), token("new").encode()
    found = find_inner([KEYRING], value + raw_token + value[:99] + b'"' + text_token + b'"')

    assert (found.under, found.given_up) == ({OLD: 1, NEW: 1}, False)


@pytest.mark.parametrize("iv", [bytes(16), b"\x80\0\0\0" * 4, b"A" * 16])
def test_a_token_whose_iv_is_not_random_is_found(iv: bytes) -> None:
    """Its ciphertext and its tag look random all the same, also in the shortest one."""
    for second in range(2**31, 2**31 + 200):
        found = Fernet(key_text("old"))._encrypt_from_parts(b"", second, iv)

        assert find_inner([KEYRING], b"\0" * 20 + raw(found) + b"more").under == {OLD: 1}


def test_marks_are_few_and_rare() -> None:
    """A database looks for each of them in each cell, so they are few, and of four bytes at least."""
    assert len(MARKS) == len(set(MARKS)) <= 27
    assert min(map(len, MARKS)) == 4


def holds_any(data: bytes) -> bool:
    """The definition of `holds_mark`, which looks for several marks at once."""
    return any(mark in data for mark in inner_tokens._GATES)


PIECES = st.sampled_from(inner_tokens._GATES).flatmap(
    lambda mark: st.tuples(st.integers(0, len(mark)), st.integers(0, len(mark))).map(
        lambda cut: mark[min(cut) : max(cut)]
    )
)


@settings(settings.get_profile("many"))
@given(
    st.lists(st.one_of(PIECES, st.sampled_from([b"A", b"U", b"\0", b"4", b"8", b"0", b" "])), max_size=6).map(b"".join)
)
def test_a_mark_is_seen_wherever_it_stands(data: bytes) -> None:
    """Also among parts of others, and where it overlaps them."""
    assert holds_mark(data) == holds_any(data)


@pytest.mark.some(2)
@pytest.mark.parametrize("mark", inner_tokens._GATES, ids=repr)
def test_a_mark_is_seen_and_its_neighbours_are_not(mark: bytes) -> None:
    """Cut, or with another byte in any place, it is none, unless it is another one."""
    for front, behind in (b"", b""), (mark[:-1], b""), (b"", mark[1:]), (b"x" * 3000, b"x" * 3000), (b"\0", b"\0"):
        assert holds_mark(front + mark + behind)
        for at in range(len(mark)):
            others = [bytes([byte]) for byte in range(256) if byte != mark[at]]
            for data in (mark[:at] + other + mark[at + 1 :] for other in [b"", *others]):
                assert holds_mark(front + data + behind) == holds_any(front + data + behind), data


@given(
    st.sampled_from([rb"A-Za-z0-9+/_-", rb"\0\t-\r -~", rb"\S", rb'^\s"', b"^GHZghz"]),
    st.integers(1, 5),
    st.lists(st.sampled_from([b"a", b"A", b"Z", b"_", b'"', b" ", b"\n", b"\0", b"\x80", b"\xff", b"\x1c"])).map(
        b"".join
    ),
)
def test_runs_are_those_of_a_pattern(characters: bytes, least: int, data: bytes) -> None:
    """A faster search, with the same places."""
    pattern = re.compile(b"[%b]{%d,}" % (characters, least))

    assert runs_of(characters, least)(data) == [found.span() for found in pattern.finditer(data)]


@given(st.lists(st.sampled_from([b"\\", b'"', b"\\u0041", b"\\x41", b"41" * 9, b"n", b"u00"])).map(b"".join))
def test_quotes_are_unescaped_as_all_else_is(text: bytes) -> None:
    """A faster way for them changes nothing."""
    assert cell_readings._without_escapes(text) == cell_readings._BACKSLASH.sub(cell_readings._unescaped, text)


@pytest.mark.parametrize("encoding", ["utf-32", "utf-32-le", "utf-32-be"])
def test_wide_characters_are_found(keyring: Keyring, old: Key, encoding: str) -> None:
    """As C's wchar_t writes them on Linux."""
    value = f"key={token('old')}".encode(encoding)

    assert find_inner([keyring], value).under == {old.id: 1}
    assert is_spelled(value)
