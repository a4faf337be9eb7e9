"""A keyring: encrypts with one key, opens with several, and works with stock Fernet in both directions."""

from __future__ import annotations

import base64
import copy
import json
import os
import pickle
import pprint
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import cryptography_vectors
import pytest
import structlog
from cryptography.fernet import Fernet, MultiFernet
from cryptography.fernet import InvalidToken as StockInvalidToken
from freezegun import freeze_time
from hypothesis import given, settings
from hypothesis import strategies as st

from keyring_core import (
    ExpiredToken,
    InvalidToken,
    Key,
    KeyConfigError,
    KeyConfigWarning,
    Keyring,
    KeyState,
    MalformedToken,
    PlaintextError,
    UndecryptableToken,
)
from keyring_core.redaction import Redactor
from keyring_core.tokens import parse_token
from tests.keyring_core.test_errors import leaks, shown_by
from tests.keyring_core.test_tokens import (
    ISSUED_AT,
    LONG_SECRET,
    NOT_UTF8,
    SECRET,
    TOKEN,
    TOKEN_CASES,
    UNPADDED,
    flip,
    issue,
)
from tests.keys import key_text, make_key, mistyped

OLD, NEW = key_text("old"), key_text("new")
RING = Keyring(NEW, [OLD])

# Which keyring opens which tokens while a key changes; the four keyrings are the stages of that change.
STAGES = {
    "old": Keyring(OLD),
    "old+staged": Keyring(OLD, staged=NEW),
    "new+previous": Keyring(NEW, [OLD]),
    "new+suspended": Keyring(NEW, suspended=[OLD]),
    "new": Keyring(NEW),
}
READS = {
    #               old    old+staged  new+previous  new+suspended  new     <- writes
    "old": (True, True, False, False, False),
    "old+staged": (True, True, True, True, True),
    "new+previous": (True, True, True, True, True),
    "new+suspended": (False, False, True, True, True),
    "new": (False, False, True, True, True),
}


def at(seconds: int) -> freeze_time:
    return freeze_time(datetime.fromtimestamp(seconds, UTC))


def timestamp_of(token: str | bytes) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(token)[1:9], "big")


# The table of tokens


def test_decrypt_gives_the_verdict_of_the_table(named):
    """A token opens or is refused as the table says; no error shows a token, a plaintext or a key."""
    cases = [case for case in TOKEN_CASES if case.ttl is None and case.id != "T74"]

    for case in cases:
        with named(case.id):
            token = case.make()

            if isinstance(case.outcome, str):
                assert RING.decrypt(token) == case.outcome
                assert RING.decrypt_bytes(token) == case.outcome.encode()
                continue
            with pytest.raises(case.outcome) as caught:
                RING.decrypt(token)

            assert getattr(caught.value, "category", None) == case.category
            assert_silent(caught.value, token)
            assert isinstance(caught.value, InvalidToken) is (case.outcome not in (TypeError, PlaintextError))


def test_ttl_gives_the_verdict_of_the_table(named):
    """A token's age is checked if a ttl is given, with 60 seconds of grace for another machine's clock."""
    for case in [case for case in TOKEN_CASES if case.ttl is not None]:
        with named(case.id):
            with at(case.now):
                if isinstance(case.outcome, str):
                    assert RING.decrypt(case.make(), ttl=case.ttl) == case.outcome
                    continue
                with pytest.raises(case.outcome) as caught:
                    RING.decrypt(case.make(), ttl=case.ttl)

            assert_silent(caught.value, case.make())
            assert RING.decrypt(case.make()) == SECRET


def test_rotate_gives_the_verdict_of_the_table(named):
    """What decrypts rotates to a canonical token with its timestamp; what does not is refused alike."""
    cases = [
        case
        for case in TOKEN_CASES
        if case.ttl is None and case.outcome not in (TypeError, PlaintextError) and case.id != "T74"
    ]

    for case in cases:
        with named(case.id):
            token = case.make()

            if isinstance(case.outcome, str):
                rotated = RING.rotate(token)
                assert Fernet(NEW).decrypt(rotated).decode() == case.outcome
                assert timestamp_of(rotated) == parse_token(token).timestamp
                text = rotated if isinstance(rotated, str) else rotated.decode()
                assert base64.urlsafe_b64encode(base64.urlsafe_b64decode(text)).decode() == text
                continue
            with pytest.raises(case.outcome) as caught:
                RING.rotate(token)

            assert_silent(caught.value, token)
            assert isinstance(caught.value, InvalidToken)


