"""Errors say what to do next and hold no secret. Here too: the search for leaks that other tests use."""

from __future__ import annotations

import base64
import copy
import pickle
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import cryptography.fernet
import pytest

import keyring_core
from keyring_core import (
    DamagedToken,
    ExpiredToken,
    InvalidToken,
    KeyConfigError,
    KeyringError,
    Malformed,
    MalformedToken,
    PlaintextError,
    SuspendedKey,
    UndecryptableToken,
)
from keyring_core.errors import MAKE_KEY_COMMAND
from tests.keys import key_text

PACKAGES = tuple(str(Path(keyring_core.__file__).parents[1] / name) for name in ("keyring_core", "rotation"))
RUN = 8
"""The length from which a piece of a secret counts as a leak."""


def reachable(error: BaseException) -> Iterator[BaseException]:
    """*error* and every exception that a debugger could walk to from it."""
    waiting, seen = [error], set()
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [link for link in (current.__cause__, current.__context__) if link is not None]
        waiting += getattr(current, "exceptions", ())


def shown_by(error: BaseException) -> str:
    """All text that *error* and what is reachable from it hold: messages, arguments, attributes, notes."""
    pieces: list[object] = []
    for current in reachable(error):
        pieces += [str(current), repr(current), *current.args, *vars(current).values()]
        pieces += [getattr(current, name, "") for name in ("object", "doc", "filename", "output", "cmd", "__notes__")]
    return "\n".join(_as_text(piece) for piece in pieces)


def locals_in(error: BaseException) -> str:
    """The locals of this project's frames in the traceback of *error*, as a tool shows them that prints locals."""
    pieces: list[str] = []
    for current in reachable(error):
        shown = traceback.TracebackException.from_exception(current, capture_locals=True)
        pieces += [repr(frame.locals) for frame in shown.stack if frame.filename.startswith(PACKAGES)]
    return "\n".join(pieces)


def leaks(shown: str, value: object, *ours: str) -> set[str]:
    """The runs of *value* in *shown*. The message's own words, *ours*, do not count."""
    text = _as_text(value)
    for words in (MAKE_KEY_COMMAND, *ours):
        shown = shown.replace(words, "\n")
    return {shown[at : at + RUN] for at in range(len(shown) - RUN + 1) if shown[at : at + RUN] in text}


def _as_text(value: object) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("latin-1")
    return value if isinstance(value, str) else repr(value)


def test_an_error_is_caught_by_the_root_and_by_what_callers_catch_already(named):
    """KeyringError catches every error of this project; handlers written for stock Fernet still work."""
    cases = [
        (KeyConfigError, [KeyringError, ValueError]),
        (PlaintextError, [KeyringError, ValueError]),
        (InvalidToken, [KeyringError, cryptography.fernet.InvalidToken]),
        (MalformedToken, [InvalidToken]),
        (UndecryptableToken, [InvalidToken]),
        (DamagedToken, [UndecryptableToken, InvalidToken]),
        (ExpiredToken, [InvalidToken]),
        (SuspendedKey, [InvalidToken]),
    ]

    for error, bases in cases:
        with named(error):
            assert issubclass(error, KeyringError)
            assert all(issubclass(error, base) for base in bases)


def test_every_error_that_is_offered_descends_from_the_root():
    """No public exception is outside of KeyringError."""
    offered = [getattr(keyring_core, name) for name in keyring_core.__all__]
    errors = [each for each in offered if isinstance(each, type) and issubclass(each, Exception)]

    strays = [each for each in errors if not issubclass(each, KeyringError | Warning)]

    assert len(errors) >= 7
    assert strays == []


