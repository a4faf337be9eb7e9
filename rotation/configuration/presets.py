"""What is known of applications, as data: a preset in, the entries of rotation.toml for it out."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import msgspec

from rotation.configuration.setting_faults import SettingError, convert
from rotation.model.failures import UsageError
from rotation.model.next_steps import PROGRAM, Next, Repeats

FOLDER = files("rotation") / "presets"
"""One TOML file for each application; its name is the application's."""

Form = Literal["comma", "semicolon", "lines", "repeated", "yaml-list", "python-list", "numbered-files", "one"]
"""How an application takes its keys."""
Way = Literal["staged", "offline"]
"""Whether an application decrypts with several keys, or knows one and has to be stopped while its tokens move."""


class _Data(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A part of a preset. Unknown fields are refused."""


class PresetKey(_Data):
    """One key of a set, as rotation.toml writes it."""

    secret: str
    """`$NAME` of the variable that holds the secret."""
    derive: str = "raw"
    salt: str | None = None
    info: str | None = None
    iterations: int | None = None


class PresetKeys(_Data):
    """`[keys.NAME]`, as rotation.toml writes it."""

    primary: PresetKey
    staged: PresetKey | None = None
    previous: list[PresetKey] = []

    def by_role(self) -> list[tuple[str, PresetKey]]:
        """Each key with its state, the primary first."""
        staged = [("staged", self.staged)] if self.staged else []
        return [("primary", self.primary), *staged, *(("previous", key) for key in self.previous)]


class PresetTarget(_Data):
    """`[[target]]` without a url, as rotation.toml writes it."""

    table: str
    columns: list[str]
    keys: str | None = None
    """The key set; None: the one that has the preset's name."""
    format: Literal["token", "embedded", "base64", "hex"] = "token"
    where: str | None = None
    set: dict[str, str] = {}


class Ignored(_Data):
    """`[[ignore]]`, as rotation.toml writes it."""

    table: str
    columns: list[str]
    reason: str


class Setting(_Data):
    """Where the application itself reads its keys."""

    name: str
    """The variable or the field."""
    form: Form
    place: str
    """In words: the environment, or the file."""
    keys: str | None = None
    """The key set that goes there; None: the one that has the preset's name."""


class Step(_Data):
    """What to do, and what to type for it, if anything."""

    do: str
    run: str = ""


class Preset(_Data, kw_only=True):
    """What is known of one application."""

    name: str
    title: str
    holds: str
    """What the tokens protect, in a few words."""
    versions: list[str]
    """Those that were tried, or whose source was read."""
    evidence: Literal["tried", "by its source"]
    source: list[str]
    """What tables, columns and derivations were read from."""
    unverified: list[str] = []
    served: Literal["yes", "partly"]
    """Whether every column that holds its tokens is a target."""
    limits: list[str] = []
    """What a rotation does not reach, and what to know before it."""
    way: Way
    url: str
    """`$NAME` of the variable that holds the database's url; after `init --url` what was given there."""
    recognise: dict[str, list[str]]
    """Tables with columns of text or bytes that together mean: this is that application. No version lacks them."""
    keys: dict[str, PresetKeys]
    target: list[PresetTarget]
    ignore: list[Ignored] = []
    setting: list[Setting]
    make: Step = msgspec.field(default_factory=lambda: Step(do="Make a new key.", run="keyring-rotate keys generate"))
    """How to make a new key or secret."""
    before: list[Step] = []
    """What this application needs before its tokens move."""
    stop: str = ""
    """A command that stops it; only an example."""
    start: str = ""
    after: list[Step] = []
    """What this application needs after its tokens moved."""
    wrong_key: str
    """What it does with a token that its key does not open."""
    overwrites: bool
    """Whether it then shows something else in the secret's place, and writes that over the token."""

    @property
    def proof(self) -> str:
        """Whether it was tried, and with which versions."""
        versions = ", ".join(self.versions)
        return f"tried with {versions}" if self.evidence == "tried" else f"by its source ({versions}), not tried"

    def key_set(self, part: PresetTarget | Setting) -> str:
        """The name of the key set that a target or a setting uses."""
        return part.keys or self.name

    def is_optional(self, target: PresetTarget) -> bool:
        """Whether a version may lack the table or a column of it: all but what the application is recognised by."""
        return not set(target.columns) <= set(self.recognise.get(target.table, ()))

    def variables(self) -> dict[str, str]:
        """Every variable that the preset reads, without `$`, with what goes into it."""
        url = f"the url of {self.title}'s database, such as postgresql+psycopg://USER:PASSWORD@HOST/NAME"
        found = {self.url: url} if self.url.startswith("$") else {}
        for keys in self.keys.values():
            for role, key in keys.by_role():
                found.setdefault(key.secret, _MEANING[self.way][role])
                for part in (key.salt, key.info):
                    if part is not None and part.startswith("$"):
                        found.setdefault(part, f"the salt that {self.title} uses")
        return {name.removeprefix("$"): words for name, words in found.items()}


_MEANING: Mapping[Way, Mapping[str, str]] = {
    "staged": {
        "primary": "the key that encrypts today",
        "staged": "the next key; empty until one is staged",
        "previous": "older keys that still decrypt, newest first; empty if there is none",
    },
    "offline": {
        "primary": "the new key or secret, which tokens move to",
        "previous": "the key or secret of today, which tokens are under; empty once all have moved",
    },
}


@cache
def preset_names() -> tuple[str, ...]:
    """The names of all presets, in order."""
    return tuple(sorted(path.name.removesuffix(".toml") for path in FOLDER.iterdir() if path.name.endswith(".toml")))


@cache
def load_preset(name: str) -> Preset:
    """The preset called *name*. Raises UsageError, with the nearest name, if there is none."""
    if name not in preset_names():
        raise UsageError(f"no application is called {name!r}{_near(name)}; {PROGRAM} init --app lists all")
    data = tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8"))
    return msgspec.convert({"name": name, **data}, Preset)


def _near(name: str) -> str:
    found = difflib.get_close_matches(name.lower(), preset_names(), n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else ""


class App(_Data):
    """`[[app]]` of rotation.toml."""

    name: str
    url: str


def with_presets(table: Mapping[str, Any]) -> dict[str, Any]:
    """*table*, a rotation.toml, with each `[[app]]` replaced by the preset's targets, key sets and ignored columns.

    They stand behind the file's own entries. A key set of the same name in the file is used in place of the preset's.
    Raises SettingError for an app that does not fit or is not known; the message quotes no value but the app's name.
    """
    found = dict(table)
    apps = [convert(app, App, f"[[app]] {number}", "app") for number, app in enumerate(found.pop("app", []), 1)]
    fault = None
    try:
        entries = [(load_preset(app.name), app.url) for app in apps]
    except UsageError as error:
        fault = str(error)
    if fault:
        raise SettingError("[[app]]", fault)
    if len({(app.name, app.url) for app in apps}) < len(apps):
        raise SettingError("[[app]]", "an application is there twice, with the same url")
    for preset, url in entries:
        found["target"] = [*found.get("target", ()), *target_entries(preset, url)]
        found["ignore"] = [*found.get("ignore", ()), *map(msgspec.to_builtins, preset.ignore)]
        found["keys"] = {**key_entries(preset), **found.get("keys", {})}
    return found


def target_entries(preset: Preset, url: str) -> list[dict[str, Any]]:
    """The `[[target]]` entries of *preset* for the database at *url*, in the form of rotation.toml."""
    return [
        {
            "url": url,
            **msgspec.to_builtins(target),
            "keys": preset.key_set(target),
            **({"optional": True} if preset.is_optional(target) else {}),
        }
        for target in preset.target
    ]


def key_entries(preset: Preset) -> dict[str, Any]:
    """The `[keys.NAME]` tables of *preset*, in the form of rotation.toml."""
    found: dict[str, Any] = msgspec.to_builtins(preset.keys)
    return found


def recognised(tables: Mapping[str, Collection[str]]) -> list[str]:
    """The names of the applications whose tables are there: *tables* with their columns, as targets name them."""
    columns: dict[str, set[str]] = {}
    for table, names in tables.items():
        columns.setdefault(table.rpartition(".")[2], set()).update(names)
    return [name for name in preset_names() if _is_there(load_preset(name).recognise, columns)]


def _is_there(marks: Mapping[str, Iterable[str]], columns: Mapping[str, set[str]]) -> bool:
    return all(columns.get(table.rpartition(".")[2], set()).issuperset(names) for table, names in marks.items())


def recognised_step(name: str, url: str = "") -> Next:
    """The step that `discover` proposes for an application that it recognises; *url* as it was written."""
    words = ("init", "--app", name, *(("--url", url) if url else ()))
    return Next(words, f"These tables are {load_preset(name).title}'s:", repeats=Repeats.NONE)
