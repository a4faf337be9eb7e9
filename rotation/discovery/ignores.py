"""Which columns of a search rotation.toml ignores, and which of its entries match none. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from keyring_core.names import printable
from rotation.configuration.sections import Ignored
from rotation.discovery.result import Remark
from rotation.discovery.tables import SearchableTable

UNMATCHED = "an [[ignore]] of rotation.toml names it, and no column that was searched is called so"


class Ignores:
    """The `[[ignore]]` entries, and what they have matched so far."""

    def __init__(self, entries: Sequence[Ignored]) -> None:
        self._entries = entries
        self._matched: set[tuple[Ignored, str | None]] = set()

    def reasons(self, urls: Collection[str], table: SearchableTable) -> dict[str | None, str]:
        """Why columns of *table* are ignored, by their names; None stands for all others. *urls* lead to it."""
        found: dict[str | None, str] = {}
        for ignored in self._entries:
            if ignored.url not in {None, *urls} or ignored.table not in table.names:
                continue
            for column in _parts(ignored):
                if column is None or column in table.all_columns:
                    self._matched.add((ignored, column))
                    found.setdefault(column, ignored.reason)
        return found

    def unmatched(self) -> Iterator[Remark]:
        """A remark on each column, or table, that was not found."""
        for ignored in self._entries:
            for column in _parts(ignored):
                if (ignored, column) not in self._matched:
                    yield Remark("", label(ignored.table, column), UNMATCHED)


def label(table: str, column: str | None) -> str:
    """What messages call an ignored column, or all of a table."""
    return printable(f"{table}, all columns" if column is None else f"{table}.{column}")


def _parts(ignored: Ignored) -> Sequence[str | None]:
    return ignored.columns or (None,)
