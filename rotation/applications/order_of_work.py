"""What `init` writes for a known application, and the order of work: a preset in; files' texts and steps out.

Writes nothing itself. Each step has one sentence or two, and a command.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from keyring_core.errors import printable
from rotation.applications.presets import AppSetting, Preset, PresetStep, SettingForm, presets_of
from rotation.configuration.config_file import read_toml
from rotation.configuration.key_sources import LISTED
from rotation.configuration.urls import for_folder
from rotation.model.failures import UsageError
from rotation.model.next_steps import PROGRAM, shell_word


def begin(
    preset: Preset, config: Path, env_file: Path | None, program: str, *, append: bool
) -> tuple[str, str, list[PresetStep], list[str]]:
    """The beginning with the application of *preset*: what `init` writes and says.

    The new text of rotation.toml; the dotenv file's: empty variables, each with what goes in; the steps; and what to
    know of the application, a line each.

    Raises UsageError if *config* is there, unless *append* is given and the entry fits in, and if *env_file* is there.
    """
    entry = f"[[app]]\nname = {json.dumps(preset.name)}\nurl = {json.dumps(for_folder(preset.url, config.parent))}\n"
    text = _config_text(config, entry, append=append)
    if env_file and env_file.exists():
        raise UsageError(f"--env-file {env_file}: is there already; nothing was changed. Name a new file")
    lines = [f"# Variables of the preset {preset.name}. Secrets: never commit this file.", ""]
    for variable, words in preset.variables().items():
        lines += [f"# {words}", f"{variable}=", ""]
    steps = preset_steps(preset, str(env_file) if env_file else None, program)
    return text, "\n".join(lines), steps, [*_words(preset, env_file, append=append)]


def _config_text(path: Path, entry: str, *, append: bool) -> str:
    """The new text of *path*."""
    if not path.exists():
        return f"# Which columns hold tokens, and which keys open them: from the preset.\n{entry}"
    if not append:
        words = f"{path}: is there already; nothing was changed. Add this to it, or say --append:"
        raise UsageError(words, "", *entry.splitlines())
    fault, text = None, ""
    try:
        read_toml(path)
        text = f"{path.read_text().rstrip()}\n\n{entry}"
        presets_of(tomllib.loads(text)["app"])
    except (OSError, ValueError) as error:
        fault = (error.strerror if isinstance(error, OSError) else str(error)) or "cannot be read"
    if fault:
        raise UsageError(f"{path}: {fault}; nothing was changed")
    return text


def _words(preset: Preset, env_file: Path | None, *, append: bool) -> Iterator[str]:
    yield f"{preset.title}: {preset.proof}."
    yield from (f"Note: {words}" for words in preset.limits)
    yield from (f"Not verified: {words}" for words in preset.unverified)
    yield f"With a wrong key: {preset.wrong_key}"
    if env_file:
        yield f"Fill in {shell_word(str(env_file))}, and keep it out of version control."
    else:
        make = f"Make a file {preset.name}.env that only you can read (--env-file would have made it), with:"
        yield "Add these variables to the dotenv file that your commands read:" if append else make
        yield from (f"  {name}: {words}" for name, words in preset.variables().items())


def preset_steps(preset: Preset, env_file: str | None = None, program: str = PROGRAM) -> list[PresetStep]:
    """The steps for *preset* after `init --app`, in order; *env_file* holds its variables."""
    steps = _Steps(preset, env_file or f"{preset.name}.env", program)
    return [*(steps.staged() if preset.way == "staged" else steps.offline())]


class _Steps:
    def __init__(self, preset: Preset, env_file: str, program: str) -> None:
        self.preset, self.env_file, self._argument = preset, printable(env_file), shell_word(env_file)
        self._program = program

    def staged(self) -> Iterator[PresetStep]:
        preset = self.preset
        yield from preset.before
        today = self._variables(keys.primary.place for keys in preset.keys.values() if not keys.primary.cell)
        older = self._variables(key.place for keys in preset.keys.values() for key in keys.previous[:1])
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
        for names in self._sharing():
            yield self._retire(names)
            for name in names:
                yield from self._give(name, "The old key is gone from it.")

    def offline(self) -> Iterator[PresetStep]:
        preset = self.preset
        new = self._variables(keys.primary.place for keys in preset.keys.values() if not keys.primary.cell)
        old = self._variables(key.place for keys in preset.keys.values() for key in keys.previous[:1])
        yield preset.make
        yield from preset.before
        yield self._fill_in(f"the new {self._noun} to {new}", f"the {self._noun} of today to {old}")
        yield from self._check()
        writers = f"every process of {preset.title} that writes to this database"
        yield PresetStep(do=f"Stop {writers}{_example(preset.stop)}", run=preset.stop)
        yield from self._move()
        for setting in preset.setting:
            yield PresetStep(do=f"Set `{setting.name}` to the new one, where {preset.title} reads it: {setting.place}.")
        yield from preset.after
        yield PresetStep(do=f"Start {preset.title}{_example(preset.start)}", run=preset.start)
        opens = f"{preset.title} has to open it with the new {self._noun}"
        yield PresetStep(do=f"Look at one of its secrets, or use it: {opens}.")
        for names in self._sharing():
            yield self._retire(names)

    @property
    def _derived(self) -> bool:
        """True if a key is made of a secret that is no key itself."""
        return any(each.primary.derive not in LISTED for each in self.preset.keys.values())

    @property
    def _noun(self) -> str:
        return "secret" if self._derived else "key"

    def _fill_in(self, *keys: str) -> PresetStep:
        """Writing *keys*, each in words, and the url into the dotenv file."""
        url = self.preset.url
        parts = [*keys, *([f"the url of the database to {self._variables([url])}"] if url.startswith("$") else [])]
        words = f"In {self.env_file}, write {', '.join(parts[:-1])}, and {parts[-1]}."
        return PresetStep(do=f"{words}{_QUOTES if self._derived else ''}")

    def _variables(self, secrets: Iterable[str]) -> str:
        return " and ".join(dict.fromkeys(f"`{secret.removeprefix('$')}`" for secret in secrets))

    def _check(self) -> Iterator[PresetStep]:
        yield PresetStep(do=f"Back up the database of {self.preset.title}, and its keys in another place.")
        why = "Count the tokens per key. No token may be unreadable: otherwise a key is missing."
        if self.preset.overwrites:
            shows = f"{self.preset.title} shows something else than the secret"
            why += f" Do not skip this: with a wrong key {shows}, and may overwrite it."
        yield self._do("status", why)

    def _stage(self, name: str) -> PresetStep:
        keys = self.preset.keys[name]
        if keys.primary.derive == "raw" or keys.staged is None:
            return self._do(f"keys stage --keys {name}", "Make a new key, and stage it.")
        staged = self._variables([keys.staged.place])
        return PresetStep(
            do=f"{self.preset.make.do} Write it to {staged} in {self.env_file}.", run=self.preset.make.run
        )

    def _give(self, name: str, why: str) -> Iterator[PresetStep]:
        for setting in self.preset.setting:
            if self.preset.key_set(setting) == name:
                yield self._do(
                    f"keys list --keys {name} --format {self.preset.name} --show-key",
                    f"Set `{setting.name}` to what this prints, where {self.preset.title} reads it: {setting.place}. "
                    f"Restart all of {self.preset.title}. {why}",
                )

    def _move(self) -> Iterator[PresetStep]:
        yield self._do("run --dry-run", "Look at what a run would do. A dry run changes nothing.")
        yield self._do("run", "Move every token to the new key.")
        sets = " for every key set whose columns are there" if len(self.preset.keys) > 1 else ""
        yield self._do("status", f"Check that this says Complete{sets}. {_INCOMPLETE}")
        yield self._do("discover", _SEARCH)

    def _sharing(self) -> list[list[str]]:
        """The key sets that have previous keys; those whose older key is made of one secret stand together."""
        places: dict[str, list[str]] = {}
        for name, keys in self.preset.keys.items():
            for source in keys.previous[:1]:
                places.setdefault(source.place, []).append(name)
        return list(places.values())

    def _retire(self, names: Sequence[str]) -> PresetStep:
        """The retirement of the old key of the sets *names*, which is the proof that nothing needs it."""
        first, *others = names
        old, archive = self.preset.keys[first].previous[0], f"{self.preset.name}-retired.keys"
        of_set = f" for the key set {first}" if len(self.preset.keys) > 1 else ""
        with_it = f", and so do the old keys of {' and '.join(others)}, made of the same secret" if others else ""
        keep = f"--archive {archive}"
        if any(self.preset.keys[name].salt_columns for name in names):
            # An archive holds keys, and none for each of very many rows.
            keep, kept = "--no-archive", "Keep the old secret with the backups of its time: each row has its own key."
        elif old.derive in LISTED:
            kept = f"`{archive}` keeps the old key for the backups of its time."
        else:
            made = f"the Fernet {'keys' if others else 'key'} made of the old secret"
            kept = f"`{archive}` keeps {made}: keep the secret, too, with the backups of its time."
        words = (
            "Retire the old key: this reads everything once more, and refuses if anything needs the key. Put its id in "
            f"place of ID: `status` prints it{of_set}, with the state previous. "
            f"The key leaves {self.env_file}{with_it}. {kept}"
        )
        return self._do(f"keys retire ID --keys {first} {keep}", words)

    def _do(self, command: str, words: str) -> PresetStep:
        return PresetStep(do=words, run=f"{self._program} {command} --env-file {self._argument}")


def _example(command: str) -> str:
    """The end of a sentence that *command*, if there is one, is an example for."""
    return ", for example:" if command else "."


_QUOTES = " Put single quotes around a secret with blanks, or with characters such as # and $."
_INCOMPLETE = (
    "Otherwise stop here, and keep the old key. If plaintext is all that is left, look at those rows, and go on if "
    "they were never encrypted."
)
_SEARCH = (
    "Search for columns with tokens that are not known here, as a newer version may have. It must say `No uncovered "
    "column with tokens was found.`, with exit code 0. Otherwise keep the old key, add the entries that it prints to "
    "rotation.toml, and go back to `run`. If a column is another application's, name it in an `[[ignore]]`."
)


class OwnKey(NamedTuple):
    """One key of a set, as `keys list` knows it."""

    id: str
    state: str
    """primary, staged, previous or suspended."""
    reveal: Callable[[], str]
    """Returns what the application is to be given: the key's text, or the secret that it is derived from."""


