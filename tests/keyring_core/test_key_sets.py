"""Key sets of a process: the variables of each, its keyring, and what they keep from one another."""

from __future__ import annotations

import os
import shlex
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import structlog
from structlog.testing import LogCapture

from keyring_core import (
    CredentialEncryptionService,
    Key,
    KeyConfigError,
    KeyConfigWarning,
    UndecryptableToken,
    config,
    environment,
    get_keyring,
    key_set,
)
from keyring_core.environment import variables_of
from keyring_core.key_commands import run_key_command
from keyring_core.redaction import get_redactor
from keyring_core.reload import Reloader
from tests.keys import key_text, make_key
from tests.processes import in_a_fork

A, B, C, D = (key_text(label) for label in "abcd")
SET = (
    "BILLING_ENCRYPTION_KEY",
    "BILLING_ENCRYPTION_PREVIOUS_KEYS",
    "BILLING_ENCRYPTION_STAGED_KEY",
    "BILLING_ENCRYPTION_SUSPENDED_KEYS",
)


@pytest.fixture(autouse=True)
def environ(monkeypatch) -> dict[str, str]:
    """The process's environment, in which there is one key that is in no set; no set was asked for before."""
    found = {"ENCRYPTION_KEY": key_text("own")}
    monkeypatch.setattr(os, "environ", found)
    monkeypatch.setattr(config, "_key_sets", {})
    monkeypatch.setattr(environment, "_sets", {})
    get_keyring.reset()
    yield found
    get_keyring.reset()


@pytest.fixture
def log(monkeypatch) -> LogCapture:
    captured = LogCapture()
    monkeypatch.setattr(config, "log", structlog.wrap_logger(None, processors=[captured]))
    return captured


def put(path: Path, text: str) -> str:
    path.touch(0o600)
    path.write_text(text)
    return str(path)


def test_a_key_set_has_keys_of_its_own(environ):
    """All four variables of a set are read, and its tokens open under no key that is in another set, or in none."""
    environ |= dict(zip(SET, (A, B, C, D), strict=True)) | {"SALES_ENCRYPTION_KEY": key_text("sales")}

    ring = key_set("billing")()

    assert {key: str(state) for key, state in ring.states.items()} == {
        make_key("a"): "primary",
        make_key("b"): "previous",
        make_key("c"): "staged",
        make_key("d"): "suspended",
    }
    for other in (get_keyring, key_set("sales")):
        with pytest.raises(UndecryptableToken):
            other().decrypt(ring.encrypt("x"))


def test_a_key_set_is_read_in_every_form(environ, tmp_path):
    """Files, commands and systemd's folder of credentials lead to its keys, as to those that are in no set."""
    environ |= {
        "BILLING_ENCRYPTION_KEY_FILE": "$CREDENTIALS_DIRECTORY/key",
        "BILLING_ENCRYPTION_PREVIOUS_KEYS_COMMAND": f"cat {put(tmp_path / 'old', B)}",
        "BILLING_ENCRYPTION_STAGED_KEY_FILE": put(tmp_path / "staged", C),
        "BILLING_ENCRYPTION_SUSPENDED_KEYS_COMMAND": f"cat {put(tmp_path / 'suspended', D)}",
        "CREDENTIALS_DIRECTORY": str(tmp_path),
    }
    put(tmp_path / "key", A)

    assert [*key_set("billing")().states] == [make_key(label) for label in "abcd"]
    kinds = dict(zip(SET, ("file", "command", "file", "command"), strict=True))
    assert key_set("billing").status()["sources"] == kinds


def test_the_name_of_a_set_makes_the_names_of_its_variables(named):
    """In capitals, with an underscore for each dot and hyphen."""
    for name, prefix in (("billing", "BILLING"), ("eu-west.2", "EU_WEST_2"), ("CRM", "CRM"), ("a_b", "A_B")):
        with named(name):
            assert variables_of(name)[0] == f"{prefix}_ENCRYPTION_KEY"


def test_a_name_that_is_none_is_refused(named):
    """Such as one that no shell could have in a variable; the model that has it does not even load."""
    for name in ("", "1st", "-a", "_a", "a b", "a/b", "é", "a\n", "a" * 51, None, 7):
        with named(name), pytest.raises(KeyConfigError, match="the name of a key set is a letter and up to 49"):
            key_set(name)


