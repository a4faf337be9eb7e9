"""Pickles of one value: read without loading, and no code of a pickle runs unasked."""

from __future__ import annotations

import datetime
import os
import pickle
import pickletools
import tracemalloc
from decimal import Decimal
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyring_core.integrations.values import (
    BOOLEAN,
    DATE,
    DATETIME,
    FLOAT,
    INTEGER,
    INTERVAL,
    TIME,
    UUID_FORM,
    ZONED_DATETIME,
    decimal_form,
)
from keyring_core.legacy.pickles import plaintext_in

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
BIG = 70_000
"""Above 64 KiB a pickle has no frame."""


class Harmful:
    """Its pickle runs a command when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


class Text(str):
    """As Django's SafeString."""


class Day(datetime.date):
    """As a date of another package."""


WEST = datetime.timezone(datetime.timedelta(hours=-5))
VALUES = [
    (DATE, datetime.date(2026, 2, 28)),
    (DATE, datetime.date.min),
    (DATETIME, datetime.datetime(2026, 2, 28, 23, 59)),
    (DATETIME, datetime.datetime(2026, 2, 28, 1, 2, 3, 4, fold=1)),
    (ZONED_DATETIME, datetime.datetime(2026, 2, 28, 23, 59, tzinfo=datetime.UTC)),
    (ZONED_DATETIME, datetime.datetime(2026, 2, 28, 23, 59, tzinfo=WEST)),
    (ZONED_DATETIME, datetime.datetime(2026, 6, 28, 23, 59, tzinfo=ZoneInfo("Europe/Berlin"))),
    (TIME, datetime.time(1, 2, 3, 4)),
    (INTERVAL, datetime.timedelta(days=-1, seconds=5, microseconds=7)),
    (INTERVAL, datetime.timedelta.max),
    (decimal_form(), Decimal("12.50")),
    (decimal_form(), Decimal("-0E+3")),
    (decimal_form(), Decimal("1E-20")),
    (UUID_FORM, UUID("0f8fad5b-d9cb-469f-a165-70867728950e")),
    (UUID_FORM, UUID(int=0)),
    (UUID_FORM, UUID("528b876e-ebc0-11f1-89ba-02fc00000001", is_safe=SafeUUID.safe)),
    (INTEGER, 2**70),
    (INTEGER, -1),
    (FLOAT, 0.1),
    (BOOLEAN, True),
    (BOOLEAN, False),
]


@pytest.mark.parametrize(("form", "value"), VALUES, ids=repr)
def test_a_value_of_another_type_is_the_text_of_that_type(form, value):
    """A typed column reads it, and a blind index finds it as what the column writes; nothing has to be loaded."""
    for protocol in PROTOCOLS:
        for dump in (pickle.dumps, pickle._dumps):
            data = dump(value, protocol)
            text = plaintext_in(data, unpickle=False)

            assert text == plaintext_in(data, unpickle=True) == plaintext_in(pickletools.optimize(data), unpickle=False)
            assert form.read(text.decode()) == value
            assert form.normal(text.decode()) == form.text_of(value)


NOON = datetime.datetime(2026, 6, 28, 12).__reduce__()[1][0]
"""The bytes that a datetime is made of."""


@pytest.mark.parametrize(
    ("call", "offset"),
    [
        (b"cpytz\n_UTC\n)R", 0),
        (b"cpytz\n_p\n(VEurope/Berlin\nI7200\nI3600\nVCEST\ntR", 2),
        (b"cpytz\n_p\n(VAfrica/Lagos\ntR", 1),
    ],
    ids=["UTC", "summer time", "static"],
)
def test_a_time_with_a_zone_of_pytz_is_read(call, offset):
    """Which Django used until version 4; it does not have to be installed."""
    data = b"cdatetime\ndatetime\nC\x0a" + NOON + call + b"\x86R."

    assert plaintext_in(data, unpickle=False) == f"2026-06-28T{12 - offset:02d}:00:00+00:00".encode()


class Broken:
    """Its pickle raises an error when it is loaded."""

    def __reduce__(self):
        return int, ("not a number",)

    def __repr__(self):
        return "Broken()"


