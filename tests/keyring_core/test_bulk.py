"""Batches give for each token what the single-token path and stock Fernet give."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from typing import Any

import pytest
from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from freezegun import freeze_time
from hypothesis import example, given
from hypothesis import strategies as st

from keyring_core import DamagedToken, InvalidToken, Key, Keyring, PlaintextError, bulk
from keyring_core.bulk import Refused
from keyring_core.tokens import parse_token
from tests.conftest import Named
from tests.keyring_core.test_tokens import ISSUED_AT, TOKEN_CASES, issue, seal
from tests.keys import key_text, make_key

PRIMARY, PREVIOUS, STAGED, FOREIGN = (make_key(label) for label in ("new", "old", "staged", "foreign"))
RING = Keyring(PRIMARY, [PREVIOUS, make_key("older")], STAGED)
STOCK = MultiFernet([Fernet(key_text(label)) for label in ("new", "old", "older", "staged")])
ALONE = Fernet(key_text("new"))


def damaged_token(label: str) -> str:
    """A token with a right tag whose padding is wrong."""
    return seal(b" " * 32, label, ISSUED_AT)


@st.composite
def tokens(draw: st.DrawFn) -> str:
    """Sound tokens of any key and time, and texts that are none."""
    key = draw(st.sampled_from([PRIMARY, PREVIOUS, STAGED, FOREIGN]))
    sound = key.fernet.encrypt_at_time(draw(st.binary(max_size=100)), draw(st.integers(0, 2**64 - 1))).decode()
    return draw(
        st.sampled_from(
            [
                sound,
                sound,
                sound,
                sound[:-4],
                sound + sound,
                f" {sound}\n",
                f"'{sound}'",
                "",
                "plain",
                "é",
                damaged_token("old"),
            ]
        )
    )


def single(action: object, token: Any) -> object:
    """What the single-token path returns, or the type and words of what it raises."""
    try:
        return action(token)  # type: ignore[operator]
    except (InvalidToken, PlaintextError) as error:
        return type(error), str(error)


def outcomes(results: Sequence[object]) -> list[object]:
    return [(type(item), str(item)) if isinstance(item, Exception) else item for item in results]


@given(st.lists(tokens(), max_size=12))
def test_every_verdict_is_the_single_paths(texts: list[str]) -> None:
    """A batch refuses what a single token is refused for, in the same words, and finds the same key."""
    found = RING.identify_many(texts)

    assert outcomes(found) == [single(RING.key_for, text) for text in texts]
    parts = [[part.place] if isinstance(part, Refused) else part.places for part in bulk.find(RING.states, texts)]
    assert sorted(place for places in parts for place in places) == list(range(len(texts)))
    assert outcomes(RING.decrypt_many(texts)) == [single(RING.decrypt, text) for text in texts]
    assert outcomes(RING.decrypt_bytes_many(texts)) == [single(RING.decrypt_bytes, text) for text in texts]


def test_a_batch_gives_the_verdict_of_the_table(named: Named, *, long_form: bool) -> None:
    """T01 to T79 in a batch: each is taken or refused as it is alone, and its neighbours are none the worse."""
    # Those of 50 MB take longer than all others together.
    for case in [case for case in TOKEN_CASES if long_form or case.id not in {"T73", "T74"}]:
        with named(case.id):
            value: Any = case.make()
            batch = [issue("before"), value, issue("behind", "new")]
            if case.outcome is TypeError:
                for many in (RING.identify_many, RING.decrypt_many, RING.decrypt_bytes_many, RING.rotate_many):
                    with pytest.raises(TypeError, match=f"not {type(value).__name__}"):
                        many(batch)
                continue

            # Compared for truth alone: 50 MB would be explained at length.
            assert bool(outcomes(RING.identify_many(batch)) == [single(RING.key_for, text) for text in batch])
            assert bool(outcomes(RING.decrypt_many(batch)) == [single(RING.decrypt, text) for text in batch])
            assert bool(
                outcomes(RING.decrypt_bytes_many(batch)) == [single(RING.decrypt_bytes, text) for text in batch]
            )
            first, rotated, last = RING.rotate_many(batch)
            assert [ALONE.decrypt(text) for text in (first, last) if not isinstance(text, InvalidToken)] == [
                b"before",
                b"behind",
            ]
            if isinstance(rotated, InvalidToken):
                assert bool(single(RING.rotate, value) == (type(rotated), str(rotated)))
            else:
                assert bool(ALONE.decrypt(rotated) == RING.decrypt_bytes(value))
                assert parse_token(rotated).timestamp == parse_token(value).timestamp


@given(st.lists(tokens(), max_size=12))
def test_a_rotated_batch_opens_in_stock_fernet(texts: list[str]) -> None:
    """Each rotated token has its plaintext, its time and its length, and opens with the primary key alone."""
    for text, rotated in zip(texts, RING.rotate_many(texts), strict=True):
        if isinstance(rotated, InvalidToken):
            assert single(RING.rotate, text) == (type(rotated), str(rotated))
            continue
        assert ALONE.decrypt(rotated) == STOCK.decrypt(text)
        assert ALONE.extract_timestamp(rotated) == STOCK.extract_timestamp(text)
        assert len(rotated) == len(text.strip()) or rotated == text


@given(st.lists(st.text(max_size=50), max_size=12))
def test_an_encrypted_batch_opens_in_stock_fernet(texts: list[str]) -> None:
    """Every text comes back from stock Fernet, and from a batch."""
    made = RING.encrypt_many(texts)

    assert [ALONE.decrypt(token).decode() for token in made] == texts
    assert RING.decrypt_many(made) == texts


@pytest.mark.parametrize("stripe_bytes", [1, 100, 400, 10**6])
def test_the_size_of_a_batch_changes_nothing(monkeypatch: pytest.MonkeyPatch, stripe_bytes: int) -> None:
    """However many tokens share a cipher call, in whatever mix of keys, each comes out right."""
    monkeypatch.setattr(bulk, "BATCH_BYTES", stripe_bytes)
    keys = [PREVIOUS, PRIMARY, PREVIOUS, STAGED] * 5
    texts = [key.fernet.encrypt(b"x" * (7 * n)).decode() for n, key in enumerate(keys)]

    rotated = RING.rotate_many(texts)

    assert [ALONE.decrypt(token) for token in rotated if isinstance(token, str)] == [b"x" * (7 * n) for n in range(20)]


def test_a_known_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """With fixed random blocks the tokens are those of stock Fernet under the IVs that these blocks become."""
    noise, texts = bytes(range(32)), (b"first", b"second")
    monkeypatch.setattr(os, "urandom", lambda size: noise[:size])
    old = [PREVIOUS.fernet.encrypt_at_time(text, 1_700_000_000).decode() for text in texts]
    blocks = b"".join(
        noise[start : start + 16] + text + bytes([16 - len(text)]) * (16 - len(text))
        for start, text in zip((0, 16), texts, strict=True)
    )
    cipher = Cipher(AES(base64.urlsafe_b64decode(key_text("new"))[16:]), CBC(bytes(16))).encryptor().update(blocks)

    rotated = RING.rotate_many(old)
    with freeze_time("2023-11-14T22:13:20Z"):
        encrypted = RING.encrypt_many([text.decode() for text in texts])

    assert encrypted == rotated
    assert rotated == [
        ALONE._encrypt_from_parts(text, 1_700_000_000, cipher[start : start + 16]).decode()
        for start, text in zip((0, 32), texts, strict=True)
    ]


@given(
    st.lists(
        st.lists(st.sampled_from([0, 1, 2, 3, 15, 16, 17, 32]), min_size=16, max_size=16).map(bytes),
        min_size=1,
        max_size=3,
    )
)
@example([bytes(16)])
@example([b"\x11" * 16, b"\x11" * 16])
@example([b"\x10" * 16])
@example([b"\x02" * 15 + b"\x03"])
def test_a_padding_is_sound_if_the_single_path_says_so(blocks: list[bytes]) -> None:
    """Whatever a signed token decrypts to, its padding is judged as cryptography's own unpadder does."""
    token = seal(b"".join(blocks), "old", ISSUED_AT)

    assert outcomes(RING.decrypt_many([token])) == [single(RING.decrypt, token)]
    [rotated] = RING.rotate_many([token])
    if isinstance(rotated, InvalidToken):
        assert single(RING.rotate, token) == (type(rotated), str(rotated))
    else:
        assert ALONE.decrypt(rotated) == STOCK.decrypt(token)