def assert_silent(error: BaseException, token: object) -> None:
    shown = shown_by(error)
    value = token[: 2**20] if isinstance(token, str | bytes) else token
    assert not leaks(shown, value)
    for secret in (SECRET, LONG_SECRET, NOT_UTF8, OLD, NEW, TOKEN):
        assert not leaks(shown, secret)


@pytest.mark.long
def test_a_token_of_50_megabytes_rotates():
    """T74: there is no limit of size; a job bounds its batches in bytes."""
    case = next(case for case in TOKEN_CASES if case.id == "T74")

    rotated = RING.rotate(case.make())

    # Compared for truth alone: a failing comparison would be explained at length.
    assert bool(RING.decrypt(rotated) == case.outcome)


def test_a_plaintext_that_is_not_text_comes_as_bytes():
    """T79: the bytes API opens it, the text API says so, and rotation keeps it."""
    token = issue(NOT_UTF8)

    with pytest.raises(PlaintextError, match="decrypt_bytes"):
        RING.decrypt(token)

    assert RING.decrypt_bytes(token) == NOT_UTF8
    assert Fernet(NEW).decrypt(RING.rotate(token)) == NOT_UTF8


def test_a_plaintext_without_utf8_form_is_refused():
    """A lone surrogate cannot be encrypted as text; the error does not carry the text."""
    plaintext = f"{SECRET}\udce9"

    with pytest.raises(PlaintextError, match="encrypt_bytes") as caught:
        RING.encrypt(plaintext)

    assert not leaks(shown_by(caught.value), plaintext)


@pytest.mark.parametrize("plaintext", [None, b"bytes", 5, ["text"]])
def test_encrypt_takes_text(plaintext):
    """Bytes and other things are a TypeError that names their type."""
    with pytest.raises(TypeError, match=type(plaintext).__name__):
        RING.encrypt(plaintext)


def test_a_damaged_content_is_not_an_unknown_key():
    """T41 names the key that signed; T61 names the keys tried."""
    damaged = next(case for case in TOKEN_CASES if case.id == "T41").make()

    with pytest.raises(UndecryptableToken, match=f"key {make_key('old').id} signed this token"):
        RING.decrypt(damaged)
    with pytest.raises(UndecryptableToken, match=rf"\(tried {make_key('new').id}, {make_key('old').id}\)"):
        RING.decrypt(issue(SECRET, "elsewhere"))


def test_a_token_that_no_key_opens_still_has_its_time():
    """A timestamp is legible without a key, so an error can say from when the missing key is."""
    damaged = next(case for case in TOKEN_CASES if case.id == "T41").make()
    with pytest.raises(UndecryptableToken) as unknown:
        RING.decrypt(issue(SECRET, "elsewhere"))
    with pytest.raises(UndecryptableToken) as known:
        RING.decrypt(damaged)
    batch = RING.rotate_many([issue(SECRET, "elsewhere"), damaged])

    assert {unknown.value.timestamp, known.value.timestamp, *(error.timestamp for error in batch)} == {ISSUED_AT}


# The Fernet specification's vectors


def vectors(name: str) -> list[dict]:
    with cryptography_vectors.open_vector_file(f"fernet/{name}.json", "r") as file:
        return json.load(file)


def ring_of(vector: dict) -> Keyring:
    with pytest.warns(KeyConfigWarning, match="public example key"):
        return Keyring(Key.parse(vector["secret"], "vector", allow_weak=True))


@pytest.mark.parametrize("vector", vectors("generate"), ids=lambda vector: vector["src"])
def test_vectors_generate(vector):
    """With the vector's clock, encrypt writes the vector's token but for what depends on the random IV."""
    ring = ring_of(vector)

    with freeze_time(vector["now"]):
        token = ring.encrypt(vector["src"])

    version_and_time, size = slice(12), len(vector["token"])
    assert (token[version_and_time], len(token)) == (vector["token"][version_and_time], size)
    assert Fernet(vector["secret"]).decrypt(token) == Fernet(vector["secret"]).decrypt(vector["token"])