def test_two_sets_cannot_have_the_same_variables():
    """Otherwise each would look like a set with keys of its own, and retire the other's."""
    key_set("eu-west")

    for name in ("eu.west", "EU-WEST"):
        with pytest.raises(KeyConfigError, match=f"eu-west and {name} would both read EU_WEST_ENCRYPTION_KEY"):
            key_set(name)
    assert key_set("eu-west") is key_set("eu-west")


def test_a_set_is_read_on_first_use(environ):
    """A model that is declared needs no key; the message of the first use names the variable, and how to make a key."""
    billing = key_set("billing")
    with pytest.raises(KeyConfigError, match=r"^BILLING_ENCRYPTION_KEY: not set\. .*Fernet\.generate_key"):
        billing()
    environ[SET[0]] = A

    assert billing().primary == make_key("a")


def test_a_set_never_falls_back_on_other_keys(environ):
    """Without a primary key of its own nothing is encrypted, whatever other keys there are."""
    environ[SET[1]] = B

    with pytest.raises(KeyConfigError, match=r"^BILLING_ENCRYPTION_KEY: not set"):
        key_set("billing")()


def test_messages_name_the_variable_of_the_set(environ, named):
    """An error about a key of a set says which variable holds it."""
    for name in SET:
        with named(name):
            environ |= {SET[0]: A} | dict.fromkeys(SET[1:], "") | {name: "short"}
            with pytest.raises(KeyConfigError, match=f"^{name}[:,]"):
                key_set("billing")()
    environ |= {SET[0]: A, f"{SET[0]}_FILE": "/nowhere", SET[2]: ""}
    with pytest.raises(KeyConfigError, match=f"{SET[0]} and {SET[0]}_FILE are both set"):
        key_set("billing")()
    del environ[SET[0]]
    with pytest.raises(KeyConfigError, match=f"{SET[0]}_FILE"):
        key_set("billing")()


def test_a_set_follows_its_files(environ, monkeypatch, tmp_path):
    """As the keyring that is in no set does, at the same intervals; the other sets stay."""
    monkeypatch.setattr("keyring_core.sources._UNSETTLED_SECONDS", -1)
    path = put(tmp_path / "key", A)
    environ |= {f"{SET[0]}_FILE": path, "ENCRYPTION_RELOAD_SECONDS": "0.000001"}
    own, ring = get_keyring(), key_set("billing")()
    put(tmp_path / "key", f"{B}\n# promoted\n")

    assert key_set("billing")().primary == make_key("b")
    assert ring.primary == make_key("a")
    assert get_keyring() is own
    assert key_set("billing").status()["reload_seconds"] == 0.000001


def test_an_unknown_token_makes_a_set_look_at_its_own_files(environ, monkeypatch, tmp_path):
    """The first token under a key that another process promoted is opened."""
    monkeypatch.setattr("keyring_core.sources._UNSETTLED_SECONDS", -1)
    environ[f"{SET[0]}_FILE"] = put(tmp_path / "key", A)
    service = CredentialEncryptionService(key_set("billing"))
    service.encrypt("x")
    environ["SALES_ENCRYPTION_KEY"] = B
    token = key_set("sales")().encrypt("y")
    put(tmp_path / "key", f"{B}\n# promoted\n")

    assert service.decrypt(token) == "y"


def test_a_service_of_a_set_without_a_key_does_not_start(environ):
    """As the one of the environment's own keys: the fault shows at once, and not with the first credential."""
    with pytest.raises(ValueError, match=r"^BILLING_ENCRYPTION_KEY: not set"):
        CredentialEncryptionService(key_set("billing"))


def test_a_set_keeps_its_keys_if_the_process_clears_its_variables(environ):
    """What was read from a variable stays in force, as in the keyring that is in no set."""
    environ |= {SET[0]: A, f"{SET[1]}_COMMAND": f"echo {B}"}
    billing = key_set("billing")
    ring = billing()
    environ.pop(SET[0])
    again = billing._loaded.again(10)

    assert [*again.keyring.states] == [*ring.states]


def test_the_switch_for_weak_keys_counts_for_every_set(environ):
    """ENCRYPTION_ALLOW_WEAK_PREVIOUS admits a weak previous key of a set, and its name is in the message."""
    weak = "A" * 43 + "="
    environ |= {SET[0]: A, SET[1]: weak}
    with pytest.raises(KeyConfigError, match=r"(?s)^BILLING_.*weak.*ENCRYPTION_ALLOW_WEAK_PREVIOUS=1 admits it"):
        key_set("billing")()
    environ["ENCRYPTION_ALLOW_WEAK_PREVIOUS"] = "1"

    with pytest.warns(KeyConfigWarning):
        assert len(key_set("billing")().states) == 2


