"""rotation.toml in; targets, policy, key sets and ignored columns out."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from keyring_core.sources import read_regular
from rotation.configuration.key_sets import KeySet, check_name, check_sets, keep_from_key_commands
from rotation.configuration.policy import Policy
from rotation.configuration.sections import Declaration, EntriesOf, Ignored, TargetEntry, Top
from rotation.configuration.settings import SettingError, convert, section_settings
from rotation.configuration.targets import make_targets, refuse_changing_salts, refuse_rivals, without_repeats
from rotation.configuration.urls import holds_password
from rotation.model.failures import UsageError
from rotation.model.next_steps import Next
from rotation.model.target import Target


class ConfigFile(NamedTuple):
    """A rotation.toml. Its methods raise UsageError; the message names the fault, and shows no value."""

    path: Path
    top: Top
    entries: list[TargetEntry]
    declarations: list[Declaration]
    """The entries whose columns models name."""
    keys: dict[str, KeySet]
    policy: Policy
    ignores: list[Ignored]
    apps: list[str]
    """The known application of each entry of a preset; these are the last ones."""

    def checked_top(self) -> Top:
        """The settings at its top: the dotenv file, whose path counts from its folder, and the ledger."""
        env_file, ledger = self.top.env_file, self.top.ledger
        for setting, value in (("env_file", env_file), ("ledger", ledger)):
            if value is not None and not value.strip():
                raise UsageError(f"{self.path}, {setting}: is empty; leave it out")
        if ledger and holds_password(ledger):
            fault = 'holds a password; put the URL into a variable, and write ledger = "$NAME"'
            raise UsageError(f"{self.path}, ledger: {fault}")
        return self.top

    def targets(
        self, environ: Mapping[str, str], *, needed: bool = True, declared: Sequence[Target] = ()
    ) -> list[Target]:
        """The targets; `$NAME` in a url is read from *environ*. Raises UsageError without any if one is *needed*.

        *declared*, the targets of its entries that name models, follow.
        """
        folder = self.path.parent
        named = [
            replace(target, app=app)
            for app, entry in zip([*[""] * (len(self.entries) - len(self.apps)), *self.apps], self.entries, strict=True)
            for target in make_targets(entry, environ=environ, folder=folder)
        ]
        targets = [replace(target, listed=True) for target in (*named, *declared)]
        if needed and not targets:
            raise UsageError(
                f"{self.path}: names no target, so there is nothing to rotate. Each is a [[target]] with url, table "
                "and columns, or with models or django"
            )
        entries = [(entry.keys, f"target {entry.table}") for entry in self.entries]
        for keys, whose in (*entries, *((each.keys, each.place) for each in self.declarations)):
            if keys is not None:
                check_name(keys, self.keys, environ, f"{whose}: keys")
        refuse_rivals(targets)
        refuse_changing_salts(targets, {name: keys.salt_columns for name, keys in self.keys.items()})
        return without_repeats(targets)

    def models(self) -> list[Declaration]:
        """The models whose columns are to have targets."""
        models = [Declaration(models=each) for each in self.top.models]
        return [*models, Declaration(django=self.top.django)] if self.top.django is not None else models

    def key_sets(self) -> Mapping[str, KeySet]:
        """The key sets, by their names; no key is read."""
        check_sets(self.keys)
        return self.keys


def read_config(path: Path, entries_of: EntriesOf) -> ConfigFile:
    """The rotation.toml at *path*; *entries_of* knows applications. Raises UsageError naming the file and the fault."""
    step: Next | None = None
    try:
        return _parsed(path, read_toml(path), entries_of)
    except OSError as error:
        named = "Name it with --config or ROTATION_CONFIG, or give --url, --table and --column"
        tilde = "; no shell replaced the ~, so write the path in full" if path.parts[:1] == ("~",) else ""
        whereabouts = "" if path.is_absolute() else f" (that is {path.absolute()}{tilde})"
        fault = f"{whereabouts}: {error.strerror}. {named}"
        if isinstance(error, FileNotFoundError):
            fault, step = f"{fault}.", Next(("init",), "To write one:")
    except SettingError as error:
        fault, step = f"{', ' if error.place else ': '}{error}", error.step
        if step:
            fault = f", {error.place}:"
    except ValueError as error:
        # From the parser.
        fault = f": {error}"
    raise UsageError(step.after(f"{path}{fault}") if step else f"{path}{fault}")


def _parsed(path: Path, table: dict[str, Any], entries_of: EntriesOf) -> ConfigFile:
    top = convert(table, Top, "")
    presets = entries_of(top.app) if top.app else ()
    targets: list[TargetEntry] = []
    declarations: list[Declaration] = []
    for number, entry in enumerate(top.target, 1):
        place = f"[[target]] {number}"
        if isinstance(entry, dict) and not {"models", "django"}.isdisjoint(entry):
            declarations.append(_declaration(entry, place))
        else:
            targets.append(convert(entry, TargetEntry, place, Declaration))
    # A preset's entries stand behind the file's own, and a key set of the file in place of a preset's.
    own = {name: convert(keys, KeySet, f"[keys.{name}]") for name, keys in top.keys.items()}
    sets = {name: keys for preset in reversed(presets) for name, keys in preset.keys.items()} | own
    keep_from_key_commands(sets)
    targets += [target for preset in presets for target in preset.target]
    places: list[TargetEntry | Declaration] = [*targets, *declarations]
    return ConfigFile(
        path,
        top,
        targets,
        declarations,
        {name: keys.at({each.url for each in places if each.keys == name and each.url}) for name, keys in sets.items()},
        convert(top.policy, Policy, "[policy]"),
        [
            *(convert(entry, Ignored, f"[[ignore]] {number}") for number, entry in enumerate(top.ignore, 1)),
            *(ignored for preset in presets for ignored in preset.ignore),
        ],
        [preset.name for preset in presets for _ in preset.target],
    )


def _declaration(entry: Mapping[str, Any], place: str) -> Declaration:
    """The `[[target]]` *entry*, which stands at *place*. Raises SettingError, which names what it cannot have."""
    kind = "models" if "models" in entry else "django"
    named = section_settings(TargetEntry).keys() - section_settings(Declaration).keys()
    if extra := [name for name in entry if name in named]:
        words = f"a [[target]] with {kind} takes no {' and no '.join(extra)}: the models say which columns"
        raise SettingError(place, words)
    declaration = convert(entry, Declaration, place, TargetEntry)
    if declaration.models is not None and declaration.url is None:
        raise SettingError(place, "a [[target]] with models needs a url")
    return declaration


DEPTH = 16
"""The most nested brackets, or dots in a name: the parser's time grows with the square of their number."""

