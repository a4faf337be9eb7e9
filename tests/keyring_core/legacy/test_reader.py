"""Readers: what real packages wrote opens to what they read, and nothing else opens."""

from __future__ import annotations

import base64
import copy
import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyring_core.legacy.package_cells import LegacyPlaintext, LegacyReader, TokenCells, TokenOrJsonCells
from keyring_core.tokens import json_of
from tests.keyring_core.legacy.known_cells import VECTORS, cells_of, environ_of, legacy_of, reader_of
from tests.keys import key_text, make_key

OLD, OTHER = make_key("old"), make_key("other")
CELLS = TokenOrJsonCells({OLD: "the key"})

WITHOUT_KEY = {b"{}", b"[[[]]]"}
"""JSON without any value: django-fernet-encrypted-fields encrypts nothing of it."""


def encrypted(case):
    return [cell for cell, plaintext in cells_of(case) if plaintext not in WITHOUT_KEY]


def test_a_cell_of_a_real_package_opens_to_what_the_package_reads(named):
    """The cell as text and as bytes, and as the types in which drivers return bytes, has the same plaintext."""
    for case in VECTORS:
        with named(case["made_by"]):
            reader = reader_of(case)

            for cell, plaintext in cells_of(case):
                forms = [cell, cell.encode()] if isinstance(cell, str) else [cell, bytearray(cell), memoryview(cell)]
                for form in forms:
                    opened = reader.open(form)
                    assert opened is not None
                    assert opened.plaintext == plaintext
                assert len(plaintext) <= reader.longest_plaintext(len(cell))


def test_a_token_has_its_own_time(named):
    """The time is the one that the package wrote into the cell; AES, AES-GCM and JSON of tokens have none."""
    for case in VECTORS:
        with named(case["made_by"]):
            reader = reader_of(case)

            for cell in encrypted(case):
                opened = reader.open(cell)
                is_token = cell[:5] in {"gAAAA", b"gAAAA"}
                raw = base64.urlsafe_b64decode(cell) if is_token else cell if cell[:1] == b"\x80" else None
                in_cell = None if raw is None else int.from_bytes(raw[1:9], "big")
                assert opened.timestamp == in_cell
                assert in_cell is None or in_cell > 1_700_000_000


def test_another_secret_opens_nothing(named):
    """Of AES it is the padding, UTF-8 and the check that refuse; everything else has a MAC."""
    for case in VECTORS:
        with named(case["made_by"]):
            is_raw = "{key" in str(case["environ"])
            other = key_text("another") if is_raw else "quite another test secret"

            environ = environ_of(case)
            # A field's own key is beside the secret that signs.
            reader = legacy_of(case).reader({name: environ[name] if name == "FIELD_KEY" else other for name in environ})

            assert [reader.open(cell) for cell in encrypted(case)] == [None] * len(encrypted(case))


