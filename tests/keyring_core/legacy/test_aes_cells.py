"""AES cells of sqlalchemy-utils: each padding as the package writes it, and a check that refuses nonsense."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from keyring_core.legacy.aes_cells import PADDINGS, AesCells, GcmCells, check_of

KEY, OTHER = hashlib.sha256(b"a test secret").digest(), hashlib.sha256(b"another test secret").digest()
ANY = "(?s).*"
PADS = {
    "pkcs5": lambda size: bytes([size]) * size,
    "oneandzeroes": lambda size: b"\x80".ljust(size, b"\0"),
    "zeroes": lambda size: bytes([size]).rjust(size, b"\0"),
    "naive": lambda size: b"*" * size,
}
"""What `padding.py` of the package adds."""


def cell_of(text: str | bytes, padding: str | None, key: bytes = KEY) -> str:
    """What `AesEngine.encrypt` makes; without a padding the text is that of whole blocks."""
    data = text.encode() if isinstance(text, str) else text
    data += PADS[padding](16 - len(data) % 16) if padding else b""
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    return base64.b64encode(encryptor.update(data) + encryptor.finalize()).decode()


@pytest.mark.parametrize("padding", PADDINGS)
@given(text=st.text(st.characters(codec="utf-8")))
@settings(deadline=None)
def test_every_text_comes_back(padding, text):
    """Of any length, for each padding; but without the `*` at its end if the padding is naive."""
    cells = AesCells([KEY], padding, ANY)
    cell = cell_of(text, padding)

    plaintext = cells.open(cell).plaintext

    assert plaintext.decode() == (text.rstrip("*") if padding == "naive" else text)
    assert len(plaintext) <= cells.longest_plaintext(len(cell))


def test_naive_padding_has_lost_what_the_package_has_lost():
    """A text of `*` alone is empty to the package, and here."""
    assert AesCells([KEY], "naive", ANY).open(cell_of("****", "naive")).plaintext == b""


def test_a_text_that_the_package_itself_cannot_read_comes_back():
    """The UTF-8 of `À` ends with 0x80, of which the package strips all from such a padding."""
    assert AesCells([KEY], "oneandzeroes", ANY).open(cell_of("VOILÀ", "oneandzeroes")).plaintext == "VOILÀ".encode()


def test_a_padding_that_the_package_never_writes_does_not_open(named):
    """The package would read some of them: as nonsense under a wrong key."""
    cases = [
        ("pkcs5", b"fifteen bytes.." + b"\x00"),
        ("pkcs5", b"fifteen bytes.." + b"\x02"),
        ("pkcs5", b"fifteen bytes.." + b"\x11"),
        ("oneandzeroes", b"sixteen bytes ok"),
        ("oneandzeroes", bytes(16)),
        ("zeroes", b"fifteen bytes.." + b"\x00"),
        ("zeroes", b"fifteen bytes.." + b"\x02"),
        ("zeroes", b"fifteen bytes.." + b"\x11"),
        ("naive", b"sixteen bytes ok"),
    ]

    for padding, data in cases:
        with named(padding, data):
            assert AesCells([KEY], padding, ANY).open(cell_of(data, None)) is None


def test_the_check_decides_between_keys():
    """A text that the check refuses is not the plaintext, under whatever key; the first that passes is."""
    cells = AesCells([OTHER, KEY], "naive", "sk-[a-z]+")

    assert cells.open(cell_of("sk-live", "naive")).plaintext == b"sk-live"
    assert cells.open(cell_of("sk-live", "naive", OTHER)).plaintext == b"sk-live"
    assert cells.open(cell_of("sk-live and more", "naive")) is None
    assert cells.open(cell_of("a sk-live", "naive")) is None


def test_bytes_that_are_no_text_do_not_pass():
    """Every plaintext of the package is UTF-8, whatever the check says."""
    assert AesCells([KEY], "pkcs5", ANY).open(cell_of(b"\xff", "pkcs5")) is None


def test_a_check_is_json_or_matches_the_whole_text(named):
    """A regular expression that matches a part alone does not pass."""
    cases = [
        ("json", '{"a": 1}', True),
        ("json", "true", True),
        ("json", "", False),
        ("json", "a text", False),
        ("json", "[" * 100_000, False),
        (r"\d+", "123", True),
        (r"\d+", "123a", False),
        (r"\d+", "123\n", False),
        (r"a.b", "a\nb", False),
    ]

    for check, text, passes in cases:
        with named(text):
            assert bool(check_of(check)(text)) is passes


def test_wrong_keys_open_no_cell_to_json():
    """Of 2,000 keys, none gives a text that is JSON."""
    cell = cell_of('{"password": "hunter2"}', "naive")
    keys = [hashlib.sha256(b"%d" % number).digest() for number in range(2000)]

    assert AesCells(keys, "naive", "json").open(cell) is None
    assert AesCells([*keys, KEY], "naive", "json").open(cell).plaintext == b'{"password": "hunter2"}'


@pytest.mark.parametrize(
    "change",
    [
        lambda cell: cell + "\n",
        lambda cell: f"  {cell} ",
    ],
)
def test_blanks_around_a_cell_do_not_matter(change):
    """A CHAR column adds them."""
    assert AesCells([KEY], "pkcs5", ANY).open(change(cell_of("a", "pkcs5"))).plaintext == b"a"


def test_what_is_no_base64_of_this_length_does_not_open(named):
    """Neither an empty cell, nor one with characters that the package drops, nor one that ends too soon."""
    readers = {padding: AesCells([KEY], padding, ANY) for padding in PADDINGS} | {"gcm": GcmCells([KEY])}
    cases = ["", "=", "A", "AAAA", "ÄÄÄÄ", "\ud800", b"\xff" * 16, "-_-_" * 8, "A" * 43, "A" * 22]

    for name, cells in readers.items():
        for cell in cases:
            with named(name, cell):
                assert cells.open(cell) is None


def test_base64_that_no_encoder_writes_does_not_open():
    """Unused bits in the last character: somebody changed the cell."""
    cell = cell_of("a", "pkcs5")
    changed = cell[:21] + chr(ord(cell[21]) + 1) + cell[22:]

    assert base64.b64decode(changed) == base64.b64decode(cell)
    assert AesCells([KEY], "pkcs5", ANY).open(changed) is None
