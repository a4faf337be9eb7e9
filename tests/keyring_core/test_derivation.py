"""Derivations: the same key as the application makes, and no word of its secret anywhere."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import pickle
import re
import sys
import traceback
import warnings
from pathlib import Path
from unittest import mock
from urllib.parse import quote

import pytest
import structlog
from cryptography.fernet import Fernet
from hypothesis import given, settings
from hypothesis import strategies as st

from keyring_core import Derivation, Key, KeyConfigError, KeyConfigWarning, derivation, key_text
from keyring_core.derivation import KINDS, MOST_ITERATIONS, MOST_SECRET_LENGTH
from keyring_core.errors import WeakKeyError, WeakKeyWarning
from keyring_core.redaction import Redactor, Secret, configure_logging
from tests import keys
from tests.keyring_core.test_errors import leaks, shown_by

VECTORS = Path(__file__).parents[1] / "vectors"
PARAMETERS = ("kind", "salt", "info", "iterations")
SECRET = "Tr0ub4dor&3 über alles, a test secret"
TEXT32 = "f3b9c1d27a604e8895ab60d2c7714e0f"
EXAMPLES = {
    "raw": keys.key_text("raw"),
    "raw-unpadded": keys.key_text("unpadded")[:43],
    "hex": hashlib.sha256(b"a test key in hex").hexdigest(),
    "sha256": SECRET,
    "text32": TEXT32,
    "text32-first": TEXT32 + " and what follows",
    "text32-doubled": TEXT32[:20],
    "text32-zeros": TEXT32[:20],
    "pbkdf2-sha256": SECRET,
    "hkdf-sha256": SECRET,
}


def cases(name: str) -> list[dict]:
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))["cases"]


def of(case: dict) -> Derivation:
    return Derivation(**{name: case[name] for name in PARAMETERS if name in case})


def example(kind: str) -> Derivation:
    more = {"pbkdf2-sha256": {"salt": "a salt", "iterations": 10}, "hkdf-sha256": {"info": "an info"}}
    return Derivation(kind, **more.get(kind, {}))


@pytest.mark.parametrize("case", cases("derivations.json"), ids=lambda case: case["made_by"])
def test_a_token_of_another_package_opens(case):
    """The derived key is the one that the real package wrote its token with."""
    key = of(case).key(case["secret"])

    raw = base64.urlsafe_b64decode(key.reveal())
    assert key.fernet.decrypt(case["token"]) == case["plaintext"].encode()
    assert case.get("key_sha256", hashlib.sha256(raw).hexdigest()) == hashlib.sha256(raw).hexdigest()


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869 for one block."""
    pseudorandom = hmac.digest(salt or bytes(32), secret, "sha256")
    return hmac.digest(pseudorandom, info + b"\1", "sha256")


def heat(secret: str) -> bytes:
    """get_valid_encryption_key(secret, fix_length=True), encoded."""
    text = secret * 2 if len(secret) < 32 else secret
    return text[:32].encode()


SALT, INFO, ROUNDS = "Salz ü", b"info\xff", 3
RULES = {
    Derivation("sha256"): lambda secret: hashlib.sha256(secret.encode()).digest(),
    Derivation("text32"): str.encode,
    Derivation("text32-first"): lambda secret: secret[:32].encode(),
    Derivation("text32-doubled"): heat,
    Derivation("text32-zeros"): lambda secret: (secret.encode() + b"0" * 32)[:32],
    Derivation("pbkdf2-sha256", SALT, iterations=ROUNDS): lambda secret: hashlib.pbkdf2_hmac(
        "sha256", secret.encode(), SALT.encode(), ROUNDS
    ),
    Derivation("hkdf-sha256", SALT, INFO): lambda secret: hkdf(secret.encode(), SALT.encode(), INFO),
    Derivation("hkdf-sha256", info=INFO): lambda secret: hkdf(secret.encode(), b"", INFO),
    Derivation("hkdf-sha256", salt=SALT): lambda secret: hkdf(secret.encode(), SALT.encode(), b""),
    Derivation("hkdf-sha256"): lambda secret: hkdf(secret.encode(), b"", b""),
    Derivation("raw-unpadded"): lambda secret: base64.urlsafe_b64decode(secret + "="),
    Derivation("hex"): bytes.fromhex,
}
secrets = {
    "hex": st.binary(min_size=32, max_size=32).map(bytes.hex),
    "raw-unpadded": st.binary(min_size=32, max_size=32).map(lambda raw: base64.urlsafe_b64encode(raw)[:43].decode()),
    "text32": st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=32, max_size=32),
}
any_text = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=80),
    st.text(st.characters(codec="ascii"), min_size=16, max_size=40),
)


