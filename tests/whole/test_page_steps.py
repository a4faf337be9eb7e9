"""The pages of known applications, step by step: each command as it stands there, on tables such as the application's.

What the applications themselves read after it is in tests/applications.
"""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from dotenv import dotenv_values, set_key

from keyring_core import Key, Keyring
from rotation.applications.order_of_work import preset_steps
from rotation.applications.presets import Preset, load_preset, preset_names
from rotation.configuration.key_sources import KeySource
from rotation.configuration.sections import TargetEntry
from rotation.model.target import Format
from tests.conftest import Cli, Ran
from tests.databases import Database, open_database
from tests.keys import key_text

pytestmark = pytest.mark.database

LOOKS = {"status": {0, 1}, "run --dry-run": {0, 1}}
"""Before the tokens have moved, these say that something is to be done."""


STEPS = ("keys stage", "keys promote", "keys retire")


def is_plain(preset: Preset) -> bool:
    """Whether its secrets are in variables, and each key is made of one secret alone: those below can be filled in."""
    sources = [key for keys in preset.keys.values() for _, _, key in keys.sources()]
    return all(key.variable and isinstance(key.salt, str | None) for key in sources)


PLAIN = [name for name in preset_names() if is_plain(load_preset(name))]

ALWAYS = {"agno", "galaxy", "mathesar", "open-webui"}
"""Those that differ most: by key sets, by what their secrets have in common, and by the way."""


def secret_of(source: KeySource, label: str) -> str:
    """A test secret in the form that *source* takes."""
    text = key_text(f"{label} {source.variable}")
    if source.derive.startswith("raw"):
        return text.removesuffix("=" if source.derive == "raw-unpadded" else "")
    return base64.urlsafe_b64decode(text).hex()[:32]


def holds(preset: Preset, target: TargetEntry) -> dict[str, object]:
    """The columns of a row that *target* takes, beside its tokens, with what they hold."""
    names = preset.recognise.get(target.table, [])
    found: dict[str, object] = {name: None for name in (*names, *target.set) if name not in target.columns}
    # Of alternatives the first.
    where = (target.where or "").partition(" OR ")[0]
    for name, text, number in re.findall(r"(\w+)(?: (?:=|LIKE) (?:'([^']*)'|(\d+)))?", where):
        found[name] = text.strip("%") or number or "1"
    return found


