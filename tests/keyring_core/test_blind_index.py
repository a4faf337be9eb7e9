"""Blind indexes: equal for equal values under one key and context, different for everything else."""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import json
import pickle
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from keyring_core import Key, KeyConfigError, Keyring, PlaintextError
from keyring_core.blind_index import LENGTH, BlindIndex, name_of_normal_form, normal_form
from keyring_core.redaction import Secret
from tests.keyring_core.test_errors import leaks, shown_by
from tests.keys import key_text, make_key

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "blind_index.json").read_text())["cases"]
EMAIL = BlindIndex("users.email")
NEW, OLD, STAGED = (make_key(label) for label in ("new", "old", "staged"))
RING = Keyring(NEW, [OLD], STAGED)

values = st.one_of(st.text(st.characters(codec="utf-8")), st.binary())
contexts = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: text == text.strip())
keys = st.binary(min_size=32, max_size=32).map(Key)


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: f"{case['label']} {case['context']} {case['value'][:9]}")
def test_an_index_is_what_other_programs_compute(case):
    """The index is HMAC-SHA256 under a key that HKDF-SHA256 derives: stored indexes depend on it for ever."""
    raw = base64.urlsafe_b64decode(key_text(case["label"]))
    info = b"keyring-core blind index v1\0" + case["context"].encode()
    derived = HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(raw)
    digest = hmac.new(derived, case["value"].encode(), hashlib.sha256).digest()
    key_id = hashlib.sha256(b"keyring-core key id v1\0" + raw).hexdigest()[:8]

    index = BlindIndex(case["context"]).of(Keyring(key_text(case["label"])), case["value"])

    assert index == case["index"]
    assert index == f"{key_id}:{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


@given(keys, contexts, values)
def test_equal_values_have_equal_indexes(key, context, value):
    """Two indexes of one context agree, and have the length that a column needs."""
    first, second = (BlindIndex(context).of(Keyring(key), value) for _ in range(2))

    assert first == second
    assert len(first) == LENGTH
    assert first.isascii()


@given(st.tuples(keys, contexts, values), st.tuples(keys, contexts, values))
def test_everything_else_has_another_index(one, other):
    """Another value, key or context gives another HMAC, not only another key id."""

    def digest(key, context, value):
        return BlindIndex(context).of(Keyring(key), value).partition(":")[2]

    def as_bytes(value):
        return value.encode() if isinstance(value, str) else value

    same = one[0] == other[0] and one[1] == other[1] and as_bytes(one[2]) == as_bytes(other[2])

    assert (digest(*one) == digest(*other)) is same
    for place in range(3):
        mixed = (*one[:place], other[place], *one[place + 1 :])
        equal = as_bytes(one[2]) == as_bytes(other[2]) if place == 2 else one[place] == other[place]
        assert (digest(*one) == digest(*mixed)) is equal


def test_each_key_has_its_index():
    """A row is found whatever key its index is under, the staged one included; the primary's comes first."""
    indexes = EMAIL.each(RING, "ann@example.org")

    assert indexes[0] == EMAIL.of(RING, "ann@example.org")
    assert [index.partition(":")[0] for index in indexes] == [NEW.id, OLD.id, STAGED.id]
    assert indexes == [EMAIL.of(Keyring(key), "ann@example.org") for key in (NEW, OLD, STAGED)]


@pytest.mark.parametrize("accept_unbound", [False, True])
def test_a_bound_keyring_has_the_same_indexes(accept_unbound):
    """Binding the column's tokens, or leaving that, changes no stored index; no index comes twice."""
    bound = RING.bind("users.email", accept_unbound=accept_unbound)

    assert EMAIL.each(bound, "ann@example.org") == EMAIL.each(RING, "ann@example.org")
    assert EMAIL.of(bound, "ann@example.org") == EMAIL.of(RING, "ann@example.org")
    assert bound.primary.blind_index_key("users.email") == NEW.blind_index_key("users.email")


def test_the_key_of_an_index_is_of_no_other_use():
    """The index's key is neither the key itself nor the one that binds tokens to the same context."""
    derived = NEW.blind_index_key("users.email")

    assert len(derived) == 32
    assert base64.urlsafe_b64encode(derived).decode() not in {NEW.reveal(), NEW.bind("users.email").reveal()}
    assert derived != NEW.blind_index_key("users.name")


