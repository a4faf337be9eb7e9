"""Keys for one use: derived as RFC 5869 says, and useless for any other."""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import json
import pickle
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from keyring_core import Key, KeyConfigError, Keyring, KeyState, UndecryptableToken
from keyring_core.redaction import Redactor
from tests.fakes import ISSUED_AT, token
from tests.keys import key_text, make_key

CONTEXT = "users.api_key"
NEW, OLD, STAGED = (make_key(label) for label in ("new", "old", "staged"))
PARENT = Keyring(NEW, [OLD], STAGED)
BOUND = PARENT.bind(CONTEXT)
MOVING = PARENT.bind(CONTEXT, accept_unbound=True)
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "bind.json").read_text())["cases"]

contexts = st.text(min_size=1, max_size=40).filter(lambda text: text == text.strip() and text.isprintable())


def by_hand(raw: bytes, context: str) -> bytes:
    """RFC 5869 with HMAC alone: extract without salt (section 2.2), then one block of expand (2.3)."""
    pseudorandom_key = hmac.digest(bytes(32), raw, "sha256")
    return hmac.digest(pseudorandom_key, b"keyring-core bind v1\0" + context.encode() + b"\x01", "sha256")


def bound_fernet(label: str, context: str = CONTEXT) -> Fernet:
    """Stock Fernet under the derived key."""
    return Fernet(base64.urlsafe_b64encode(by_hand(base64.urlsafe_b64decode(key_text(label)), context)))


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["context"])
def test_known_answers(case: dict[str, str]) -> None:
    """The derivation never changes: tokens in databases stand under it."""
    ring = Keyring(make_key(case["label"])).bind(case["context"])

    assert hashlib.sha256(base64.urlsafe_b64decode(ring.primary.reveal())).hexdigest() == case["sha256"]
    assert ring.decrypt(case["token"]) == "sk-live-4242"
    assert bound_fernet(case["label"], case["context"]).decrypt(ring.encrypt("sk-live-4242")) == b"sk-live-4242"


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32), contexts)
def test_a_derived_key_is_that_of_stock_hkdf(raw: bytes, context: str) -> None:
    """The HKDF of cryptography, and the RFC's two steps by hand, give the same bytes."""
    derived = base64.urlsafe_b64decode(Key(raw).bind(context).reveal())

    info = b"keyring-core bind v1\0" + context.encode()
    assert derived == HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(raw) == by_hand(raw, context)


@settings(deadline=None)
@given(st.text(max_size=50), contexts)
def test_a_bound_token_is_an_ordinary_fernet_token(plaintext: str, context: str) -> None:
    """Stock Fernet under the derived key opens what is written, and the reverse, one by one and in batches."""
    ring, stock = PARENT.bind(context), bound_fernet("new", context)

    assert stock.decrypt(ring.encrypt(plaintext)).decode() == plaintext
    assert ring.decrypt(stock.encrypt(plaintext.encode())) == plaintext
    assert ring.decrypt_many(ring.encrypt_many([plaintext] * 3)) == [plaintext] * 3


@given(contexts, contexts)
def test_a_bound_token_opens_under_no_other_context(context: str, other: str) -> None:
    """A bound token opens neither unbound nor under another context, and an unbound token not under a context."""
    ring = PARENT.bind(context)
    strangers = [PARENT] if context == other else [PARENT, PARENT.bind(other), PARENT.bind(f"{context}.{other}")]

    for stranger in strangers:
        for writer, reader in ((ring, stranger), (stranger, ring)):
            with pytest.raises(UndecryptableToken):
                reader.decrypt(writer.encrypt("secret"))


def test_ids_and_states_are_the_parents() -> None:
    """A bound key goes by the id that its parent has in the ledger and in logs."""
    assert [(key.id, state) for key, state in BOUND.states.items()] == [
        (key.id, state) for key, state in PARENT.states.items()
    ]
    assert not set(BOUND.states) & set(PARENT.states)
    assert (BOUND.context, PARENT.context, BOUND.primary.context) == (CONTEXT, None, CONTEXT)


