"""A table in which a search of every row found nothing, as it is remembered until the next search."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

REMEMBERED = timedelta(hours=1)
"""The time for which it is remembered."""


class SearchedTable(NamedTuple):
    """A table in which nothing was found."""

    read: datetime
    """When its reading began."""
    rows: int
    witness: Any
    """A JSON value, by which its database proves that no row has changed since."""

    def document(self) -> dict[str, Any]:
        """All except the time, as JSON."""
        return {"rows": self.rows, "witness": self.witness}

    @classmethod
    def of_document(cls, read: datetime, document: Mapping[str, Any]) -> SearchedTable:
        """One that was kept. Raises KeyError or TypeError for a *document* of another shape.

        The shape of the witness is the affair of its database.
        """
        if type(rows := document["rows"]) is not int:
            raise TypeError(rows)
        return cls(read, rows, document["witness"])
