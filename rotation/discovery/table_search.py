"""The search of tables: the tokens in their columns are counted, and judged by the targets and `[[ignore]]` entries."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from keyring_core import Keyring
from rotation.configuration.sections import Ignored
from rotation.discovery.memory import SearchMemory
from rotation.discovery.result import ColumnName, Discovery, IndexValues, Remark
from rotation.discovery.search_progress import SearchProgress
from rotation.discovery.table_source import Courtesy, SearchableTable, TableIdentity
from rotation.discovery.token_column import Share, TokenColumn, label
from rotation.model.failures import UsageError
from rotation.model.searched_table import SearchedTable
from rotation.model.target import Target
from rotation.model.text import many
from rotation.stores.connection import SharedConnections
from rotation.stores.threads import Threads, most_threads

if TYPE_CHECKING:
    from rotation.discovery.survey import Survey
    from rotation.discovery.table_readers import TableRows

DROPPED = "it was dropped before it was searched"
UNMATCHED = "an [[ignore]] of rotation.toml names it, and no column that was searched is called so"

Counted = tuple[list[TokenColumn], "TableRows"]
Outcome = tuple[Counted | SearchedTable | None, str | None]
"""The counted columns of a table, and the reading; or as it was read before; or why it cannot be read."""


class TableSearch:
    """Searches tables one by one, each once; with threads several of a database at once."""

    def __init__(  # noqa: PLR0913 - what to look for, and what is known
        self,
        found: Discovery,
        coverage: Coverage,
        progress: SearchProgress,
        keyrings: Sequence[Keyring],
        *,
        whole: Collection[ColumnName],
        memory: SearchMemory | None,
    ) -> None:
        """What is found goes to *found*. *whole*: columns of which a sample is not enough, unless they are covered."""
        self._found, self._coverage, self._progress = found, coverage, progress
        self._keyrings, self._whole, self._memory = keyrings, frozenset(whole), memory
        self._threads: Threads | None = None
        self._seen: set[TableIdentity] = set()
        self._unseen: list[tuple[SearchableTable, Remark]] = []

    def close(self) -> None:
        """Ends its threads."""
        if self._threads:
            self._threads.close()

    def is_new(self, table: SearchableTable) -> bool:
        """True unless *table* was searched already, as through another url."""
        return table.identity not in self._seen

    def outcomes(
        self, survey: Survey, tables: Iterable[SearchableTable], *, full_speed: bool
    ) -> Iterator[tuple[SearchableTable, Outcome]]:
        """Each of *tables* with what was read of it; at *full_speed* several of a server at once, without a rest."""
        courtesy = Courtesy(survey.sleep, full_speed=full_speed)
        if not (full_speed and survey.has_snapshots):
            yield from ((table, self._read(survey, table, courtesy)) for table in tables)
            return

        def read(table: SearchableTable, links: SharedConnections) -> Outcome:
            return self._read(survey.twin(links), table, courtesy)

        self._threads = self._threads or Threads(most_threads(), survey.sleep)
        yield from self._threads.each(tables, read)
        # While somebody is connected to a database of PostgreSQL, nobody can copy, rename or drop it.
        self._threads.disconnect()

    def _read(self, survey: Survey, table: SearchableTable, courtesy: Courtesy) -> Outcome:
        """The counted columns of a table, or why they cannot be read; in a thread. Or the table, if it is unchanged."""
        if not table.columns or not self.is_new(table):
            self._progress.leave_out(table.identity)
            return None, table.fault
        covered = self._coverage.targets
        full = self._found.full or any(
            (table.database, table.name, column) in self._whole and (table.identity, column) not in covered
            for column in table.all_columns
        )
        self._progress.begin_table(table.identity)
        try:
            if self._memory and (known := self._memory.unchanged(survey, table, self._keyrings)):
                return known, None
            return survey.read(table, lambda reading: self._count(table, reading, full=full), courtesy, full=full)
        finally:
            self._progress.end_table(table.identity)

    def _count(self, table: SearchableTable, reading: TableRows, *, full: bool) -> Counted:
        history = table.entry.has_history and full
        columns = [TokenColumn(table.database, table.name, each.name, has_history=history) for each in table.columns]
        seen = 0
        for batch in reading:
            self._progress.read(table.identity, reading.rows, reading.rows - seen)
            seen = reading.rows
            for column, cells in zip(columns, zip(*batch, strict=True), strict=False):
                column.take(self._keyrings, [cell for cell in cells if cell is not None])
        for column in columns:
            column.rows, column.sampled = reading.rows, reading.sampled
        return columns, reading

    def take(self, survey: Survey, table: SearchableTable, outcome: Outcome) -> list[TokenColumn]:
        """The columns of a table that hold tokens. Remarks on what of it was not searched."""
        found, (counted, fault) = self._found, outcome
        if table.unsearched:
            words = f"columns of a type that is not searched: {', '.join(table.unsearched)}"
            found.beyond.append(Remark.on(table, words))
        if fault:
            self._unseen.append((table, Remark.on(table, fault)))
        if counted is None:
            if table.columns and not fault:
                found.gone.append(Remark.on(table, DROPPED))
            return []
        found.databases[table.database] += 1
        if isinstance(counted, SearchedTable):
            words = f"every row was read at {counted.read.isoformat(timespec='seconds')}, and no row version is newer"
            found.unchanged.append(Remark.on(table, words))
            found.rows += counted.rows
            self._seen.add(table.identity)
            return []
        if self._memory:
            self._memory.add(survey, table, self._keyrings, *counted)
        columns, reading = counted
        self._remark(table, columns, reading.most)
        found.rows += reading.rows
        found.sampled += reading.sampled
        for column in columns:
            if column.indexes and (table.identity, column.column) not in self._coverage.indexes:
                name = f"{column.label} in {table.database}" if table.is_neighbour else column.label
                found.blind_indexes.append(IndexValues(table.database, name, column.indexes))
        return [column for column in columns if column.found]

    def _remark(self, table: SearchableTable, columns: Sequence[TokenColumn], most: int) -> None:
        """Remarks on what was not searched of a table that was read."""
        found, entry = self._found, table.entry
        beyond: list[str] = []
        for column in columns:
            if column.large:
                beyond.append(f"{column.column}: {many(column.large, 'cell')} of more than {most:,} bytes")
            if column.given_up:
                cells = many(column.given_up, "cell")
                beyond.append(f"{column.column}: {cells} with more in them than could be searched")
            found.unsearched_cells += column.large + column.given_up
        if entry.has_history and not found.full:
            beyond.append("rows of its past (SYSTEM VERSIONING); only a search of every row reads them")
        if entry.caution and found.full:
            beyond.append(entry.caution)
        if table.denied:
            self._unseen.append((table, Remark.on(table, table.denied)))
        else:
            self._seen.add(table.identity)
        if table.caution and table.is_neighbour:
            beyond.append(table.caution)
        elif table.caution:
            remark = Remark.on(table, table.caution)
            found.hidden.append(remark)
            found.remarks.append(remark)
        found.beyond += [Remark.on(table, words) for words in beyond]

    def unseen(self, *, in_neighbours: bool) -> list[Remark]:
        """Why tables could not be searched; none that one url's user could not read, and another's could."""
        return [remark for table, remark in self._unseen if self.is_new(table) and table.is_neighbour is in_neighbours]


class Coverage:
    """The targets and the `[[ignore]]` entries of one search, by the databases that it has opened."""

    def __init__(
        self, found: Discovery, ignored: Sequence[Ignored], keyrings: Mapping[str | None, Sequence[Keyring]]
    ) -> None:
        """Remarks go to *found*. *keyrings*: by the name of their key set."""
        self._found = found
        self._ignored = [(entry, column) for entry in ignored for column in entry.columns or (None,)]
        """Each entry with each of its columns; None: all of the table."""
        self._matched: set[tuple[Ignored, str | None]] = set()
        self.key_ids = {
            name: {key_id for keyring in those for key_id in keyring.states_by_id} for name, those in keyrings.items()
        }
        """The keys of each key set."""
        self._salted = {name for name, those in keyrings.items() for keyring in those if keyring.salt_columns}
        self.targets: dict[tuple[TableIdentity, str | None], list[Target]] = {}
        """The targets, by their columns."""
        self.indexes: set[tuple[TableIdentity, str]] = set()
        """The columns that targets name as their `index`."""
        self.urls: dict[tuple[object, ...], set[str]] = {}
        """The urls that lead to each database."""

    def add(self, survey: Survey, targets: Sequence[Target]) -> None:
        """Takes in a database, and the columns that *targets* in it name; one that is not there is remarked on."""
        self.urls.setdefault(survey.identity, set()).add(survey.url)
        for target in targets:
            try:
                schema, name, column = survey.find(target)
            except UsageError as error:
                # The message begins with the column's name if it is about the column.
                words = str(error).removeprefix(f"{target.label}: ")
                self._found.remarks.append(Remark(survey.name, target.label, words))
            else:
                table = survey.identity, schema, name
                self.targets.setdefault((table, column), []).append(target)
                if target.index:
                    self.indexes.add((table, target.index.column))

    def schemas(self, survey: Survey) -> set[str | None]:
        """The schemas of the targets in that database."""
        return {schema for (identity, schema, _), _ in self.targets if identity == survey.identity}

    def reasons(self, survey: Survey, table: SearchableTable, *, is_new: bool) -> Mapping[str | None, str]:
        """Why columns of *table* are ignored, by name, which is noted if it *is_new*; None stands for all others."""
        urls = {None, *self.urls.get(survey.identity, {survey.url})}
        reasons: dict[str | None, str] = {}
        for entry, column in self._ignored:
            is_named = entry.url in urls and entry.table in table.entry.names
            if is_named and (column is None or column in table.all_columns):
                self._matched.add((entry, column))
                reasons.setdefault(column, entry.reason)
        for column, reason in reasons.items():
            if (table.identity, column) in self.targets:
                words = "a target and an [[ignore]] name it: it counts as the target's"
                self._found.remarks.append(Remark.on_column(table, column, words))
            elif is_new:
                self._found.ignored.append(Remark.on_column(table, column, reason))
        return reasons

    def unmatched(self) -> Iterator[Remark]:
        """A remark on each column, or table, that an `[[ignore]]` names and that was not found."""
        for entry, column in self._ignored:
            if (entry, column) not in self._matched:
                yield Remark("", label(entry.table, column), UNMATCHED)

    def judge(
        self, survey: Survey, table: SearchableTable, column: TokenColumn, reasons: Mapping[str | None, str]
    ) -> None:
        """Notes whether the column is covered or ignored, and otherwise how a target for it would have to be."""
        if targets := self.targets.get((table.identity, column.column)):
            wheres = [target.where for target in targets]
            column.covered, column.where = True, None if None in wheres else wheres[0]
            column.formats = tuple(dict.fromkeys(target.format for target in targets))
            column.others = "leave" if any(target.others for target in targets) else None
            column.key_sets = tuple(dict.fromkeys(target.keys for target in targets))
            column.salted = not self._salted.isdisjoint(column.key_sets)
            column.shares = self._shares(targets)
            return
        self._trace(survey, table, column)
        column.ignored = reasons.get(column.column, reasons.get(None))
        if column.ignored is None:
            survey.fit(table, column)
            tokens = {name: sum(column.under[key_id] for key_id in ids) for name, ids in self.key_ids.items()}
            # On a tie the environment's own keys, which come first.
            column.keys = max(tokens, key=tokens.__getitem__)
        elif column.unknown and self._found.full:
            remark = Remark.on_column(table, column.column, column.ignored)
            words = f"{remark.words}; {many(column.unknown, 'token')} in it that no key here opens"
            others = [each for each in self._found.ignored if each != remark]
            self._found.ignored = [*others, remark._replace(words=words)]

    def _trace(self, survey: Survey, table: SearchableTable, column: TokenColumn) -> None:
        """Notes what the database makes the column of, and whether that makes it a copy of targets' columns."""
        found = survey.origin(table.entry, column.column)
        if found is None:
            return
        column.refresh = found.refresh
        column.made_of = tuple(label(survey.name_in(each.table), each.column) for each in found.of)
        copied, shares = dict[str, None](), dict[Share, None]()
        for place, name in zip(found.of, column.made_of, strict=True):
            identities = {(survey.identity, *key) for key in survey.read_with(place.table)}
            for (identity, named), targets in self.targets.items():
                if identity in identities and place.column == named:
                    copied[name] = None
                    shares.update(dict.fromkeys(self._shares(targets)))
        column.copy_of, column.shares = tuple(copied), tuple(shares)

    def _shares(self, targets: Sequence[Target]) -> tuple[Share, ...]:
        return tuple(
            Share(
                target.keys,
                target.where,
                leaves=bool(target.others) or target.keys in self._salted,
                is_loaded=target.keys in self.key_ids,
            )
            for target in targets
        )
