"""Real applications after a rotation, by the commands of their pages: the new key alone reads everything."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from dotenv import set_key
from packaging.specifiers import SpecifierSet

from rotation.applications.presets import SettingForm, load_preset, preset_names
from rotation.configuration.key_sets import KeySet
from tests.applications.environments import APPLICATIONS, Application, run_driver
from tests.conftest import NEW, OLD
from tests.databases import open_database

pytestmark = pytest.mark.database

ROOT = Path(__file__).parents[2]
FIRST_CODES = {"status": {0, 1}, "run --dry-run": {0, 1}}
"""Before the tokens have moved, these say that something is to be done."""
SECRETS = {"first": "tïny", "second": "sk-live-0123456789" * 30, "third": '{"nested": "\\"quotes\\" \\\\ 🔑"}'}
LISTED: Mapping[SettingForm, tuple[str, str]] = {
    "comma": (r"^\w+=(.*)$", ""),
    "semicolon": (r"^\w+=(.*)$", ""),
    "lines": (r"^(.*)$", "\n"),
    "repeated": (r"^\w+ = (.*)$", ","),
    "yaml-list": (r"^  - \"(.*)\"$", ","),
    "python-list": (r"^\w+ = \[\"(.*)\"\]$", ""),
    "numbered-files": (r"^.*/\d+: (.*)$", "\n"),
}
"""What a driver gets of what `keys list --format` prints: the keys of each line, and what to put between them."""
CASES = [
    pytest.param(app, kind, id=f"{app.name}-{kind}", marks=pytest.mark.applications(ci=app.ci))
    for app in APPLICATIONS.values()
    for kind in app.databases
]


class Recipe:
    """The commands of an application's page, typed in a folder of their own."""

    def __init__(self, app: Application, url: str, folder: Path, old: str) -> None:
        self.app, self.preset, self.url, self.folder = app, load_preset(app.name), url, folder
        self.old, self.new = self._text(old), self._text(app.secret_of(NEW))
        self.env = folder / f"{self.preset.name}.env"
        self.settings: list[str] = []
        page = (ROOT / f"docs/applications/{self.preset.name}.md").read_text()
        steps = page.partition("## Step by step")[2].partition("\n## ")[0]
        self.commands = re.findall(r"^```sh\n(.*?)\n```", steps, re.MULTILINE | re.DOTALL)

    def follow(self) -> list[str]:
        """Types every command and fills in the dotenv file as the page says. Returns what the application is given.

        That is each setting that a command prints, in their order, or else the new secret.
        """
        moved = False
        for command in self.commands:
            if self.preset.way == "staged" and command == self.preset.make.run:
                self._stage()
            program, _, rest = command.partition(" ")
            if program != "keyring-rotate" or rest.startswith("keys derive"):
                continue
            done = self._type(rest)
            moved = moved or (rest.startswith("run") and "--dry-run" not in rest)
            first = next((codes for begin, codes in FIRST_CODES.items() if rest.startswith(begin) and not moved), {0})
            assert done.returncode in first, f"{command}: {done.stdout}{done.stderr}"
            if rest.startswith("init"):
                self._fill_in()
            if "--format" in rest:
                pattern, between = LISTED[self.preset.setting[0].form]
                self.settings.append(between.join(re.findall(pattern, done.stdout.strip(), re.MULTILINE)))
        assert moved
        return self.settings or [self.new]

    def _type(self, rest: str) -> subprocess.CompletedProcess[str]:
        words = rest.split()
        argv = [self._old_id(words[words.index("--keys") + 1]) if word == "ID" else word for word in words]
        return subprocess.run(
            [sys.executable, ROOT / "scripts/rotate.py", *argv],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def _primary(self) -> str:
        return self._keys.primary.place.removeprefix("$")

    @property
    def _keys(self) -> KeySet:
        return self.preset.keys[self.preset.key_set(self.preset.setting[0])]

    def _old_id(self, key_set: str) -> str:
        """The id of the one previous key of *key_set*, as `keys list` shows it."""
        listed = self._type(f"keys list --keys {key_set} --json --env-file {self.env}").stdout
        [old] = [key["id"] for key in json.loads(listed)["keys"] if key["state"] == "previous"]
        return str(old)

    def _fill_in(self) -> None:
        """Writes what the page asks for: the url, the key of today, and for an application that knows one the new."""
        values = {self.preset.url.removeprefix("$"): self.url}
        if self.preset.way == "staged":
            values[self._primary] = self.old
        else:
            for keys in self.preset.keys.values():
                sources = [(each, self.old) for each in keys.previous[:1]] + [(keys.primary, self.new)]
                # What is in a cell is the application's own.
                for key, secret in ((key, secret) for key, secret in sources if key.cell is None):
                    values[key.place.removeprefix("$")] = secret
                    # A salt with a variable of its own is the secret, too, unless applications.toml has another one.
                    if name := key.salt_variable:
                        values[name] = self.app.variables.get(name, "{secret}").format(secret=secret)
        for name, value in values.items():
            set_key(self.env, name, value)

    def _stage(self) -> None:
        """Writes the new secret of a derived key, which no command makes."""
        assert self._keys.staged
        set_key(self.env, self._keys.staged.secret.removeprefix("$"), self.new)

    def _text(self, secret: str) -> str:
        """*secret* as the preset's variable takes it."""
        if self.app.secret != "hex" or self._keys.primary.derive == "hex":
            return secret
        derived = subprocess.run(
            [sys.executable, ROOT / "scripts/rotate.py", "keys", "derive", "hex"],
            input=secret,
            capture_output=True,
            text=True,
            check=True,
        )
        return derived.stdout.strip()


@pytest.mark.parametrize(("app", "kind"), CASES)
def test_an_application_reads_everything_with_the_new_key_alone(app: Application, kind: str, tmp_path: Path) -> None:
    """What it wrote into every column, it reads after the commands of its page, as they stand, without the old key.

    One that takes several keys also reads with the first setting of its page, in which the new key is the second.
    """
    if platform.python_version() not in SpecifierSet(app.python):
        pytest.skip(f"{app.name} needs Python {app.python}")

    old = app.secret_of(OLD)
    with open_database(kind, tmp_path) as database:
        written = run_driver(app, "write", database.url, SECRETS, old)
        recipe = Recipe(app, database.url, tmp_path, old)
        *earlier, new = recipe.follow()
        # The new key first: JupyterHub writes what it reads under the first key that it has.
        reads = [run_driver(app, "read", database.url, {}, setting) for setting in (new, *earlier[:1])]
        hashes = database.rows("SELECT DISTINCT key_hash FROM credential") if app.name == "keystone" else []

    assert {place.rpartition("/")[2] for place in written} == set(SECRETS)
    assert all(text == SECRETS[place.rpartition("/")[2]] for place, text in written.items())
    assert recipe.old not in new
    assert all(read == written for read in reads)
    # Keystone refuses to rotate by itself as long as this digest is not that of its primary key.
    assert hashes == ([(hashlib.sha1(new.encode()).hexdigest(),)] if app.name == "keystone" else [])


@pytest.mark.applications(ci=False)
def test_prefect_moves_from_the_key_in_its_database(tmp_path: Path) -> None:
    """The key that Prefect made for itself, read as its page says, is the key of today."""
    app = APPLICATIONS["prefect"]

    with open_database("sqlite", tmp_path) as database:
        written = run_driver(app, "write", database.url, SECRETS, None)
        [command] = [step.run for step in load_preset("prefect").before]
        [select] = re.findall(r'"(SELECT .*)"', command)
        [(old,)] = database.rows(select)
        [new] = Recipe(app, database.url, tmp_path, old).follow()
        read = run_driver(app, "read", database.url, {}, new)

    assert read == written


def test_every_application_has_a_preset() -> None:
    """What is tried here is what a preset calls tried, and nothing else."""
    tried = {name for name in preset_names() if load_preset(name).evidence == "tried"}

    assert tried == set(APPLICATIONS)
