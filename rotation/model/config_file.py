"""rotation.toml in, targets and policy out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from rotation.model.failures import UsageError
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


class _File(msgspec.Struct, forbid_unknown_fields=True):
    target: list[_Entry] = []
    policy: Policy = Policy()


def load_policy(path: Path) -> Policy:
    """The policy of the rotation.toml at *path*. Raises UsageError naming the file and the fault."""
    return _read(path).policy


def load_targets(path: Path, environ: Mapping[str, str]) -> list[Target]:
    """The targets of the rotation.toml at *path*; `$NAME` in a url is read from *environ*.

    Raises UsageError naming the file and the fault; values are not shown.
    """
    file = _read(path)
    targets = [
        replace(target, listed=True)
        for entry in file.target
        for target in make_targets(**msgspec.structs.asdict(entry), environ=environ)
    ]
    if not targets:
        raise UsageError(
            f"{path}: names no target, so there is nothing to rotate. Each is a [[target]] with url, table and columns"
        )
    refuse_rivals(targets)
    return without_repeats(targets)


def _read(path: Path) -> _File:
    try:
        return msgspec.convert(read_toml(path), _File, dec_hook=decode_span)
    except OSError as error:
        fault = f"{error.strerror}. Name it with --config or ROTATION_CONFIG, or give --url, --table and --column"
    except ValueError as error:
        # From the parser, or from a setting that does not fit.
        fault = str(error)
    raise UsageError(f"{path}: {fault}")