@pytest.mark.parametrize(("rule", "expected"), RULES.items(), ids=[each.kind for each in RULES])
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_the_key_opens_what_stock_fernet_wrote_under_the_same_rule(rule, expected, data):
    """For any secret the key is the application's; what stock Fernet would not take as a key is refused."""
    secret = data.draw(secrets.get(rule.kind, any_text))
    raw = expected(secret)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KeyConfigWarning)
        if len(raw) != 32:
            with pytest.raises(KeyConfigError, match="expected 32"):
                rule.key(secret, allow_weak=True)
            return
        found = [rule.key(given, allow_weak=True) for given in (secret, secret.encode(), Secret(secret))]

    assert {each.fernet.decrypt(Fernet(base64.urlsafe_b64encode(raw)).encrypt(b"x")) for each in found} == {b"x"}
    assert {each.id for each in found} == {Key(raw).id}


def test_a_raw_key_is_parsed_as_everywhere():
    """`raw` is strict: the key itself, or a refusal that says what is wrong with it."""
    text = keys.key_text("raw")

    assert Derivation("raw").key(f" {text}\n") == Key.parse(text)
    with pytest.raises(KeyConfigError, match=r"^REDASH: .*padding"):
        Derivation("raw").key(text[:43], "REDASH")


def test_every_kind_has_an_example_here():
    """No kind is left out of the tests below."""
    assert EXAMPLES.keys() == KINDS.keys()


# Parameters


def test_parameters_that_do_not_fit_are_refused(named):
    """The message names what is missing, too much or wrong; it shows no value, which may be a secret put there."""
    cases = [
        ({"kind": "pbkdf2"}, "did you mean pbkdf2-sha256"),
        ({"kind": "sha-256"}, "did you mean sha256"),
        ({"kind": "xyzzy-hunter2"}, "The kinds are raw, "),
        ({"kind": "pbkdf2-sha256"}, "set its iterations and salt"),
        ({"kind": "pbkdf2-sha256", "salt": "s"}, "set its iterations"),
        ({"kind": "pbkdf2-sha256", "salt": "s", "iterations": 1, "info": "i"}, "it takes no info"),
        ({"kind": "hkdf-sha256", "iterations": 1}, "it takes no iterations"),
        ({"kind": "sha256", "salt": "s"}, "it takes no salt"),
        ({"kind": "raw", "salt": "s", "info": "i"}, "it takes no info and no salt"),
        *(
            ({"kind": "pbkdf2-sha256", "salt": "s", "iterations": count}, "a whole number from 1 to 10,000,000")
            for count in (0, -1, MOST_ITERATIONS + 1, 1.5, "1000", True)
        ),
        ({"kind": "hkdf-sha256", "salt": 7}, "its salt: expected text, not int"),
        ({"kind": "hkdf-sha256", "info": "\ud800"}, "its info: a lone surrogate"),
    ]

    for parameters, words in cases:
        with named(parameters, words):
            with pytest.raises(KeyConfigError) as caught:
                Derivation(**parameters)

            assert words in str(caught.value)
            assert "xyzzy" not in shown_by(caught.value)
            assert caught.value.__context__ is None


