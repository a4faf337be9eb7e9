"""Cells that are tokens, and JSON of tokens as django-fernet-encrypted-fields writes it."""

from __future__ import annotations

import json

import pytest

from keyring_core.legacy.reader import LegacyPlaintext
from keyring_core.legacy.token_cells import TokenCells, TokenOrJsonCells
from tests.keys import make_key

OLD, OTHER = make_key("old"), make_key("other")
CELLS = TokenOrJsonCells({OLD: "the key"})


def token(text: str | bytes, key=OLD) -> str:
    return key.fernet.encrypt_at_time(text.encode() if isinstance(text, str) else text, 1_790_000_000).decode()


def test_the_key_that_signed_a_token_opens_it():
    """With several keys, whichever it is; a token's plaintext may be any bytes."""
    cells = TokenCells({OLD: "one", OTHER: "two"})

    for key in (OLD, OTHER):
        assert cells.open(token(b"\xff\0", key)) == LegacyPlaintext(b"\xff\0", 1_790_000_000)
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

        assert opened == LegacyPlaintext(expected.encode("ascii"), None)
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