@pytest.mark.parametrize("value", ["ann@example.org", b"ann@example.org", Secret("ann@example.org")])
def test_a_text_its_bytes_and_a_secret_are_one_value(value):
    """What a caller holds the value in does not matter."""
    assert EMAIL.of(RING, value) == EMAIL.of(RING, "ann@example.org")


@pytest.mark.parametrize("ask", [EMAIL.of, EMAIL.each], ids=["of", "each"])
@pytest.mark.parametrize("wrap", [str, Secret])
def test_a_text_without_utf8_is_refused_without_showing_it(ask, wrap):
    """The error, and all that is reachable from it, holds no piece of the value."""
    value = "a rather secret value \ud800"

    with pytest.raises(PlaintextError) as caught:
        ask(RING, wrap(value))

    assert not leaks(shown_by(caught.value), value)


@pytest.mark.parametrize("value", [None, 812_345_678, 1.5, ["ann@example.org"]], ids=lambda value: type(value).__name__)
def test_other_types_are_refused_without_showing_them(value):
    """A number is no text: whether 1, 1.0 and True are equal is the caller's to decide."""
    with pytest.raises(TypeError, match=type(value).__name__) as caught:
        EMAIL.of(RING, value)

    assert not leaks(shown_by(caught.value), repr(value))


@pytest.mark.parametrize("context", ["", " users.email", "users.email\n"])
def test_a_context_that_names_nothing_is_refused(context):
    """The mistake shows where the index is declared."""
    with pytest.raises(KeyConfigError, match="context"):
        BlindIndex(context)


@pytest.mark.parametrize("travel", [copy.copy, copy.deepcopy, lambda index: pickle.loads(pickle.dumps(index))])
def test_an_index_holds_no_key(travel):
    """A used index can be copied and pickled, as libraries do with columns, and takes no key along."""
    index = BlindIndex("users.email")
    before = index.of(RING, "ann@example.org")

    arrived = travel(index)

    assert vars(index) == vars(arrived) == {"context": "users.email", "normalize": None}
    assert arrived.of(RING, "ann@example.org") == before
    assert repr(arrived) == "<BlindIndex users.email>"


def test_values_with_one_normal_form_have_one_index():
    """The index is of what the function makes, in text and in bytes."""
    index, plain = BlindIndex("users.email", str.casefold), BlindIndex("users.email")

    assert index.of(RING, "Ann@Example.org") == index.of(RING, b"ANN@EXAMPLE.ORG") == plain.of(RING, "ann@example.org")
    assert index.each(RING, "Ann@Example.org") == plain.each(RING, "ann@example.org")
    assert index.of(RING, b"\xff\xfeA") == plain.of(RING, b"\xff\xfeA")


@pytest.mark.parametrize("name", ["casefold", "lower", "textwrap:dedent", f"{__name__}:refuse"])
def test_a_normal_form_is_found_by_its_name(name):
    """So that a file of settings, or a migration, can name it."""
    assert name_of_normal_form(normal_form(name)) == name


@pytest.mark.parametrize("name", ["", "upper", "textwrap:", ":dedent", "textwrap:nothing", "textwrap:_whitespace"])
def test_a_name_of_no_function_is_refused(name):
    """The message says what may stand there."""
    with pytest.raises(KeyConfigError, match="casefold or lower"):
        normal_form(name)


def refuse(text):
    """A function with a bug that shows what it was given."""
    raise ValueError(text)


@pytest.mark.parametrize(
    ("normalize", "fault"),
    [(refuse, "raised ValueError"), (str.encode, "returned bytes"), (str.split, "returned list")],
)
def test_a_function_that_makes_no_text_is_named_without_the_value(normalize, fault):
    """Its own error may hold the value, and so goes no further."""
    with pytest.raises(TypeError, match=fault) as caught:
        BlindIndex("users.email", normalize).of(RING, "ann@example.org")
    assert caught.value.__context__ is None
    assert "ann" not in str(caught.value)
