"""rotation.toml in; targets, policy and ignored columns out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from rotation.model.declarations import Declaration, split_table
from rotation.model.failures import UsageError
from rotation.model.ignored import Ignored, make_ignored
from rotation.model.key_sets import KeySet, check_name, check_set
from rotation.model.policy import Policy, decode_span
from rotation.model.targets import Target, make_targets, refuse_rivals, without_repeats
from rotation.model.toml_file import read_toml


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


class _File(msgspec.Struct, forbid_unknown_fields=True):
    target: list[_Entry] = []
    keys: dict[str, KeySet] = {}
    policy: Policy = Policy()
    ignore: list[_Ignore] = []
    models: list[str] = []
    django: str | None = None


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
        for entry in file.target
        for target in make_targets(**msgspec.structs.asdict(entry), environ=environ)
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
    return _parse(path)[1]


def load_models(path: Path) -> list[Declaration]:
    """The models whose columns are to have targets, by the rotation.toml at *path*. Raises UsageError, as above."""
    file = _read(path)
    models = [Declaration(models=each) for each in file.models]
    return [*models, Declaration(django=file.django)] if file.django is not None else models


def load_key_sets(path: Path) -> Mapping[str, KeySet]:
    """The key sets of the rotation.toml at *path*, by their names. Raises UsageError; no key is read."""
    sets = _read(path).keys
    for name, keys in sets.items():
        check_set(name, keys)
    return sets


def load_ignored(path: Path, environ: Mapping[str, str]) -> list[Ignored]:
    """The columns that the rotation.toml at *path* ignores. Raises UsageError naming the file and the fault."""
    return [make_ignored(**msgspec.structs.asdict(entry), environ=environ) for entry in _read(path).ignore]


def _read(path: Path) -> _File:
    return _parse(path)[0]


def _parse(path: Path) -> tuple[_File, list[Declaration]]:
    """The file, and its entries that name models."""
    try:
        table = read_toml(path)
        if "app" in table:
            from rotation.model.presets import with_presets  # noqa: PLC0415 - most files name no application

            table = with_presets(table)
        table, declarations = split_table(table)
        return msgspec.convert(table, _File, dec_hook=decode_span), declarations
    except OSError as error:
        fault = f"{error.strerror}. Name it with --config or ROTATION_CONFIG, or give --url, --table and --column"
    except ValueError as error:
        # From the parser, or from a setting that does not fit.
        fault = str(error)
    raise UsageError(f"{path}: {fault}")
