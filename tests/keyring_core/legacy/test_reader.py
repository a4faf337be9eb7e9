"""Readers: what real packages wrote opens to what they read, and nothing else opens."""

from __future__ import annotations

import base64
import copy
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyring_core.legacy.reader import LegacyPlaintext, LegacyReader
from keyring_core.tokens import json_of
from tests.keyring_core.legacy.known_cells import VECTORS, cells_of, environ_of, legacy_of, reader_of
from tests.keys import key_text

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

            reader = legacy_of(case).reader(dict.fromkeys(environ_of(case), other))

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