@pytest.mark.parametrize("vector", vectors("verify"), ids=lambda vector: vector["src"])
def test_vectors_verify(vector):
    """The vector's token opens within its ttl."""
    with freeze_time(vector["now"]):
        assert ring_of(vector).decrypt(vector["token"], ttl=vector["ttl_sec"]) == vector["src"]


def test_vectors_invalid(named):
    """No invalid vector opens within its ttl, and each error is an InvalidToken that shows nothing."""
    for vector in vectors("invalid"):
        with named(vector["desc"]):
            with freeze_time(vector["now"]), pytest.raises(InvalidToken) as caught:
                ring_of(vector).decrypt(vector["token"], ttl=vector["ttl_sec"])

            assert not leaks(shown_by(caught.value), vector["token"])
            assert not leaks(shown_by(caught.value), vector["secret"])


def test_vectors_that_are_invalid_by_their_age_alone_are_authentic():
    """Without ttl a token's time is not looked at: two of the invalid vectors open, as with stock Fernet."""
    opened = set()
    for vector in vectors("invalid"):
        try:
            ring_of(vector).decrypt(vector["token"])
        except InvalidToken:
            continue
        opened.add(vector["desc"])

    assert opened == {"expired TTL", "far-future TS (unacceptable clock skew)"}


# Properties


@given(st.text(), st.sampled_from(sorted(STAGES)))
@settings(deadline=None, max_examples=60)
def test_stock_opens_what_we_write(plaintext, stage):
    """A stock MultiFernet of the same keys opens every token."""
    ring = STAGES[stage]

    assert Fernet(ring.primary.reveal()).decrypt(ring.encrypt(plaintext)).decode() == plaintext
    assert ring.multi_fernet.decrypt(ring.encrypt(plaintext)).decode() == plaintext


@given(st.binary(max_size=200), st.sampled_from([OLD, NEW]))
@settings(deadline=None, max_examples=60)
def test_we_open_what_stock_wrote(plaintext, key):
    """A token from before this project opens, as str and as bytes."""
    token = Fernet(key).encrypt(plaintext)

    assert RING.decrypt_bytes(token) == plaintext
    assert RING.decrypt_bytes(token.decode()) == plaintext
    assert RING.decrypt_bytes(RING.encrypt_bytes(plaintext)) == plaintext


@given(st.binary(max_size=200), st.integers(0, 2**64 - 1))
@settings(deadline=None, max_examples=60)
def test_rotate_keeps_everything_but_the_key(plaintext, timestamp):
    """A rotated token has the same plaintext, timestamp and length, and is what stock's rotate would make of it."""
    token = Fernet(OLD).encrypt_at_time(plaintext, timestamp)

    rotated = RING.rotate(token)

    assert Fernet(NEW).decrypt(rotated) == plaintext
    assert timestamp_of(rotated) == timestamp == timestamp_of(MultiFernet([Fernet(NEW), Fernet(OLD)]).rotate(token))
    assert len(rotated) == len(token)
    assert rotated != token
    assert RING.rotate(rotated) == rotated


@pytest.mark.parametrize("token", [TOKEN, UNPADDED], ids=["padded", "unpadded"])
def test_every_flip_of_one_bit_is_refused(token):
    """No single changed bit of a token goes unseen."""
    survivors = []
    for byte in range(len(base64.urlsafe_b64decode(token))):
        for bit in range(8):
            try:
                survivors.append((byte, bit, RING.decrypt(flip(token, byte, bit))))
            except InvalidToken:
                continue

    assert survivors == []


@given(st.integers(0, 99), st.characters(max_codepoint=0x250))
@settings(deadline=None, max_examples=300)
def test_a_changed_character_never_changes_the_plaintext(position, character):
    """Whatever stands in a token's place opens to the same plaintext or is refused as InvalidToken."""
    changed = TOKEN[:position] + character + TOKEN[position + 1 :]

    try:
        opened = RING.decrypt(changed)
    except InvalidToken:
        return

    assert opened == SECRET


