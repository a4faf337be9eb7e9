"""Databases in, columns that hold tokens out: which of them no target covers, and what could not be searched."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from keyring_core import Keyring
from rotation.configuration.declarations import DeclaredColumn
from rotation.configuration.policy import LeftOut
from rotation.configuration.sections import Ignored
from rotation.discovery.memory import SearchMemory
from rotation.discovery.result import ColumnName, Discovery, Remark, uncovered_columns
from rotation.discovery.search_progress import SearchProgress
from rotation.discovery.table_search import DROPPED, Coverage, TableSearch
from rotation.discovery.token_column import TokenColumn, label
from rotation.model.failures import StoreError, UsageError
from rotation.model.target import Target
from rotation.model.text import many
from rotation.model.watcher import Watcher
from rotation.stores.catalog import TableEntry
from rotation.stores.databases import parse_url

if TYPE_CHECKING:
    from rotation.discovery.survey import Survey

NOTHING_WRITTEN = " Nothing was written."

Chosen = Callable[[TableEntry], bool]
"""True for the tables that are meant."""


class DatabaseUrl(NamedTuple):
    """A database to search: its url, and how that was written."""

    url: str
    written: str


@dataclass(frozen=True)
class SearchPlan:
    """What is searched, for the tokens of which keys, and how."""

    databases: Sequence[DatabaseUrl]
    targets: Sequence[Target]
    keyrings: Mapping[str | None, Keyring]
    """Of all key sets, by name; None names the environment's own keys."""
    full: bool = False
    """True for every row, otherwise a sample of each large table."""
    schemas: Collection[str] | None = None
    """None for all; otherwise these; if empty, the ones that urls and targets name."""
    whole_server: bool | None = None
    """True to enter the other databases of a PostgreSQL server, too; None: if every row of all schemas is searched."""
    ignored: Sequence[Ignored] = ()
    """The columns that no target has to cover."""
    declared: Sequence[DeclaredColumn] = ()
    """The encrypted columns of models, which are to have targets whether they hold tokens or not."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Patterns of the names of databases not to search, and why; one that a url or a target names is searched."""
    keyless: bool = False
    """True if no key of the application is known, so that every token in a url's own database may be its."""
    whole: Collection[ColumnName] = ()
    """Columns without a target whose tables are read to the end in a sample, too, wherever they are."""
    memory: SearchMemory | None = None
    """Of earlier searches of every row; their unchanged tables are not read again."""
    full_speed: bool = False
    """True for several tables of a server at once, and no rest while others write to a file."""

    @property
    def enters(self) -> bool:
        """True if the other databases of a server are searched, too; the ones that are not are in `beyond`, by name."""
        return self.full and self.schemas is None if self.whole_server is None else self.whole_server


def uncovered_token_columns(
    targets: Sequence[Target],
    keyring: Keyring,
    open_survey: Callable[[str], Survey],
    *,
    full: bool = False,
    ignored: Sequence[Ignored] = (),
) -> list[TokenColumn]:
    """The columns that hold tokens and that no target covers, in all that the users of *targets* may read.

    Those that are *ignored* are left out, whatever they hold.

    It reads a sample of each table, which may miss a rare token, or with *full* every row, also in the other databases
    of a PostgreSQL server. It writes nothing. `under` of a column says which keys its tokens need:

        from rotation.discovery.survey import Survey
        found = uncovered_token_columns(targets, keyring, lambda url: Survey(url, sleep=time.sleep))
        needed = [column.label for column in found if column.under["5f0c1a9e"]]

    Tokens of other applications are left out: those in other schemas or databases that no key of *keyring* opens. What
    it cannot search is in the `beyond` of `discover`.

    Raises StoreError if a database or one of its tables cannot be searched, or rows of it may be hidden; UsageError
    for a url that cannot work.
    """
    plan = SearchPlan(databases_of(targets), targets, {None: keyring}, full=full, ignored=ignored)
    found = discover(plan, open_survey)
    if unsure := [*found.unseen, *found.hidden]:
        raise StoreError(f"{unsure[0].subject} cannot be looked at: {unsure[0].words}")
    # A copy may hold tokens of before it was made again.
    return [column for column in found.columns if column.is_uncovered or (column.copy_of and column.ignored is None)]


def databases_of(targets: Iterable[Target]) -> list[DatabaseUrl]:
    """The databases of *targets*, each url once."""
    return list({target.url: DatabaseUrl(target.url, target.written) for target in targets}.values())