def setting_lines(preset: Preset, keys: Sequence[OwnKey], key_set: str | None = None, *, reveal: bool) -> list[str]:
    """The settings of *preset* that *key_set* belongs to, or its first one, with *keys* in the application's form.

    Keys stand there by their ids, such as <5f0c1a9e>; with *reveal* as they are, and the lines are then secret.
    An application knows no suspended keys, so it gets none of them, and refuses their tokens as unknown ones.
    """
    key_set = key_set or preset.key_set(preset.setting[0])
    # The first key encrypts in every application that takes several.
    order = ("primary", "staged", "previous")
    ordered = sorted((key for key in keys if key.state in order), key=lambda key: order.index(key.state))
    shown = [(key.state, key.reveal() if reveal else f"<{key.id}>") for key in ordered]
    lines: list[str] = []
    for setting in (each for each in preset.setting if preset.key_set(each) == key_set):
        # Lines are the file itself, and Pulp does not start if its first line is a comment.
        comment = [] if setting.form == "lines" else [f"# {setting.place}"]
        lines += [*comment, *_FORMS[setting.form](setting, shown)]
    return lines


Shown = Sequence[tuple[str, str]]
"""Keys in their order: the state, and the text."""


def _numbered_files(setting: AppSetting, keys: Shown) -> list[str]:
    """Keystone: the highest number encrypts, 0 is staged, those in between are previous."""
    others = [text for state, text in reversed(keys) if state != "staged"]
    staged = [f"{setting.name}/0: {text}" for state, text in keys if state == "staged"]
    return [*staged, *(f"{setting.name}/{number}: {text}" for number, text in enumerate(others, 1))]


_FORMS: Mapping[SettingForm, Callable[[AppSetting, Shown], list[str]]] = {
    "comma": lambda setting, keys: [f"{setting.name}={','.join(text for _, text in keys)}"],
    "semicolon": lambda setting, keys: [f"{setting.name}={';'.join(text for _, text in keys)}"],
    "lines": lambda _, keys: [text for _, text in keys],
    "repeated": lambda setting, keys: [f"{setting.name} = {text}" for _, text in keys],
    "yaml-list": lambda setting, keys: [f"{setting.name}:", *(f"  - {json.dumps(text)}" for _, text in keys)],
    "python-list": lambda setting, keys: [f"{setting.name} = [{', '.join(json.dumps(text) for _, text in keys)}]"],
    "numbered-files": _numbered_files,
    "one": lambda setting, keys: [f"{setting.name}={text}" for state, text in keys if state == "primary"],
}
