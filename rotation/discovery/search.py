"""One look through one or more databases, table by table: what is counted, and what is remarked on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyring_core import Keyring
from rotation.discovery.result import Discovery, Remark
from rotation.discovery.token_column import TokenColumn
from rotation.model.text import many

if TYPE_CHECKING:
    from rotation.discovery.catalogs import TableEntry
    from rotation.discovery.survey import Reading, SearchableTable, Survey

Address = tuple[str | None, str, str]
"""Schema, table and column."""
Spot = tuple[tuple[object, ...], str | None, str]
"""A table, whichever url leads to it: the database's identity, schema and table."""


@dataclass
class _Counted:
    """What one table came to."""

    columns: list[TokenColumn]
    rows: int
    sampled: bool
    most: int


class Search:
    """Looks at each table once, whatever the number of urls that lead to it."""

    def __init__(self, discovery: Discovery, keyrings: Sequence[Keyring]) -> None:
        self.discovery = discovery
        self._keyrings = keyrings
        self._named: dict[tuple[tuple[object, ...], str | None, str, str], list[str | None]] = {}
        """The `where` of each target, by its column."""
        self._seen: set[Spot] = set()
        self._unseen: list[tuple[Spot, Remark]] = []
        self._places: set[tuple[object, ...]] = set()
        self._neighbours: set[tuple[object, ...]] = set()

    def add(self, survey: Survey, *, is_neighbour: bool = False) -> bool:
        """Takes in a database. A neighbour is one that no url names: False if one does, under whichever host name."""
        if is_neighbour and survey.identity in self._places:
            return False
        (self._neighbours if is_neighbour else self._places).add(survey.identity)
        self.discovery.databases.setdefault(survey.name, 0)
        return True

    def name(self, column: tuple[tuple[object, ...], str | None, str, str], where: str | None) -> None:
        """Says that a target names *column*."""
        self._named.setdefault(column, []).append(where)

    def schemas_named(self, survey: Survey) -> set[str | None]:
        """The schemas of the targets in that database."""
        return {schema for identity, schema, *_ in self._named if identity == survey.identity}

    def look_through(
        self,
        survey: Survey,
        wanted: Callable[[TableEntry], bool],
        near: Callable[[TableEntry], bool],
        *,
        url: str | None,
    ) -> None:
        """Looks at the tables that *wanted* wants, if nobody has yet. Those that are not *near* are elsewhere.

        *url*: how the database's was written; None for a neighbour.
        """
        for table in survey.tables(wanted):
            spot = survey.identity, table.entry.schema, table.entry.table
            if spot not in self._seen:
                for column in self._look(survey, table, spot):
                    column.url, column.in_other_database, column.elsewhere = (
                        url or "",
                        url is None,
                        not near(table.entry),
                    )
                    self._place(survey, table, column)
                    self.discovery.columns.append(column)
                    if column.elsewhere and column.bare_unknown:
                        words = f"{column.column}: tokens that no key opens: another application's, or bound ones"
                        self.discovery.beyond.append(Remark(survey.name, table.name, words))
        left_out = survey.schemas(lambda entry: not wanted(entry)) - survey.schemas(wanted)
        words = "not asked for; without --schema every schema is looked into"
        self.discovery.beyond += [
            *(Remark(survey.name, subject, words) for subject, words in survey.outside()),
            *(Remark(survey.name, f"schema {schema}", words) for schema in sorted(map(str, left_out))),
        ]

    def end(self) -> Discovery:
        """What was found. A table that one url's user could not read and another's could was seen."""
        for spot, remark in self._unseen:
            if spot not in self._seen:
                is_neighbour = spot[0] in self._neighbours
                (self.discovery.beyond if is_neighbour else self.discovery.unseen).append(remark)
        self.discovery.beyond = list(dict.fromkeys(self.discovery.beyond))
        return self.discovery

    def _place(self, survey: Survey, table: SearchableTable, column: TokenColumn) -> None:
        """Says whether a target names *column*, and otherwise how one can."""
        wheres = self._named.get((survey.identity, table.entry.schema, table.entry.table, column.column), [])
        column.covered = bool(wheres)
        column.where = None if None in wheres else next(iter(wheres), None)
        if not column.covered:
            column.key_columns, column.hint = survey.fit(table, column.column)

    def _look(self, survey: Survey, table: SearchableTable, spot: Spot) -> Iterator[TokenColumn]:
        """The columns of a table that hold tokens."""
        found = self.discovery
        if table.columns:
            counted, fault = survey.read(table, lambda reading: self._count(survey, table, reading), full=found.full)
        else:
            counted, fault = None, table.fault
        if fault:
            self._unseen.append((spot, Remark(survey.name, table.name, fault)))
        if table.unsearched:
            words = f"columns of a type that is not searched: {', '.join(table.unsearched)}"
            found.beyond.append(Remark(survey.name, table.name, words))
        if counted is None:
            return
        self._remark(survey, table, spot, counted)
        found.databases[survey.name] += 1
        found.rows += counted.rows
        found.sampled += counted.sampled
        yield from (column for column in counted.columns if column.found)

    def _count(self, survey: Survey, table: SearchableTable, reading: Reading) -> _Counted:
        from rotation.discovery.cells import is_too_large  # noqa: PLC0415 - brings SQLAlchemy

        history = table.entry.has_history and self.discovery.full
        columns = [TokenColumn(survey.name, table.name, each.name, has_history=history) for each in table.columns]
        rows = 0
        for batch in reading:
            rows += len(batch)
            for column, cells in zip(columns, zip(*batch, strict=True), strict=False):
                marked = [cell for cell in cells if cell is not None]
                seen = [cell for cell in marked if not is_too_large(cell)]
                column.large += len(marked) - len(seen)
                column.take(self._keyrings, seen)
        for column in columns:
            column.rows, column.sampled = rows, reading.sampled
        return _Counted(columns, rows, reading.sampled, reading.most)

    def _remark(self, survey: Survey, table: SearchableTable, spot: Spot, counted: _Counted) -> None:
        """What was not looked at of a table that was read."""
        found, entry = self.discovery, table.entry
        beyond = [
            f"{each.column}: {many(each.large, 'cell')} of more than {counted.most:,} bytes"
            for each in counted.columns
            if each.large
        ]
        beyond += [
            f"{each.column}: {many(each.given_up, 'cell')} with more in them than could be searched"
            for each in counted.columns
            if each.given_up
        ]
        if entry.has_history and not found.full:
            beyond.append("rows of its past (SYSTEM VERSIONING); a look at every row sees them")
        if entry.caution and found.full:
            beyond.append(entry.caution)
        found.beyond += [Remark(survey.name, table.name, words) for words in beyond]
        if table.denied:
            self._unseen.append((spot, Remark(survey.name, table.name, table.denied)))
        else:
            self._seen.add(spot)
        if table.caution and spot[0] in self._neighbours:
            found.beyond.append(Remark(survey.name, table.name, table.caution))
        elif table.caution:
            found.hidden.append(Remark(survey.name, table.name, table.caution))
            found.remarks.append(found.hidden[-1])
