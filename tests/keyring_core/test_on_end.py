"""Tokens that stand one after the other give what the same tokens give as texts of their own."""

from __future__ import annotations

import binascii
import os
import string
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cryptography.fernet import Fernet, MultiFernet
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keyring_core import InvalidToken, Keyring, bulk
from keyring_core.bulk import Refused, SignedBatch, _are_padded, _is_padded, is_token_size, read_on_end, write_on_end
from keyring_core.tokens import BLOCK, parse_token
from tests.keyring_core.test_tokens import seal
from tests.keys import key_text, make_key

KEYS = ("new", "old", "older", "staged")
RING = Keyring(make_key("new"), [make_key("old"), make_key("older")], make_key("staged"))
STOCK = MultiFernet([Fernet(key_text(label)) for label in KEYS])
ALONE = Fernet(key_text("new"))
ODD = [*string.ascii_letters[:4].encode(), *b"+/-_= \n\0%*~.", 0x80, 0xFF]
CODECS = ["pybase64", "standard library"]

Verdicts = dict[int, tuple[str, bytes | str]]

by_codec = pytest.mark.parametrize("codec", CODECS)


@contextmanager
def using(codec: str, batch_bytes: int = bulk.BATCH_BYTES) -> Iterator[None]:
    """Base64 by that codec, in calls of that many bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "BATCH_BYTES", batch_bytes)
        if codec == "standard library":
            patch.setattr(bulk, "_decode", binascii.a2b_base64)
            patch.setattr(bulk, "_encode", bulk._b2a)
        else:
            pytest.importorskip("pybase64", reason="the extra `speed` is not installed: no pybase64")
        yield


def sealed(draw: st.DrawFn, blocks: int) -> bytes:
    """A token of that many blocks under any key, of any time; in one of eight its padding is wrong."""
    label = draw(st.sampled_from([*KEYS, "old", "old", "foreign"]))
    left = draw(st.sampled_from([1, 2, 15, 16]))
    body = draw(st.binary(min_size=blocks * BLOCK - left, max_size=blocks * BLOCK - left))
    end = bytes([left]) * left if draw(st.integers(0, 7)) else bytes(left)
    return seal(body + end, label, draw(st.integers(0, 2**64 - 1))).encode()


@st.composite
def sound(draw: st.DrawFn) -> tuple[bytes, int]:
    """Tokens of one length one after the other, and that length."""
    blocks = draw(st.integers(1, 3))
    tokens = [sealed(draw, blocks) for _ in range(draw(st.integers(1, 8)))]
    return b"".join(tokens), len(tokens[0])


@st.composite
def texts(draw: st.DrawFn) -> tuple[bytes, int]:
    """Texts of one length one after the other, and that length: tokens, tokens with other bytes in them, and others."""
    together, size = draw(sound())
    found = [together[start : start + size] for start in range(0, len(together), size)]
    for at, text in enumerate(found):
        changed = bytearray(text)
        match draw(st.sampled_from(["as it is", "as it is", "alphabet", "bytes", "end", "other"])):
            case "alphabet":
                changed = changed.translate(bytes.maketrans(b"-_", b"+/"))
            case "bytes":
                for place in draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=3)):
                    changed[place] = draw(st.sampled_from(ODD))
            case "end":
                changed[-3:] = bytes(draw(st.lists(st.sampled_from(ODD), min_size=3, max_size=3)))
            case "other":
                changed[:] = draw(st.binary(min_size=size, max_size=size))
        found[at] = bytes(changed)
    # A column of CHAR(n) has blanks behind each token, and a column that is too narrow cuts each.
    match draw(st.sampled_from(["as they are", "as they are", "as they are", "blanks", "cut"])):
        case "blanks":
            found = [text + b" " * 5 for text in found]
        case "cut":
            cut = draw(st.integers(1, size - 1))
            found = [text[:cut] for text in found]
    return b"".join(found), len(found[0])


def verdicts(parts: Iterator[SignedBatch | Refused]) -> Verdicts:
    """By place the id of the key and what it signed, or the error and its words; each place once."""
    found: list[tuple[int, tuple[str, bytes | str]]] = []
    for part in parts:
        if isinstance(part, Refused):
            found.append((part.place, (type(part.error).__name__, str(part.error))))
        else:
            found += [(place, (part.key.id, each)) for place, each in zip(part.places, part.signed, strict=True)]
    assert len(found) == len(dict(found))
    return dict(found)


def alone(text: bytes) -> tuple[str, bytes | str]:
    """The verdict on a text by itself."""
    try:
        return RING.key_for(text).id, parse_token(text).signed
    except InvalidToken as error:
        return type(error).__name__, str(error)


def founds(together: bytes, size: int) -> list[SignedBatch]:
    return [part for part in bulk.find_on_end(RING.states, together, size) if not isinstance(part, Refused)]


def cut_up(together: bytes, size: int) -> list[bytes]:
    return [together[start : start + size] for start in range(0, len(together), size)]


@pytest.mark.some(2)
@by_codec
@pytest.mark.parametrize("batch_bytes", [1, 300, bulk.BATCH_BYTES])
@given(given_texts=texts())
@settings(deadline=None, max_examples=60)
def test_what_is_found_on_end_is_what_is_found_in_texts(
    codec: str, batch_bytes: int, given_texts: tuple[bytes, int]
) -> None:
    """The same keys and errors at the same places, whatever stands beside a token and however many share a call."""
    together, size = given_texts

    with using(codec, batch_bytes):
        found = verdicts(bulk.find_on_end(RING.states, together, size))

    assert found == {place: alone(text) for place, text in enumerate(cut_up(together, size))}
    with using("standard library"):
        assert found == verdicts(bulk.find(RING.states, cut_up(together, size)))


@by_codec
@given(given_tokens=sound())
@settings(deadline=None, max_examples=100)
def test_rotated_on_end_a_token_keeps_its_plaintext_and_its_time(codec: str, given_tokens: tuple[bytes, int]) -> None:
    """Stock Fernet opens each at its own place under the primary key alone; if one is damaged, there is none."""
    together, size = given_tokens
    with using(codec):
        for found in founds(together, size):
            old = [together[place * size : (place + 1) * size] for place in found.places]

            rotated = bulk.reencrypt_on_end(RING.primary, found, lambda _: False)

            one_by_one = bulk.reencrypt(RING.primary, found)
            assert (rotated is None) == any(isinstance(each, InvalidToken) for each in one_by_one)
            if rotated is not None:
                new = cut_up(rotated, size)
                assert [ALONE.decrypt(token) for token in new] == [STOCK.decrypt(token) for token in old]
                assert list(map(ALONE.extract_timestamp, new)) == list(map(STOCK.extract_timestamp, old))


@by_codec
@given(given_tokens=sound())
@settings(deadline=None, max_examples=60)
def test_with_fixed_random_blocks_both_ways_give_the_same_tokens(codec: str, given_tokens: tuple[bytes, int]) -> None:
    """Byte for byte: the random blocks stand where `reencrypt` puts them, and nothing else differs."""
    with using(codec), pytest.MonkeyPatch.context() as patch:
        for found in founds(*given_tokens):
            patch.setattr(os, "urandom", lambda size: bytes(at * 7 % 251 for at in range(size)))
            rotated = bulk.reencrypt_on_end(RING.primary, found, lambda _: False)
            one_by_one = bulk.reencrypt(RING.primary, found)
            patch.undo()

            texts = [each for each in one_by_one if isinstance(each, str)]
            assert rotated is None or rotated == "".join(texts).encode()


def test_no_two_tokens_on_end_share_an_iv() -> None:
    """Each has a random IV of its own, also for equal plaintexts."""
    token = Fernet(key_text("old")).encrypt(b"same")
    [found] = founds(token * 200, len(token))

    rotated = bulk.reencrypt_on_end(RING.primary, found, lambda _: False)

    assert rotated is not None
    tokens = [each for part in read_on_end(rotated, len(token)) for each in part.tokens()]  # type: ignore[union-attr]
    assert len({signed[9:25] for signed, _ in tokens}) == 200


def test_a_suspicious_plaintext_holds_up_all() -> None:
    """The question is put once, with all plaintexts, and a yes gives None."""
    fernet, asked = Fernet(key_text("old")), list[bytes]()
    together = b"".join(fernet.encrypt(text) for text in (b"harmless", b"a marker", b"harmless"))
    [found] = founds(together, len(together) // 3)

    def suspicious(plaintexts: bytes) -> bool:
        asked.append(plaintexts)
        return b"marker" in plaintexts

    assert bulk.reencrypt_on_end(RING.primary, found, suspicious) is None
    assert [(each.count(b"harmless"), each.count(b"a marker")) for each in asked] == [(2, 1)]


@st.composite
def paddings(draw: st.DrawFn) -> tuple[list[bytes], int]:
    """For each plaintext a block of no meaning and its own blocks, which end soundly or nearly so."""
    count = draw(st.integers(1, 3))
    made = []
    for _ in range(draw(st.integers(1, 6))):
        body = bytearray(draw(st.binary(min_size=(1 + count) * BLOCK, max_size=(1 + count) * BLOCK)))
        last = draw(st.sampled_from([*range(BLOCK + 3), 127, 128, 255]))
        body[len(body) - min(last or 1, len(body)) :] = bytes([last]) * min(last or 1, len(body))
        if draw(st.integers(0, 3)) == 0:
            body[-draw(st.integers(1, BLOCK + 1))] ^= 1 << draw(st.integers(0, 7))
        made.append(bytes(body))
    return made, (1 + count) * BLOCK


@given(paddings())
@example(([bytes(31) + b"\x01"], 32))
@example(([bytes(16) + b"\x10" * 16], 32))
@example(([bytes(16) + b"\x00" + b"\x10" * 15], 32))
@example(([b"\x10" * 15 + b"\x00" + b"\x10" * 16], 32))
@example(([b"\x11" * 32], 32))
@example(([bytes(32)], 32))
@example(([bytes(30) + b"\x02\x02", bytes(30) + b"\x03\x02", bytes(31) + b"\x01"], 32))
@example(([bytes(28) + b"\x04\x00\x04\x04", bytes(31) + b"\x01"], 32))
@settings(deadline=None, max_examples=500)
def test_paddings_together_are_judged_as_each_by_itself(given_blocks: tuple[list[bytes], int]) -> None:
    """All are sound exactly if each is: one that is wrong anywhere is not outweighed by its neighbours."""
    blocks, width = given_blocks

    assert _are_padded(b"".join(blocks), width) == all(_is_padded(each[BLOCK:]) for each in blocks)


@given(st.integers(1, 150).flatmap(lambda size: st.lists(st.binary(min_size=size, max_size=size), min_size=1)))
@settings(deadline=None, max_examples=60)
def test_both_codecs_write_the_same_texts(tokens: list[bytes]) -> None:
    """Also in the alphabet: both write the URL-safe one."""
    with using("pybase64"):
        fast = write_on_end(tokens)

    with using("standard library"):
        assert fast == write_on_end(tokens)


@given(texts())
@example((b"gAAA" * 25, 100))
@example((b"g+A/" * 25, 100))
@example((b"g-A_g+A/" * 25, 100))
@example((b"gAAA" * 10 + b"AA==" + b"gAAA" * 14, 100))
@settings(settings.get_profile("slow"))
def test_both_codecs_take_and_refuse_the_same_texts(given_texts: tuple[bytes, int]) -> None:
    """What one reads the other one reads to the same bytes, in both alphabets; what one refuses both refuse."""
    together, size = given_texts
    count = len(together) // size

    with using("pybase64"):
        fast = bulk._decode_on_end(together, count)

    with using("standard library"):
        assert fast == bulk._decode_on_end(together, count)


@by_codec
@pytest.mark.parametrize("length", [20, 28, 33])
def test_both_alphabets_are_read_side_by_side(codec: str, length: int) -> None:
    """Tokens in the standard alphabet beside URL-safe ones keep a batch whole, in every padding."""
    urls = [seal((b"%032d" % at)[: length // 16 * 16], "old", at).encode() for at in range(50)]
    standard = [each.translate(bytes.maketrans(b"-_", b"+/")) for each in urls]
    together = b"".join(urls + standard)
    assert any(b"+" in each for each in standard)

    with using(codec):
        parts = list(read_on_end(together, len(urls[0])))

    assert len(parts) == 1
    [whole] = parts
    assert not isinstance(whole, Refused)
    tokens = list(whole.tokens())
    assert tokens[:50] == tokens[50:]


def test_the_sizes_of_tokens_are_those_that_tokens_have() -> None:
    """Every size that stock Fernet writes is one, and no size between them."""
    fernet = Fernet(key_text("old"))
    sizes = {len(fernet.encrypt(bytes(length))) for length in range(200)}

    assert {size for size in range(max(sizes) + 1) if is_token_size(size)} == sizes


def test_no_text_has_no_parts() -> None:
    """An empty block gives nothing."""
    assert list(bulk.find_on_end(RING.states, b"", 100)) == []
