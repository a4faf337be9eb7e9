"""The redactor: what it takes, what it refuses, what it shows of itself."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import pickle
import secrets
import threading
import traceback

import pytest
from cryptography.fernet import Fernet

from keyring_core.loaded_keys import protect_key
from keyring_core.redaction import Redactor, Secret, UnfitSecretError, get_redactor, redacting
from keyring_core.redaction.encodings import unfit
from tests.conftest import Named
from tests.keyring_core.redaction.leaks.walkers import vars_of_fernet


def test_a_value_is_masked_with_its_label() -> None:
    """The mask names what it hid."""
    secret = secrets.token_urlsafe(20)
    redactor = Redactor()

    redactor.add(secret, "stripe webhook")

    assert redactor.redact(f"got {secret}!") == "got [REDACTED:stripe webhook]!"


def test_a_discarded_value_is_no_secret_any_more() -> None:
    """A discarded value is not masked any more."""
    secret = secrets.token_urlsafe(20)
    redactor = Redactor([secret])

    redactor.discard(secret)

    assert redactor.redact(secret) == secret


def test_bytes_are_values_too() -> None:
    """A value of bytes that are no text is masked in its repr and in hex."""
    secret = b"\xff\xfe" + secrets.token_bytes(20)
    redactor = Redactor([secret])

    assert "[REDACTED:secret]" in redactor.redact(f"{secret!r}")
    assert redactor.redact(secret.hex()) == "[REDACTED:secret]"


def test_surrounding_blanks_are_no_part_of_a_value() -> None:
    """A value read from a file with its newline is masked without it."""
    secret = secrets.token_urlsafe(20)

    assert Redactor([secret + "\n"]).redact(f"<{secret}>") == "<[REDACTED:secret]>"


def test_a_number_in_a_url_is_a_password_too() -> None:
    """A password of digits, which cannot be registered, is masked in a URL; a port is not."""
    shown = Redactor().redact("postgresql://app:20261125@db:5432/app and http://host:8080/@scope")

    assert shown == "postgresql://app:[REDACTED:password]@db:5432/app and http://host:8080/@scope"


def test_a_jwt_is_found_behind_what_looks_like_one() -> None:
    """Text that begins like a JWT and is none hides no JWT behind it."""
    jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dBjftJeZ4CVP"

    for before in ("eyJ.", "eyJ_", "eyJhbGciOiJIUzI1NiJ9/", "ghp_" + "a1B2" * 9 + "eyJ_"):
        assert "eyJzdWIi" not in Redactor().redact(before + jwt)


def test_overlapping_values_leave_nothing() -> None:
    """Two values that share characters are masked as one."""
    text = secrets.token_hex(30)
    redactor = Redactor([text[:40], text[20:]])

    assert redactor.redact(text) == "[REDACTED:secret]"


def test_a_value_inside_another_leaves_nothing() -> None:
    """The longer value wins, whatever was registered first."""
    text = secrets.token_hex(30)
    redactor = Redactor()
    redactor.add(text[:20], "short")
    redactor.add(text, "long")

    assert redactor.redact(text) == "[REDACTED:long]"


def test_unfit_values_are_refused(named: Named) -> None:
    """A short, common or empty value would mask half of every log: it is refused, without being shown."""
    cases = [
        "",
        "  ",
        "a",
        "short",
        "1234567",
        "aaaaaaaaaaaa",
        "abababababab",
        "12345678901",
        "changeme",
        "Password",
        "postgres",
        "localhost",
        "2026-01-02",
        "2026-01-02 03:04:05",
        "\\\\\\\\\\\\\\\\abcd",
        "hunter2-\ud800-swordfish",
        b"short",
    ]

    for value in cases:
        with named(value):
            with pytest.raises(UnfitSecretError) as caught:
                Redactor([value])

            assert len(value.strip()) < 2 or str(value) not in str(caught.value)


@pytest.mark.parametrize("value", ["hunter2-swordfish", "123456789012", "correct horse", "p\u00e4ssw\u00f6rt1"])
def test_fit_values(value: str) -> None:
    """A value that can be distinguished from harmless text is accepted."""
    assert unfit(value) is None


@pytest.mark.parametrize("label", ["", "a]b", "two\nlines", 'a"b', "x" * 61])
def test_labels_are_plain_words(label: str) -> None:
    """A label cannot end its mask, break a line, or break JSON."""
    with pytest.raises(ValueError, match="label"):
        Redactor().add(secrets.token_hex(10), label)


def test_keys_are_known_to_every_redactor() -> None:
    """A loaded key is masked by redactors made before and after it, in all its parts, and cannot be discarded."""
    before = Redactor()
    raw = secrets.token_bytes(32)
    key = base64.urlsafe_b64encode(raw).decode()

    protect_key(raw, "5f0c1a9e")
    protect_key(raw, "5f0c1a9e")

    for redactor in (before, Redactor(), get_redactor()):
        redactor.discard(raw)
        assert redactor.redact(f"key={key}.") == "key=[REDACTED:key 5f0c1a9e]."
        assert redactor.redact(raw[16:].hex()) == "[REDACTED:key 5f0c1a9e]"


def test_a_key_that_was_a_value_before_is_known_in_parts() -> None:
    """A key whose bytes were registered before it was loaded is masked in pieces and halves all the same."""
    raw = secrets.token_bytes(32)
    redactor = Redactor([raw])

    protect_key(raw, "5f0c1a9e")

    assert redactor.redact(raw[16:].hex()) == "[REDACTED:key 5f0c1a9e]"
    assert "[REDACTED" in redactor.redact(base64.urlsafe_b64encode(raw).decode()[:20])
    redactor.discard(raw)
    assert redactor.redact(raw[:16].hex()) == "[REDACTED:key 5f0c1a9e]"


def test_a_key_given_as_a_value_has_its_bytes_masked() -> None:
    """A Fernet key given as text is known by its halves as well."""
    key = Fernet.generate_key().decode()
    raw = base64.urlsafe_b64decode(key)

    shown = Redactor([key]).redact(repr(vars_of_fernet(raw)))

    assert repr(raw[:16])[2:-1] not in shown
    assert repr(raw[16:])[2:-1] not in shown


def test_a_thousand_keys_do_not_hold_a_service_up() -> None:
    """A thousand keys are registered one as fast as the other, and each is masked under its own id."""
    raws = {secrets.token_hex(4): secrets.token_bytes(32) for _ in range(1000)}
    redactor = Redactor()

    for key_id, raw in raws.items():
        protect_key(raw, key_id)

    for key_id, raw in raws.items():
        assert redactor.redact(base64.urlsafe_b64encode(raw).decode()) == f"[REDACTED:key {key_id}]"


def test_redacting_lasts_for_its_block() -> None:
    """A decrypted value is masked in the block, and forgotten behind it."""
    secret = secrets.token_urlsafe(20)
    redactor = Redactor()

    with redacting(secret, label="plaintext"):
        inside = redactor.redact(secret)

    assert inside == "[REDACTED:plaintext]"
    assert redactor.redact(secret) == secret


def test_redacting_goes_along_with_its_context() -> None:
    """A task started in the block masks the value, and so does a thread that is handed the context."""
    value, redactor = "decrypted-in-passing", Redactor()

    async def look() -> str:
        return redactor.redact(value)

    async def start() -> tuple[str, str]:
        return await asyncio.create_task(look()), await asyncio.to_thread(redactor.redact, value)

    with redacting(value):
        assert asyncio.run(start()) == ("[REDACTED:secret]", "[REDACTED:secret]")


def test_redacting_nests_and_stays_in_its_context() -> None:
    """Blocks nest; another thread does not know their values."""
    one, two = secrets.token_urlsafe(20), secrets.token_urlsafe(20)
    redactor = Redactor()
    elsewhere: list[str] = []

    with redacting(one), redacting(two):
        both = redactor.redact(f"{one} {two}")
        thread = threading.Thread(target=lambda: elsewhere.append(redactor.redact(one)))
        thread.start()
        thread.join()

    assert both == "[REDACTED:secret] [REDACTED:secret]"
    assert elsewhere == [one]


@pytest.mark.parametrize("value", [None, "", "short", "password"])
def test_redacting_never_raises(value: str | None) -> None:
    """What was decrypted is nobody's choice: a value that cannot be masked is passed over."""
    with redacting(value):
        assert Redactor().redact("a short password") == "a short password"