def test_a_cell_that_was_cut_or_changed_does_not_open(named):
    """Neither its beginning, nor its end, nor a cell with another byte in the middle."""
    for case in VECTORS:
        with named(case["made_by"]):
            reader = reader_of(case)

            for cell in encrypted(case):
                for size in (0, 1, 16, len(cell) // 2, len(cell) - 1):
                    assert reader.open(cell[:size]) is None
                    assert reader.open(cell[len(cell) - size :]) is None
                # In JSON the last value's token: keys are not encrypted.
                place = cell.rindex("gAAAA") + 60 if isinstance(cell, str) and "gAAAA" in cell else len(cell) // 3
                other = bytes([cell[place] ^ 1]) if isinstance(cell, bytes) else "A" if cell[place] != "A" else "B"
                assert reader.open(cell[:place] + other + cell[place + 1 :]) is None
                assert reader.open(cell + cell[:4]) is None


ANYTHING = st.one_of(
    st.text(),
    st.binary(),
    st.binary(min_size=16, max_size=96).map(lambda raw: base64.b64encode(raw).decode()),
    st.binary(min_size=64, max_size=160).map(lambda raw: b"\x80" + raw),
    st.recursive(st.none() | st.text(max_size=8), lambda each: st.lists(each, max_size=3)).map(json_of),
)


@given(cell=ANYTHING)
@settings(max_examples=40, deadline=None)
def test_nothing_raises(cell):
    """Whatever the cell is, each reader has an answer."""
    for case in VECTORS:
        reader = READERS.get(case["made_by"]) or READERS.setdefault(case["made_by"], reader_of(case))

        opened = reader.open(cell)

        assert opened is None or isinstance(opened.plaintext, bytes), case["made_by"]


READERS: dict[str, LegacyReader] = {}


@pytest.mark.parametrize("cell", [None, 5, ["a"], object()])
def test_what_is_neither_text_nor_bytes_does_not_open(cell):
    """A NULL, or a number in a column of SQLite, is no cell of a package."""
    assert reader_of(VECTORS[0]).open(cell) is None


def test_a_reader_shows_no_secret_and_stays_in_its_process(named):
    """Its words and its repr name the package and the variables, and it cannot be pickled."""
    for case in VECTORS:
        with named(case["made_by"]):
            environ = environ_of(case)

            reader = legacy_of(case).reader(environ)

            assert reader.words.startswith(case["package"])
            assert "$OLD_SECRET" in reader.words
            assert repr(reader) == f"<LegacyReader {reader.words}>"
            for value in environ.values():
                assert not any(str(each) in reader.words for each in (value if isinstance(value, list) else [value]))
            for way in (pickle.dumps, copy.copy, copy.deepcopy):
                with pytest.raises(TypeError, match="not pickled or copied"):
                    way(reader)


def test_a_plaintext_is_not_in_its_repr():
    """A log of a result shows how long the plaintext is."""
    assert repr(LegacyPlaintext(b"sk-live-4242", 5)) == "<LegacyPlaintext of 12 bytes>"


@pytest.mark.parametrize("case", [VECTORS[0], VECTORS[-1]], ids=["text", "binary"])
def test_a_short_cell_has_no_plaintext(case):
    """The bound is never below zero."""
    assert reader_of(case).longest_plaintext(3) == 0


def token(text: str | bytes, key=OLD) -> str:
    return key.fernet.encrypt_at_time(text.encode() if isinstance(text, str) else text, 1_790_000_000).decode()


def test_the_key_that_signed_a_token_opens_it():
    """With several keys, whichever it is; a token's plaintext may be any bytes."""
    cells = TokenCells({OLD: "one", OTHER: "two"})

    for key in (OLD, OTHER):
        assert cells.open(token(b"\xff\0", key)) == LegacyPlaintext(b"\xff\0", 1_790_000_000, frozenset({key}))
    assert cells.open(token("a", make_key("unknown"))) is None


def test_the_longest_plaintext_is_not_longer_than_it_has_to_be(named):
    """At most one block of padding more than the real plaintext."""
    for size in (0, 1, 15, 16, 17, 31, 600, 601, 602):
        with named(size):
            cell = token("x" * size)

            assert size <= TokenCells({OLD: ""}).longest_plaintext(len(cell)) <= size + 18


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": token("1"), "b": [token("None"), {"ü": token("ü")}]}, r'{"a":"1","b":["None",{"\u00fc":"\u00fc"}]}'),
        (token("a"), '"a"'),
        ({"empty": [], "none": {}}, '{"empty":[],"none":{}}'),
        ({}, "{}"),
    ],
    ids=["nested", "scalar", "no values", "nothing"],
)
def test_json_of_tokens_becomes_json_of_plaintexts(value, expected):
    """However a database writes the JSON: PostgreSQL's jsonb changes blanks and the order of keys."""
    for written in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1), json.dumps(value).encode()):
        opened = CELLS.open(written)

        assert opened[:2] == (expected.encode("ascii"), None)
        assert {key.id for key in opened.keys} == ({OLD.id} if "gAAAA" in json.dumps(value) else set())
        assert len(opened.plaintext) <= CELLS.longest_plaintext(len(written))


def test_json_with_any_other_value_does_not_open(named):
    """Each value that the package writes is a token; a cell is read as a whole or not at all."""
    cases = [
        {"a": token("1"), "b": "plaintext"},
        {"a": token("1", OTHER)},
        [token("1"), token("2")[:-8]],
        [token("1"), 2],
        [token("1"), None],
        [token("1"), True],
        [token(b"\xff")],
        None,
        7,
        "plaintext",
        "",
    ]

    for value in cases:
        with named(value):
            assert CELLS.open(json.dumps(value)) is None


def test_what_is_no_such_json_does_not_open(named):
    """Neither broken, nor deep, nor in another encoding, and without an error."""
    cases = ["[" * 100_000, '{"a":' * 50_000, "[1e999]", "[NaN]", "[", b"\xff\xfe[]", "nothing"]

    for cell in cases:
        with named(cell):
            assert CELLS.open(cell) is None


def test_characters_that_json_escapes_are_counted():
    """A NUL takes six bytes in JSON, and one in a token; `ü` in a key takes two before and six after."""
    for cell in (json.dumps([token("\0" * 40_000)]), json.dumps({"ü" * 40_000: []}, ensure_ascii=False)):
        assert 240_000 < len(CELLS.open(cell).plaintext) <= CELLS.longest_plaintext(len(cell.encode()))


def test_bare_tokens_alone_are_read_of_other_packages():
    """JSON of tokens is that of one package."""
    assert TokenCells({OLD: ""}).open(json.dumps([token("a")])) is None
