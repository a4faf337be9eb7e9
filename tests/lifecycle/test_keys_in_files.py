"""Keys that are in files stay in files: no step writes one into a dotenv file, or into any other variable."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.keys import key_text
from tests.lifecycle.shop import NEW, OLDER, Shop

pytestmark = pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning")

PRIMARY, PREVIOUS, STAGED, SUSPENDED = (
    f"ENCRYPTION_{name}" for name in ("KEY", "PREVIOUS_KEYS", "STAGED_KEY", "SUSPENDED_KEYS")
)
IN_FILE, IN_PREVIOUS_FILE = {f"{PRIMARY}_FILE": "old"}, {f"{PREVIOUS}_FILE": "older"}
SUSPEND = ("suspend", OLDER.id, "--force", OLDER.id)


class Case(NamedTuple):
    """A step, and the label of the key in each variable, or in its file or command."""

    step: tuple[str, ...]
    held: dict[str, str]
    asked: str = ""
    """The variable that is asked for; empty: the step is done."""


CASES = {
    "suspend": Case(SUSPEND, IN_FILE | IN_PREVIOUS_FILE, f"{SUSPENDED}_FILE"),
    "stage": Case(("stage",), IN_FILE, f"{STAGED}_FILE"),
    "promote": Case(("promote",), IN_FILE | {f"{STAGED}_FILE": "new"}, f"{PREVIOUS}_FILE"),
    "go back": Case(("promote", OLDER.id), IN_FILE | {PREVIOUS: "older"}, f"{PREVIOUS}_FILE"),
    "resume": Case(("resume", OLDER.id), IN_FILE | {f"{SUSPENDED}_FILE": "older"}, f"{PREVIOUS}_FILE"),
    "restore": Case(("restore", NEW.id, "--archive", "new.keys"), IN_FILE, f"{PREVIOUS}_FILE"),
    "empty variable": Case(SUSPEND, IN_FILE | IN_PREVIOUS_FILE | {SUSPENDED: ""}, f"{SUSPENDED}_FILE"),
    "primary is text": Case(SUSPEND, {PRIMARY: "old"} | IN_PREVIOUS_FILE, f"{SUSPENDED}_FILE"),
    "from a command": Case(SUSPEND, IN_FILE | {f"{PREVIOUS}_COMMAND": "older"}, f"{SUSPENDED}_COMMAND"),
    "text moves": Case(SUSPEND, IN_FILE | {PREVIOUS: "older"}),
    "text is staged": Case(("stage",), {PRIMARY: "old"} | IN_PREVIOUS_FILE),
    "files for all": Case(SUSPEND, IN_FILE | IN_PREVIOUS_FILE | {f"{SUSPENDED}_FILE": ""}),
}


@pytest.mark.some(8)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("named_by", ["dotenv", "environment"])
def test_a_key_of_a_file_gets_into_no_variable(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, case: Case, named_by: str
) -> None:
    """The step names the variable to set first, and changes nothing; a key that is text already may stay text."""
    monkeypatch.chdir(shop.folder)
    shop.config.write_text(f'env_file = ".env"\n{shop.config.read_text()}')
    _write("new.keys", key_text("new"))
    variables = {name: _held(name, label) for name, label in case.held.items()}
    environ = {name: text for name, text in variables.items() if named_by == "environment" and name not in _TEXTS}
    shop.write_env("".join(f"{name}={text}\n" for name, text in variables.items() if name not in environ))
    before = _files(shop)

    ran = shop.keys(*case.step, environ=environ)

    if not case.asked:
        assert ran.code == 0, ran
        in_files = {key_text(label) for name, label in case.held.items() if name not in _TEXTS and label}
        assert not any(text in shop.env_file.read_text() for text in in_files)
        return
    assert ran.code == 2, ran
    assert f" in {case.asked}" in ran.err
    assert "here and in every service\n  2. keyring-rotate keys " in ran.err
    assert _files(shop) == before


def test_without_a_dotenv_file_too_a_file_is_asked_for(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """No service reads a file that no variable names, so the variable comes first; the other file is left alone."""
    monkeypatch.chdir(shop.folder)
    environ = {PRIMARY: key_text("old"), f"{PREVIOUS}_FILE": _held(f"{PREVIOUS}_FILE", "older")}
    before = _files(shop)

    ran = shop.keys(*SUSPEND, environ=environ)

    assert ran.code == 2, ran
    assert f"1. name an empty file in {SUSPENDED}_FILE, here and in every service" in ran.err
    assert _files(shop) == before


@pytest.mark.parametrize(("step", "place"), [(SUSPEND, "$TRIED"), (("stage",), "$NEXT")])
def test_a_key_of_a_file_gets_into_no_variable_of_a_key_set(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, step: tuple[str, ...], place: str
) -> None:
    """As of rotation.toml, too, whose entry names the variable."""
    monkeypatch.chdir(shop.folder)
    files = [_held(f"{name}_FILE", label) for name, label in (("p", "old"), ("o", "older"))]
    shop.config.write_text(
        f'env_file = ".env"\n{shop.config.read_text()}[keys.own]\nprimary = {{ file = "{files[0]}" }}\n'
        f'staged = {{ secret = "$NEXT" }}\nprevious = [{{ file = "{files[1]}" }}]\n'
        'suspended = [{ secret = "$TRIED" }]\n'
    )
    shop.write_env("OTHER=1\n")
    before = _files(shop)

    ran = shop.keys(*step, "--keys", "own", environ={})

    assert ran.code == 2, ran
    assert f"1. in rotation.toml, give these keys a `file` in place of {place}, here and in every service" in ran.err
    assert _files(shop) == before


_TEXTS = (PRIMARY, PREVIOUS, STAGED, SUSPENDED)


def _held(name: str, label: str) -> str:
    """The value of the variable *name* that leads to the key of that *label*."""
    text = key_text(label) if label else ""
    if name.endswith("_COMMAND"):
        return f"cat {_write(f'{name}.key', text)}"
    return _write(f"{name}.key", f"{text}\n") if name.endswith("_FILE") else text


def _write(name: str, text: str) -> str:
    Path(name).touch(0o600)
    Path(name).write_text(text)
    return name


def _files(shop: Shop) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in shop.folder.iterdir() if "ledger" not in path.name}
