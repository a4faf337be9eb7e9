"""rotation.toml in; targets, policy and ignored columns out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from rotation.configuration.declarations import Declaration, Ignored, make_declaration, make_ignored
from rotation.configuration.key_sets import KeySet, KeySource, check_name, check_set
from rotation.configuration.policy import Policy
from rotation.configuration.setting_faults import SettingError, convert
from rotation.configuration.targets import holds_password, make_targets, refuse_rivals, without_repeats
from rotation.configuration.toml_file import read_toml
from rotation.model.failures import UsageError
from rotation.model.next_steps import Next
from rotation.model.target import Target


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    url: str
    table: str
    columns: list[str]
    name: str | None = None
    key_columns: list[str] = []
    where: str | None = None
    context: str | None = None
    format: str = "token"
    keys: str | None = None
    set: dict[str, str] = {}
    optional: bool = False
    source: dict[str, Any] | None = msgspec.field(default=None, name="from")
    index: dict[str, str] | None = None


class _Ignore(msgspec.Struct, forbid_unknown_fields=True):
    table: str
    reason: str
    columns: list[str] | None = None
    url: str | None = None


class _Top(msgspec.Struct, forbid_unknown_fields=True):
    """The file, whose tables are not looked into yet."""

    target: list[Any] = []
    app: list[Any] = []
    keys: dict[str, Any] = {}
    policy: dict[str, Any] = {}
    ignore: list[Any] = []
    models: list[str] = []
    django: str | None = None
    env_file: str | None = None
    ledger: str | None = None


class _File(NamedTuple):
    top: _Top
    targets: list[_Entry]
    declarations: list[Declaration]
    keys: dict[str, KeySet]
    policy: Policy
    ignored: list[_Ignore]


class Setup(NamedTuple):
    """What stands at the top of the file: where variables and the ledger are."""

    env_file: Path | None = None
    """A dotenv file; a relative path counts from the folder of rotation.toml."""
    ledger: str | None = None
    """The ledger's database, as it was written."""


def load_setup(path: Path) -> Setup:
    """What the rotation.toml at *path* says of the environment. Raises UsageError naming the file and the fault."""
    file = _read(path).top
    for setting in ("env_file", "ledger"):
        if (value := getattr(file, setting)) is not None and not value.strip():
            raise UsageError(f"{path}, {setting}: is empty; leave it out")
    if file.ledger and holds_password(file.ledger):
        raise UsageError(f'{path}, ledger: holds a password; put the URL into a variable, and write ledger = "$NAME"')
    return Setup(Path(file.env_file) if file.env_file else None, file.ledger)


def load_policy(path: Path) -> Policy:
    """The policy of the rotation.toml at *path*. Raises UsageError naming the file and the fault."""
    return _read(path).policy


def load_targets(
    path: Path, environ: Mapping[str, str], *, needed: bool = True, declared: Sequence[Target] = ()
) -> list[Target]:
    """The targets of the rotation.toml at *path*; `$NAME` in a url is read from *environ*.

    *declared* are those of its entries that name models, which follow. Raises UsageError naming the file and the
    fault, also if it names no target and one is *needed*; values are not shown.
    """
    file = _read(path)
    listed = [
        replace(target, listed=True)
        for entry in file.targets
        for target in make_targets(**msgspec.structs.asdict(entry), environ=environ, folder=path.parent)
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
    return [
        make_ignored(**msgspec.structs.asdict(entry), environ=environ, folder=path.parent)
        for entry in _read(path).ignored
    ]


def _read(path: Path) -> _File:
    init = None
    try:
        return _parsed(read_toml(path))
    except OSError as error:
        named = "Name it with --config or ROTATION_CONFIG, or give --url, --table and --column"
        fault = f"{_whereabouts(path)}: {error.strerror}. {named}"
        init = Next(("init",)) if isinstance(error, FileNotFoundError) else None
    except SettingError as error:
        fault = f"{', ' if error.place else ': '}{error}"
    except ValueError as error:
        # From the parser.
        fault = f": {error}"
    raise UsageError(init.after(f"{path}{fault}. To write one:") if init else f"{path}{fault}")


def _whereabouts(path: Path) -> str:
    """Where *path* leads to, if its text does not say that."""
    if path.is_absolute():
        return ""
    tilde = "; no shell replaced the ~, so write the path in full" if path.parts[:1] == ("~",) else ""
    return f" (that is {path.absolute()}{tilde})"


def _parsed(table: dict[str, Any]) -> _File:
    """The file. Raises SettingError."""
    top = convert(table, _Top, "", "")
    if top.app:
        from rotation.configuration.presets import with_presets  # noqa: PLC0415 - most files name no application

        top = convert(with_presets(table), _Top, "", "")
    entries: list[_Entry] = []
    declarations: list[Declaration] = []
    # The presets' entries follow: a number is that of the file.
    for place, entry in _numbered("target", top.target):
        if isinstance(entry, dict) and not {"models", "django"}.isdisjoint(entry):
            declarations.append(make_declaration(entry, place))
        else:
            entries.append(convert(entry, _Entry, place, "target"))
    return _File(
        top,
        entries,
        declarations,
        {name: _key_set(name, keys) for name, keys in top.keys.items()},
        convert(top.policy, Policy, "[policy]", "policy"),
        [convert(entry, _Ignore, place, "ignore") for place, entry in _numbered("ignore", top.ignore)],
    )


def _numbered(name: str, entries: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    return ((f"[[{name}]] {number}", entry) for number, entry in enumerate(entries, 1))


def _key_set(name: str, table: Any) -> KeySet:
    place = f"[keys.{name}]"
    if isinstance(table, dict):
        previous = table.get("previous")
        sources = {role: table[role] for role in ("primary", "staged") if role in table}
        sources |= {f"previous {n}": one for n, one in enumerate(previous, 1)} if isinstance(previous, list) else {}
        for role, source in sources.items():
            convert(source, KeySource, f"{place} {role}", "key")
    return convert(table, KeySet, place, "keys")
