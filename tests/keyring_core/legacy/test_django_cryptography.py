"""django-cryptography's cells: nothing of a cell is read before its MAC was checked; no pickle is loaded unasked."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import pickle
import warnings

import pytest
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from keyring_core import KeyConfigError
from keyring_core.legacy import Legacy
from keyring_core.legacy.package_cells import LegacyPlaintext
from keyring_core.redaction import get_redactor
from tests.keyring_core.legacy.test_pickles import Harmful

SECRET = "a test secret for the MAC, 4711"
OTHER = "another test secret, 0815"
TIME = 1_790_000_000


def cell_of(  # noqa: PLR0913 - all that a cell is made of
    pickled: bytes,
    secret: str = SECRET,
    encryption: str | None = None,
    salt: str = "django-cryptography",
    *,
    version: bytes = b"\x80",
    key: bytes | None = None,
):
    """What `FernetBytes.encrypt` makes, by the standard library's HMAC and PBKDF2."""
    key = key or hashlib.pbkdf2_hmac("sha256", (encryption or secret).encode(), salt.encode(), 30_000)
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


@pytest.mark.parametrize("size", [16, 24, 32])
def test_a_field_may_have_a_key_of_its_own(size, named):
    """Not stretched, and signed under the secret: as text of its length, in hex, in base64, or bytes of a setting."""
    raw = hashlib.sha256(b"a field").digest()[:size]
    text = base64.b85encode(hashlib.sha512(b"a text").digest())[:size].decode()
    spelled = {
        "text": (text.encode(), text),
        "hex": (raw, raw.hex()),
        "upper case": (raw, raw.hex().upper()),
        "base64": (raw, base64.b64encode(raw).decode()),
        "URL-safe base64": (raw, base64.urlsafe_b64encode(raw).decode()),
        "bytes": (raw, [raw]),
        "hex digits as text": (raw.hex()[:size].encode(), raw.hex()[:size]),
        "the second of two": (raw, [text, raw.hex()]),
    }
    for name, (key, given) in spelled.items():
        with named(name):
            reader = Legacy("django-cryptography", secret="$OLD", key="$FIELD").reader({"OLD": SECRET, "FIELD": given})

            assert reader.open(cell_of(pickle.dumps("a"), key=key)) == LegacyPlaintext(b"a", TIME)
            assert reader.open(cell_of(pickle.dumps("a"), OTHER, key=key)) is None
            assert reader.open(cell_of(pickle.dumps("a"))) is None
            assert reader.words == "django-cryptography, secrets $OLD and $FIELD"


def test_a_key_of_another_length_is_refused():
    """By the variable's name, without any part of it; and so is an option that such a field does not use."""
    with pytest.raises(KeyConfigError, match="FIELD: an AES key is 16, 24 or 32 bytes") as refused:
        Legacy("django-cryptography", secret="$OLD", key="$FIELD").reader({"OLD": SECRET, "FIELD": OTHER})
    assert OTHER not in str(refused.value)

    for more in ({"salt": "a salt"}, {"encryption_secret": "$KEY"}):
        with pytest.raises(KeyConfigError, match="a field with a key of its own uses no"):
            Legacy("django-cryptography", secret="$OLD", key="$FIELD", **more)
    with pytest.raises(KeyConfigError, match='key is "\\$NAME" of a variable'):
        Legacy("django-cryptography", secret="$OLD", key=OTHER)


def test_a_key_of_a_field_is_masked():
    """As it is in the variable, and as the bytes that it spells; also if it is none, but perhaps another secret."""
    raw, refused = hashlib.sha256(b"masked").digest()[:16], hashlib.sha256(b"refused").hexdigest()[:15]
    legacy = Legacy("django-cryptography", secret="$OLD", key="$FIELD")
    legacy.reader({"OLD": SECRET, "FIELD": raw.hex()})
    with pytest.raises(KeyConfigError):
        legacy.reader({"OLD": SECRET, "FIELD": refused})

    for shown in (raw.hex(), base64.b64encode(raw).decode(), refused):
        assert shown not in get_redactor().redact(f"the key {shown} is shown")


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
