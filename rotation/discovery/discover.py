"""Databases in, columns that hold tokens out: which of them no target names, and what could not be looked at."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, NamedTuple

from keyring_core import Keyring
from rotation.discovery.result import Discovery, Remark
from rotation.discovery.search import Address, Search
from rotation.discovery.target_entries import entries
from rotation.discovery.token_column import TokenColumn
from rotation.model.failures import StoreError, UsageError
from rotation.model.targets import Target

if TYPE_CHECKING:
    from rotation.discovery.catalogs import TableEntry
    from rotation.discovery.survey import Survey

__all__ = [
    "Discovery",
    "Place",
    "Remark",
    "TokenColumn",
    "databases_of",
    "discover",
    "entries",
    "uncovered_token_columns",
]


class Place(NamedTuple):
    """A database to look through: its url, and how that was written."""

    url: str
    written: str


def uncovered_token_columns(
    targets: Sequence[Target], keyring: Keyring, open_survey: Callable[[str], Survey], *, full: bool = False
) -> list[TokenColumn]:
    """The columns that hold tokens and that no target names, wherever the users of *targets* may look. Writes nothing.

    It reads a sample of each table, which may miss a rare token, or with *full* every row, also in the other databases
    of a PostgreSQL server. `under` of a column tells which of our keys its tokens need:

        from rotation.discovery.survey import Survey
        found = uncovered_token_columns(targets, keyring, lambda url: Survey(url, sleep=world.wait))
        needed = [column.label for column in found if column.under["5f0c1a9e"]]

    Another application's are left out: those in other schemas or databases that no key of ours opens. What it cannot
    look at is in the `beyond` of `discover`.

    Raises StoreError where a database or one of its tables cannot be looked at, or rows of it may be hidden; UsageError
    for a url that cannot work.
    """
    found = discover(databases_of(targets), targets, keyring, open_survey, full=full, schemas=None)
    if unsure := [*found.unseen, *found.hidden]:
        raise StoreError(f"{unsure[0].subject} cannot be looked at: {unsure[0].words}")
    return [column for column in found.uncovered if not column.is_foreign]


def databases_of(targets: Iterable[Target]) -> list[Place]:
    """The databases of *targets*, each url once."""
    return list({target.url: Place(target.url, target.written) for target in targets}.values())


def discover(  # noqa: PLR0913 - what to look for, where, with what, and how
    places: Iterable[Place],
    targets: Sequence[Target],
    keyring: Keyring,
    open_survey: Callable[[str], Survey],
    *,
    full: bool,
    schemas: Collection[str] | None,
    whole_server: bool | None = None,
) -> Discovery:
    """Looks through every table that the users of *places* may see.

    *schemas*: None for all; otherwise these, and if there are none those that urls and targets name.
    *whole_server*: whether to enter the other databases of a PostgreSQL server, too; by default with *full*, if all
    schemas are looked into. What is left out is in `beyond`, by name.

    Raises StoreError and UsageError.
    """
    whole_server = full and schemas is None if whole_server is None else whole_server
    contexts = dict.fromkeys(target.context for target in targets if target.context)
    keyrings = [keyring, *(keyring.bind(context) for context in contexts)]
    with ExitStack() as stack:
        search = Search(Discovery(full), keyrings)
        surveys: list[tuple[Place, Survey]] = []
        for place in places:
            survey = stack.enter_context(closing(open_survey(place.url)))
            surveys.append((place, survey))
            search.add(survey)
            for target in targets:
                if target.url == place.url and (address := _find(survey, target, search.discovery)):
                    search.name((survey.identity, *address), target.where)
        for place, survey in surveys:
            scope = _scope(schemas, search.schemas_named(survey))
            search.look_through(survey, scope.wanted, scope.near, url=place.written)
        for _, survey in surveys:
            _look_around(survey, search, enter=whole_server)
        return search.end()


class _Scope(NamedTuple):
    wanted: Callable[[TableEntry], bool]
    """Which tables to look at."""
    near: Callable[[TableEntry], bool]
    """Which of them are in the targets' own schemas, or in one that was asked for."""


def _scope(schemas: Collection[str] | None, named: Collection[str | None]) -> _Scope:
    near = {*named, *(schemas or ())}

    def is_near(entry: TableEntry) -> bool:
        return entry.plain or entry.schema in near

    if schemas is None:
        return _Scope(lambda _: True, is_near)
    return _Scope((lambda entry: entry.schema in schemas) if schemas else is_near, is_near)


def _find(survey: Survey, target: Target, discovery: Discovery) -> Address | None:
    """Where a target's column is; one that is not there is remarked on."""
    try:
        return survey.find(target)
    except UsageError as error:
        discovery.remarks.append(Remark(survey.name, target.label, str(error)))
    return None


def _look_around(survey: Survey, search: Search, *, enter: bool) -> None:
    """Looks into the other databases of the server, or names them."""
    beyond = search.discovery.beyond
    open_ones, closed = survey.neighbours()
    if closed:
        beyond.append(_databases(survey, closed, "this user may not connect to them"))
    if not enter:
        if open_ones:
            beyond.append(_databases(survey, open_ones, "only a look at every row of all schemas enters them"))
        return
    for name in open_ones:
        if fault := _look_into(survey, name, search):
            beyond.append(Remark(survey.name, f"database {name}", fault))


def _look_into(survey: Survey, name: str, search: Search) -> str | None:
    """Looks into another database of the server; returns why it could not be looked at, or not to the end."""
    try:
        with closing(survey.enter(name)) as neighbour:
            if search.add(neighbour, is_neighbour=True):
                search.look_through(neighbour, lambda _: True, lambda _: False, url=None)
    except (StoreError, UsageError) as error:
        return str(error)
    return None


def _databases(survey: Survey, names: Sequence[str], words: str) -> Remark:
    return Remark(survey.name, f"other databases of the server ({', '.join(names)})", words)
