"""What models declare: the entries of rotation.toml that name models, and the encrypted columns found there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from keyring_core.names import printable
from rotation.configuration.setting_faults import SettingError, convert
from rotation.configuration.targets import find_url
from rotation.model.failures import UsageError

if TYPE_CHECKING:
    from keyring_core.legacy import Legacy
    from rotation.model.target import Index, Target


class Declaration(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """A `[[target]]` whose tables and columns models name. Raises ValueError if its settings do not fit together."""

    models: str | None = None
    """`module:attribute` of a SQLAlchemy MetaData, or of anything with `.metadata`."""
    django: str | None = None
    """The settings module of a Django project."""
    url: str | None = None
    """The database of *models*; a Django project names its own."""
    name: str | None = None
    keys: str | None = None
    optional: bool = False

    def __post_init__(self) -> None:
        if (self.models is None) == (self.django is None):
            raise ValueError("a [[target]] has models or django, not both")
        if self.django is not None and self.url is not None:
            raise ValueError("a [[target]] with django takes no url: the settings name the databases")

    @property
    def place(self) -> str:
        """What messages call it: `models app.models:Base.metadata`."""
        return f"models {self.models}" if self.models is not None else f"django {self.django}"


@dataclass(frozen=True)
class DeclaredColumn:
    """A column of an encrypted type, as a model declares it."""

    source: Declaration
    table: str
    """`table`, or `schema.table`."""
    column: str
    context: str | None = None
    legacy: Legacy | None = None
    """The package that wrote its cells before."""
    index: Index | None = None
    """The column of its blind index."""
    url: str | None = field(default=None, repr=False)
    """Its database, if a Django project names it: with its password; otherwise that of the entry."""
    optional: bool = False
    """Whether its database may lack the table."""
    binary: bool = False
    """Whether the application writes the bytes of tokens, and not their text."""
    secrets: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """Settings of its application that *legacy* names."""

    @property
    def label(self) -> str:
        """What messages call it: `users.api_key`."""
        return printable(f"{self.table}.{self.column}")


def make_declaration(entry: Mapping[str, Any], place: str) -> Declaration:
    """The `[[target]]` *entry*, which stands at *place*. Raises SettingError, which names what it cannot have."""
    from rotation.configuration.settings import TARGET  # noqa: PLC0415 - few files name models

    kind = "models" if "models" in entry else "django"
    if extra := [name for name in entry if name in TARGET and name not in Declaration.__struct_fields__]:
        words = f"a [[target]] with {kind} takes no {' and no '.join(extra)}: the models say which columns"
        raise SettingError(place, words)
    declaration = convert(entry, Declaration, place, "target")
    if declaration.models is not None and declaration.url is None:
        raise SettingError(place, "a [[target]] with models needs a url")
    return declaration


def uncovered_columns(
    columns: Iterable[DeclaredColumn], targets: Sequence[Target], ignored: Sequence[Ignored] = ()
) -> list[DeclaredColumn]:
    """Those of *columns* that none of *targets* covers, and that no `[[ignore]]` names.

    Names are compared, and not databases, since a url can be written in many ways.
    """
    return [
        column
        for column in columns
        if not any(each.column == column.column and same_table(each.table, column.table) for each in targets)
        and not any(
            same_table(each.table, column.table) and column.column in (each.columns or (column.column,))
            for each in ignored
        )
    ]


def same_table(one: str, other: str) -> bool:
    """Whether two names may be of the same table: a schema that one of them leaves out is any schema."""
    return one == other or ((("." in one) != ("." in other)) and one.rpartition(".")[2] == other.rpartition(".")[2])


def check_found(columns: Sequence[DeclaredColumn], source: Declaration) -> Sequence[DeclaredColumn]:
    """*columns*. Raises UsageError if there are none."""
    if not columns:
        raise UsageError(
            f"{source.place}: names no column of an encrypted type; name a module that imports all models, or drop it"
        )
    return columns


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