def test_reprs_name_the_context() -> None:
    """It is no secret; the key is."""
    ids = f"{NEW.id} primary, {OLD.id} previous, {STAGED.id} staged"
    unbound = f"{NEW.id} previous unbound, {OLD.id} previous unbound, {STAGED.id} staged unbound"

    assert repr(BOUND) == f"<Keyring bound to 'users.api_key': {ids}>"
    assert repr(MOVING) == f"<Keyring bound to 'users.api_key': {ids}, {unbound}>"
    assert repr(BOUND.primary) == f"<Key {NEW.id} bound to 'users.api_key'>"


def test_the_error_of_an_unknown_token_names_the_context() -> None:
    """A wrong context looks like an unknown key; the error says for what it was tried, and each id once."""
    for ring in (BOUND, MOVING):
        with pytest.raises(UndecryptableToken) as caught:
            ring.decrypt(token("unknown"))

        ids = f"{NEW.id}, {OLD.id}, {STAGED.id}"
        assert str(caught.value) == f"no key opens this token (tried {ids}, bound to 'users.api_key')"


def test_a_derived_key_is_masked() -> None:
    """Every redactor knows it, in one made before and in one made after, by its parent's id."""
    before = Redactor()
    text = Keyring(make_key("masked")).bind("some.use").primary.reveal()

    for redactor in (before, Redactor()):
        assert redactor.redact(f"<{text}>") == f"<[REDACTED:key {make_key('masked').id}]>"


@pytest.mark.parametrize("travel", [pickle.dumps, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("thing", [BOUND, BOUND.primary], ids=["keyring", "key"])
def test_what_is_bound_does_not_travel(thing: object, travel: object) -> None:
    """A bound key and a bound keyring cannot be pickled or copied."""
    with pytest.raises(TypeError, match="not pickled or copied"):
        travel(thing)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("context", "error", "words"),
    [
        ("", KeyConfigError, "the context is empty"),
        (" users.api_key", KeyConfigError, "begins or ends with a blank"),
        ("users.api_key\n", KeyConfigError, "begins or ends with a blank"),
        (" ", KeyConfigError, "begins or ends with a blank"),
        ("\udce9", KeyConfigError, "no UTF-8 form"),
        (None, TypeError, "a context is str, not NoneType"),
        (b"users.api_key", TypeError, "a context is str, not bytes"),
    ],
    ids=ascii,
)
def test_a_context_that_is_none_is_refused(context: object, error: type[Exception], words: str) -> None:
    """A context that is empty, or differs invisibly from another, is refused."""
    with pytest.raises(error, match=words) as caught:
        PARENT.bind(context)  # type: ignore[arg-type]

    assert caught.value.__context__ is None


@pytest.mark.parametrize("ring", [BOUND, MOVING], ids=["bound", "moving"])
def test_what_is_bound_is_not_bound_again(ring: Keyring) -> None:
    """One name says the whole use; two in a row would hang on their order."""
    with pytest.raises(KeyConfigError, match=r"is bound to 'users\.api_key' already"):
        ring.bind("tenant-7")


@pytest.mark.parametrize("label", ["new", "old"])
def test_a_moving_keyring_reads_both_and_writes_bound(label: str) -> None:
    """While a column moves, a service reads bound and unbound tokens, and whatever it writes is bound."""
    unbound, bound = token(label), bound_fernet(label).encrypt_at_time(b"secret", ISSUED_AT).decode()

    assert MOVING.decrypt_many([unbound, bound]) == ["secret", "secret"]
    assert MOVING.multi_fernet.decrypt(unbound) == MOVING.multi_fernet.decrypt(bound) == b"secret"
    assert MOVING.needs_rotation(unbound)
    for rotated in (MOVING.rotate(unbound), MOVING.rotate(bound), *MOVING.rotate_many([unbound, bound])):
        assert BOUND.key_for(str(rotated)) is not None
        assert bound_fernet("new").decrypt(str(rotated)) == b"secret"
        assert bound_fernet("new").extract_timestamp(str(rotated)) == ISSUED_AT
    assert bound_fernet("new").decrypt(MOVING.encrypt("secret")) == b"secret"


def test_a_staged_key_stays_staged() -> None:
    """A moving keyring knows a staged key, bound or not, as staged."""
    states = {(key.context, key.id): state for key, state in MOVING.states.items()}

    assert {states[context, STAGED.id] for context in (None, CONTEXT)} == {KeyState.STAGED}
    assert states[None, NEW.id] is states[None, OLD.id] is KeyState.PREVIOUS