def test_ttl_agrees_with_stock(named):
    """On both sides of each limit, stock Fernet and we open and refuse the same tokens."""
    for age in (-62, -61, -60, -59, -1, 0, 1, 59, 60, 61):
        with named(age), at(ISSUED_AT + age):
            for ttl in (None, -60, -1, 0, 1, 59, 60, 61, 2**40):
                assert _opens(RING, TOKEN, ttl) is _opens(RING.multi_fernet, TOKEN, ttl), ttl


def _opens(reader: Keyring | MultiFernet, token: str, ttl: int | None) -> bool:
    try:
        reader.decrypt(token, ttl)
    except StockInvalidToken:
        return False
    return True


def test_the_error_of_an_expired_token_gives_its_age():
    """The message names age and limit, so that an operator sees which of the two is wrong."""
    with at(ISSUED_AT + 100), pytest.raises(ExpiredToken, match="100 seconds old; the limit is 99"):
        RING.decrypt(TOKEN, ttl=99)
    with at(ISSUED_AT - 61), pytest.raises(ExpiredToken, match="61 seconds in the future"):
        RING.decrypt(TOKEN, ttl=99)


def test_a_foreign_token_is_undecryptable_before_it_is_expired():
    """A token's time is believed only once its tag is verified."""
    with at(ISSUED_AT + 100), pytest.raises(UndecryptableToken):
        RING.decrypt(issue(SECRET, "elsewhere"), ttl=1)


# Keys and states


def test_which_keyring_opens_which_tokens(named):
    """Neighbouring stages read each other's tokens, so a rolling deployment loses none."""
    for reader, ring in STAGES.items():
        for column, (writer, other) in enumerate(STAGES.items()):
            with named(reader, "reads", writer):
                token = other.encrypt(SECRET)

                assert _opens(ring, token, None) is READS[reader][column]


@pytest.mark.parametrize(
    ("stage", "label", "needed"),
    [
        ("old", "old", False),
        ("old+staged", "old", False),
        ("old+staged", "new", True),
        ("new+previous", "old", True),
        ("new+previous", "new", False),
        ("new", "new", False),
    ],
)
def test_needs_rotation(stage, label, needed):
    """A token under any key but the primary needs rotation, and rotate writes only such a token."""
    ring, token = STAGES[stage], issue(SECRET, label)

    rotated = ring.rotate(token)

    assert ring.key_for(token).id == make_key(label).id
    assert ring.needs_rotation(token) is needed
    assert (rotated != token) is needed
    assert not ring.needs_rotation(rotated)


def test_every_key_has_one_state():
    """States stand in the order in which keys are tried."""
    ring = Keyring(NEW, [OLD, key_text("older")], key_text("staged"))

    assert [(key.id, str(state)) for key, state in ring.states.items()] == [
        (make_key("new").id, "primary"),
        (make_key("old").id, "previous"),
        (make_key("older").id, "previous"),
        (make_key("staged").id, "staged"),
    ]
    with pytest.raises(TypeError):
        ring.states[make_key("x")] = KeyState.STAGED


@pytest.mark.parametrize("same", [NEW, make_key("new"), f" {NEW}\n"], ids=["text", "key", "blanks"])
def test_a_key_given_twice_keeps_its_first_role(same):
    """The primary that is listed again as previous and staged stays primary, and its tokens stay current."""
    ring = Keyring(NEW, [same, OLD, OLD], staged=same)

    assert list(ring.states.values()) == [KeyState.PRIMARY, KeyState.PREVIOUS]
    assert not ring.needs_rotation(issue(SECRET, "new"))


def test_two_keys_with_one_id_are_refused():
    """An id names one key: reports would otherwise count two as one."""
    first, second = make_key("first"), make_key("second")
    second.id = first.id

    with pytest.raises(KeyConfigError, match="same key id"):
        Keyring(first, [second])