def test_the_last_tokens_key_is_tried_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table under the last of many keys costs one MAC a token, but for the first of each batch."""
    ring = Keyring(PRIMARY, [make_key(str(number)) for number in range(20)])
    last = list(ring.states)[-1]
    tried: list[int] = []
    not_signed, signed = Key.not_signed, Key.signed
    monkeypatch.setattr(Key, "not_signed", lambda key, tokens: tried.append(0) or not_signed(key, tokens))
    monkeypatch.setattr(Key, "signed", lambda key, token: tried.append(1) or signed(key, token))
    batch = [last.fernet.encrypt(b"x").decode()] * 2000
    parts = len(list(bulk.read_tokens(batch)))

    assert ring.identify_many(batch) == [last] * 2000
    assert (tried.count(0), tried.count(1)) == (parts, 20 + parts)


def test_a_new_token_bears_the_present_time() -> None:
    """Tokens that are encrypted together share the time, in whole seconds."""
    with freeze_time("2026-02-03T04:05:06.7Z"):
        made = RING.encrypt_many(["a", "b" * 50])

    assert {ALONE.extract_timestamp(token) for token in made} == {1_770_091_506}


def test_no_two_tokens_of_a_batch_share_an_iv() -> None:
    """Each token has an IV of its own, also for equal plaintexts."""
    made = RING.encrypt_many(["same"] * 1000)

    assert len({base64.urlsafe_b64decode(token)[9:25] for token in made}) == 1000


def test_a_damaged_token_does_not_affect_the_others() -> None:
    """The error of a token with a wrong padding names its key; its neighbours are rotated."""
    sound = PREVIOUS.fernet.encrypt(b"x").decode()

    first, second, third = RING.rotate_many([sound, damaged_token("old"), sound])

    assert isinstance(second, DamagedToken)
    assert PREVIOUS.id in str(second)
    assert [ALONE.decrypt(token) for token in (first, third) if isinstance(token, str)] == [b"x", b"x"]


def test_bytes_come_back_as_bytes_and_current_tokens_as_they_are() -> None:
    """The type of a token is kept, and a current token is not touched."""
    old, current = PREVIOUS.fernet.encrypt(b"x"), f"{RING.encrypt('x')}\n"

    rotated, same = RING.rotate_many([old, current])

    assert isinstance(rotated, bytes)
    assert same is current


def test_bytes_that_are_no_text_come_back_from_a_batch() -> None:
    """`decrypt_bytes_many` gives bytes as they are, where `decrypt_many` has an error."""
    token = RING.encrypt_bytes(b"\xff\0")

    assert RING.decrypt_bytes_many([token, memoryview(token.encode())]) == [b"\xff\0"] * 2
    assert type(RING.decrypt_many([token])[0]) is PlaintextError
    assert RING.decrypt_bytes_many([]) == []


def test_empty_batches_are_empty() -> None:
    """An empty batch gives an empty list."""
    assert (RING.rotate_many([]), RING.encrypt_many([]), RING.decrypt_many([]), RING.identify_many([])) == (
        [],
        [],
        [],
        [],
    )
