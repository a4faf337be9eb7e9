"""Cells in, columns that hold tokens out: which of them no target names, and the entries to add."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from keyring_core import InvalidToken, Key, Keyring, UndecryptableToken
from keyring_core.tokens import TOKEN_IN_TEXT
from rotation.errors import StoreError, UsageError
from rotation.targets import Target

if TYPE_CHECKING:
    from rotation.stores.layout import Listed
    from rotation.stores.survey import Held, Survey

CUT = 64 * 1024
"""A piece that long is the beginning of a larger one."""


@dataclass
class TokenColumn:
    """A column that holds tokens, as far as it was looked at. None of its numbers is more than was seen."""

    database: str
    """In words that hold no password."""
    table: str
    """As a target names it: `table`, or `schema.table`."""
    column: str
    named: bool = False
    """Whether a target names it."""
    where: str | None = None
    """The condition of the targets that name it, where none of them takes every row."""
    rows: int = 0
    """Rows of the table that were looked at."""
    sampled: bool = False
    """Whether there are more."""
    tokens: int = 0
    """Cells that are a token and nothing else."""
    embedded: int = 0
    """Cells that hold a token among other text, such as JSON."""
    under: Counter[str] = field(default_factory=Counter)
    """Tokens per key of ours, embedded ones included."""
    inner: Counter[str] = field(default_factory=Counter)
    """Those of them that are part of something else."""
    unknown: int = 0
    """Tokens that no key of ours opens."""
    large: int = 0
    """Tokens too large to be tried."""
    key_columns: tuple[str, ...] = ()
    """What a target has to name, where the table has no primary key."""
    hint: str | None = None
    """Why a target for it would be refused."""
    url: str = field(default="", repr=False)
    """Of the database, as it was written."""

    @property
    def label(self) -> str:
        """What messages call it: `user_credentials.api_key`."""
        return f"{self.table}.{self.column}"

    @property
    def found(self) -> bool:
        """Whether there is any token in it."""
        return bool(self.tokens or self.embedded)

    @property
    def proposed(self) -> bool:
        """Whether an entry for it can be added to rotation.toml as it is."""
        return bool(not self.named and self.tokens and self.hint is None)

    def take(self, keyring: Keyring, pieces: Sequence[Any]) -> None:
        """Counts cells of this column; each holds what looks like a token's beginning."""
        pieces = [piece if isinstance(piece, str | bytes) else bytes(piece) for piece in pieces]
        whole = [piece for piece in pieces if len(piece) < CUT]
        inside = [piece for piece in pieces if len(piece) >= CUT]
        found = keyring.identify_many(whole)
        self.tokens += self._count(found)
        inside += [piece for piece, item in zip(whole, found, strict=True) if not _is_token(item)]
        for piece in inside:
            text = piece.encode("utf-8", "surrogateescape") if isinstance(piece, str) else piece
            if len(piece) >= CUT and TOKEN_IN_TEXT.fullmatch(text):
                self.tokens, self.large = self.tokens + 1, self.large + 1
            elif tokens := TOKEN_IN_TEXT.findall(text):
                self.embedded += 1
                self._count(keyring.identify_many(tokens))

    def _count(self, found: Iterable[Key | InvalidToken]) -> int:
        tokens = [item for item in found if _is_token(item)]
        opened = [item.id for item in tokens if isinstance(item, Key)]
        self.under.update(opened)
        self.unknown += len(tokens) - len(opened)
        return len(tokens)

    def document(self) -> dict[str, Any]:
        """Its part of the JSON document."""
        names = ("database", "table", "column", "named", "where", "rows", "sampled", "tokens", "embedded")
        return {name: getattr(self, name) for name in names} | {
            "under": dict(self.under),
            "unknown": self.unknown,
            "large": self.large,
            "proposed": self.proposed,
            "key_columns": list(self.key_columns),
            "hint": self.hint,
        }


class Remark(NamedTuple):
    """What an admin should know of one table, or of one target."""

    database: str
    subject: str
    words: str


@dataclass
class Discovery:
    """What was looked at, and what was found."""

    full: bool
    columns: list[TokenColumn] = field(default_factory=list)
    """Those that hold tokens."""
    databases: dict[str, int] = field(default_factory=dict)
    """Tables that were looked at, per database."""
    rows: int = 0
    sampled: int = 0
    """Tables of which some rows were left out."""
    remarks: list[Remark] = field(default_factory=list)
    hidden: list[Remark] = field(default_factory=list)
    """Those of the remarks that say that rows may be hidden from us."""
    unseen: list[Remark] = field(default_factory=list)
    """Tables that could not be looked at, and why."""
    beyond: list[Remark] = field(default_factory=list)
    """What lies outside of what can be looked at, by name: other databases, other kinds of columns, cells too large."""

    @property
    def unnamed(self) -> list[TokenColumn]:
        """The columns that hold tokens and that no target names."""
        return [column for column in self.columns if not column.named]

    @property
    def exit_code(self) -> int:
        """3 where a table could not be looked at, 1 where a column is unnamed, else 0."""
        return 3 if self.unseen else int(bool(self.unnamed))

    def document(self) -> dict[str, Any]:
        """The one JSON document."""
        return {
            "complete": self.exit_code == 0,
            "full": self.full,
            "databases": [{"name": name, "tables": tables} for name, tables in self.databases.items()],
            "rows": self.rows,
            "sampled_tables": self.sampled,
            "columns": [column.document() for column in self.columns],
            "remarks": [remark._asdict() for remark in self.remarks],
            "unseen": [remark._asdict() for remark in self.unseen],
            "targets": entries(self.unnamed),
        }


class Place(NamedTuple):
    """A database to look through: its url, and how that was written."""

    url: str
    written: str


