"""Each cell is named for what it holds, and for the format that would rotate it; no words show it."""

from __future__ import annotations

import base64
import json
import random
import uuid
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyring_core import Keyring
from rotation.model.target import Format
from rotation.planning import inner_tokens
from rotation.planning.cell_kinds import CellKind, Classification, kind_of
from rotation.planning.inner_tokens import find_inner
from tests.conftest import Named
from tests.fakes import ISSUED_AT, token
from tests.keys import make_key
from tests.planning import foreign_cells
from tests.planning.test_inner_tokens import DECOYS

KEYRING = Keyring(make_key("new"), previous=[make_key("old")])
OLD, NOBODY = token("old"), token("nobody", "longer than others")
TEXT, ENCODED = CellKind.TOKEN_IN_TEXT, CellKind.ENCODED_TOKEN


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def of(cell: str | bytes) -> Classification:
    return kind_of(cell, find_inner([KEYRING], cell))


TOKENS = {
    "a token": ("{}", CellKind.TOKEN, Format.TOKEN),
    "JSON, as Prefect keeps it": ('"{}"', TEXT, Format.EMBEDDED),
    "JSON, as agno keeps it": ('{{"encrypted": "{}"}}', TEXT, Format.EMBEDDED),
    "a prefix, as Zato writes it": ("zato.secf.{}", TEXT, Format.EMBEDDED),
    "a prefix of its alphabet": ("enc_{}", TEXT, Format.EMBEDDED),
    "ContextForge": ('v2:{{"salt":"AbC","token":"{}"}}', TEXT, Format.EMBEDDED),
    "Heat": ('["cryptography_decrypt_v1", "{}"]', TEXT, Format.EMBEDDED),
    "a URL": ("https://user:{}@example.org/", TEXT, Format.EMBEDDED),
    "YAML": ("password: encrypt({})\n", TEXT, Format.EMBEDDED),
    "Python bytes": ("b'{}'", TEXT, Format.EMBEDDED),
    "two tokens": ("{0}{0}", TEXT, Format.EMBEDDED),
}


def test_a_token_in_text_is_named(named: Named) -> None:
    """Under a key or under none: the place of the token decides, and whether its key is known."""
    for bare in (OLD, NOBODY):
        for as_bytes in (False, True):
            for name, (around, kind, served_by) in TOKENS.items():
                with named(bare, as_bytes, name):
                    cell: Any = around.format(bare)
                    found = of(cell.encode() if as_bytes else cell)

                    assert (found.kind, found.format, found.keyless) == (kind, served_by, bare == OLD)


@pytest.mark.parametrize("bare", [OLD, NOBODY, OLD.rstrip("=")], ids=["known", "unknown", "without padding"])
def test_an_encoded_token_is_named(bare: str) -> None:
    """FastMCP, Sentry and OpenHands write base64, paperless writes hex; today's run rotates no other encoding."""
    cells = {
        encoded(bare): Format.BASE64,
        encoded(bare).rstrip("="): Format.BASE64,
        json.dumps({"__encrypted_data__": encoded(bare)}): Format.BASE64,
        f"enc:fernet:1:{encoded(bare)}": Format.BASE64,
        bare.encode().hex(): Format.HEX,
        bare.encode().hex().upper(): Format.HEX,
        json.dumps({"value": bare.encode().hex()}): Format.HEX,
    }
    for cell, served_by in cells.items():
        assert (of(cell).kind, of(cell).format) == (ENCODED, served_by)
        assert of(cell).keyless == (bare != NOBODY)


def test_a_token_in_another_encoding_is_served_by_no_format() -> None:
    """It is no plaintext either."""
    inside_base64 = encoded(json.dumps({"user": 7, "token": OLD}))
    for cell in (inside_base64, OLD.encode("utf-16"), base64.urlsafe_b64decode(OLD), f"a {OLD}".replace("A", "%41")):
        assert (of(cell).kind, of(cell).format, of(cell).keyless) == (ENCODED, None, True)


@pytest.mark.parametrize("behind", ["", "_v1"])
def test_a_token_beside_known_ones_may_need_any_key(named: Named, behind: str) -> None:
    """Whatever the form, whether both were made in one second, and whether it shows where the unknown one ends."""
    for issued_at in (ISSUED_AT, ISSUED_AT + 1):
        bare = token("nobody", issued_at=issued_at)
        other = bare.rstrip("=") + behind
        document = json.dumps([OLD, other])
        cells: dict[str, str | bytes] = {
            "two forms": json.dumps([OLD, encoded(other)]),
            "a nested token": json.dumps([token("old", OLD), other]),
            "base64": encoded(document),
            "base32": base64.b32encode(document.encode()).decode(),
            "decimal": json.dumps([*document.encode()]),
            "UTF-16": document.encode("utf-16"),
            "raw": b"%b %b%b" % (OLD.encode(), base64.urlsafe_b64decode(bare), behind.encode()),
        }
        for name, cell in cells.items():
            with named(issued_at, name):
                assert not of(cell).keyless


