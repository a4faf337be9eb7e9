"""The order of work for a known application: a preset in, steps out. Each has one sentence or two, and a command."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from keyring_core.names import printable
from rotation.configuration.key_sets import LISTED
from rotation.configuration.presets import Form, Preset, Setting, Step
from rotation.model.next_steps import PROGRAM, quoted


def preset_steps(preset: Preset, env_file: str | None = None, program: str = PROGRAM) -> list[Step]:
    """What to do for *preset* after `init --app`, in order; *env_file* holds its variables."""
    steps = _Steps(preset, env_file or f"{preset.name}.env", program)
    return [*(steps.staged() if preset.way == "staged" else steps.offline())]


class _Steps:
    def __init__(self, preset: Preset, env_file: str, program: str) -> None:
        self.preset, self.env_file, self._argument = preset, printable(env_file), quoted(env_file)
        self._program = program

    def staged(self) -> Iterator[Step]:
        preset = self.preset
        yield from preset.before
        today = self._variables(keys.primary.secret for keys in preset.keys.values())
        older = self._variables(key.secret for keys in preset.keys.values() for key in keys.previous[:1])
        primary = f"the {self._noun} that encrypts today to {today}"
        previous = "an older one, if there is one," if self._derived else "older ones, if there are any,"
        yield self._fill_in(primary, f"{previous} to {older}")
        yield from self._check()
        for name in preset.keys:
            yield self._stage(name)
            yield from self._give(name, "The old key still encrypts; the new one only decrypts.")
            yield self._do(f"keys promote --keys {name}", "Make the new key the one that encrypts.")
            yield from self._give(name, "The new key encrypts from now on.")
        yield from self._move()
        yield from preset.after
        yield from self._end()

    def offline(self) -> Iterator[Step]:
        preset = self.preset
        new = self._variables(keys.primary.secret for keys in preset.keys.values())
        old = self._variables(key.secret for keys in preset.keys.values() for key in keys.previous[:1])
        yield preset.make
        yield from preset.before
        yield self._fill_in(f"the new {self._noun} to {new}", f"the {self._noun} of today to {old}")
        yield from self._check()
        writers = f"every process of {preset.title} that writes to this database"
        yield Step(do=f"Stop {writers}{_example(preset.stop)}", run=preset.stop)
        yield from self._move()
        for setting in preset.setting:
            yield Step(do=f"Set `{setting.name}` to the new one, where {preset.title} reads it: {setting.place}.")
        yield from preset.after
        yield Step(do=f"Start {preset.title}{_example(preset.start)}", run=preset.start)
        opens = f"{preset.title} has to open it with the new {self._noun}"
        yield Step(do=f"Look at one of its secrets, or use it: {opens}.")
        yield Step(do=f"Empty {old} in {self.env_file}. Keep the old {self._noun} with the backups of its time.")

    @property
    def _derived(self) -> bool:
        """Whether a key is made of a secret that is no key itself."""
        return any(each.primary.derive not in LISTED for each in self.preset.keys.values())

    @property
    def _noun(self) -> str:
        return "secret" if self._derived else "key"

    def _fill_in(self, *keys: str) -> Step:
        """Writing *keys*, each in words, and the url into the dotenv file."""
        url = self.preset.url
        parts = [*keys, *([f"the url of the database to {self._variables([url])}"] if url.startswith("$") else [])]
        words = f"In {self.env_file}, write {', '.join(parts[:-1])}, and {parts[-1]}."
        return Step(do=f"{words}{_QUOTES if self._derived else ''}")

    def _variables(self, secrets: Iterable[str]) -> str:
        return " and ".join(dict.fromkeys(f"`{secret.removeprefix('$')}`" for secret in secrets))

    def _check(self) -> Iterator[Step]:
        yield Step(do=f"Back up the database of {self.preset.title}, and its keys in another place.")
        why = "Count the tokens per key. No token may be unreadable: otherwise a key is missing."
        yield self._do("status", f"{why}{self._warning() if self.preset.overwrites else ''}")

    def _warning(self) -> str:
        shows = f"{self.preset.title} shows something else than the secret"
        return f" Do not skip this: with a wrong key {shows}, and may overwrite it."

    def _stage(self, name: str) -> Step:
        keys = self.preset.keys[name]
        if keys.primary.derive == "raw" or keys.staged is None:
            return self._do(f"keys stage --keys {name}", "Make a new key, and stage it.")
        staged = self._variables([keys.staged.secret])
        return Step(do=f"{self.preset.make.do} Write it to {staged} in {self.env_file}.", run=self.preset.make.run)

    def _give(self, name: str, why: str) -> Iterator[Step]:
        for setting in self.preset.setting:
            if self.preset.key_set(setting) == name:
                yield self._do(
                    f"keys list --keys {name} --format {self.preset.name} --show-key",
                    f"Set `{setting.name}` to what this prints, where {self.preset.title} reads it: {setting.place}. "
                    f"Restart all of {self.preset.title}. {why}",
                )

    def _move(self) -> Iterator[Step]:
        yield self._do("run --dry-run", "Look at what a run would do. A dry run changes nothing.")
        yield self._do("run", "Move every token to the new key.")
        sets = " for every key set whose columns are there" if len(self.preset.keys) > 1 else ""
        yield self._do("status", f"Check that this says Complete{sets}. {_INCOMPLETE}")

    def _end(self) -> Iterator[Step]:
        for name in self.preset.keys:
            yield self._do(
                f"keys retire ID --keys {name} --archive {self.preset.name}-retired.keys",
                "Retire the old key. Put its id in place of ID: `status` prints it, with the state previous.",
            )
            yield from self._give(name, "The old key is gone from it.")

    def _do(self, command: str, words: str) -> Step:
        return Step(do=words, run=f"{self._program} {command} --env-file {self._argument}")


def _example(command: str) -> str:
    """The end of a sentence that *command*, if there is one, is an example for."""
    return ", for example:" if command else "."


_QUOTES = " Put single quotes around a secret with blanks, or with characters such as # and $."
_INCOMPLETE = (
    "Otherwise stop here, and keep the old key. If plaintext is all that is left, look at those rows, and go on if "
    "they were never encrypted."
)


class OwnKey(NamedTuple):
    """One key of a set, as `keys list` knows it."""

    id: str
    state: str
    """primary, staged or previous."""
    reveal: Callable[[], str]
    """Returns what the application is to be given: the key's text, or the secret that it is derived from."""