def test_only_text_can_be_masked(named: Named) -> None:
    """What is no text is refused by its type, and not shown."""
    for take in (Redactor().add, Redactor().discard, redacting):
        for value in (5, ["hunter2-swordfish"], {"hunter2-swordfish": 1}):
            words = f"pass str, bytes or a Secret, not {type(value).__name__}$"
            with named(take, value), pytest.raises(TypeError, match=words):
                take(value)


def test_none_is_no_value() -> None:
    """`add` refuses None, as a variable that is not set gives it."""
    with pytest.raises(TypeError, match="not NoneType"):
        Redactor().add(None)  # type: ignore[arg-type]


def test_a_secret_is_masked_by_what_it_holds() -> None:
    """A Secret is taken wherever its text is."""
    secret, redactor = Secret("hunter2-swordfish"), Redactor()

    with redacting(secret):
        assert redactor.redact("hunter2-swordfish") == "[REDACTED:secret]"
    redactor.add(secret)
    assert redactor.redact("hunter2-swordfish") == "[REDACTED:secret]"
    redactor.discard(secret)
    assert redactor.redact("hunter2-swordfish") == "hunter2-swordfish"


def test_json_stays_json_if_a_secret_crosses_its_structure() -> None:
    """A secret that holds JSON's own punctuation, or is a number, leaves valid JSON."""
    across = 'correct horse"], "b": "battery staple'
    number = "9" + str(secrets.randbelow(10**18)).zfill(18)
    redactor = Redactor([across, number])

    assert "REDACTED" in json.loads(redactor.redact_json(f'{{"n": {number}, "x": 1}}'))["n"]
    assert json.loads(redactor.redact_json(f'{{"a": ["{across}"}}'))["event"] == "withheld"


