"""The encrypted columns that models declare. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from keyring_core.errors import printable
from rotation.configuration.sections import Declaration
from rotation.model.failures import UsageError

if TYPE_CHECKING:
    from keyring_core.legacy import Legacy
    from rotation.model.target import Index


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
    """Its database, if a Django project names it: with its password; otherwise the entry's."""
    optional: bool = False
    """True if its database may lack the table."""
    binary: bool = False
    """True if the application writes the bytes of tokens, and not their text."""
    secrets: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """Settings of its application that *legacy* names."""
    keys: str | None = None
    """The key set that its model names."""

    @property
    def key_set(self) -> str | None:
        """The key set of its tokens: its model's, otherwise its entry's. Raises UsageError if these are two."""
        if self.keys and self.source.keys and self.keys != self.source.keys:
            raise UsageError(
                f'{self.source.place}: the entry has keys = "{self.source.keys}", and the model of {self.label} has '
                f'keys="{self.keys}"; drop one of them'
            )
        return self.keys or self.source.keys

    @property
    def label(self) -> str:
        """The name in messages: `users.api_key`."""
        return printable(f"{self.table}.{self.column}")


def check_found(columns: Sequence[DeclaredColumn], source: Declaration) -> Sequence[DeclaredColumn]:
    """*columns*. Raises UsageError if they are empty."""
    if not columns:
        raise UsageError(
            f"{source.place}: names no column of an encrypted type; name a module that imports all models, or drop it"
        )
    return columns
