"""Known applications, as data: the name of a preset in, its entries of rotation.toml out."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import msgspec

from keyring_core import KeyState
from rotation.configuration.sections import App, AppEntries
from rotation.configuration.settings import Section, SettingError, convert, nearest
from rotation.model.failures import UsageError
from rotation.model.next_steps import Next, Repeats

FOLDER = files("rotation.applications") / "known"
"""One TOML file for each application; its name is the application's."""

SettingForm = Literal["comma", "semicolon", "lines", "repeated", "yaml-list", "python-list", "numbered-files", "one"]
"""The form in which an application takes its keys."""
Way = Literal["staged", "offline"]
"""`staged`: the application decrypts with several keys. `offline`: it knows one, and stops while its tokens move."""


class AppSetting(Section, frozen=True):
    """The place where the application itself reads its keys."""

    name: str
    """The variable or the field."""
    form: SettingForm
    place: str
    """In words: the environment, or the file."""
    keys: str | None = None
    """The key set that goes there; None: the one that has the preset's name."""


class PresetStep(Section, frozen=True):
    """A step of the work, and the command for it, if there is one."""

    do: str
    run: str = ""


class Preset(AppEntries, frozen=True, kw_only=True):
    """All that is known of one application."""

    title: str
    holds: str
    """The secrets that the tokens protect, in a few words."""
    versions: list[str]
    """The versions that were tried, or whose source was read; of one without versions, `commit 1a2b3c4`."""
    read: datetime.date
    """The day on which tables, columns and keys were last compared with the newest source that could be had."""
    evidence: Literal["tried", "by its source"]
    source: list[str]
    """The sources of tables, columns and derivations."""
    unverified: tuple[str, ...] = ()
    served: Literal["yes", "partly"]
    """`yes` if every column that holds its tokens is a target."""
    limits: tuple[str, ...] = ()
    """The limits of a rotation, and facts to know before it."""
    way: Way
    url: str
    """`$NAME` of the variable that holds the database's url; after `init --url` what was given there."""
    recognise: dict[str, list[str]]
    """Tables with columns of text or bytes that together mean: this is that application. No version lacks them."""
    setting: list[AppSetting]
    make: PresetStep = msgspec.field(
        default_factory=lambda: PresetStep(do="Make a new key.", run="keyring-rotate keys generate")
    )
    """The step that makes a new key or secret."""
    before: tuple[PresetStep, ...] = ()
    """The steps of this application before its tokens move."""
    stop: str = ""
    """A command that stops it; only an example."""
    start: str = ""
    after: tuple[PresetStep, ...] = ()
    """The steps of this application after its tokens moved."""
    wrong_key: str
    """Its reaction to a token that its key does not open."""
    overwrites: bool
    """True if it then shows something else in the secret's place, and writes that over the token."""

    @property
    def proof(self) -> str:
        """The evidence, with the versions."""
        versions = ", ".join(self.versions)
        return f"tried with {versions}" if self.evidence == "tried" else f"by its source ({versions}), not tried"

    def key_set(self, setting: AppSetting) -> str:
        """The name of the key set that goes into *setting*."""
        return setting.keys or self.name

    def at(self, url: str) -> Preset:
        """The preset for the database at *url*."""
        targets = [msgspec.structs.replace(target, url=url) for target in self.target]
        return msgspec.structs.replace(self, url=url, target=targets)

    def variables(self) -> dict[str, str]:
        """Every variable that the preset reads, without `$`, with what goes into it."""
        url = f"the url of {self.title}'s database, such as postgresql+psycopg://USER:PASSWORD@HOST/NAME"
        found = {self.url: url} if self.url.startswith("$") else {}
        for keys in self.keys.values():
            for state, _, key in keys.sources():
                if key.cell:
                    continue
                found.setdefault(key.place, _MEANING[self.way][state])
                for part in (key.salt, key.info):
                    if isinstance(part, str) and part.startswith("$"):
                        found.setdefault(part, f"the salt that {self.title} uses")
        return {name.removeprefix("$"): words for name, words in found.items()}


_MEANING: Mapping[Way, Mapping[KeyState, str]] = {
    "staged": {
        KeyState.PRIMARY: "the key that encrypts today",
        KeyState.STAGED: "the next key; empty until one is staged",
        KeyState.PREVIOUS: "older keys that still decrypt, newest first; empty without any",
    },
    "offline": {
        KeyState.PRIMARY: "the new key or secret, which tokens move to",
        KeyState.PREVIOUS: "the key or secret of today, which tokens are under; empty once all have moved",
    },
}


@cache
def preset_names() -> tuple[str, ...]:
    """The names of all presets, in order."""
    return tuple(sorted(path.name.removesuffix(".toml") for path in FOLDER.iterdir() if path.name.endswith(".toml")))


@cache
def load_preset(name: str) -> Preset:
    """The preset called *name*. Raises UsageError, with the nearest name, if it is not known."""
    if name not in preset_names():
        near = nearest(name, preset_names(), cutoff=0.5)
        meant = f"; did you mean {near}?" if near else ""
        unknown = f"no application is called {name!r}{meant}; to list all:"
        raise UsageError(Next(("init", "--app"), unknown, repeats=Repeats.NONE))
    data = tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8"))
    # What each target of a preset has in common is written once: the url, and the key set of the preset's name.
    for target in data["target"]:
        # A version may lack a table or a column, but for those that the application is recognised by.
        if not {*target["columns"]} <= {*data["recognise"].get(target["table"], ())}:
            target["optional"] = True
    data["target"] = [{"url": data["url"], "keys": name, **target} for target in data["target"]]
    return msgspec.convert({"name": name, **data}, Preset)


def presets_of(entries: Iterable[Any]) -> list[Preset]:
    """The presets that the `[[app]]` *entries* of a rotation.toml stand for, each with the entry's url.

    Raises SettingError for an app that does not fit or is not known; the message quotes no value but the app's name.
    """
    apps = [convert(app, App, f"[[app]] {number}") for number, app in enumerate(entries, 1)]
    unknown = None
    try:
        presets = [load_preset(app.name).at(app.url) for app in apps]
    except UsageError as error:
        unknown = error
    if unknown:
        raise SettingError("[[app]]", str(unknown), *unknown.args)
    if len({(app.name, app.url) for app in apps}) < len(apps):
        raise SettingError("[[app]]", "an application is there twice, with the same url")
    return presets


def recognised(tables: Mapping[str, Collection[str]]) -> list[str]:
    """The names of the applications whose tables are there: *tables* with their columns, as targets name them."""
    columns: dict[str, set[str]] = {}
    for table, names in tables.items():
        columns.setdefault(table.rpartition(".")[2], set()).update(names)
    marks = {name: load_preset(name).recognise for name in preset_names()}
    return [
        name
        for name, its in marks.items()
        if all(columns.get(table.rpartition(".")[2], set()).issuperset(names) for table, names in its.items())
    ]


def recognised_steps(
    tables: Mapping[str, Collection[str]], url: str = "", *, besides: Collection[str] = ()
) -> list[Next]:
    """The steps that `discover` proposes for the applications whose *tables* are there; *url* as it was written.

    None for those *besides*, which rotation.toml has.
    """
    return [
        Next(
            ("init", "--app", name, *(("--url", url) if url else ())),
            f"These tables are {load_preset(name).title}'s:",
            repeats=Repeats.NONE,
        )
        for name in recognised(tables)
        if name not in besides
    ]