def test_keys_of_a_set_are_masked(environ):
    """Its keys are as secret as all others, from the moment that they are read."""
    environ |= dict(zip(SET, (A, B, C, D), strict=True))
    key_set("billing")()

    masked = get_redactor().redact(f"found {A}, {B} and {C}")

    assert not any(key in masked for key in (A, B, C))
    assert all(make_key(label).id in masked for label in "abc")


def test_a_command_gets_no_key_of_a_set(environ):
    """Whichever set a key command is of, it gets the variables of none, also of sets that are not named yet."""
    environ |= {**dict(zip(SET, (A, B, C, D), strict=True)), "VAULT_TOKEN": "stays", f"{SET[2]}_FILE": "stays"}
    command = shlex.join([sys.executable, "-c", "import os; print([*os.environ])"])

    shown = run_key_command(command, "ENCRYPTION_KEY_COMMAND", environ, 30).decode()

    assert [name for name in SET if f"'{name}'" in shown] == []
    assert "VAULT_TOKEN" in shown
    assert f"{SET[2]}_FILE" in shown


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("BILLING_ENCRYPTON_KEY", "BILLING_ENCRYPTION_KEY"),
        ("BILLING_ENCRYPTION_KEYS", "BILLING_ENCRYPTION_KEY"),
        ("BILLING_ENCRYPTION_STAGD_KEY_FILE", "BILLING_ENCRYPTION_STAGED_KEY_FILE"),
        ("billing_encryption_previous_keys", "BILLING_ENCRYPTION_PREVIOUS_KEYS"),
        ("BILLING_ENCRYPTION_SUSPENDED_KEY", "BILLING_ENCRYPTION_SUSPENDED_KEYS"),
    ],
)
def test_a_misspelt_variable_of_a_set_is_named(environ, name, meant):
    """A key that nobody reads gives a warning with the name that was probably meant."""
    environ |= {SET[0]: A, name: B}

    with pytest.warns(KeyConfigWarning, match=f"^{name} is not a variable of this project; did you mean {meant}\\?$"):
        key_set("billing")()


def test_other_names_beside_a_set_give_no_warning(environ):
    """Neither those of other sets and programs, nor a set whose name is like a word of this project."""
    names = ("BILLING_API_KEY", "BILLING_RELOAD_SECONDS", "SALES_ENCRYPTION_KEY", "BILLING_EU_ENCRYPTION_KEY")
    environ |= dict.fromkeys(names, "x") | {"ENCRYPTION_ENCRYPTION_KEY": A, "ROTATION_ENCRYPTION_STAGED_KEY": B}
    environ[SET[0]] = C

    assert key_set("billing")().primary == make_key("c")
    assert key_set("encryption")().primary == make_key("a")
    assert get_keyring().primary == make_key("own")


def test_one_set_has_one_keyring_under_threads(environ):
    """Sixteen threads that ask at once share it, and so does everything that reloads or resets it."""
    environ[SET[0]] = A
    with ThreadPoolExecutor(16) as pool:
        found = [*pool.map(lambda _: key_set("billing"), range(64))]

    assert len({id(each) for each in found}) == 1
    assert isinstance(found[0], Reloader)


def test_a_fork_has_the_sets_of_its_parent(environ):
    """A worker that is forked after the keys were read encrypts with them, though its environment lost them."""
    environ[SET[0]] = A
    key_set("billing")()
    environ.clear()

    assert in_a_fork(lambda: key_set("billing")().primary == Key.parse(A))


def test_the_start_up_line_of_a_set(log, environ):
    """It names the set's variable, whether it is set, and which key it holds."""
    config.log_key_status(keys="billing")
    config.log_key_status({SET[0]: A}, keys="billing")
    config.log_key_status({SET[0]: "changeme"}, keys="billing")

    first, second, third = [entry["event"] for entry in log.entries]
    assert first == "BILLING_ENCRYPTION_KEY NOT SET (required for credentials)"
    assert second == f"BILLING_ENCRYPTION_KEY configured (key id {make_key('a').id})"
    assert third.startswith("BILLING_ENCRYPTION_KEY MALFORMED (BILLING_ENCRYPTION_KEY: ")
