"""Databases in, columns that hold tokens out: which of them no target covers, and what could not be searched."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from keyring_core import Keyring
from rotation.configuration.declarations import DeclaredColumn
from rotation.configuration.policy import LeftOut
from rotation.configuration.sections import Ignored
from rotation.discovery.progress import SearchProgress
from rotation.discovery.result import ColumnName, Discovery, Ignores, uncovered_columns
from rotation.discovery.search import DatabaseSearch
from rotation.discovery.token_column import TokenColumn
from rotation.model.failures import StoreError
from rotation.model.report import NoWatcher, Watcher
from rotation.model.target import Target
from rotation.stores.cells import TableEntry
from rotation.stores.databases import parse_url

if TYPE_CHECKING:
    from rotation.discovery.memory import SearchMemory
    from rotation.discovery.survey import Survey


class DatabaseUrl(NamedTuple):
    """A database to search: its url, and how that was written."""

    url: str
    written: str


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
    found = discover(databases_of(targets), targets, keyring, open_survey, full=full, schemas=None, ignored=ignored)
    if unsure := [*found.unseen, *found.hidden]:
        raise StoreError(f"{unsure[0].subject} cannot be looked at: {unsure[0].words}")
    # A copy may hold tokens of before it was made again.
    return [column for column in found.columns if column.is_uncovered or (column.copy_of and column.ignored is None)]


def databases_of(targets: Iterable[Target]) -> list[DatabaseUrl]:
    """The databases of *targets*, each url once."""
    return list({target.url: DatabaseUrl(target.url, target.written) for target in targets}.values())


def discover(  # noqa: PLR0913 - what to look for, where, with what, and how
    databases: Iterable[DatabaseUrl],
    targets: Sequence[Target],
    keyring: Keyring,
    open_survey: Callable[[str], Survey],
    *,
    full: bool,
    schemas: Collection[str] | None,
    whole_server: bool | None = None,
    ignored: Sequence[Ignored] = (),
    keyrings: Mapping[str | None, Keyring] = MappingProxyType({}),
    declared: Sequence[DeclaredColumn] = (),
    left_out: Mapping[str, str] = MappingProxyType({}),
    watcher: Watcher | None = None,
    keyless: bool = False,
    whole: Collection[ColumnName] = (),
    memory: SearchMemory | None = None,
    full_speed: bool = False,
) -> Discovery:
    """Searches every table that the users of *databases* may read.

    *schemas*: None for all; otherwise these; if empty, the ones that urls and targets name.
    *whole_server*: whether to enter the other databases of a PostgreSQL server, too; by default with *full*, if all
    schemas are searched. What is left out is in `beyond`, by name.
    *ignored*: columns that no target has to cover.
    *keyrings*: the keyrings of all key sets, by name, in place of *keyring* alone; None names the environment's own.
    *declared*: the encrypted columns of models, which are to have targets whether they hold tokens or not.
    *left_out*: patterns of the names of databases not to search, and why; one that a url or a target names is searched.
    *watcher*: follows the search.
    *keyless*: no key of the application is known, so that every token in a url's own database may be its.
    *whole*: columns without a target whose tables are read to the end in a sample, too, wherever they are.
    *full_speed*: several tables of a server at once, and no rest while others write to a file.
    *memory*: of earlier searches of every row; their unchanged tables are not read again.

    Raises StoreError and UsageError.
    """
    databases = list(databases)
    named = (*(target.context for target in targets), *(column.context for column in declared))
    contexts = dict.fromkeys(filter(None, named))
    sets = {name: [each, *map(each.bind, contexts)] for name, each in (keyrings or {None: keyring}).items()}
    found = Discovery(full, declared=list(declared), without_target=uncovered_columns(declared, targets, ignored))
    found.url = databases[0].written if len(databases) == 1 else ""
    found.has_contexts = bool(contexts)
    # On MariaDB a schema is a database.
    asked_for = {*(schemas or ()), *(parsed.database for url, _ in databases if (parsed := parse_url(url)))}
    progress = SearchProgress(watcher or NoWatcher(), full=full)
    enter = full and schemas is None if whole_server is None else whole_server
    with ExitStack() as stack:
        search = DatabaseSearch(
            found,
            sets,
            Ignores(ignored),
            LeftOut(left_out, asked_for),
            progress,
            whole=whole,
            memory=memory,
            full_speed=full_speed,
        )
        stack.enter_context(closing(search))
        surveys: list[tuple[str, Survey]] = []
        for url, written in databases:
            survey = stack.enter_context(closing(open_survey(url)))
            surveys.append((written, survey))
            search.add(survey, [target for target in targets if target.url == url])
        parts = []
        for written, survey in surveys:
            near = _in_schemas({*search.target_schemas(survey), *(schemas or ())}, plain=True)
            chosen = _in_schemas(schemas, plain=False) if schemas else near
            near = survey.is_own if keyless else near
            wanted = (lambda _: True) if schemas is None else chosen
            search.expect(survey, wanted, enter=enter)
            parts.append((survey, wanted, near, written))
        progress.begin()
        for survey, wanted, near, written in parts:
            search.search_database(survey, wanted, near, url=written)
        for _, survey in surveys:
            search.search_neighbours(survey, enter=enter)
        searched = {url for url, _ in databases}
        return search.end(everything=schemas is None and all(target.url in searched for target in targets))


def _in_schemas(schemas: Collection[str | None], *, plain: bool) -> Callable[[TableEntry], bool]:
    """True if a table is in one of *schemas*, or with *plain* is found by its name alone."""
    return lambda entry: (plain and entry.plain) or entry.schema in schemas
