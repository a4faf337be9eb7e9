"""The keyring of this process, and its start-up line."""

from __future__ import annotations

import gc
import importlib
import types
from collections.abc import Callable

import pytest
import structlog
from structlog.testing import LogCapture

from keyring_core import KeyConfigError, Keyring, config, get_keyring
from tests.keyring_core.test_errors import leaks
from tests.keys import key_text, make_key

PRIMARY, A, B = key_text("primary"), key_text("a"), key_text("b")
LIST = "ENCRYPTION_PREVIOUS_KEYS"
OUR_WORDS = (LIST, "ENCRYPTION_KEY")


@pytest.fixture
def log(monkeypatch) -> LogCapture:
    """What `config` logs, however structlog is configured at the time."""
    captured = LogCapture()
    monkeypatch.setattr(config, "log", structlog.wrap_logger(None, processors=[captured]))
    return captured


@pytest.fixture
def fresh():
    """No keyring is cached before or after the test."""
    get_keyring.reset()
    yield
    get_keyring.reset()


# The start-up line


STATUSES: list[tuple[Callable[[], dict[str, str]], str, str]] = [
    (lambda: {"ENCRYPTION_KEY": PRIMARY}, "info", f"ENCRYPTION_KEY configured (key id {make_key('primary').id})"),
    (dict, "warning", "ENCRYPTION_KEY NOT SET (required for credentials)"),
    (lambda: {"ENCRYPTION_KEY": ""}, "warning", "ENCRYPTION_KEY NOT SET (required for credentials)"),
    (lambda: {"ENCRYPTION_KEY": " \n"}, "warning", "ENCRYPTION_KEY NOT SET (required for credentials)"),
    (lambda: {LIST: A}, "warning", "ENCRYPTION_KEY NOT SET (required for credentials)"),
]


@pytest.mark.parametrize(("environ", "level", "line"), STATUSES, ids=["set", "unset", "empty", "blank", "list alone"])
def test_the_start_up_line(log, environ, level, line):
    """The log says at start-up whether credentials can be encrypted, and with which key."""
    config.log_key_status(environ())

    assert log.entries == [{"event": line, "log_level": level}]


@pytest.mark.parametrize("value", ["short", f"{PRIMARY[:20]}\n{PRIMARY[20:]}", f'"{PRIMARY}"', "changeme"])
def test_the_start_up_line_of_a_malformed_key(log, value):
    """The line of a malformed key says what is wrong, without its value, and nothing fails."""
    config.log_key_status({"ENCRYPTION_KEY": value})

    (entry,) = log.entries
    assert entry["log_level"] == "warning"
    assert entry["event"].startswith("ENCRYPTION_KEY MALFORMED (ENCRYPTION_KEY: ")
    assert "\n" not in entry["event"]
    assert not leaks(entry["event"], value, *OUR_WORDS)


def test_the_start_up_line_knows_files_and_commands(log, tmp_path):
    """A key that comes from a file or a command is configured as well."""
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text(PRIMARY)

    config.log_key_status({"ENCRYPTION_KEY_FILE": str(path)})
    config.log_key_status({"ENCRYPTION_KEY_COMMAND": f"cat {path}"})

    assert [entry["event"] for entry in log.entries] == [STATUSES[0][2]] * 2


# What a process reads


def test_encryption_key_is_read_when_asked_for(log, monkeypatch):
    """config.ENCRYPTION_KEY follows the environment of the moment, and says nothing while it is set."""
    monkeypatch.setenv("ENCRYPTION_KEY", A)
    first = config.ENCRYPTION_KEY
    monkeypatch.setenv("ENCRYPTION_KEY", B)

    assert (first, config.ENCRYPTION_KEY) == (A, B)
    assert importlib.import_module("keyring_core.config").__dict__.get("ENCRYPTION_KEY") is None
    assert log.entries == []


@pytest.mark.parametrize("value", [None, "", "  "])
def test_encryption_key_warns_without_failing(log, monkeypatch, value):
    """A service that starts without a key gets a warning, and starts."""
    monkeypatch.delenv("ENCRYPTION_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("ENCRYPTION_KEY", value)

    assert value == config.ENCRYPTION_KEY
    assert log.entries == [{"event": "ENCRYPTION_KEY NOT SET (required for credentials)", "log_level": "warning"}]


def test_encryption_key_does_not_warn_if_a_file_holds_it(log, monkeypatch):
    """The other forms of the variable count as set, though the value is not read for them."""
    monkeypatch.delenv("ENCRYPTION_KEY", raising=False)
    monkeypatch.setenv("ENCRYPTION_KEY_FILE", "/nowhere")

    assert config.ENCRYPTION_KEY is None
    assert log.entries == []


def test_a_keyring_from_the_environment(monkeypatch):
    """`Keyring.from_env` reads the process's environment when it is called, or the one that it is given."""
    monkeypatch.setenv("ENCRYPTION_KEY", PRIMARY)

    ring, other = Keyring.from_env(), Keyring.from_env({"ENCRYPTION_KEY": A, LIST: B})

    assert ring.primary == make_key("primary")
    assert list(other.states) == [make_key("a"), make_key("b")]


def test_config_has_no_other_attributes():
    """A misspelt attribute is an AttributeError, as of any module."""
    with pytest.raises(AttributeError, match="ENCRYPTION_KEYS"):
        _ = config.ENCRYPTION_KEYS


def test_the_keyring_of_the_process_is_built_once(fresh, monkeypatch):
    """get_keyring reads the environment on first use and keeps what it built; reset makes it read again."""
    monkeypatch.setenv("ENCRYPTION_KEY", A)
    ring = get_keyring()
    monkeypatch.setenv("ENCRYPTION_KEY", B)

    assert get_keyring() is ring
    assert ring.primary == make_key("a")

    get_keyring.reset()
    assert get_keyring().primary == make_key("b")


def test_a_failed_start_is_not_kept(fresh, monkeypatch):
    """Once the environment is fixed, the same process gets its keyring."""
    for form in ("", "_FILE", "_COMMAND"):
        monkeypatch.delenv(f"ENCRYPTION_KEY{form}", raising=False)
    with pytest.raises(KeyConfigError, match="ENCRYPTION_KEY: not set"):
        get_keyring()
    monkeypatch.setenv("ENCRYPTION_KEY", A)

    assert get_keyring().primary == make_key("a")


def test_no_key_of_a_variable_is_kept_as_text(fresh, monkeypatch, tmp_path):
    """What a later look at the files needs holds keys and paths, and no key's text."""
    path = tmp_path / "previous"
    path.touch(0o600)
    path.write_text(B)
    monkeypatch.setenv("ENCRYPTION_KEY", A)
    monkeypatch.setenv(f"{LIST}_FILE", str(path))
    get_keyring()

    pending: list[object] = [get_keyring._loaded.again]
    seen: dict[int, object] = {}
    while pending:
        one = pending.pop()
        if id(one) not in seen and not isinstance(one, type | types.ModuleType):
            seen[id(one)] = one
            pending += one.__closure__ or () if isinstance(one, types.FunctionType) else gc.get_referents(one)

    texts = [one for one in seen.values() if isinstance(one, str)]
    assert str(path) in texts
    assert not [text for text in texts if A in text or B in text]
