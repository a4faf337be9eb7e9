"""A process that dies at any call while it writes keys leaves every file whole, the old one or the new one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from keyring_core import Key
from keyring_core.environment import Settings, load_settings
from tests.conftest import Cli
from tests.keys import key_text, make_key
from tests.processes import ROOT, dialogue

pytestmark = [
    pytest.mark.database,
    pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning"),
]

LEAST_CALLS = 10
DOTENV = """# the keys
export ENCRYPTION_KEY='{new}'  # why
ENCRYPTION_PREVIOUS_KEYS="{old}"
OTHER=1
ENCRYPTION_STAGED_KEY={next}
ENCRYPTION_SUSPENDED_KEYS={older}
"""


class Dotenv:
    """All keys in one dotenv file."""

    def __init__(self, folder: Path) -> None:
        self.files = [folder / ".env"]
        keys = {"new": key_text("new"), "old": key_text("old"), "next": key_text("next")}
        keys["older"] = key_text("older")
        self.files[0].write_text(DOTENV.format(**keys))
        self.environ: dict[str, str] = {}
        self.options = ["--env-file", str(self.files[0])]

    def settings(self) -> Settings:
        from dotenv import dotenv_values

        values = dotenv_values(self.files[0], interpolate=False)
        return load_settings({name: value for name, value in values.items() if value is not None})


class KeyFiles:
    """Each variable in a file of its own."""

    def __init__(self, folder: Path) -> None:
        names = {"ENCRYPTION_KEY": "new", "ENCRYPTION_PREVIOUS_KEYS": "old", "ENCRYPTION_STAGED_KEY": "next"}
        names["ENCRYPTION_SUSPENDED_KEYS"] = "older"
        self.files = [folder / name for name in names]
        for path, label in zip(self.files, names.values(), strict=True):
            path.write_text(f"# {label}\n{key_text(label)}\n")
        self.environ = {f"{name}_FILE": str(folder / name) for name in names}
        self.options: list[str] = []

    def settings(self) -> Settings:
        return load_settings(self.environ)


Kind = Callable[[Path], Dotenv | KeyFiles]
OLD, NEW, NEXT, OLDER = (make_key(label) for label in ("old", "new", "next", "older"))
STEPS = {
    "promote": ("promote",),
    "go-back": ("promote", OLD.id),
    "suspend": ("suspend", OLD.id, "--force", OLD.id),
    "resume": ("resume", OLDER.id),
}


@pytest.mark.some(2)
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
@pytest.mark.parametrize("kind", [Dotenv, KeyFiles])
def test_a_kill_at_any_call_leaves_whole_files_and_all_keys(
    tmp_path: Path, cli: Cli, kind: Kind, step: tuple[str, ...], *, long_form: bool
) -> None:
    """R14: each file is the old or the new one, whole; every key is still there; the same command finishes it."""
    kept = tmp_path / "kept"
    kept.mkdir()
    reference = kind(kept)
    old = [path.read_bytes() for path in reference.files]
    assert cli("keys", *step, *reference.options, environ=reference.environ).code == 0
    new, done = [path.read_bytes() for path in reference.files], reference.settings()
    assert _keys(done) == {OLD, NEW, NEXT, OLDER}
    folder = tmp_path / "app"
    folder.mkdir()
    place, each = kind(folder), 1 if long_form else 3
    command = [sys.executable, "-m", "tests.faults.dying_writer", str(each), "keys", *step, *place.options]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **place.environ}
    kills = 0

    for line in dialogue(command, environment):
        kills += line == "-9\n"
        for path, before, afterwards in zip(place.files, old, new, strict=True):
            if path.read_bytes() not in (before, afterwards):
                # Whole too, on its way from the one to the other.
                assert set(before.split()) | set(afterwards.split()) == set(path.read_bytes().split())
        assert _keys(place.settings()) == {OLD, NEW, NEXT, OLDER}
        if [path.read_bytes() for path in place.files] != new:
            assert cli("keys", *step, *place.options, environ=place.environ).code == 0
        assert [path.read_bytes() for path in place.files] == new
        assert place.settings() == done
        assert sorted(folder.iterdir()) == sorted(place.files)
        for path, before in zip(place.files, old, strict=True):
            path.write_bytes(before)

    assert kills > LEAST_CALLS // each


def _keys(settings: Settings) -> set[Key]:
    staged = [settings.staged] if settings.staged else []
    return {settings.primary, *settings.previous, *staged, *settings.suspended}