def test_a_derivation_is_a_value():
    """It can be compared, hashed and pickled, and its repr does not show the salt."""
    one = Derivation("pbkdf2-sha256", "the-salt-of-it", iterations=5)

    assert pickle.loads(pickle.dumps(one)) == one == Derivation("pbkdf2-sha256", "the-salt-of-it", iterations=5)
    assert len({one, Derivation("pbkdf2-sha256", "another", iterations=5), Derivation("sha256")}) == 3
    assert repr(one) == "Derivation(kind='pbkdf2-sha256', info=None, iterations=5)"


def test_a_derivation_that_takes_long_is_done_once():
    """The second key of the same secret costs no PBKDF2; each part of the derivation counts."""
    with mock.patch.object(derivation, "_known", {}), mock.patch.object(derivation, "hashlib", wraps=hashlib) as used:
        for salt, rounds, secret in 2 * [("ab", 2, "c-secret"), ("a", 2, "bc-secret"), ("ab", 3, "c-secret")]:
            Derivation("pbkdf2-sha256", salt, iterations=rounds).key(secret)

        assert used.pbkdf2_hmac.call_count == 3


def test_memory_holds_no_digest_to_test_guesses_with():
    """What is kept of a derivation is found by a digest that only this process can compute, with its random pepper."""
    places = set()
    for pepper in (b"of this process", b"of another one"):
        with mock.patch.multiple(derivation, _known={}, _pepper=pepper):
            Derivation("pbkdf2-sha256", "a salt", iterations=2).key(SECRET)
            places |= derivation._known.keys()

    assert len(places) == 2


# What is no secret


def test_a_secret_that_the_application_would_not_take_is_refused(named):
    """The message says where it is, how long it is and what is expected, and shows nothing of it."""
    cases = [
        ("hex", "0123456789abcdefABCDEF0123456789", "32 characters, expected 64 hexadecimal digits"),
        ("hex", "g" * 64, "expected 64 hexadecimal digits"),
        ("raw-unpadded", keys.key_text("padded"), "44 characters, expected 43"),
        ("raw-unpadded", "&" + keys.key_text("a")[1:43], "outside the base64 alphabet"),
        ("text32", "Tr0ub4dor-and-three-more-words", "30 bytes, expected 32"),
        ("text32", "Tr0ub4dor-and-three-more-words-é", "33 bytes, expected 32"),
        ("text32-first", "Tr0ub4dor-and-three", "19 bytes, expected 32"),
        ("text32-doubled", "Tr0ub4dor-3", "22 bytes, expected 32"),
        ("text32-doubled", "Tr0ub4dor-and-three-more-word-é", "33 bytes, expected 32"),
        ("sha256", "Tr0ub4dor\ud800", "lone surrogate"),
        ("sha256", "Tr0ub4dor" * MOST_SECRET_LENGTH, "longer than any secret"),
    ]

    for kind, secret, words in cases:
        with named(secret):
            with pytest.raises(KeyConfigError) as caught:
                Derivation(kind).key(secret, "HEAT_SECRET", allow_weak=True)

            assert words in str(caught.value)
            assert str(caught.value).startswith("HEAT_SECRET: ")
            assert not leaks(shown_by(caught.value), secret)
            assert caught.value.__context__ is None


def test_a_secret_with_a_lone_surrogate_leaves_the_masking_of_logs_as_it_was():
    """Nothing of it is kept to be masked: every redactor that is made afterwards would fail."""
    present = Redactor()

    with pytest.raises(KeyConfigError, match="a lone surrogate"):
        Derivation("sha256").key("Tr0ub4dor\ud800-and-three", allow_weak=True)

    assert present.redact("all is well") == Redactor().redact("all is well") == "all is well"