def unnamed_token_columns(
    targets: Sequence[Target], keyring: Keyring, open_survey: Callable[[str], Survey], *, full: bool = False
) -> list[TokenColumn]:
    """The columns that hold tokens and that no target names, in the databases and schemas of *targets*. Writes nothing.

    It looks into the schemas that a target's url finds by itself (the database of a MariaDB url, the search path of a
    PostgreSQL one) and into those that targets name; the command looks into all. It reads a sample of each table, which
    may miss a rare token, or with *full* every row. `under` of a column tells which of our keys its tokens need:

        from rotation.stores.survey import Survey
        found = unnamed_token_columns(targets, keyring, lambda url: Survey(url, sleep=world.wait))
        needed = [column.label for column in found if column.under["5f0c1a9e"]]

    Raises StoreError where a database or one of its tables cannot be looked at, or rows of it may be hidden; UsageError
    for a url that cannot work.
    """
    found = discover(places_of(targets), targets, keyring, open_survey, full=full, schemas=())
    if unsure := [*found.unseen, *found.hidden]:
        raise StoreError(f"{unsure[0].subject} cannot be looked at: {unsure[0].words}")
    return found.unnamed


def places_of(targets: Iterable[Target]) -> list[Place]:
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
) -> Discovery:
    """Looks through every table of *places*. *schemas*: None for all, else these and those that urls and targets name.

    Raises StoreError and UsageError.
    """
    discovery = Discovery(full)
    with ExitStack() as closing:
        surveys: dict[str, tuple[Place, Survey]] = {}
        named: dict[tuple[str, str | None, str, str], list[str | None]] = {}
        for place in places:
            survey = open_survey(place.url)
            closing.callback(survey.close)
            # Two urls may lead to one database.
            surveys.setdefault(survey.name, (place, survey))
            discovery.databases.setdefault(survey.name, 0)
            for target in targets:
                if target.url == place.url and (address := _find(survey, target, discovery)):
                    named.setdefault((survey.name, *address), []).append(target.where)
        for place, survey in surveys.values():
            near = {schema for name, schema, *_ in named if name == survey.name}
            for held in survey.tables(_scope(schemas, near)):
                for column in _look(survey, held, keyring, discovery):
                    column.url = place.written
                    wheres = named.get((survey.name, held.listed.schema, held.listed.table, column.column), [])
                    column.named = bool(wheres)
                    column.where = None if None in wheres else next(iter(wheres), None)
                    if not column.named:
                        column.key_columns, column.hint = survey.fit(held, column.column)
                    discovery.columns.append(column)
    return discovery


def entries(columns: Iterable[TokenColumn]) -> str:
    """The `[[target]]` entries of rotation.toml for those of *columns* that can be targets, ready to paste."""
    tables: dict[tuple[str, str, str, tuple[str, ...]], list[str]] = {}
    for column in columns:
        if column.proposed:
            key = column.database, column.url, column.table, column.key_columns
            tables.setdefault(key, []).append(column.column)
    return "\n".join(_entry(*table, names) for table, names in tables.items())


def _entry(database: str, url: str, table: str, key_columns: Sequence[str], columns: Sequence[str]) -> str:
    lines = ["[[target]]", f"url = {_url(url, database)}", f"table = {_toml(table)}", f"columns = {_tomls(columns)}"]
    return "\n".join([*lines, *([f"key_columns = {_tomls(key_columns)}"] if key_columns else []), ""])


def _url(written: str, database: str) -> str:
    """The url, or where it may hold a password a variable to put it in."""
    if written.startswith(("$", "sqlite")) or not re.search(r"[@?]", written):
        return _toml(written)
    return f'"$DATABASE_URL"  # a variable that holds the url of the {"".join(filter(str.isprintable, database))}'


def _toml(text: str) -> str:
    # A basic string of TOML is one of JSON, but for the one control character that JSON lets through.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _tomls(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(_toml, texts))}]"


def _scope(schemas: Collection[str] | None, near: Collection[str | None]) -> Callable[[Listed], bool]:
    """Which tables to look at."""
    if schemas is None:
        return lambda _: True
    if schemas:
        return lambda listed: listed.schema in schemas
    return lambda listed: listed.plain or listed.schema in near


def _find(survey: Survey, target: Target, discovery: Discovery) -> tuple[str | None, str, str] | None:
    """Where a target's column is; one that is not there is remarked on."""
    try:
        return survey.find(target)
    except UsageError as error:
        discovery.remarks.append(Remark(survey.name, target.label, str(error)))
    return None


def _look(survey: Survey, held: Held, keyring: Keyring, discovery: Discovery) -> Iterator[TokenColumn]:
    """The columns of a table that hold tokens."""
    discovery.databases[survey.name] += 1
    if held.fault:
        discovery.unseen.append(Remark(survey.name, held.name, held.fault))
        return
    if held.caution:
        discovery.hidden.append(Remark(survey.name, held.name, held.caution))
        discovery.remarks.append(discovery.hidden[-1])
    columns = [TokenColumn(survey.name, held.name, name) for name in held.columns]
    reading, rows = survey.read(held, full=discovery.full), 0
    for batch in reading:
        rows += len(batch)
        for column, cells in zip(columns, zip(*batch, strict=True), strict=False):
            if pieces := [cell for cell in cells if cell is not None]:
                column.take(keyring, pieces)
    discovery.rows += rows
    discovery.sampled += reading.sampled
    for column in columns:
        if column.found:
            column.rows, column.sampled = rows, reading.sampled
            yield column


def _is_token(item: Key | InvalidToken) -> bool:
    return isinstance(item, Key | UndecryptableToken)