def discover(plan: SearchPlan, open_survey: Callable[[str], Survey], watcher: Watcher = lambda _: None) -> Discovery:
    """Searches every table that the users of the databases of *plan* may read; *watcher* follows.

    Raises StoreError and UsageError.
    """
    with ExitStack() as stack:
        search = stack.enter_context(closing(DatabaseSearch(plan, watcher)))
        surveys: list[tuple[Survey, str]] = []
        for url, written in plan.databases:
            survey = stack.enter_context(closing(open_survey(url)))
            surveys.append((survey, written))
            search.add(survey, [target for target in plan.targets if target.url == url])
        scopes = [search.scope(survey, written) for survey, written in surveys]
        search.begin(scopes)
        for scope in scopes:
            search.search_database(scope)
        for scope in scopes:
            search.search_neighbours(scope.survey)
        return search.end()


class DatabaseScope(NamedTuple):
    """The part of a database that is searched."""

    survey: Survey
    url: str | None
    """How the database's was written; None for a neighbour."""
    wanted: Chosen
    near: Chosen
    """Tables that it does not choose are elsewhere."""
    left_out: set[str | None]
    """Databases that this connection shows and that are not searched; none that a target is in."""

    def entries(self, entry: TableEntry) -> bool:
        """True for a table that is searched."""
        return self.wanted(entry) and entry.schema not in self.left_out