def test_two_keys_that_sign_alike_are_refused():
    """K26: after a typing error in the encrypting half no token shows which of the two keys it is under."""
    typo = mistyped(OLD)
    ids = f"{Key.parse(typo).id}.*{make_key('old').id}"

    for build in (
        lambda: Keyring(typo, [OLD]),
        lambda: Keyring(NEW, [typo, OLD]),
        lambda: Keyring(typo, [NEW], staged=OLD),
    ):
        with pytest.raises(KeyConfigError, match=rf"{ids}.* sign alike(?s:.*)Keep the one") as caught:
            build()

        assert not leaks(shown_by(caught.value), typo)
        assert not leaks(shown_by(caught.value), OLD)
        # Without the ids in a log, an operator cannot find the key.
        assert Redactor().redact(str(caught.value)) == str(caught.value)


def test_a_mistyped_key_by_itself_is_a_key():
    """K26: a single mistyped key looks like any other; so does one with the same encrypting half."""
    for typo in (mistyped(NEW), mistyped(NEW, place=3)):
        assert Keyring(typo).decrypt(Fernet(typo).encrypt(b"x")) == "x"

    ring = Keyring(NEW, [mistyped(NEW, place=3)])
    token = issue(SECRET, "new")
    assert ring.key_for(token) == make_key("new")
    assert ring.decrypt(token) == SECRET
    assert list(ring.bind("users.api_key", accept_unbound=True).states.values())[:2] == list(ring.states.values())


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"primary": "bad"}, "primary key"),
        ({"primary": NEW, "previous": [OLD, "bad"]}, "previous key 2"),
        ({"primary": NEW, "staged": "bad"}, "staged key"),
        ({"primary": None}, "primary key"),
    ],
)
def test_a_malformed_key_is_named_by_its_place(arguments, place):
    """The message says which argument is wrong."""
    with pytest.raises(KeyConfigError, match=f"^{place}: "):
        Keyring(**arguments)


def test_a_list_of_previous_keys_is_not_one_text():
    """A bare text in place of a list is refused as such, not read as a list of characters."""
    for text in (OLD, OLD.encode()):
        with pytest.raises(KeyConfigError, match=f"^previous keys: a list of keys .* not {type(text).__name__}"):
            Keyring(NEW, text)


def test_choosing_a_key_costs_one_mac_a_key(monkeypatch):
    """The fifth of five keys costs five MACs and one decryption; key_for costs none of the latter."""
    calls = []
    for name in ("signed", "open"):
        original = getattr(Key, name)
        monkeypatch.setattr(Key, name, lambda key, token, f=original, n=name: calls.append(n) or f(key, token))
    ring, token = Keyring(key_text("1"), [key_text(n) for n in "2345"]), issue(SECRET, "5")

    assert ring.decrypt(token) == SECRET
    assert calls == ["signed"] * 5 + ["open"]

    calls.clear()
    assert ring.needs_rotation(token)
    assert calls == ["signed"] * 5


def test_rotate_gives_the_type_that_it_took():
    """A text cell gets str and a binary cell bytes, whether the token is current or not."""
    current = issue(SECRET, "new")

    for token in (TOKEN, current):
        assert type(RING.rotate(token)) is str
        for binary in (token.encode(), bytearray(token.encode()), memoryview(token.encode())):
            assert type(RING.rotate(binary)) is bytes
    assert RING.rotate(current) is current
    assert RING.rotate(f"{current}\n") == f"{current}\n"


# Opacity


def everything_secret() -> list[str | bytes]:
    raws = [base64.urlsafe_b64decode(text) for text in (OLD, NEW)]
    return [OLD, NEW, *raws, *map(repr, raws), *(raw.hex() for raw in raws), *(base64.b64encode(raw) for raw in raws)]


def assert_shows_no_key(shown: str) -> None:
    assert [secret for secret in everything_secret() if leaks(shown, secret)] == []


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        format,
        ascii,
        lambda ring: "%r" % ring,  # noqa: UP031
        lambda ring: repr(vars(ring)),
        lambda ring: repr(ring.states),
        lambda ring: repr(ring.multi_fernet),
        pprint.pformat,
        lambda ring: json.dumps({"ring": ring}, default=str),
        lambda ring: structlog.processors.JSONRenderer()(None, "info", {"ring": ring}),
        lambda ring: repr(ValueError(ring, ring.primary)),
    ],
)
def test_no_way_of_printing_shows_a_key(show):
    """A printed keyring shows ids and states at most."""
    ring = Keyring(NEW, [OLD])
    assert ring.multi_fernet is ring.multi_fernet

    assert_shows_no_key(show(ring))