ORDER = ("primary", "staged", "previous")
"""The first key encrypts in every application that takes several."""


def setting_lines(preset: Preset, keys: Sequence[OwnKey], key_set: str | None = None, *, reveal: bool) -> list[str]:
    """The settings of *preset* that *key_set* belongs to, or its first one, with *keys* in the application's form.

    Keys stand there by their ids, such as <5f0c1a9e>; with *reveal* as they are, and the lines are then secret.
    """
    key_set = key_set or preset.key_set(preset.setting[0])
    ordered = sorted(keys, key=lambda key: ORDER.index(key.state))
    shown = [(key.state, key.reveal() if reveal else f"<{key.id}>") for key in ordered]
    settings = [setting for setting in preset.setting if preset.key_set(setting) == key_set]
    return [line for setting in settings for line in [*_comment(setting), *_FORMS[setting.form](setting, shown)]]


def _comment(setting: Setting) -> list[str]:
    # Lines are the file itself, and Pulp does not start if its first line is a comment.
    return [] if setting.form == "lines" else [f"# {setting.place}"]


Shown = Sequence[tuple[str, str]]
"""Keys in the order of `ORDER`: the state, and the text."""


def _joined(separator: str) -> Callable[[Setting, Shown], list[str]]:
    return lambda setting, keys: [f"{setting.name}={separator.join(text for _, text in keys)}"]


def _lines(_: Setting, keys: Shown) -> list[str]:
    return [text for _, text in keys]


def _repeated(setting: Setting, keys: Shown) -> list[str]:
    return [f"{setting.name} = {text}" for _, text in keys]


def _yaml_list(setting: Setting, keys: Shown) -> list[str]:
    return [f"{setting.name}:", *(f"  - {json.dumps(text)}" for _, text in keys)]


def _python_list(setting: Setting, keys: Shown) -> list[str]:
    return [f"{setting.name} = [{', '.join(json.dumps(text) for _, text in keys)}]"]


def _numbered_files(setting: Setting, keys: Shown) -> list[str]:
    """Keystone: the highest number encrypts, 0 is staged, those in between are previous."""
    others = [text for state, text in reversed(keys) if state != "staged"]
    staged = [f"{setting.name}/0: {text}" for state, text in keys if state == "staged"]
    return [*staged, *(f"{setting.name}/{number}: {text}" for number, text in enumerate(others, 1))]


def _one(setting: Setting, keys: Shown) -> list[str]:
    return [f"{setting.name}={text}" for state, text in keys if state == "primary"]


_FORMS: Mapping[Form, Callable[[Setting, Shown], list[str]]] = {
    "comma": _joined(","),
    "semicolon": _joined(";"),
    "lines": _lines,
    "repeated": _repeated,
    "yaml-list": _yaml_list,
    "python-list": _python_list,
    "numbered-files": _numbered_files,
    "one": _one,
}
