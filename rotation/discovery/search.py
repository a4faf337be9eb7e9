"""Searches one or more databases table by table: counts their tokens, and remarks on what could not be searched."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from keyring_core import Keyring
from rotation.configuration.policy import LeftOut
from rotation.discovery.progress import SearchProgress, TableIdentity
from rotation.discovery.result import ColumnName, Discovery, Ignores, IndexValues, Remark, label
from rotation.discovery.token_column import Share, TokenColumn
from rotation.model.failures import StoreError, UsageError
from rotation.model.searched_table import SearchedTable
from rotation.model.target import Target
from rotation.model.text import many
from rotation.stores.cells import SearchableTable, TableEntry
from rotation.stores.table_readers import Courtesy

if TYPE_CHECKING:
    from rotation.discovery.memory import SearchMemory
    from rotation.discovery.reading_threads import ReadingThreads
    from rotation.discovery.survey import Survey
    from rotation.discovery.table_rows import TableRows

DROPPED = "it was dropped before it was searched"
NOTHING_WRITTEN = " Nothing was written."

Outcome = tuple["tuple[list[TokenColumn], TableRows] | SearchedTable | None", str | None]
"""The counted columns of a table, and the reading; or as it was read before; or why it cannot be read."""


class DatabaseSearch:
    """Searches each table once, whatever the number of urls that lead to it."""

    def __init__(  # noqa: PLR0913 - what to look for, where and how, and what is known
        self,
        discovery: Discovery,
        keyrings: Mapping[str | None, Sequence[Keyring]],
        ignores: Ignores,
        left_out: LeftOut,
        progress: SearchProgress,
        *,
        whole: Collection[ColumnName] = (),
        memory: SearchMemory | None = None,
        full_speed: bool = False,
    ) -> None:
        """*keyrings*: by the name of their key set, None for the environment's own keys.

        *whole*: columns of which a sample is not enough, unless a target names them. *full_speed*: several tables of a
        server at once, and no rest.
        """
        self.discovery, self._ignores, self._left_out, self._progress = discovery, ignores, left_out, progress
        self._whole, self._memory, self._full_speed = frozenset(whole), memory, full_speed
        self._threads: ReadingThreads | None = None
        self._keyrings = [keyring for those in keyrings.values() for keyring in those]
        self._key_ids = {
            name: {key_id for keyring in those for key_id in keyring.states_by_id} for name, those in keyrings.items()
        }
        self._salted = {name for name, those in keyrings.items() for keyring in those if keyring.salt_columns}
        self._targets: dict[tuple[TableIdentity, str], list[Target]] = {}
        """The targets, by their columns."""
        self._urls: dict[tuple[object, ...], set[str]] = {}
        """The urls that lead to each database."""
        self._indexes: set[tuple[TableIdentity, str]] = set()
        """The columns that targets name as their `index`."""
        self._seen: set[TableIdentity] = set()
        self._unseen: list[tuple[TableIdentity, Remark]] = []
        self._neighbours: set[tuple[object, ...]] = set()
        """Databases that no url names, under whichever host name."""

    def close(self) -> None:
        """Ends its threads."""
        if self._threads is not None:
            self._threads.close()

    def add(self, survey: Survey, targets: Sequence[Target]) -> None:
        """Takes in a database, and the columns that *targets* in it name; one that is not there is remarked on."""
        self._urls.setdefault(survey.identity, set()).add(survey.url)
        self.discovery.databases.setdefault(survey.name, 0)
        self._seek_indexes(survey)
        for target in targets:
            try:
                schema, name, column = survey.find(target)
            except UsageError as error:
                # The message begins with the column's name if it is about the column.
                words = str(error).removeprefix(f"{target.label}: ")
                self.discovery.remarks.append(Remark(survey.name, target.label, words))
            else:
                self._targets.setdefault(((survey.identity, schema, name), column), []).append(target)
                if target.index:
                    self._indexes.add(((survey.identity, schema, name), target.index.column))

    def target_schemas(self, survey: Survey) -> set[str | None]:
        """The schemas of the targets in that database."""
        return {schema for (identity, schema, _), _ in self._targets if identity == survey.identity}

    def expect(self, survey: Survey, wanted: Callable[[TableEntry], bool], *, enter: bool) -> None:
        """Says what will be searched, also in the other databases of the server if it is to *enter* them."""
        entries = self._expect_tables(survey, wanted)
        databases = len({survey.database(entry) for entry in entries})
        self._progress.expect_database(survey.name, databases=max(1, databases))
        if enter:
            sizes = survey.neighbour_sizes()
            for name in survey.neighbours()[0]:
                if self._left_out.why(name) is None:
                    self._progress.expect_database(survey.name_of(name), sizes.get(name, 0))

    def search_database(
        self,
        survey: Survey,
        wanted: Callable[[TableEntry], bool],
        near: Callable[[TableEntry], bool],
        *,
        url: str | None,
    ) -> None:
        """Searches the tables that *wanted* accepts, each once. Those that *near* does not accept are elsewhere.

        *url*: how the database's was written; None for a neighbour.
        """
        beyond, left_out = self.discovery.beyond, self._schemas_left_out(survey)
        self._progress.open(survey.name)
        self._expect_tables(survey, wanted)
        tables = (
            (table, (survey.identity, table.entry.schema, table.entry.table))
            for table in survey.tables(
                lambda entry: wanted(entry) and entry.schema not in left_out,
                lambda entry: self._progress.leave_out((survey.identity, entry.schema, entry.table)),
            )
        )
        # Beside threads this connection is asked little, and waits for them.
        row = nullcontext() if self._full_speed else survey.in_a_row()
        with row:
            for (table, identity), outcome in self._outcomes(survey, tables):
                reasons = self._see(survey, table, identity)
                for column in () if identity in self._seen else self._search_table(survey, table, identity, outcome):
                    column.url, column.in_other_database = url or "", url is None
                    column.elsewhere = not near(table.entry)
                    self._judge(survey, table, column, self._targets.get((identity, column.column), ()), reasons)
                    self.discovery.columns.append(column)
                    # A sample is of columns to cover, and shows this beside each.
                    unopened = column.unknown if column.elsewhere else column.inner_unknown * self.discovery.full
                    if unopened and column.ignored is None and not column.covered:
                        words = f"{many(unopened, 'token')} that no key opens"
                        self.discovery.unopened.append(Remark(survey.name, label(table.name, column.column), words))
            beyond += [Remark(survey.name, *part) for part in survey.unsearchable()]
        unasked = survey.schemas(lambda entry: not wanted(entry)) - survey.schemas(wanted)
        words = "not asked for; without --schema every schema is searched"
        beyond += [Remark(survey.name, f"schema {schema}", words) for schema in sorted(map(str, unasked))]
        self._name_left_out(survey, sorted(map(str, left_out)))

    def search_neighbours(self, survey: Survey, *, enter: bool) -> None:
        """Searches the other databases of the server, or names them."""
        open_ones, others = survey.neighbours()
        self._name_left_out(survey, [name for name in (*open_ones, *others) if self._left_out.why(name) is not None])
        open_ones = [name for name in open_ones if self._left_out.why(name) is None]
        for reason in sorted(set(others.values())):
            names = [name for name, why in others.items() if why == reason and self._left_out.why(name) is None]
            self._name_databases(survey, names, reason)
        some = {(database, table) for database, table, _ in self._whole}
        if not enter:
            self._name_databases(survey, open_ones, "only a search of every row of all schemas enters them")
            named = {database for database, _ in some}
            open_ones = [name for name in open_ones if survey.name_of(name) in named]
        for name in open_ones:
            self._progress.open(survey.name_of(name))
            try:
                with closing(survey.enter(name)) as neighbour:
                    if neighbour.identity not in self._urls:
                        self._seek_indexes(neighbour)
                        self._neighbours.add(neighbour.identity)
                        self.discovery.databases.setdefault(neighbour.name, 0)
                        in_it = {table for database, table in some if database == neighbour.name}
                        wanted = partial(_is_wanted, None if enter else in_it)
                        self.search_database(neighbour, wanted, lambda _: False, url=None)
            except (StoreError, UsageError) as error:
                remark = Remark(survey.name, f"database {name}", str(error).removesuffix(NOTHING_WRITTEN))
                if any(name in names for names in survey.neighbours()):
                    self.discovery.beyond.append(remark)
                else:
                    self.discovery.gone.append(remark._replace(words=DROPPED))

    def end(self, *, everything: bool) -> Discovery:
        """The result. A table that one url's user could not read and another's could was searched.

        *everything*: whether all was searched that an [[ignore]] may name, so that one without a match is a mistake.
        """
        if everything:
            self.discovery.remarks += self._ignores.unmatched()
        columns = self.discovery.columns
        found = {(one.database, label(one.table, one.column)) for one in columns if one.ignored is None}
        for column in columns:
            column.sources = tuple(name for name in column.made_of if (column.database, name) in found)
        unseen = [each for each in self._unseen if each[0] not in self._seen]
        self.discovery.unseen += [remark for identity, remark in unseen if identity[0] not in self._neighbours]
        self.discovery.beyond += _joined(remark for identity, remark in unseen if identity[0] in self._neighbours)
        self.discovery.beyond = list(dict.fromkeys(self.discovery.beyond))
        self.discovery.ignored = list(dict.fromkeys(self.discovery.ignored))
        return self.discovery

    def _see(self, survey: Survey, table: SearchableTable, identity: TableIdentity) -> Mapping[str | None, str]:
        """Notes that a table is there; returns why columns of it are ignored."""
        if survey.is_own(table.entry) and identity[0] not in self._neighbours:
            self.discovery.tables_seen.setdefault(table.name, set()).update(table.all_columns)
        reasons = self._ignores.reasons(self._urls.get(survey.identity, {survey.url}), table)
        for column, reason in reasons.items():
            if column is not None and (identity, column) in self._targets:
                words = "a target and an [[ignore]] name it: it counts as the target's"
                self.discovery.remarks.append(Remark(survey.name, label(table.name, column), words))
            elif identity not in self._seen:
                self.discovery.ignored.append(Remark(survey.name, label(table.name, column), reason))
        return reasons

    def _judge(
        self,
        survey: Survey,
        table: SearchableTable,
        column: TokenColumn,
        targets: Sequence[Target],
        reasons: Mapping[str | None, str],
    ) -> None:
        """Notes whether the column is covered or ignored, and otherwise how a target for it would have to be."""
        if targets:
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
        if column.ignored is not None:
            if column.unknown and self.discovery.full:
                remark = Remark(survey.name, label(table.name, column.column), column.ignored)
                words = f"{remark.words}; {many(column.unknown, 'token')} in it that no key here opens"
                others = [each for each in self.discovery.ignored if each != remark]
                self.discovery.ignored = [*others, remark._replace(words=words)]
        else:
            column.key_columns, column.hint, column.add_key = survey.fit(table, column.column, column.format)
            tokens = {name: sum(column.under[key_id] for key_id in ids) for name, ids in self._key_ids.items()}
            # On a tie the environment's own keys, which come first.
            column.keys = max(tokens, key=tokens.__getitem__)

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
            for (identity, named), targets in self._targets.items():
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
                is_loaded=target.keys in self._key_ids,
            )
            for target in targets
        )

    def _outcomes(
        self, survey: Survey, tables: Iterable[tuple[SearchableTable, TableIdentity]]
    ) -> Iterator[tuple[tuple[SearchableTable, TableIdentity], Outcome]]:
        """Each of *tables* with what was read of it; at full speed several tables of a server at once."""
        if self._full_speed and survey.has_snapshots:
            from rotation.discovery.reading_threads import ReadingThreads  # noqa: PLC0415 - few searches need threads

            self._threads = self._threads or ReadingThreads()
            yield from self._threads.each(survey, tables, self._read)
        else:
            courtesy = Courtesy(survey.sleep, full_speed=self._full_speed)
            yield from ((named, self._read(survey, named, courtesy)) for named in tables)

    def _read(self, survey: Survey, named: tuple[SearchableTable, TableIdentity], courtesy: Courtesy) -> Outcome:
        """The counted columns of a table, or why they cannot be read; in a thread. Or the table, if it is unchanged."""
        table, identity = named
        if not table.columns or identity in self._seen:
            self._progress.leave_out(identity)
            return None, table.fault
        full = self.discovery.full or self._is_to_be_whole(survey, table, identity)
        self._progress.begin_table(identity)
        try:
            if self._memory and (known := self._memory.unchanged(survey, table, self._keyrings)):
                return known, None
            return survey.read(
                table, lambda reading: self._count(survey, table, reading, full=full), courtesy, full=full
            )
        finally:
            self._progress.end_table(identity)

    def _search_table(
        self, survey: Survey, table: SearchableTable, identity: TableIdentity, outcome: Outcome
    ) -> Iterator[TokenColumn]:
        """The columns of a table that hold tokens."""
        found, (counted, fault) = self.discovery, outcome
        if table.unsearched:
            words = f"columns of a type that is not searched: {', '.join(table.unsearched)}"
            found.beyond.append(Remark(survey.name, table.name, words))
        if isinstance(counted, SearchedTable):
            self._take_unchanged(survey, table, identity, counted)
            return
        if counted and self._memory:
            self._memory.add(survey, table, self._keyrings, *counted)
        if fault:
            self._unseen.append((identity, Remark(survey.name, table.name, fault)))
        if counted is None:
            if table.columns and not fault:
                found.gone.append(Remark(survey.name, table.name, DROPPED))
            return
        columns, reading = counted
        self._remark(survey, table, identity, columns, reading.most)
        found.databases[survey.name] += 1
        found.rows += reading.rows
        found.sampled += reading.sampled
        for column in columns:
            if column.indexes and (identity, column.column) not in self._indexes:
                name = f"{column.label} in {survey.name}" if identity[0] in self._neighbours else column.label
                found.blind_indexes.append(IndexValues(survey.name, name, column.indexes))
        yield from (column for column in columns if column.found)

    def _schemas_left_out(self, survey: Survey) -> set[str | None]:
        """The databases that one connection shows and that are not searched; none that a target is in."""
        left_out = survey.schemas(lambda entry: self._left_out.why(survey.database(entry)) is not None)
        return left_out - self.target_schemas(survey)

    def _expect_tables(self, survey: Survey, wanted: Callable[[TableEntry], bool]) -> list[TableEntry]:
        left_out = self._schemas_left_out(survey)
        entries = list(survey.entries(lambda entry: wanted(entry) and entry.schema not in left_out))
        self._progress.expect_tables(survey.identity, entries)
        return entries

    def _take_unchanged(
        self, survey: Survey, table: SearchableTable, identity: TableIdentity, known: SearchedTable
    ) -> None:
        """Counts a table as searched in which an earlier search found nothing."""
        found = self.discovery
        words = f"every row was read at {known.read.isoformat(timespec='seconds')}, and no row version is newer"
        found.unchanged.append(Remark(survey.name, table.name, words))
        found.databases[survey.name] += 1
        found.rows += known.rows
        self._seen.add(identity)

    def _seek_indexes(self, survey: Survey) -> None:
        if self.discovery.full:
            survey.seek_indexes(sorted({key_id for ids in self._key_ids.values() for key_id in ids}))

    def _is_to_be_whole(self, survey: Survey, table: SearchableTable, identity: TableIdentity) -> bool:
        """True if a column of the table is among those of which a sample is not enough, and no target names it."""
        return any(
            (survey.name, table.name, column) in self._whole and (identity, column) not in self._targets
            for column in table.all_columns
        )

    def _count(
        self, survey: Survey, table: SearchableTable, reading: TableRows, *, full: bool
    ) -> tuple[list[TokenColumn], TableRows]:
        history, entry = table.entry.has_history and full, table.entry
        columns = [TokenColumn(survey.name, table.name, each.name, has_history=history) for each in table.columns]
        seen = 0
        for batch in reading:
            self._progress.read((survey.identity, entry.schema, entry.table), reading.rows, reading.rows - seen)
            seen = reading.rows
            for column, cells in zip(columns, zip(*batch, strict=True), strict=False):
                column.take(self._keyrings, [cell for cell in cells if cell is not None])
        for column in columns:
            column.rows, column.sampled = reading.rows, reading.sampled
        return columns, reading

    def _remark(
        self, survey: Survey, table: SearchableTable, identity: TableIdentity, columns: Sequence[TokenColumn], most: int
    ) -> None:
        """Remarks on what was not searched of a table that was read."""
        found, entry = self.discovery, table.entry
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
            self._unseen.append((identity, Remark(survey.name, table.name, table.denied)))
        else:
            self._seen.add(identity)
        if table.caution and identity[0] in self._neighbours:
            beyond.append(table.caution)
        elif table.caution:
            remark = Remark(survey.name, table.name, table.caution)
            found.hidden.append(remark)
            found.remarks.append(remark)
        found.beyond += [Remark(survey.name, table.name, words) for words in beyond]

    def _name_databases(self, survey: Survey, names: Sequence[str], words: str) -> None:
        if names:
            subject = f"other databases of the server ({', '.join(names)})"
            self.discovery.beyond.append(Remark(survey.name, subject, words))

    def _name_left_out(self, survey: Survey, names: Sequence[str]) -> None:
        by_reason: defaultdict[str | None, list[str]] = defaultdict(list)
        for name in names:
            by_reason[self._left_out.why(name)].append(name)
        before = len(self.discovery.beyond)
        for reason, those in by_reason.items():
            self._name_databases(survey, those, f"[policy] of rotation.toml leaves them out: {reason}")
        self.discovery.left_out += self.discovery.beyond[before:]


def _is_wanted(names: Collection[str] | None, entry: TableEntry) -> bool:
    """True for a table of these *names*; None: for any."""
    return names is None or entry.name in names


def _joined(remarks: Iterable[Remark]) -> Iterator[Remark]:
    """One remark for all tables of a database that cannot be read for the same reason; nobody is to grant rights."""
    tables: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for database, table, words in remarks:
        tables[database, words.partition(": grant ")[0]].append(table)
    for (database, words), names in tables.items():
        several = len(names) > 1
        subject = f"{'tables ' if several else ''}{', '.join(names)}"
        yield Remark(database, subject, words.replace("for it", "for them") if several else words)
