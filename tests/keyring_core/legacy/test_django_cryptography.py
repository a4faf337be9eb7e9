"""django-cryptography's cells: nothing of a cell is read before its MAC was checked; no pickle is loaded unasked."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import os
import pickle
import pickletools
import warnings
from decimal import Decimal

import pytest
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from keyring_core.legacy import Legacy
from keyring_core.legacy.pickles import plaintext_in
from keyring_core.legacy.reader import LegacyPlaintext

SECRET = "a test secret for the MAC, 4711"
OTHER = "another test secret, 0815"
TIME = 1_790_000_000


def cell_of(
    pickled: bytes,
    secret: str = SECRET,
    encryption: str | None = None,
    salt: str = "django-cryptography",
    *,
    version: bytes = b"\x80",
):
    """What `FernetBytes.encrypt` makes, by the standard library's HMAC and PBKDF2."""
    key = hashlib.pbkdf2_hmac("sha256", (encryption or secret).encode(), salt.encode(), 30_000)
    padder = padding.PKCS7(128).padder()
    padded = padder.update(pickled) + padder.finalize()
    iv = os.urandom(16)
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    signed = version + TIME.to_bytes(8, "big") + iv + encryptor.update(padded) + encryptor.finalize()
    return signed + hmac.digest(secret.encode(), signed, "sha256")


def reader_of(*secrets: str, encryption: list[str] | None = None, **options):
    named = {"encryption_secret": "$CRYPTOGRAPHY_KEY"} if encryption else {}
    environ = {"OLD": list(secrets or [SECRET]), "CRYPTOGRAPHY_KEY": encryption or []}
    return Legacy("django-cryptography-5", secret="$OLD", **named, **options).reader(environ)


def test_a_cell_has_its_plaintext_and_its_time():
    """The pickle of a text, of any protocol."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        opened = reader_of().open(cell_of(pickle.dumps("sk-live ü", protocol)))

        assert opened == LegacyPlaintext("sk-live ü".encode(), TIME)


def test_each_secret_has_its_own_encryption_key():
    """Without CRYPTOGRAPHY_KEY both keys are of the secret that signed."""
    reader = reader_of(OTHER, SECRET)

    assert reader.open(cell_of(pickle.dumps("a"))).plaintext == b"a"
    assert reader.open(cell_of(pickle.dumps("b"), OTHER)).plaintext == b"b"
    assert reader.open(cell_of(pickle.dumps("c"), OTHER, SECRET)) is None


def test_every_encryption_secret_and_salt_is_tried(*, long_form):
    """The MAC does not say which of them it was; a wrong one gives no pickle."""
    reader = reader_of(SECRET, encryption=["the newest test secret", OTHER], salt=["a salt", "another"])

    for number in range(300 if long_form else 50):
        assert reader.open(cell_of(pickle.dumps(f"{number}"), SECRET, OTHER, "another")).plaintext == b"%d" % number
    assert reader.open(cell_of(pickle.dumps("a"), SECRET, OTHER)) is None


@pytest.mark.parametrize("protocol", [0, 4])
def test_a_harmful_pickle_in_an_authentic_cell_is_not_run(protocol, tmp_path):
    """Somebody who knows SECRET_KEY can write cells; without unpickle their code is not run."""
    cell = cell_of(pickle.dumps(Harmful(tmp_path / "ran"), protocol))

    assert reader_of().open(cell) is None
    assert not (tmp_path / "ran").exists()


def test_with_unpickle_a_cell_that_nobody_signed_is_not_loaded(tmp_path):
    """The MAC is checked first: of the same pickle, only the signed cell is run."""
    cell = cell_of(pickle.dumps(Harmful(tmp_path / "ran")))
    forged = cell[:-1] + bytes([cell[-1] ^ 1])

    assert reader_of(unpickle=True).open(forged) is None
    assert not (tmp_path / "ran").exists()

    assert reader_of(unpickle=True).open(cell) is not None
    assert (tmp_path / "ran").exists()


def test_a_cell_with_damaged_padding_does_not_open():
    """A signed cell under another encryption key, which is nonsense here."""
    assert [reader_of().open(cell_of(pickle.dumps("a"), SECRET, OTHER)) for _ in range(20)] == [None] * 20


def test_a_plaintext_that_its_cell_repeats_too_often_is_not_read():
    """No plaintext is longer than the reader says, since a column has a width."""
    text = "sk-live-" * 20
    reader = reader_of(unpickle=True)

    assert reader.open(cell_of(pickle.dumps([text] * 2))).plaintext.count(text.encode()) == 2
    assert reader.open(cell_of(pickle.dumps([text] * 1000))) is None


@pytest.mark.parametrize("value", ["é" * 500, "\0" * 500], ids=["latin", "nul"])
def test_no_plaintext_is_longer_than_the_reader_says(value):
    """Protocol 0 writes Latin-1, of which UTF-8 takes two bytes; JSON writes six for a NUL."""
    for unpickle, stored in ((False, value), (True, value), (True, [value])):
        cell, reader = cell_of(pickle.dumps(stored, 0)), reader_of(unpickle=unpickle)

        assert 500 <= len(reader.open(cell).plaintext) <= reader.longest_plaintext(len(cell))


def test_another_version_does_not_open():
    """What another first byte means is not known, even if the MAC is right."""
    assert reader_of().open(cell_of(pickle.dumps("a"), version=b"\x81")) is None


def test_text_is_no_cell():
    """The column is binary."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert reader_of().open(cell_of(pickle.dumps("a")).decode("latin-1")) is None


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


class Broken:
    """Its pickle raises an error when it is loaded."""

    def __reduce__(self):
        return int, ("not a number",)

    def __repr__(self):
        return "Broken()"


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
    """Not even what is harmless: its bytes were not written by a field for text or bytes."""
    cases = [
        *(None, True, 5, 2**70, 0.5, [], ["a"], {}, {"a": "b"}, ("a",), ("a", "latin1"), bytearray(b"a"), Text("a")),
        *(int, datetime.date(2026, 2, 28)),
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
        (datetime.date(2026, 2, 28), None),
        (Decimal(1), None),
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


@given(data=st.binary() | st.binary(max_size=8).map(lambda tail: pickle.dumps("text")[:-1] + tail))
def test_nothing_raises(data):
    """Whatever was decrypted, there is an answer."""
    assert isinstance(plaintext_in(data, unpickle=False), bytes | None)