def test_a_public_default_is_refused_with_the_name_of_its_product(named):
    """The message says whose default it is; to rotate away from it, it is accepted with a warning."""
    for case in cases("public_defaults.json"):
        with named(case["product"], case["kind"]):
            with pytest.raises(WeakKeyError, match=rf"^SECRET_KEY: a public example key \(.*{case['product']}"):
                of(case).key(case["secret"], "SECRET_KEY")
            with pytest.warns(WeakKeyWarning, match=rf"SECRET_KEY: .*{case['product']}.*rotate away"):
                key = of(case).key(case["secret"], "SECRET_KEY", allow_weak=True)
            with pytest.raises(WeakKeyError, match=case["product"]):
                Key.parse(key.reveal())


def test_every_public_key_is_known_by_its_digest():
    """Beside the specification's, the table has the keys of these products, and refuses each by its digest alone."""
    text = keys.key_text("any")
    owners = dict(key_text._PUBLIC_EXAMPLES)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KeyConfigWarning)
        for case in cases("public_defaults.json"):
            raw = base64.urlsafe_b64decode(of(case).key(case["secret"], allow_weak=True).reveal())
            assert case["product"] in key_text._PUBLIC_EXAMPLES[hashlib.sha256(raw).hexdigest()]
            owners.pop(hashlib.sha256(raw).hexdigest(), None)
    assert [*owners.values()] == ["the Fernet specification's"]
    for digest, owner in key_text._PUBLIC_EXAMPLES.items():
        with (
            mock.patch.object(key_text.hashlib, "sha256", lambda _raw, d=digest: mock.Mock(hexdigest=lambda: d)),
            pytest.raises(WeakKeyError) as caught,
        ):
            key_text.decode_key(text, "ENCRYPTION_KEY")
        assert owner in str(caught.value)


def test_a_secret_that_anybody_can_guess_is_refused(named):
    """An empty secret, a placeholder and a pattern are refused, and accepted with a warning to read old tokens."""
    cases = [
        ("sha256", "", "an empty secret"),
        ("hkdf-sha256", "", "an empty secret"),
        ("text32-zeros", "", "an empty secret"),
        ("sha256", "changeme", "a placeholder"),
        ("sha256", "Change-Me-12345", "a placeholder"),
        ("pbkdf2-sha256", "REPLACE_ME_WITH_A_LONG_RANDOM_STRING_OF_CHARACTERS", "a placeholder"),
        ("text32", "please-change-me-in-production!!", "a placeholder"),
        ("text32", "a" * 32, "a weak key"),
        ("text32", "0123" * 8, "a weak key"),
        ("text32-doubled", "f3b9c1d27a604e88", "signing half"),
        ("text32-zeros", "abc", "a weak key"),
        ("hex", "00" * 32, "a weak key"),
    ]

    for kind, secret, words in cases:
        with named(kind, secret, words):
            with pytest.raises(WeakKeyError, match=f"^SECRET_KEY: .*{words}"):
                example(kind).key(secret, "SECRET_KEY")
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                example(kind).key(secret, "SECRET_KEY", allow_weak=True)
            assert [each.category for each in caught if words in str(each.message)] == [WeakKeyWarning]


@pytest.mark.parametrize("kind", ["text32", "sha256"])
def test_a_random_secret_is_never_weak(kind):
    """32 hexadecimal digits are a secret, though they have few different characters; so is one with a name before."""
    for number in range(2000):
        digits = hashlib.sha256(b"%d" % number).hexdigest()[:32]
        assert Derivation(kind).key(digits)
    assert Derivation("sha256").key(f"app-secret-key-{TEXT32}")


# What is shown


def spellings(secret: str) -> list[str]:
    data = secret.encode()
    return [
        secret,
        secret.upper(),
        json.dumps({"a": secret}),
        json.dumps(json.dumps([secret])),
        repr(data),
        quote(secret),
        data.hex(),
        base64.b64encode(data).decode(),
        base64.urlsafe_b64encode(b"user:" + data).decode(),
    ]