class Page:
    """An application's page, and a database with tables of its shape, in the current folder."""

    def __init__(self, name: str, database: Database, folder: Path, cli: Cli) -> None:
        self.preset, self.database, self.folder, self._cli = load_preset(name), database, folder, cli
        self.env = folder / f"{name}.env"
        self.moved = False
        steps = preset_steps(self.preset)
        self.commands = [f"init --app {name} --env-file {name}.env"]
        self.commands += [step.run.removeprefix("keyring-rotate ") for step in steps if step.run]

    def fill(self) -> None:
        """Makes the tables, each with a row, under the keys of today."""
        rows: dict[str, list[dict[str, object]]] = {}
        for target in self.targets():
            tokens = {column: self._cell(target) for column in target.columns}
            rows.setdefault(target.table, []).append(holds(self.preset, target) | tokens)
        for table, its in rows.items():
            schema, _, name = table.rpartition(".")
            if schema:
                self.database.execute(f"CREATE SCHEMA IF NOT EXISTS {self.database.quote(schema)}")
            quoted = ".".join(self.database.quote(part) for part in ([schema] if schema else []) + [name])
            columns = list(dict.fromkeys(column for row in its for column in row))
            flags = {column for column in columns if {row.get(column, "1") for row in its} == {"1"}}
            kinds = {
                each: "BOOLEAN" if each in flags and f" {each} " not in self._wheres() else "TEXT" for each in columns
            }
            typed = ", ".join(f"{self.database.quote(column)} {kinds[column]}" for column in columns if column != "id")
            self.database.execute(f"CREATE TABLE {quoted} (id INTEGER PRIMARY KEY, {typed})")
            self.database.insert(
                quoted,
                [{"id": number, **{each: row.get(each) for each in columns}} for number, row in enumerate(its, 1)],
            )

    def targets(self) -> list[TargetEntry]:
        """The targets that this kind of database can have."""
        if self.database.kind == "sqlite":
            return [target for target in self.preset.target if "." not in target.table]
        return self.preset.target

    def _wheres(self) -> str:
        return " ".join(f" {target.where} " for target in self.preset.target if target.where and "=" in target.where)

    def _cell(self, target: TargetEntry) -> str:
        """A cell of *target*, with a token under the key of today."""
        keys = self.preset.keys[target.keys or ""]
        source = keys.primary if self.preset.way == "staged" else keys.previous[0]
        key = source.derivation(self._values(), "here").key(secret_of(source, "old"))
        return spelled(target.format, key)

    def old(self, key_set: str) -> str:
        """The secret of today."""
        keys = self.preset.keys[key_set]
        return secret_of(keys.primary if self.preset.way == "staged" else keys.previous[0], "old")

    def follow(self, commands: Sequence[str] | None = None) -> Ran | None:
        """Types the commands, to the first that ends with another code than its step admits: that one."""
        for command in self.commands if commands is None else commands:
            if command == self.preset.make.run.removeprefix("keyring-rotate ") and self.preset.way == "staged":
                self._stage()
            # The rest is the application's own, or makes a secret.
            if not command.startswith(("init", "status", "run", "discover", "keys list", *STEPS)):
                continue
            ran = self.type(command)
            self.moved = self.moved or (command.startswith("run") and "--dry-run" not in command)
            admitted = next((codes for begin, codes in LOOKS.items() if command.startswith(begin)), {0})
            if ran.code not in ({0} if self.moved else admitted):
                return ran
            if command.startswith("init"):
                self._fill_in()
        return None

    def type(self, command: str) -> Ran:
        """Types one command; ID stands for the id of the key of today, as `status` prints it."""
        words = shlex.split(command)
        if "ID" in words:
            words[words.index("ID")] = self.old_id(words[words.index("--keys") + 1])
        return self._cli(*words, environ={})

    def old_id(self, key_set: str) -> str:
        """The id of the previous key of a set."""
        listed = self.type(f"keys list --keys {key_set} --json --env-file {self.env.name}").document
        [old] = [key["id"] for key in listed["keys"] if key["state"] == "previous"]
        return str(old)

    def since(self, begin: str) -> list[str]:
        """The commands from the last one on that begins so."""
        last = max(number for number, command in enumerate(self.commands) if command.startswith(begin))
        return self.commands[last:]

    def _fill_in(self) -> None:
        for name, value in self._values().items():
            set_key(self.env, name, value)

    def _values(self) -> dict[str, str]:
        """What the page asks for, by the names of the variables."""
        values = {name: "the salt" for name, words in self.preset.variables().items() if "salt" in words}
        values[self.preset.url.removeprefix("$")] = self.database.url
        for keys in self.preset.keys.values():
            if self.preset.way == "staged":
                values[keys.primary.variable or ""] = secret_of(keys.primary, "old")
            else:
                values[keys.primary.variable or ""] = secret_of(keys.primary, "new")
                values[keys.previous[0].variable or ""] = secret_of(keys.previous[0], "old")
        return values

    def _stage(self) -> None:
        for keys in self.preset.keys.values():
            if keys.staged and not keys.staged.derive.startswith("raw"):
                set_key(self.env, keys.staged.variable or "", secret_of(keys.staged, "new"))


def spelled(form: Format, key: Key) -> str:
    """A cell of that *form* with a token under *key*."""
    token = Keyring(key).encrypt("a secret")
    return {
        Format.TOKEN: token,
        Format.EMBEDDED: f'{{"a": "{token}"}}',
        Format.BASE64: base64.b64encode(token.encode()).decode(),
        Format.HEX: token.encode().hex(),
    }[form]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty folder of a page's first step."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=["sqlite", "postgresql"])
def page(request: pytest.FixtureRequest, folder: Path, cli: Cli) -> Iterator[Page]:
    """Redash, with a column that its page does not know."""
    with open_database(request.param, folder) as database:
        page = Page("redash", database, folder, cli)
        page.fill()
        database.execute("ALTER TABLE data_sources ADD COLUMN secret_notes TEXT")
        page.database.execute("UPDATE data_sources SET secret_notes = encrypted_options")
        yield page


