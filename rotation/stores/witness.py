"""Proof of a pass: what nobody else wrote since its start is as the pass left it."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.model.batch import Batch
from rotation.stores.columns import TargetCells


class Totals(NamedTuple):
    """What stands in a target, in cells."""

    held: int
    """Cells that hold something."""
    null: int
    empty: int


class Changed(NamedTuple):
    """What others wrote to a target since a witness was asked to watch; all of it as it stood at one moment."""

    batch: Batch
    totals: Totals | None = None
    """At that moment; None if nobody else wrote, so that what was counted stands."""


class Doubt(enum.Enum):
    """What a pass is worth if it is not known what others wrote during it."""

    SPAN = "each row was as the pass found it when it was read, and no other pass could say more"
    DISTURBED = "the same, but nobody may disturb the next pass"
    ALTERED = "nothing: it may have read another table, or not all of the rows"


class Unknown(NamedTuple):
    """Why it is not known what others wrote."""

    words: str
    doubt: Doubt = Doubt.DISTURBED


class Scope(NamedTuple):
    """The cells that a witness watches."""

    cells: TargetCells
    table: sa.TableClause
    cell: ColumnElement[Any]
    """As it is read: JSON as text."""
    rows: ColumnElement[bool]
    """Which of them belong to the target: their keys alone decide it."""


class Witness(Protocol):
    """Knows what others write to a target, in one database's own way."""

    name: str
    """How the report calls this proof."""

    def begin(self, connection: sa.Connection) -> bool:
        """Begins to watch, or begins again; a pass may read from here on. False if this table cannot be watched."""

    def wrote(self, transactions: Iterable[int]) -> None:
        """These transactions are of this run."""

    def changed(self, connection: sa.Connection) -> Changed | Unknown:
        """What others have written since `begin`, or why that is not known."""