def test_a_keyring_that_is_not_whole_has_a_repr():
    """A tool that shows the objects of an error meets a keyring that was not finished."""
    assert repr(Keyring.__new__(Keyring)) == "<Keyring >"


def test_the_repr_shows_ids_and_states():
    """A log shows which keys a process holds."""
    assert repr(RING) == f"<Keyring {make_key('new').id} primary, {make_key('old').id} previous>"


@pytest.mark.parametrize(
    "take",
    [
        *(lambda ring, p=protocol: pickle.dumps(ring, p) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)),
        copy.copy,
        copy.deepcopy,
    ],
)
def test_a_keyring_is_not_pickled_or_copied(take):
    """A keyring refuses by itself, whatever its keys would do, and the refusal shows nothing."""
    with pytest.raises(TypeError, match="a Keyring is not pickled or copied") as caught:
        take(Keyring(NEW, [OLD]))

    assert_shows_no_key(shown_by(caught.value))


@pytest.mark.parametrize("default", [None, vars, list])
def test_a_keyring_is_not_json(default):
    """Serialising a keyring fails unless its repr is asked for, and the failure shows nothing."""
    with pytest.raises((TypeError, ValueError)) as caught:
        json.dumps(Keyring(NEW, [OLD]), default=default)

    assert_shows_no_key(shown_by(caught.value))


# Threads and processes


def test_threads_share_a_keyring():
    """R34: eight threads encrypt, decrypt and rotate with one keyring, and none meets another's bytes."""
    barrier = threading.Barrier(8)

    def work(worker: int) -> set[str]:
        barrier.wait()
        tokens = set()
        for n in range(100):
            plaintext = f"{worker}:{n}"
            tokens.add(RING.encrypt(plaintext))
            assert RING.decrypt(Fernet(OLD).encrypt(plaintext.encode())) == plaintext
            assert Fernet(NEW).decrypt(RING.rotate(issue(plaintext))).decode() == plaintext
        return tokens

    with ThreadPoolExecutor(8) as pool:
        tokens = set().union(*pool.map(work, range(8)))

    assert sorted(map(RING.decrypt, tokens)) == sorted(f"{worker}:{n}" for worker in range(8) for n in range(100))


FORK = """
import os, sys
from keyring_core import Keyring
ring = Keyring(os.environ["KEY"])
before = ring.encrypt("before the fork")
readers = []
for child in range(3):
    reader, writer = os.pipe()
    if os.fork() == 0:
        assert ring.decrypt(before) == "before the fork"
        os.write(writer, ring.encrypt("same text").encode())
        os._exit(0)
    readers.append((reader, writer))
tokens = [before, ring.encrypt("same text")]
for reader, writer in readers:
    os.close(writer)
    tokens.append(os.read(reader, 4096).decode())
    os.wait()
print("\\n".join(tokens))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_keyring_survives_a_fork():
    """R34: children encrypt and decrypt with their parent's keyring, and no two processes use one IV."""
    done = subprocess.run(
        [sys.executable, "-c", FORK],
        env=os.environ | {"KEY": NEW},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )

    tokens = done.stdout.split()
    assert len({parse_token(token).iv for token in tokens}) == 5
    assert [RING.decrypt(token) for token in tokens] == ["before the fork"] + ["same text"] * 4


def test_encrypting_twice_gives_two_tokens():
    """Each token has an IV of its own, so equal secrets are not seen to be equal."""
    assert len({parse_token(RING.encrypt(SECRET)).iv for _ in range(100)}) == 100


def test_malformed_tokens_cost_no_mac(monkeypatch):
    """What is no token is refused before any key is tried."""
    monkeypatch.setattr(Key, "signed", None)

    with pytest.raises(MalformedToken):
        RING.key_for("plain text")