def test_the_secret_and_its_key_are_masked_in_every_spelling(named):
    """From now on, also in a redactor that was there before and in one that comes later, and for good."""
    for kind in KINDS:
        with named(kind):
            secret, before = EXAMPLES[kind], Redactor()

            key = example(kind).key(secret)

            for redactor in (before, Redactor()):
                redactor.discard(secret)
                for shown in (*spellings(secret), *spellings(key.reveal())):
                    masked = redactor.redact(f"before {shown} after")
                    assert not leaks(masked, shown, f"secret of key {key.id}", f"key {key.id}")
                    assert masked.startswith("before ")
                assert f"key {key.id}]" in redactor.redact(f"it is {secret}, so")


def test_the_label_names_the_key():
    """A log says of which key the secret was that stood there."""
    key = Derivation("sha256").key(SECRET)

    assert Redactor().redact(f"with {SECRET}.") == f"with [REDACTED:secret of key {key.id}]."


def test_a_secret_is_masked_without_what_stands_around_it():
    """A newline or tab that belongs to the secret need not be printed with it, and a program cannot unmask the rest."""
    Derivation("sha256").key(f"\t{SECRET}\n")
    redactor = Redactor()

    redactor.discard(SECRET)

    assert SECRET not in redactor.redact(f"with {SECRET}.")


@pytest.mark.parametrize("secret", ["abc", "password", "12345678"])
def test_a_secret_that_harmless_text_holds_masks_nothing_and_gives_a_warning(secret):
    """Logs stay readable; the warning says that only the key is masked."""
    with pytest.warns(KeyConfigWarning, match="^HERE: logs are not masked for it, only for its key: ") as caught:
        key = Derivation("sha256").key(secret, "HERE")

    assert (
        Redactor().redact(f"abc password 12345678 {key.reveal()}") == f"abc password 12345678 [REDACTED:key {key.id}]"
    )
    assert secret == "password" or secret not in str(caught[0].message)


def test_a_secret_that_was_refused_is_masked_too():
    """It may be the secret of another application, or the right one for another derivation."""
    redactor = Redactor()

    with pytest.raises(KeyConfigError):
        Derivation("hex").key(SECRET)

    assert redactor.redact(f"with {SECRET}.") == "with [REDACTED:secret]."


def test_a_traceback_with_its_variables_shows_neither_secret_nor_key():
    """A log of an exception from within a derivation holds nothing of them, also not in its frames' variables."""
    stream = io.StringIO()
    configure_logging(stream=stream)
    key = Derivation("sha256").key(SECRET)
    try:
        int(f"{SECRET} makes {key.reveal()}")
    except ValueError:
        structlog.get_logger().exception("failed", secret_key=SECRET, derivation=repr(key), text=SECRET)
        frames = traceback.TracebackException(*sys.exc_info(), capture_locals=True)
        structlog.get_logger().error("".join(frames.format()))

    assert "REDACTED" in stream.getvalue()
    assert not leaks(stream.getvalue(), SECRET, f"secret of key {key.id}", "a secret", "test_a_traceback")
    assert not leaks(stream.getvalue(), key.reveal())


def test_every_kind_is_explained():
    """The page on keys made from a secret has a row for each kind, in the order of the list, and no other."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "keys" / "from-a-secret.md").read_text(encoding="utf-8")
    _, _, kinds = page.partition("\n## The kinds\n")

    assert re.findall(r"^\| `([\w-]+)` \|", kinds.partition("\n## ")[0], re.MULTILINE) == list(KINDS)


@pytest.mark.parametrize(
    "given",
    [
        {"kind": SECRET},
        {"kind": "sha256", "salt": SECRET},
        {"kind": "pbkdf2-sha256", "salt": "x", "iterations": SECRET},
    ],
    ids=lambda given: list(given)[-1],
)
def test_a_refused_parameter_is_in_no_frame(given):
    """What was given in the place of a parameter may be a secret; only the caller's own frame still has it."""
    with pytest.raises(KeyConfigError) as caught:
        Derivation(**given)

    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert SECRET not in repr([frame.locals for frame in shown.stack if frame.filename != __file__])
