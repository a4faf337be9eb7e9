"""The outcome of a search through databases: what rotation.toml ignores of it, and the `[[target]]` entries to add."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

from keyring_core.errors import printable
from rotation.configuration.declarations import DeclaredColumn
from rotation.configuration.sections import Declaration, Ignored
from rotation.configuration.urls import may_hold_password
from rotation.discovery.table_source import SearchableTable
from rotation.discovery.token_column import ENVELOPE, TokenColumn, label
from rotation.model.next_steps import Next
from rotation.model.target import Format, Target
from rotation.model.text import as_toml, many

ColumnName = tuple[str, str, str]
"""A column that was searched: its database, its table and its own name, as a TokenColumn has them."""


class Remark(NamedTuple):
    """A remark for an admin on one table, or on one target."""

    database: str
    subject: str
    words: str

    @classmethod
    def on(cls, table: SearchableTable, words: str) -> Remark:
        """A remark on *table*."""
        return cls(table.database, table.name, words)

    @classmethod
    def on_column(cls, table: SearchableTable, column: str | None, words: str) -> Remark:
        """A remark on a *column* of *table*; None: on all of them."""
        return cls(table.database, label(table.name, column), words)


def by_database(remarks: Iterable[Remark]) -> dict[str, list[str]]:
    """*remarks* on what keeps no key, such as what is out of reach: in words, per database."""
    found: dict[str, list[str]] = {}
    for remark in remarks:
        found.setdefault(remark.database, []).append(f"{remark.subject}: {remark.words}")
    return found


class IndexValues(NamedTuple):
    """A column with values of a blind index, which no target names as its `index`."""

    database: str
    label: str
    """As messages name the column."""
    under: Counter[str]
    """The values, per key."""


@dataclass(frozen=True)
class DerivedKey:
    """A key that a secret at hand makes for a column whose tokens no key opened."""

    column: Annotated[str, "The column, with its table."]
    where: Annotated[str, "The place of the secret."]
    key_id: Annotated[str, "The key's id."]
    rule: Annotated[str, "How the key is made of the secret, in words."]
    entry: Annotated[str, "The key set for rotation.toml, as TOML."]
    covered: Annotated[bool, "True if a target covers the column: its key set has another rule."] = False


@dataclass
class Discovery:
    """The databases that were searched, and what was found in them."""

    full: bool
    columns: list[TokenColumn] = field(default_factory=list)
    """The columns that hold tokens."""
    blind_indexes: list[IndexValues] = field(default_factory=list)
    """The columns with blind indexes, in a search of every row."""
    databases: dict[str, int] = field(default_factory=dict)
    """Tables that were searched, per database."""
    rows: int = 0
    sampled: int = 0
    """Tables of which some rows were left out."""
    remarks: list[Remark] = field(default_factory=list)
    hidden: list[Remark] = field(default_factory=list)
    """The remarks that say that rows may be hidden from this user."""
    unseen: list[Remark] = field(default_factory=list)
    """Tables and columns that could not be searched, and why."""
    ignored: list[Remark] = field(default_factory=list)
    """The columns that rotation.toml ignores, and why."""
    unsearched_cells: int = 0
    """Cells of which not all was searched; `beyond` names their columns."""
    tables_seen: dict[str, set[str]] = field(default_factory=dict)
    """The columns of each table of the databases that the urls name, as targets name it."""
    recognised: list[Next] = field(default_factory=list)
    """The command to begin with each known application whose tables are there."""
    beyond: list[Remark] = field(default_factory=list)
    """The parts outside of the search, by name: other databases, other kinds of columns, cells too large."""
    left_out: list[Remark] = field(default_factory=list)
    """The ones of them that `[policy]` names."""
    unopened: list[Remark] = field(default_factory=list)
    """Columns without a target that were read, with tokens that no key opens: another application's, or bound ones.

    All such tokens of a column elsewhere; otherwise those that are a part of a cell.
    """
    gone: list[Remark] = field(default_factory=list)
    """Databases and tables that were dropped before they were searched."""
    unchanged: list[Remark] = field(default_factory=list)
    """Tables in which an earlier search found nothing, and that were proved to be as they were then."""
    declared: list[DeclaredColumn] = field(default_factory=list)
    """The encrypted columns of the models that were named."""
    without_target: list[DeclaredColumn] = field(default_factory=list)
    """The declared columns that no target covers and no [[ignore]] names."""
    derived: list[DerivedKey] = field(default_factory=list)
    """The keys that secrets at hand make for columns whose tokens no key opened."""
    has_contexts: bool = False
    """True if a target or a model names a context, so that a token that no key opens may be bound to another one."""
    url: str = ""
    """The url of the one database that was searched, as it was written; empty if there are several."""

    @property
    def uncovered(self) -> list[TokenColumn]:
        """The columns that hold tokens of this service, and that no target covers and no [[ignore]] names."""
        return [column for column in self.columns if column.is_uncovered]

    @property
    def unnamed(self) -> list[TokenColumn]:
        """The same, then the columns of other applications that no target covers and no [[ignore]] names."""
        foreign = (column for column in self.columns if column.is_foreign)
        return [*self.uncovered, *(column for column in foreign if not column.covered and column.ignored is None)]

    @property
    def exit_code(self) -> int:
        """3 if a table could not be searched, otherwise 1 if a column is uncovered, otherwise 0."""
        return 3 if self.unseen else int(bool(self.uncovered or self.without_target))

    @property
    def entries(self) -> str:
        """The `[keys.NAME]` and `[[target]]` entries to add to rotation.toml, ready to paste."""
        by_models = model_entries(self.without_target, self.declared, self.url, " or ".join(self.databases))
        alone = [one for one in self.uncovered if not any(_same_column(each, one) for each in self.without_target)]
        keys = dict.fromkeys(each.entry for each in self.derived if not each.covered)
        return "\n".join(filter(None, (*keys, by_models, target_entries(alone))))


def target_entries(columns: Iterable[TokenColumn]) -> str:
    """The `[[target]]` entries of rotation.toml for the *columns* that can be targets, ready to paste."""
    return "\n".join(map(entry_of, by_entry(columns)))


def by_entry(columns: Iterable[TokenColumn]) -> list[list[TokenColumn]]:
    """The *columns* that can be targets, grouped by entry."""
    tables: dict[tuple[object, ...], list[TokenColumn]] = {}
    for column in columns:
        if column.proposed:
            settings = column.key_columns, column.format, column.keys, column.envelopes > 0
            key = column.database, column.url, column.table, *settings
            tables.setdefault(key, []).append(column)
    return list(tables.values())


def model_entries(
    uncovered: Iterable[DeclaredColumn], declared: Iterable[DeclaredColumn], url: str, database: str
) -> str:
    """The entries by which the models of *uncovered* become targets; *url*, as it was written, is their *database*'s.

    Each covers all columns that its models declare: the ones of *declared* that have a target already are named.
    """
    sources: dict[Declaration, set[str]] = {column.source: set() for column in uncovered}
    left = {column.label for column in uncovered}
    for column in declared:
        if column.source in sources and column.label not in left:
            sources[column.source].add(column.label)
    return "\n".join(_of_models(source, sorted(others), url, database) for source, others in sources.items())


def _of_models(source: Declaration, others: Sequence[str], url: str, database: str) -> str:
    lines = ["[[target]]"]
    if others:
        lines.append(f"# Covers {', '.join(map(printable, others))}, too: remove the entries that name these columns.")
    if source.django is not None:
        lines.append(f"django = {as_toml(source.django)}")
    else:
        lines += [f"models = {as_toml(source.models or '')}", f"url = {_url(source.url or url, database)}"]
    return "\n".join([*lines, ""])


def entry_of(columns: Sequence[TokenColumn]) -> str:
    """The entry of columns that differ in their names alone."""
    one = columns[0]
    names = _tomls([column.column for column in columns])
    url = _url(one.url, one.database)
    lines = ["[[target]]", f"url = {url}", f"table = {as_toml(one.table)}", f"columns = {names}"]
    if one.format is not Format.TOKEN:
        lines.append(f'format = "{one.format}"')
    if one.envelopes:
        lines.append(f'others = "leave"  # {ENVELOPE}, which stays')
    for column in columns:
        if column.unserved:
            parts = ", ".join(f"{many(cells, 'cell')} of {part.kind}" for part, cells in column.unserved.items())
            lines.append(f"# {as_toml(column.column)}: this format leaves {parts}")
    if one.keys:
        lines.append(f"keys = {as_toml(one.keys)}")
    if one.key_columns:
        lines.append(f"key_columns = {_tomls(one.key_columns)}")
    return "\n".join([*lines, ""])


def _url(written: str, database: str) -> str:
    """The url, or a variable to put it in if it may hold a password, or if no url names the database."""
    if written and not may_hold_password(written):
        return as_toml(written)
    # A name in a database can hold a line's end.
    return f'"$DATABASE_URL"  # a variable that holds the url of the {printable(database)}'


def _tomls(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(as_toml, texts))}]"


def uncovered_columns(
    columns: Iterable[DeclaredColumn], targets: Sequence[Target], ignored: Sequence[Ignored] = ()
) -> list[DeclaredColumn]:
    """The *columns* without a target among *targets* and without an `[[ignore]]`.

    Names are compared, and not databases, since a url can be written in many ways.
    """
    return [
        column
        for column in columns
        if not any(_same_column(each, column) for each in targets)
        and not any(
            same_table(each.table, column.table) and column.column in (each.columns or (column.column,))
            for each in ignored
        )
    ]


def _same_column(one: Target | DeclaredColumn, other: TokenColumn | DeclaredColumn) -> bool:
    return one.column == other.column and same_table(one.table, other.table)


def same_table(one: str, other: str) -> bool:
    """True if two names may be of the same table: a schema that one of them leaves out is any schema."""
    return one == other or ((("." in one) != ("." in other)) and one.rpartition(".")[2] == other.rpartition(".")[2])
