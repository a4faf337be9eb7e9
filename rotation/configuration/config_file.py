"""rotation.toml in; targets, policy, key sets and ignored columns out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rotation.configuration.declarations import make_declaration
from rotation.configuration.key_sets import KeySet, check_name, check_set
from rotation.configuration.policy import Policy
from rotation.configuration.sections import Declaration, Ignored, TargetEntry, Top
from rotation.configuration.settings import SettingError, convert
from rotation.configuration.targets import make_targets, refuse_rivals, without_repeats
from rotation.configuration.toml_file import read_toml
from rotation.configuration.urls import holds_password
from rotation.model.failures import UsageError
from rotation.model.invocation import command_line
from rotation.model.target import Target


class _File(NamedTuple):
    top: Top
    targets: list[TargetEntry]
    declarations: list[Declaration]
    keys: dict[str, KeySet]
    policy: Policy
    ignored: list[Ignored]


class Surroundings(NamedTuple):
    """The dotenv file and the ledger that rotation.toml names at its top."""

    env_file: Path | None = None
    """A relative path counts from the folder of rotation.toml."""
    ledger: str | None = None
    """The ledger's database, as it was written."""


def load_surroundings(path: Path) -> Surroundings:
    """The surroundings that the rotation.toml at *path* names. Raises UsageError naming the file and the fault."""
    file = _read(path).top
    for setting in ("env_file", "ledger"):
        if (value := getattr(file, setting)) is not None and not value.strip():
            raise UsageError(f"{path}, {setting}: is empty; leave it out")
    if file.ledger and holds_password(file.ledger):
        raise UsageError(f'{path}, ledger: holds a password; put the URL into a variable, and write ledger = "$NAME"')
    return Surroundings(Path(file.env_file) if file.env_file else None, file.ledger)


def load_policy(path: Path) -> Policy:
    """The policy of the rotation.toml at *path*. Raises UsageError naming the file and the fault."""
    return _read(path).policy


def load_targets(
    path: Path, environ: Mapping[str, str], *, needed: bool = True, declared: Sequence[Target] = ()
) -> list[Target]:
    """The targets of the rotation.toml at *path*; `$NAME` in a url is read from *environ*.

    *declared*, the targets of its entries that name models, follow. Raises UsageError naming the file and the fault,
    also if it names no target and one is *needed*; values are not shown.
    """
    file = _read(path)
    listed = [
        replace(target, listed=True)
        for entry in file.targets
        for target in make_targets(entry, environ=environ, folder=path.parent)
    ]
    targets = [*listed, *declared]
    if needed and not targets:
        raise UsageError(
            f"{path}: names no target, so there is nothing to rotate. Each is a [[target]] with url, table and columns"
            ", or with models or django"
        )
    for target in targets:
        if target.keys is not None:
            check_name(target.keys, file.keys, f"target {target.table}: keys")
    refuse_rivals(targets)
    return without_repeats(targets)


def load_declarations(path: Path) -> list[Declaration]:
    """The entries of the rotation.toml at *path* whose columns models name. Raises UsageError; imports no model."""
    return _read(path).declarations


def load_models(path: Path) -> list[Declaration]:
    """The models whose columns are to have targets, by the rotation.toml at *path*. Raises UsageError, as above."""
    file = _read(path).top
    models = [Declaration(models=each) for each in file.models]
    return [*models, Declaration(django=file.django)] if file.django is not None else models


def load_key_sets(path: Path) -> Mapping[str, KeySet]:
    """The key sets of the rotation.toml at *path*, by their names. Raises UsageError; no key is read."""
    sets = _read(path).keys
    for name, keys in sets.items():
        check_set(name, keys)
    return sets


def names_of_used_sets(path: Path) -> set[str | None]:
    """The key sets that entries of the rotation.toml at *path* name; None is in it if one uses the environment's keys.

    Raises UsageError.
    """
    file = _read(path)
    return {*(entry.keys for entry in file.targets), *(entry.keys for entry in file.declarations)}


def load_ignored(path: Path, environ: Mapping[str, str]) -> list[Ignored]:
    """The columns that the rotation.toml at *path* ignores. Raises UsageError naming the file and the fault."""
    return [entry.resolved(environ, path.parent) for entry in _read(path).ignored]


def _read(path: Path) -> _File:
    try:
        return _parsed(read_toml(path))
    except OSError as error:
        fault = f": {error.strerror}. Name it with --config or ROTATION_CONFIG, or give --url, --table and --column"
        if isinstance(error, FileNotFoundError):
            fault += f". To write one: {command_line('init')}"
        fault = _whereabouts(path) + fault
    except SettingError as error:
        fault = f"{', ' if error.place else ': '}{error}"
    except ValueError as error:
        # From the parser.
        fault = f": {error}"
    raise UsageError(f"{path}{fault}")


def _whereabouts(path: Path) -> str:
    """The resolved path, if its text does not say it."""
    if path.is_absolute():
        return ""
    tilde = "; no shell replaced the ~, so write the path in full" if path.parts[:1] == ("~",) else ""
    return f" (that is {path.absolute()}{tilde})"


def _parsed(table: dict[str, Any]) -> _File:
    """The file. Raises SettingError."""
    top = convert(table, Top, "")
    presets = []
    if top.app:
        from rotation.configuration.presets import presets_of  # noqa: PLC0415 - most files name no application

        presets = presets_of(top.app)
    targets: list[TargetEntry] = []
    declarations: list[Declaration] = []
    for number, entry in enumerate(top.target, 1):
        place = f"[[target]] {number}"
        if isinstance(entry, dict) and not {"models", "django"}.isdisjoint(entry):
            declarations.append(make_declaration(entry, place))
        else:
            targets.append(convert(entry, TargetEntry, place, Declaration))
    # A preset's entries stand behind the file's own, and a key set of the file in place of a preset's.
    own = {name: convert(keys, KeySet, f"[keys.{name}]") for name, keys in top.keys.items()}
    return _File(
        top,
        [*targets, *(target for preset in presets for target in preset.target)],
        declarations,
        {name: keys for preset in reversed(presets) for name, keys in preset.keys.items()} | own,
        convert(top.policy, Policy, "[policy]"),
        [
            *(convert(entry, Ignored, f"[[ignore]] {number}") for number, entry in enumerate(top.ignore, 1)),
            *(ignored for preset in presets for ignored in preset.ignore),
        ],
    )