_PARTS = re.compile(
    # A string that does not end extends to the end of its line, or of the file, so each character is read once.
    r'"""(?:\\.|[^\\])*?(?:"""|\Z)'
    r"|'''.*?(?:'''|\Z)"
    r'|"(?:\\[^\n]|[^"\\\n])*"?'
    r"|'[^'\n]*'?"
    r"|\#[^\n]*"
    r"|[.\[\]{}=,\n]",
    re.DOTALL,
)

_TWICE = "this is there twice; drop one, and write [[target]], with two brackets, above the settings of each target"
_BACKSLASH = "in double quotes a \\ begins an escape; put a Windows path or a pattern into 'single quotes'"
_FAULTS = {
    "Illegal character '\\n'": "the text in this line has no closing quote",
    "Unterminated string": "a text has no closing quotes",
    "Unescaped '\\'": _BACKSLASH,
    "Invalid hex value": _BACKSLASH,
    "Cannot declare": _TWICE,
    "Cannot overwrite": _TWICE,
    "Cannot mutate": _TWICE,
    "Invalid value": 'a value is a "text" in quotes, a number, true, false, or a ["list"]',
    "Expected newline": "the value ends before this; a text stands in quotes as a whole, and each setting in a line",
    "Expected '='": 'a setting is written as name = "value"',
    "Invalid statement": 'a line is name = "value", [policy] or [[target]]',
    "Invalid initial character": "a name has letters, digits, - and _; a { table } stands in one line",
    "Expected ']'": "a closing bracket is missing, as in [policy] or [[target]]",
    "Unclosed array": "a list lacks its closing ], or a comma between two parts",
    "Unclosed inline table": "a { table } lacks its closing } in the same line, or a comma between two parts",
}
"""The parser's words, which may go on with a part of the file, and what to do."""


def read_toml(path: Path) -> dict[str, Any]:
    """The table in the file at *path*.

    Raises OSError if it cannot be read, and ValueError if it is no TOML; the message gives the position, no content.
    """
    data, _ = read_regular(path, "rotation.toml")
    try:
        text = data.decode("utf-8")
        line = _too_deep(text)
        if line is None:
            return tomllib.loads(text)
        fault = f"line {line}: nested more than {DEPTH} deep"
    except UnicodeDecodeError as error:
        fault = f"not TOML, which is UTF-8 (byte {error.start + 1})"
    except ValueError as error:
        # The parser's message quotes the text; its position does not.
        position = re.search(r"line \d+, column \d+|at end of document", str(error))
        place = f" ({position[0]})" if position else ""
        words = next((f": {words}" for start, words in _FAULTS.items() if str(error).startswith(start)), "")
        fault = f"not TOML{place}{words}"
    raise ValueError(fault)


def _too_deep(text: str) -> int | None:
    """The first line with too many nested brackets or dotted names; None without one."""
    brackets = dots = 0
    for part in _PARTS.finditer(text):
        sign = part[0]
        if sign == ".":
            dots += 1
        elif sign in {"[", "{"}:
            brackets, dots = brackets + 1, 0
        elif sign in {"]", "}"}:
            brackets, dots = max(brackets - 1, 0), 0
        elif sign in {"=", ",", "\n"}:
            dots = 0
        if brackets > DEPTH or dots > DEPTH:
            return text.count("\n", 0, part.start()) + 1
    return None
