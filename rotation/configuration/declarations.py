"""What models declare: the entries of rotation.toml that name models, and the encrypted columns found there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from keyring_core.names import printable
from rotation.configuration.sections import Declaration, Ignored, TargetEntry
from rotation.configuration.settings import SettingError, convert, settings_of
from rotation.model.failures import UsageError

if TYPE_CHECKING:
    from keyring_core.legacy import Legacy
    from rotation.model.target import Index, Target


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

    def document(self) -> dict[str, Any]:
        """For the JSON document."""
        source = {"models": self.source.models} if self.source.django is None else {"django": self.source.django}
        return {**source, "table": self.table, "column": self.column, "context": self.context}


def make_declaration(entry: Mapping[str, Any], place: str) -> Declaration:
    """The `[[target]]` *entry*, which stands at *place*. Raises SettingError, which names what it cannot have."""
    kind = "models" if "models" in entry else "django"
    if extra := [name for name in entry if name in settings_of(TargetEntry) and name not in settings_of(Declaration)]:
        words = f"a [[target]] with {kind} takes no {' and no '.join(extra)}: the models say which columns"
        raise SettingError(place, words)
    declaration = convert(entry, Declaration, place, TargetEntry)
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