def test_a_token_in_a_token_is_nested() -> None:
    """Whatever its keys are."""
    assert of(token("old", OLD)).kind == CellKind.NESTED
    assert (
        of(token("old", json.dumps({"t": encoded(token("nobody", issued_at=1_700_000_000))}))).kind == CellKind.NESTED
    )


FOREIGN = {
    "AWX": foreign_cells.awx(b"hunter2"),
    "AWX, in JSON": json.dumps({"username": "root", "password": foreign_cells.awx(b"hunter2")}),
    "AAP gateway": foreign_cells.awx_fernet256(b"hunter2"),
    "django-cryptography": foreign_cells.fernet256(b"\x80\x05hunter2."),
}


@pytest.mark.parametrize("cell", FOREIGN.values(), ids=FOREIGN)
def test_fernets_frame_with_another_cipher_is_named(cell: str | bytes) -> None:
    """No key of a keyring signs it, and no format rotates it."""
    assert (of(cell).kind, of(cell).format) == (CellKind.FOREIGN_CIPHER, None)
    # A raw one may as well be under a Fernet key that is not here.
    assert of(cell).keyless == isinstance(cell, str)


def test_other_ciphers_are_named(named: Named) -> None:
    """sqlalchemy-utils and MLflow; very few of the shorter ones look like words."""
    cases = [foreign_cells.aes_gcm_engine, foreign_cells.gcm, foreign_cells.aes_engine]

    for make in cases:
        for size in (1, 7, 20, 40, 100):
            with named(make.__name__, size):
                kinds = Counter(of(make(f"{number:0{size}}".encode()[:size])).kind for number in range(10, 110))

                assert kinds[CellKind.CIPHERTEXT] >= 95
                assert kinds[CellKind.CIPHERTEXT] + kinds[CellKind.PLAINTEXT] == 100


PLAIN = {
    "words": "correct horse battery staple",
    "words written together": "MyVeryLongPassword2024Summer",
    "a long name": "thisIsTheNameOfTheFunction12",
    "hex of 16 bytes": "5f0c1a9e5f0c1a9e5f0c1a9e5f0c1a9e",
    "a digest": "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08",
    "a UUID": str(uuid.UUID(int=0xA7A94380814A8ACDC56056CBF0C1152A)),
    "OpenAI": "sk-proj4fG9aQ2xZ7mK1bN8cV5wE3rT",
    "GitHub": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "AWS": "AKIAIOSFODNN7EXAMPLE",
    "Slack": "xoxb-1234567890123-AbCdEfGh1jKlMnOpQrStUvWx",
    "a password": "hunter2",
    "JSON": '{"scope": "read", "expires": 3600}',
    "base64 of words": encoded("user:correct horse battery staple"),
    "prose": "The quick brown fox jumps over the lazy dog. " * 4,
    "a key of letters and digits": "aB3dE6gH9jK2mN5pQ8sT1vW4",
}


def test_plaintext_stays_plaintext(named: Named) -> None:
    """Words, hex, and credentials with a well-known prefix; none of these is another cipher's output."""
    for name, cell in PLAIN.items():
        with named(name):
            assert of(cell).kind == CellKind.PLAINTEXT
            assert of(cell).keyless == (len(cell) < inner_tokens.SHORTEST)


def test_what_is_cut_off_is_truncated() -> None:
    """Alone and in text; a few letters of a token in a sentence are none."""
    assert of(OLD[:60]).kind == CellKind.TRUNCATED
    assert of(json.dumps({"t": OLD})[:60]).kind == CellKind.TRUNCATED
    assert of("Tokens begin with gAAAAAB").kind == CellKind.PLAINTEXT


def test_a_picture_in_base64_is_no_token() -> None:
    """Its header holds `gAAAA`."""
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89"
    cell = json.dumps({"avatar": base64.b64encode(header + random.Random(1).randbytes(900)).decode()})

    assert "gAAAA" in cell
    assert of(cell).kind == CellKind.PLAINTEXT
    assert of(f"UhEUgAAAA{'E' * 200}").kind == CellKind.PLAINTEXT


def test_what_was_not_searched_to_its_end_is_no_plaintext(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hold a token under any key."""
    monkeypatch.setattr(inner_tokens, "WORK", 0)

    assert (of(DECOYS.hex()).kind, of(DECOYS.hex()).keyless) == (CellKind.NOT_A_TOKEN, False)


def test_nothing_is_empty() -> None:
    """Blanks, too."""
    assert {of("").kind, of(b"").kind, of(" \n").kind} == {CellKind.EMPTY}


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200)))
def test_words_show_nothing_of_the_cell(cell: str | bytes) -> None:
    """Any text and any bytes get a kind and words of a fixed list, with a length."""
    found = of(cell)

    kinds = {CellKind.EMPTY, CellKind.PLAINTEXT, CellKind.CIPHERTEXT, CellKind.NOT_A_TOKEN, CellKind.TRUNCATED}
    assert found.kind in kinds
    assert found.detail.rpartition(" (")[0] in {
        "",
        "legible as it stands",
        "bytes that are no text",
        "a token inside something else, or in another encoding",
        "another cipher's output, or a random secret stored as it is",
        "a token whose end is missing",
        "a token whose end is missing, inside text",
        "a token in another encoding, whose end is missing",
    }
