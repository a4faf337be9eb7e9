"""`[[ignore]]` of rotation.toml: columns that are somebody else's, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rotation.model.failures import UsageError
from rotation.model.targets import find_url


@dataclass(frozen=True)
class Ignored:
    """Columns of one table that no target has to cover. A token under one of our own keys keeps that key all the same.

    Its names are those of a target: `table`, or `schema.table`.
    """

    table: str
    columns: tuple[str, ...]
    """Empty: all columns of the table."""
    reason: str
    url: str | None = field(default=None, repr=False)
    """The database; None: each that is searched. May hold a password, and so is in no repr."""


def make_ignored(  # noqa: PLR0913 - the settings of one [[ignore]]
    *,
    table: str,
    columns: Sequence[str] | None,
    reason: str,
    url: str | None,
    environ: Mapping[str, str],
    folder: Path,
) -> Ignored:
    """The value of one `[[ignore]]` of the rotation.toml in *folder*.

    Raises UsageError if a setting is empty or a variable is not set.
    """
    if not table.strip():
        raise UsageError("an [[ignore]] needs a table")
    if columns is not None and not (columns and all(columns)):
        raise UsageError(f"ignore {table}: columns is empty; leave it out to ignore all columns of the table")
    if not reason.strip():
        raise UsageError(f"ignore {table}: give a reason why its columns are ignored")
    resolved = None if url is None else find_url(url, environ, f"ignore {table}", folder)
    return Ignored(table, tuple(columns or ()), reason, resolved)