def test_a_failing_redactor_lets_nothing_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the search itself fails, the text is withheld, and nothing is raised."""
    secret = secrets.token_urlsafe(20)
    redactor = Redactor([secret])

    def fail(*_: object) -> None:
        raise RuntimeError(secret)

    monkeypatch.setattr("keyring_core.redaction.redactor.find_shapes", fail)

    assert redactor.redact(secret) == "[WITHHELD:RuntimeError]"
    assert redactor.redact_value([secret]) == "[WITHHELD:RuntimeError]"
    assert json.loads(redactor.redact_json(f'{{"a": "{secret}"}}')) == {"event": "withheld", "error": "RuntimeError"}


def test_a_redactor_shows_nothing_of_itself() -> None:
    """Repr, attributes, pickle, copy and a traceback with locals show no value."""
    secret = secrets.token_urlsafe(20)
    redactor = Redactor([secret])

    assert repr(redactor) == "<Redactor of 1 values>" or repr(redactor).startswith("<Redactor of ")
    assert not hasattr(redactor, "__dict__")
    assert secret not in repr([getattr(redactor, name) for name in Redactor.__slots__ if name != "__weakref__"])
    for duplicate in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="holds secrets"):
            duplicate(redactor)  # type: ignore[operator]


def test_refusals_do_not_carry_the_value() -> None:
    """The error of a refused value has no chain that holds it."""
    try:
        Redactor().add("hunter2")
    except UnfitSecretError as error:
        shown = "".join(traceback.format_exception(error, chain=True)) + repr(error.args)
        assert "hunter2" not in shown.replace('add("hunter2")', "")


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: \x1b[33mtok_abc123DEF456\x1b[0m",
        '{"event": "> Authorization: \\u001b[33mtok_abc123DEF456\\u001b[0m"}',
        "postgres://app:\x1b[01;31m\x1b[Ktok_abc123DEF456\x1b[m\x1b[K@db/app",
        "--password \x1b[33mtok_abc123DEF456\x1b[0m",
        "<password>\x1b[33mtok_abc123DEF456\x1b[0m</password>",
    ],
)
def test_a_colour_within_a_shape_shows_no_value(text: str) -> None:
    """A colour is taken for blanks and for what it is; either may be what a shape needs."""
    assert "tok_abc123DEF456" not in Redactor().redact(text)
