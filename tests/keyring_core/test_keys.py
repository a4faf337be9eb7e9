"""One key: its id is public and stable, and nothing more of it is shown."""

from __future__ import annotations

import base64
import copy
import hmac
import json
import pickle
import pprint
import random
from pathlib import Path

import pytest
import structlog
from cryptography.fernet import Fernet

from keyring_core import Key, KeyConfigError, KeyState
from keyring_core.tokens import parse_token
from tests.keyring_core.test_errors import leaks, shown_by
from tests.keyring_core.test_key_text import KEY, RAW, spellings
from tests.keys import key_text, make_key

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "key_ids.json").read_text(encoding="utf-8"))["ids"]

# Every form in which 32 bytes can be printed.
FORMS = [KEY, RAW, repr(RAW), RAW.hex(), base64.b64encode(RAW), str(list(RAW)), str(int.from_bytes(RAW, "big"))]


def assert_shows_nothing(shown: str) -> None:
    assert [form for form in FORMS if leaks(shown, form)] == []


def test_a_key_id_never_changes(named):
    """Ids in ledgers and logs of last year still name the same keys."""
    for vector in VECTORS:
        with named(vector["label"] or "empty"):
            assert make_key(vector["label"]).id == vector["id"]


def test_the_four_spellings_are_one_key():
    """Id, equality and hash are those of the decoded bytes, never of the text."""
    keys = [Key.parse(text) for text in spellings(KEY)]

    assert len(set(spellings(KEY))) == 4
    assert len(set(keys)) == 1
    assert {key.id for key in keys} == {Key(RAW).id}
    assert {key.reveal() for key in keys} == {KEY}


def test_another_key_is_another():
    """Keys are equal if their bytes are; a key equals nothing of another type."""
    key = Key.parse(KEY)

    assert key != Key.parse(key_text("other"))
    assert key.id != make_key("other").id
    assert key != KEY
    assert key != RAW
    assert key != key.id


def test_an_id_shows_nothing_of_the_key():
    """The id is no piece of any form of the key."""
    assert not any(Key(RAW).id in str(form) for form in FORMS)


@pytest.mark.parametrize("length", [0, 16, 31, 33, 44])
def test_a_key_has_32_bytes(length):
    """Another length is refused, by its number of bytes alone."""
    with pytest.raises(ValueError, match=f"32 bytes, not {length}") as caught:
        Key(RAW * 2 if length > 44 else (RAW * 2)[:length])

    assert_shows_nothing(shown_by(caught.value))


def test_a_generated_key_is_new_and_sound():
    """A generated key is one that we would accept, and no two are alike."""
    keys = [Key.generate() for _ in range(50)]

    assert len(set(keys)) == 50
    assert [Key.parse(key.reveal()) for key in keys] == keys


def test_parse_names_the_place():
    """The caller's words for the place stand in the message."""
    with pytest.raises(KeyConfigError, match=r"^keys\.txt, line 3: "):
        Key.parse("short", "keys.txt, line 3")


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        format,
        ascii,
        lambda key: "%r %s" % (key, key),  # noqa: UP031
        lambda key: f"{key!r} {key!s} {key!a} {key}",
        "{0} {0!r}".format,
        lambda key: repr([key, {key: key}, (key,)]),
        pprint.pformat,
        lambda key: json.dumps({"key": key}, default=str),
        lambda key: json.dumps({"key": key}, default=repr),
        lambda key: structlog.processors.JSONRenderer()(None, "info", {"key": key}),
        lambda key: structlog.processors.KeyValueRenderer()(None, "info", {"key": key}),
        lambda key: repr(ValueError("bad", key)),
        lambda key: repr(dir(key)),
    ],
)
def test_no_way_of_printing_shows_the_key(show):
    """A printed key shows its id at most."""
    assert_shows_nothing(show(Key(RAW)))


@pytest.mark.parametrize(
    "take",
    [
        *(lambda key, p=protocol: pickle.dumps(key, p) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)),
        copy.copy,
        copy.deepcopy,
        lambda key: copy.deepcopy({"settings": [key]}),
    ],
)
def test_a_key_is_not_pickled_or_copied(take):
    """A key refuses by itself, whatever its parts would do, and the refusal shows nothing."""
    with pytest.raises(TypeError, match="a Key is not pickled or copied") as caught:
        take(Key(RAW))

    assert_shows_nothing(shown_by(caught.value))


@pytest.mark.parametrize(
    "take",
    [
        vars,
        json.dumps,
        lambda key: json.dumps(key, default=vars),
        iter,
        bytes,
        len,
        int,
        lambda key: key < key,  # noqa: PLR0124
        lambda key: format(key, ">80"),
    ],
)
def test_a_key_does_not_leave_its_place(take):
    """What would turn a key into other data fails, and the failure shows nothing."""
    with pytest.raises(TypeError) as caught:
        take(Key(RAW))

    assert_shows_nothing(shown_by(caught.value))


def test_a_key_takes_no_other_attributes():
    """A key takes no attributes, which vars would show."""
    with pytest.raises(AttributeError):
        Key(RAW).note = "x"


def test_signed_finds_the_key_of_a_token():
    """A key knows the tokens that it signed, and none whose signed part or tag differs by a bit."""
    ours, other = make_key("ours"), make_key("other")
    token = parse_token(Fernet(key_text("ours")).encrypt(b"secret"))
    tag = hmac.digest(base64.urlsafe_b64decode(key_text("ours"))[:16], token.signed, "sha256")

    assert ours.signed(token)
    assert not other.signed(token)
    assert token.tag == tag
    for bit in range(256):
        flipped = (int.from_bytes(tag, "big") ^ (1 << bit)).to_bytes(32, "big")
        assert not ours.signed(token._replace(tag=flipped))


def test_open_gives_the_plaintext(named):
    """What stock Fernet encrypted opens to the same bytes, whatever the padding."""
    for length in (0, 1, 15, 16, 17, 31, 32, 1000):
        with named(length):
            plaintext = random.Random(length).randbytes(length)
            token = parse_token(Fernet(key_text("ours")).encrypt(plaintext))

            assert make_key("ours").open(token) == plaintext


def test_open_gives_none_for_damaged_padding():
    """A signed token whose content does not unpad gives None in place of an error that carries bytes."""
    key, token = make_key("ours"), parse_token(Fernet(key_text("other")).encrypt(b"x" * 40))
    opened = {key.open(token._replace(signed=token.signed[:9] + bytes([n]) * 16 + token.signed[25:])) for n in range(5)}

    assert None in opened


def test_the_stock_fernet_of_a_key_is_the_same_key():
    """Code that wants a stock Fernet gets one that reads the same tokens."""
    assert Fernet(KEY).decrypt(Key(RAW).fernet.encrypt(b"x")) == b"x"


def test_states_are_the_words_of_the_documents():
    """A state prints as the word that reports and ledgers use."""
    assert [str(state) for state in KeyState] == ["primary", "previous", "staged", "suspended"]


def test_a_token_is_measured_whatever_follows():
    """The MAC finds its end: of a token of any length, with anything behind it, under its own key alone."""
    for length in range(0, 100, 7):
        token = base64.urlsafe_b64decode(make_key("old").fernet.encrypt(b"x" * length))

        assert make_key("old").signed_size(token) == len(token)
        assert make_key("old").signed_size(token + b"more" * 20) == len(token)
        assert make_key("old").signed_size(token[:-1]) == 0
        assert make_key("new").signed_size(token + token) == 0
    assert make_key("old").signed_size(b"") == 0