class DatabaseSearch:
    """Searches databases, and their servers' others; each table once, whatever the number of urls that lead to it."""

    def __init__(self, plan: SearchPlan, watcher: Watcher) -> None:
        bound = (*(target.context for target in plan.targets), *(column.context for column in plan.declared))
        contexts = list(dict.fromkeys(filter(None, bound)))
        sets = {name: [each, *map(each.bind, contexts)] for name, each in plan.keyrings.items()}
        left = uncovered_columns(plan.declared, plan.targets, plan.ignored)
        self.discovery = Discovery(plan.full, declared=list(plan.declared), without_target=left)
        self.discovery.url = plan.databases[0].written if len(plan.databases) == 1 else ""
        self.discovery.has_contexts = bool(contexts)
        # On MariaDB a schema is a database.
        named = (parsed.database for url, _ in plan.databases if (parsed := parse_url(url)))
        self._plan, self._left_out = plan, LeftOut(plan.left_out, {*(plan.schemas or ()), *named})
        self._progress = SearchProgress(watcher, full=plan.full)
        self._coverage = Coverage(self.discovery, plan.ignored, sets)
        self._tables = TableSearch(
            self.discovery,
            self._coverage,
            self._progress,
            [keyring for those in sets.values() for keyring in those],
            whole=plan.whole,
            memory=plan.memory,
        )

    def close(self) -> None:
        """Ends its threads."""
        self._tables.close()

    def add(self, survey: Survey, targets: Sequence[Target]) -> None:
        """Takes in a database, and the columns that *targets* in it name; one that is not there is remarked on."""
        self._open(survey)
        self._coverage.add(survey, targets)

    def _open(self, survey: Survey) -> None:
        self.discovery.databases.setdefault(survey.name, 0)
        if self._plan.full:
            survey.seek_indexes(sorted({key_id for ids in self._coverage.key_ids.values() for key_id in ids}))

    def scope(self, survey: Survey, url: str) -> DatabaseScope:
        """What is searched of a database that a url names, once all are added."""
        plan = self._plan
        near = _in_schemas({*self._coverage.schemas(survey), *(plan.schemas or ())}, plain=True)
        wanted = _in_schemas(plan.schemas, plain=False) if plan.schemas else near
        return self._scope(
            survey, url, _any if plan.schemas is None else wanted, survey.is_own if plan.keyless else near
        )

    def _scope(self, survey: Survey, url: str | None, wanted: Chosen, near: Chosen) -> DatabaseScope:
        left_out = survey.schemas(lambda entry: self._left_out.why(survey.database(entry)) is not None)
        return DatabaseScope(survey, url, wanted, near, left_out - self._coverage.schemas(survey))

    def begin(self, scopes: Iterable[DatabaseScope]) -> None:
        """Says what will be searched, also in the other databases of the servers if they are entered."""
        for scope in scopes:
            survey = scope.survey
            databases = {survey.database(entry) for entry in self._expect_tables(scope)}
            self._progress.expect_database(survey.name, databases=max(1, len(databases)))
            sizes = survey.neighbour_sizes() if self._plan.enters else {}
            for name in survey.neighbours()[0] if self._plan.enters else ():
                if self._left_out.why(name) is None:
                    self._progress.expect_database(survey.name_of(name), sizes.get(name, 0))
        self._progress.begin()

    def _expect_tables(self, scope: DatabaseScope) -> list[TableEntry]:
        entries = list(scope.survey.entries(scope.entries))
        self._progress.expect_tables(scope.survey.identity, entries)
        return entries

    def search_database(self, scope: DatabaseScope) -> None:
        """Searches its tables, each once."""
        found, survey = self.discovery, scope.survey
        self._progress.open(survey.name)
        self._expect_tables(scope)
        tables = survey.tables(scope.entries, self._progress.leave_out)
        # Beside threads this connection is asked little, and waits for them.
        with nullcontext() if self._plan.full_speed else survey.in_a_row():
            for table, outcome in self._tables.outcomes(survey, tables, full_speed=self._plan.full_speed):
                if survey.is_own(table.entry) and not table.is_neighbour:
                    found.tables_seen.setdefault(table.name, set()).update(table.all_columns)
                is_new = self._tables.is_new(table)
                reasons = self._coverage.reasons(survey, table, is_new=is_new)
                for column in self._tables.take(survey, table, outcome) if is_new else ():
                    column.url, column.in_other_database = scope.url or "", scope.url is None
                    column.elsewhere = not scope.near(table.entry)
                    self._coverage.judge(survey, table, column, reasons)
                    found.columns.append(column)
                    # A sample is of columns to cover, and shows this beside each.
                    unopened = column.unknown if column.elsewhere else column.inner_unknown * found.full
                    if unopened and column.ignored is None and not column.covered:
                        words = f"{many(unopened, 'token')} that no key opens"
                        found.unopened.append(Remark.on_column(table, column.column, words))
            found.beyond += [Remark(survey.name, *part) for part in survey.unsearchable]
        unasked = survey.schemas(lambda entry: not scope.wanted(entry)) - survey.schemas(scope.wanted)
        words = "not asked for; without --schema every schema is searched"
        found.beyond += [Remark(survey.name, f"schema {schema}", words) for schema in sorted(map(str, unasked))]
        self._name_left_out(survey, sorted(map(str, scope.left_out)))

    def search_neighbours(self, survey: Survey) -> None:
        """Searches the other databases of the server, or names them."""
        open_ones, others = survey.neighbours()
        self._name_left_out(survey, [name for name in (*open_ones, *others) if self._left_out.why(name) is not None])
        open_ones = [name for name in open_ones if self._left_out.why(name) is None]
        for reason in sorted(set(others.values())):
            names = [name for name, why in others.items() if why == reason and self._left_out.why(name) is None]
            self._name_databases(survey, names, reason)
        enters, some = self._plan.enters, {(database, table) for database, table, _ in self._plan.whole}
        if not enters:
            self._name_databases(survey, open_ones, "only a search of every row of all schemas enters them")
            named = {database for database, _ in some}
            open_ones = [name for name in open_ones if survey.name_of(name) in named]
        for name in open_ones:
            self._progress.open(survey.name_of(name))
            try:
                with closing(survey.enter(name)) as neighbour:
                    if neighbour.identity not in self._coverage.urls:
                        self._open(neighbour)
                        in_it = {table for database, table in some if database == neighbour.name}
                        wanted = _any if enters else _named(in_it)
                        self.search_database(self._scope(neighbour, None, wanted, lambda _: False))
            except (StoreError, UsageError) as error:
                remark = Remark(survey.name, f"database {name}", str(error).removesuffix(NOTHING_WRITTEN))
                if any(name in names for names in survey.neighbours()):
                    self.discovery.beyond.append(remark)
                else:
                    self.discovery.gone.append(remark._replace(words=DROPPED))

    def end(self) -> Discovery:
        """The result."""
        found, searched = self.discovery, {url for url, _ in self._plan.databases}
        # Otherwise an [[ignore]] without a match may name what was not searched.
        if self._plan.schemas is None and all(target.url in searched for target in self._plan.targets):
            found.remarks += self._coverage.unmatched()
        holding = {(one.database, label(one.table, one.column)) for one in found.columns if one.ignored is None}
        for column in found.columns:
            column.sources = tuple(name for name in column.made_of if (column.database, name) in holding)
        found.unseen += self._tables.unseen(in_neighbours=False)
        found.beyond = list(dict.fromkeys([*found.beyond, *_joined(self._tables.unseen(in_neighbours=True))]))
        found.ignored = list(dict.fromkeys(found.ignored))
        return found

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


def _any(_entry: TableEntry) -> bool:
    return True


def _named(names: Collection[str]) -> Chosen:
    return lambda entry: entry.name in names


def _in_schemas(schemas: Collection[str | None], *, plain: bool) -> Chosen:
    """True if a table is in one of *schemas*, or with *plain* is found by its name alone."""
    return lambda entry: (plain and entry.plain) or entry.schema in schemas


def _joined(remarks: Iterable[Remark]) -> Iterator[Remark]:
    """One remark for all tables of a database that cannot be read for the same reason; nobody is to grant rights."""
    tables: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for database, table, words in remarks:
        tables[database, words.partition(": grant ")[0]].append(table)
    for (database, words), names in tables.items():
        several = len(names) > 1
        subject = f"{'tables ' if several else ''}{', '.join(names)}"
        yield Remark(database, subject, words.replace("for it", "for them") if several else words)