@pytest.mark.parametrize(
    "error",
    [
        KeyConfigError("ENCRYPTION_KEY: empty"),
        PlaintextError("not UTF-8"),
        MalformedToken(Malformed.GLUED, "two tokens"),
        UndecryptableToken("no key opens this token", 1_600_000_000),
        DamagedToken.under("5f0c1a9e", 1_600_000_000),
        ExpiredToken("too old"),
        SuspendedKey.under("5f0c1a9e"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("travel", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_an_error_survives_the_way_between_processes(error, travel):
    """A worker's error reaches its parent with class, message, category and time."""
    arrived = travel(error)

    assert type(error) is type(arrived)
    assert str(error) == str(arrived)
    assert vars(error) == vars(arrived)
    assert getattr(error, "category", None) == getattr(arrived, "category", None)


@pytest.mark.parametrize("travel", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (MalformedToken, (Malformed.GLUED, "two tokens")),
        (UndecryptableToken, ("no key opens this token", 1_600_000_000)),
        (SuspendedKey, ("a key is suspended", "5f0c1a9e")),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_an_error_that_has_a_place_keeps_it_on_its_way(kind, arguments, travel):
    """Place, hint and notes arrive with the error; all else of it stays."""
    # Made here: it changes, and no other case may see that.
    error = kind(*arguments)
    words = str(error)

    placed = error.at("users.api_key, id=812").with_hint("look there")
    placed.add_note("batch 3")
    arrived = travel(placed)

    assert placed is error
    assert str(arrived) == f"users.api_key, id=812: {words}; look there"
    assert vars(arrived) == vars(placed)
    assert arrived.__notes__ == ["batch 3"]
    assert type(arrived) is type(placed)


@pytest.mark.parametrize(
    "error",
    [UndecryptableToken("no key opens this token"), DamagedToken.under("5f0c1a9e"), SuspendedKey.under("5f0c1a9e")],
    ids=lambda error: type(error).__name__,
)
def test_an_error_that_is_made_again_of_its_arguments_says_the_same(error):
    """As Celery makes the error of a task again, whose result was stored as JSON."""
    assert str(type(error)(*error.args)) == str(error)


def test_categories_are_the_words_of_the_report():
    """A category prints as the word that a report counts under."""
    assert {"empty", "plaintext", "truncated", "quoted", "bytes-repr", "glued", "not-a-token", "too-large"} == {
        str(category) for category in Malformed
    }


def test_the_command_in_the_message_makes_a_key(capsys):
    """The command that a message shows prints a key that is accepted."""
    program = MAKE_KEY_COMMAND.removeprefix('python -c "').removesuffix('"')

    exec(compile(program, "command", "exec"), {})

    assert keyring_core.Key.parse(capsys.readouterr().out).id


def test_the_search_for_leaks_finds_what_base64_chains():
    """The standard library's error carries the whole key in its chain; a search that missed it would prove nothing."""
    value = key_text("leak") + "é"

    with pytest.raises(ValueError, match="ASCII") as caught:
        base64.urlsafe_b64decode(value)

    assert leaks(shown_by(caught.value), value)


@pytest.mark.parametrize("hide", ["context", "cause", "args", "attribute", "note", "group"])
def test_the_search_for_leaks_looks_everywhere(hide):
    """The search finds a piece of a secret in every part of an exception."""
    value = key_text("leak")
    piece = value[20:28]
    error = Exception("fine")
    match hide:
        case "context":
            error.__context__ = ValueError(piece)
        case "cause":
            error.__cause__ = ValueError(piece.encode())
        case "args":
            error.args = ({"key": piece},)
        case "attribute":
            error.found = piece
        case "note":
            error.add_note(piece)
        case "group":
            error = ExceptionGroup("fine", [Exception("fine"), ValueError(piece)])

    assert {piece} <= leaks(shown_by(error), value)


def test_a_warning_of_this_project_is_a_user_warning():
    """KeyConfigWarning is shown by default, unlike a DeprecationWarning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        warnings.warn("tidy up", keyring_core.KeyConfigWarning, stacklevel=1)

    assert [UserWarning] == [warning.category.__base__ for warning in caught]
