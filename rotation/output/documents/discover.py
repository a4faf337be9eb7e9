"""The document of `discover`."""

from __future__ import annotations

from dataclasses import dataclass, fields

from msgspec import UNSET

from rotation.configuration.declarations import DeclaredColumn
from rotation.discovery.result import Discovery
from rotation.discovery.token_column import ReadColumn, TokenColumn
from rotation.model.formats import Format
from rotation.output.documents.parts import Document, Missing, RemarkJson


class SearchedDatabaseJson(Document):
    """A database that was searched."""

    name: str
    """The database, without a password."""
    tables: int
    """How many of its tables were searched."""


@dataclass(kw_only=True)
class TokenColumnJson(ReadColumn):
    """A column that holds tokens. Its numbers count what was read."""

    tokens: int
    """Cells that are a token and nothing else."""
    embedded: int
    """Cells that hold a token as part of something else."""
    kinds: dict[str, int]
    """Cells for each kind: `token`, `token-in-text`, `encoded-token`, `nested`, `foreign-cipher`."""
    proposed: bool
    """Whether `targets` has an entry for it."""
    format: Format | None
    """The format of that entry; null: no format fits."""

    @classmethod
    def of(cls, column: TokenColumn) -> TokenColumnJson:
        """The part on one column."""
        shown = {each.name: getattr(column, each.name) for each in fields(cls)}
        return cls(**shown | {"format": column.format if column.served else None})


class DeclaredColumnJson(Document, kw_only=True):
    """An encrypted column of a model."""

    models: str | Missing = UNSET
    """The SQLAlchemy models that declare it."""
    django: str | Missing = UNSET
    """The settings of the Django project that declares it."""
    table: str
    """The table."""
    column: str
    """The column."""
    context: str | None
    """What its tokens are bound to."""
    covered: bool
    """Whether a target covers it."""

    @classmethod
    def of(cls, column: DeclaredColumn, *, covered: bool) -> DeclaredColumnJson:
        """The part on one column."""
        return cls(
            models=column.source.models or UNSET,
            django=column.source.django or UNSET,
            table=column.table,
            column=column.column,
            context=column.context,
            covered=covered,
        )


class IndexValuesJson(Document):
    """A column of a blind index."""

    database: str
    """The database, without a password."""
    column: str
    """Table and column, as messages name them."""
    under: dict[str, int]
    """Values for each key id."""


class DiscoverJson(Document, kw_only=True):
    """`discover`."""

    complete: bool
    """Whether no token column is uncovered, and every table could be read."""
    full: bool
    """Whether every row was read."""
    databases: list[SearchedDatabaseJson]
    """The databases that were searched."""
    rows: int
    """Rows that were read."""
    sampled_tables: int
    """Tables of which some rows were left out."""
    columns: list[TokenColumnJson]
    """The columns that hold tokens."""
    blind_indexes: list[IndexValuesJson]
    """The columns with values of a blind index that no target names as its `index`, if every row was read."""
    remarks: list[RemarkJson]
    """What to know about some tables."""
    unseen: list[RemarkJson]
    """Tables and columns that could not be searched, and why."""
    beyond: list[RemarkJson]
    """What lies outside of the search."""
    unopened: list[RemarkJson]
    """Columns elsewhere that were read, with tokens that no key opens: another application's, or bound ones."""
    gone: list[RemarkJson]
    """Databases and tables that were dropped before they were searched."""
    ignored: list[RemarkJson]
    """The columns that rotation.toml ignores, and why."""
    unsearched_cells: int
    """Cells of which not all was searched."""
    recognised: list[str]
    """Known applications whose tables are there, with the command that begins."""
    declared: list[DeclaredColumnJson] | Missing = UNSET
    """The encrypted columns of models, if any are named."""
    targets: str
    """The entries to add to rotation.toml, as TOML."""

    @classmethod
    def of(cls, found: Discovery) -> DiscoverJson:
        """The document on what was *found*."""
        remarks = ("remarks", "unseen", "beyond", "unopened", "gone", "ignored")
        uncovered = {id(column) for column in found.without_target}
        declared = [DeclaredColumnJson.of(each, covered=id(each) not in uncovered) for each in found.declared]
        return cls(
            complete=found.exit_code == 0,
            full=found.full,
            databases=[SearchedDatabaseJson(name, tables) for name, tables in found.databases.items()],
            rows=found.rows,
            sampled_tables=found.sampled,
            columns=[TokenColumnJson.of(column) for column in found.columns],
            blind_indexes=[
                IndexValuesJson(each.database, each.label, dict(sorted(each.under.items())))
                for each in found.blind_indexes
            ],
            **{name: [RemarkJson(*remark) for remark in getattr(found, name)] for name in remarks},
            unsearched_cells=found.unsearched_cells,
            recognised=found.recognised,
            declared=declared or UNSET,
            targets=found.entries,
        )