@pytest.mark.some(2)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.long) for name in PLAIN]
)
def test_the_steps_of_a_page_lead_to_the_end(name: str, folder: Path, cli: Cli) -> None:
    """Each command as it stands there succeeds; then the old keys are in the archive alone, and no token needs one."""
    in_schemas = all("." in target.table for target in load_preset(name).target)
    with open_database("postgresql" if in_schemas else "sqlite", folder) as database:
        page = Page(name, database, folder, cli)
        page.fill()

        failed = page.follow()
        ended = page.type(f"status --json --env-file {page.env.name}").document

    assert failed is None, f"{failed.out}\n{failed.err}"
    assert ended["complete"]
    assert ended["uncovered"] == []
    assert {key["state"] for key in ended["keys"]} == {"primary"}
    archived = (folder / f"{name}-retired.keys").read_text()
    raw = {key_set for key_set, keys in page.preset.keys.items() if keys.primary.derive.startswith("raw")}
    assert archived.count("retired") == len(page.preset.keys)
    assert {key_set for key_set in page.preset.keys if page.old(key_set) in archived} == raw
    assert not set(map(page.old, page.preset.keys)) & set(dotenv_values(page.env).values())


def test_columns_that_a_version_lacks_are_noted_in_one_line(folder: Path, cli: Cli) -> None:
    """An admin sees at a glance what was left out; JSON has each with its reason."""
    with open_database("sqlite", folder) as database:
        database.execute(
            "CREATE TABLE connection (id INTEGER PRIMARY KEY, password TEXT, extra TEXT)",
            "CREATE TABLE variable (id INTEGER PRIMARY KEY, val TEXT)",
        )
        config = folder / "rotation.toml"
        config.write_text(f'[[app]]\nname = "airflow"\nurl = "{database.url}"\n')
        shown, found = (
            cli("status", *options, "--config", str(config), environ={"AIRFLOW_KEY": key_text("new")})
            for options in ((), ("--json",))
        )

    absent = ["trigger.kwargs", "connection_test_request.password", "connection_test_request.extra", "xcom.value"]
    assert f"Note: left out, since they are not there: {', '.join(absent)}" in " ".join(shown.out.split())
    assert shown.out.count("left out") == 1
    assert [words.partition(":")[0] for words in found.document["left_out"]] == absent


def test_a_column_that_the_page_does_not_know_stops_it(page: Page) -> None:
    """The search after the run names it, with exit code 1; `run` said so before, and the old key is refused to go."""
    stopped = page.follow()
    looked = page.type(f"status --env-file {page.env.name}")
    refused = page.type(page.since("keys retire")[0])

    assert stopped is not None
    assert (stopped.code, looked.code, refused.code) == (1, 0, 1)
    assert "Not covered by a target: 1 column with tokens." in stopped.out
    assert "data_sources.secret_notes" in stopped.out
    # It is in rotation.toml already.
    assert "init --app" not in stopped.out
    line, _, rest = looked.out.partition("1 column holds tokens and no target covers it: data_sources.secret_notes")
    assert line
    assert "The targets are complete: every token" in rest
    assert rest.rstrip().endswith("Next: keyring-rotate discover --env-file redash.env")
    assert "retire" not in rest
    assert "data_sources.secret_notes: holds tokens, and no target names it" in " ".join(refused.out.split())
    assert page.old("redash") in dotenv_values(page.env).values()


def test_what_the_search_prints_goes_into_rotation_toml(page: Page) -> None:
    """With the entries that it prints, the page goes on from `run` to its end."""
    page.follow()
    found = page.type(f"discover --json --env-file {page.env.name}").document["targets"]
    config = page.folder / "rotation.toml"
    config.write_text(f"{config.read_text()}\n{found}")

    failed = page.follow([f"run --env-file {page.env.name}", *page.since("status")])

    assert failed is None, f"{failed.out}\n{failed.err}"
    assert page.old("redash") not in dotenv_values(page.env).values()