@pytest.mark.some(4)
@pytest.mark.parametrize("unpickle", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(value=st.text(st.characters(codec="utf-8")) | st.binary())
def test_text_and_bytes_come_back(protocol, unpickle, value):
    """Of every protocol, from the two picklers that Python has, with and without loading."""
    expected = value.encode() if isinstance(value, str) else value

    for dump in (pickle.dumps, pickle._dumps):
        data = dump(value, protocol)
        assert plaintext_in(data, unpickle=unpickle) == expected
        assert plaintext_in(pickletools.optimize(data), unpickle=unpickle) == expected


def test_a_long_value_comes_back(named):
    """Long values have other opcodes than short ones."""
    for protocol in PROTOCOLS:
        for value in ("ü" * BIG, b"\xff" * BIG):
            with named(protocol, type(value)):
                expected = value.encode() if isinstance(value, str) else value

                assert plaintext_in(pickle.dumps(value, protocol), unpickle=False) == expected


def test_anything_else_is_not_read_without_loading(named):
    """Not even what is harmless: lists and dicts can repeat themselves without an end within their size."""
    cases = [
        *(None, [], ["a"], {}, {"a": "b"}, ("a",), ("a", "latin1"), bytearray(b"a"), Text("a"), Day(2026, 2, 28)),
        *(int, datetime.date, Decimal, UUID, datetime.time(1, tzinfo=datetime.UTC), Decimal("NaN"), Decimal("sNaN")),
        *(float("nan"), float("inf"), complex(1), datetime.datetime.max.replace(tzinfo=WEST), WEST),
    ]

    for protocol in PROTOCOLS:
        for value in cases:
            with named(protocol, value):
                assert plaintext_in(pickle.dumps(value, protocol), unpickle=False) is None


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_harmful_pickle_is_not_run(protocol, tmp_path):
    """Its command is an opcode that is refused; loading it would run it, which the second half of the test shows."""
    data = pickle.dumps(Harmful(tmp_path / "ran"), protocol)

    assert plaintext_in(data, unpickle=False) is None
    assert not (tmp_path / "ran").exists()

    assert plaintext_in(data, unpickle=True) == b"0"
    assert (tmp_path / "ran").exists()


def test_what_only_looks_like_a_text_is_not_read(named):
    """Another function, another codec, opcodes in another place, something behind the end, a lone surrogate."""
    cases = [
        b"cos\nsystem\n(Vtrue\nVlatin1\ntR.",
        b"cos\nsystem\n)R.",
        b"cdatetime\ndate\n.",
        b"cuuid\nUUID\n.",
        b"cuuid\nUUID\n)\x81.",
        b"cdatetime\ndate\n)\x81.",
        b"c__builtin__\nbytes\n(I1000000000\ntR.",
        b"c__builtin__\ngetattr\n(cdatetime\ndate\nVtoday\ntR)R.",
        b"cuuid\nUUID\n)\x81}Vint\nI-1\nsb.",
        b"cuuid\nUUID\n}Vint\nI5\nsVint\nI5\nb.",
        b"Vdatetime date\n(I2026\nI1\nI1\ntR.",
        b"czoneinfo\nZoneInfo._unpickle\n(V../../etc/passwd\nI1\ntR.",
        b"cdatetime\ndatetime\nC\x0a"
        + NOON
        + b"c__builtin__\ngetattr\n(cdatetime\ndate\nVtoday\ntR(VUTC\nI1\ntR\x86R.",
        b"Vtext\n" + b"p0\n" * 100 + b".",
        b"cdatetime\ndate\n)\x81}Vint\nI5\nsb.",
        b"g0\n.",
        b"\x94.",
        b"VtextVmore\n0.",
        b"c_codecs\ndecode\n(Vtrue\nVlatin1\ntR.",
        b"c_codecs\nencode\n(Vtrue\nVrot13\ntR.",
        b"c_codecs\nencode\n(V\\u0100\nVlatin1\ntR.",
        b"(V_codecs encode\nVtext\nVlatin1\ntR.",
        b"V__builtin__ bytes\n)R.",
        b"c__builtin__\nlist\n)R.",
        b"Vtext\n.more",
        b"Vtext\n",
        b"V\\ud800\n.",
        b"",
        b".",
        b"\x80\xff.",
        b"S'text'\n.",
        b"(" * 100_000 + b"Vtext\n.",
    ]

    for data in cases:
        with named(data):
            assert plaintext_in(data, unpickle=False) is None


def test_loading_gives_json_of_what_json_can_say(named):
    """Values that would come back as others, such as tuples, are not read."""
    cases = [
        (True, b"true"),
        (0, b"0"),
        (0.5, b"0.5"),
        ([], b"[]"),
        ({"a": [None, "ü", {"b": False}]}, rb'{"a":[null,"\u00fc",{"b":false}]}'),
        (Text("safe"), b"safe"),
        (None, None),
        (("a",), None),
        ({1: "a"}, None),
        ([{"a": ("b",)}], None),
        (float("nan"), None),
        ([float("inf")], None),
        (bytearray(b"a"), None),
        ("\ud800", None),
        ({"a": "\ud800"}, rb'{"a":"\ud800"}'),
        (Broken(), None),
    ]

    for value, expected in cases:
        with named(value):
            assert plaintext_in(pickle.dumps(value), unpickle=True) == expected


def test_a_list_in_itself_is_not_read():
    """JSON has no end for it."""
    endless = []
    endless.append(endless)

    assert plaintext_in(pickle.dumps(endless), unpickle=True) is None


@pytest.mark.parametrize("unpickle", [False, True])
def test_something_behind_a_pickle_is_not_read(unpickle):
    """Pickle itself ignores it: then most of what a wrong key decrypts to and begins like a pickle would be one."""
    assert plaintext_in(pickle.dumps("text") + b"more", unpickle=unpickle) is None
    assert plaintext_in(b"N.....", unpickle=unpickle) is None


def test_a_pickle_of_much_is_not_read_to_its_end(monkeypatch):
    """Without loading, a few opcodes say that it is neither text nor bytes: a list can have millions."""
    read = []
    genops = pickletools.genops
    monkeypatch.setattr(pickletools, "genops", lambda data: (read.append(each) or each for each in genops(data)))

    assert plaintext_in(pickle.dumps(list(range(10_000))), unpickle=False) is None
    assert len(read) < 30


def test_a_name_of_names_is_not_made():
    """Each opcode of three would double it: a pickle of 2 KB would fill the memory."""
    doubled = b"q\x00h\x00\x93" * 12
    tracemalloc.start()

    assert plaintext_in(b"\x80\x04\x8c\xff" + b"a" * 255 + doubled + b".", unpickle=False) is None
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 100_000


@given(data=st.binary() | st.binary(max_size=8).map(lambda tail: pickle.dumps("text")[:-1] + tail))
def test_nothing_raises(data):
    """Whatever was decrypted, there is an answer."""
    assert isinstance(plaintext_in(data, unpickle=False), bytes | None)
