"""Finds a target's table and columns in the database, or says by name what does not fit. Reads the catalog only."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, count
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.engine.reflection import Inspector

from keyring_core import KeyringError
from keyring_core.blind_index import LENGTH
from rotation.model.failures import KeylessError, MissingError, UsageError
from rotation.model.target import Format, Target
from rotation.model.text import NO_KEY_PAGE
from rotation.stores.columns import QualifiedName, TableFacts, TargetCells, UniqueColumn, table_clause
from rotation.stores.dialect import NO_DATABASE, Dialect
from rotation.stores.watchdog import NoAnswerError

NOTHING: Mapping[str, str] = MappingProxyType({})
PASSED_ON = (sa.exc.DBAPIError, sa.exc.NoSuchTableError, KeyringError, NoAnswerError, MemoryError)
"""Errors that say more than that a table cannot be reflected."""


class UnreflectedError(UsageError):
    """SQLAlchemy cannot reflect a table."""


def find_target(  # noqa: PLR0913, PLR0917 - all that a target is found by
    target: Target,
    connection: sa.Connection,
    dialect: Dialect,
    database: str,
    companions: Mapping[str, str] = NOTHING,
    salts: tuple[str, ...] = (),
) -> tuple[TargetCells, TableFacts]:
    """The place of *target*. Raises UsageError for a missing table or column, a view, a generated column, no key.

    *database* is what messages call the database; *companions* what the target's companion columns are to hold; *salts*
    the columns that hold the salts of its keys.
    """
    with _while_there(target, database):
        named, table = _find_table(target, connection, dialect, database)
        schema = named or dialect.catalog.schema_of(connection, table)
        columns = columns_of(connection, schema, table)
        column = _named(columns, target.column, f"table {target.table}")
        qualified = QualifiedName(schema, table, target.column)
        if column.get("computed"):
            raise UsageError(f"{target.label}: a generated column; name the column it is made from")
        if reason := dialect.unfit_column(connection, qualified, base_type(column), target.format):
            raise UsageError(f"{target.label}: {reason}")
        with reflecting(table):
            facts = dialect.catalog.facts(connection, qualified)
        indexes = _unique_indexes(facts.unique)
        if not (target.key_columns or facts.primary):
            place = connection.dialect.identifier_preparer.format_table(table_clause(schema, table))
            raise _keyless(target.table, place, columns, dialect, has_index=bool(indexes))
        key = _find_key(target, columns, facts.primary, [set(names) for names in indexes])
    for name, _ in target.companions:
        _check_companion(target, name, columns, key, dialect, companions.get(name, ""))
    if target.index:
        _check_companion(target, target.index.column, columns, key, dialect, "-" * LENGTH, "index")
    for name in salts:
        _named(columns, name, f"[keys.{target.keys}] salt: table {target.table}")
        if name == target.column:
            raise UsageError(f"[keys.{target.keys}] salt: {name} is the column of the tokens in table {target.table}")
    for name in key:
        if reason := dialect.unfit_key(kind := base_type(columns[name]), connection):
            raise UsageError(f"{target.label}: key column {name} is a {type(kind).__name__}, {reason}")
    # The collations of an index which says that the key is unique: the column's own may take two keys for one, and then
    # a row is passed over.
    by = next((collations for collations in indexes if set(collations) <= set(key)), {})
    cells = TargetCells(
        qualified,
        named,
        base_type(column),
        key,
        tuple(base_type(columns[name]) for name in key),
        tuple(by.get(name) for name in key),
        nullable_key=any(columns[name].get("nullable") for name in key),
        of_tokens=target.format is Format.TOKEN and not target.takes_over,
        beside={**dict.fromkeys(facts.kept), **companions},
        index=target.index.column if target.index else None,
        salts=salts,
        like_index=tuple(
            name
            for name, each in columns.items()
            if getattr(base_type(each), "length", None) == LENGTH and name not in {target.column, *key, *companions}
        ),
    )
    if facts.inherited:
        table_of_cells = cells.clause()
        held = [table_of_cells.c[name] for name in key]
        repeated = sa.select(sa.literal(1)).select_from(table_of_cells).group_by(*held).having(sa.func.count() > 1)
        if connection.execute(repeated.limit(1)).first():
            raise UsageError(
                f"table {target.table}: tables inherit from it, and a key ({', '.join(key)}) is in more than one of "
                "them; it does not identify a row"
            )
    return cells, facts


def _check_companion(  # noqa: PLR0913, PLR0917 - all that may be wrong with one
    target: Target,
    name: str,
    columns: dict[str, ReflectedColumn],
    key: tuple[str, ...],
    dialect: Dialect,
    value: str,
    setting: str = "set",
) -> None:
    """Raises UsageError if the column *name* cannot hold *value*; nothing is known of the size of an empty one."""
    column = _named(columns, name, f"table {target.table}, {setting}: it")
    kind, words = base_type(column), None
    most = getattr(kind, "length", None) if dialect.bounds_texts else None
    if name in key:
        words = "a key column, which must stay"
    elif column.get("computed"):
        words = "a generated column"
    elif not (dialect.holds_text(kind) and isinstance(kind, sa.String | sa.types.NullType)):
        words = f"of type {type(kind).__name__}, not text"
    elif most is not None and len(value) > most:
        words = f"of at most {most} characters, and the value has {len(value)}"
    if words:
        raise UsageError(f"table {target.table}, {setting}: column {name} is {words}")


def cautions_of(facts: TableFacts) -> list[str]:
    """The copies of old tokens that may stay, the indexes that hold them, and the rows that may be hidden."""
    found = [f"{name} acts on UPDATE: if it copies rows, old tokens live on there" for name in facts.triggers]
    found += facts.cautions
    found += [
        f"index {name or 'without a name'} uses the column: a query by the old token no longer finds its row, "
        "and old tokens stay in the index's pages until it is rebuilt"
        for name in facts.indexes
    ]
    found += [
        f"foreign key {key.name or 'without a name'} ties the column to table {key.table}: "
        "tokens of that table are another target, and the database may refuse new ones here"
        for key in facts.foreign_keys
    ]
    found += [
        f"foreign key {name} refers to the column: the tokens over there change along, or the database refuses new ones"
        for name in facts.referrers
    ]
    return found


def model_caution(target: Target, kind: sa.types.TypeEngine[Any], dialect: Dialect) -> Iterator[str]:
    """A caution if a model declares text for a column of bytes, or the reverse."""
    has_bytes = isinstance(kind, sa.types._Binary)
    if target.declared and dialect.mixed and has_bytes is not target.binary:
        declare = "binary=True" if has_bytes else "it without binary=True"
        yield f"the column is {type(kind).__name__}: declare {declare} in the model; otherwise {dialect.mixed}"


@contextmanager
def _while_there(target: Target, database: str) -> Iterator[None]:
    """Raises MissingError if the table is dropped meanwhile."""
    try:
        yield
        return
    except sa.exc.NoSuchTableError:
        # Raised below, without SQLAlchemy's error as its context.
        pass
    raise MissingError(f"there is no table {target.table} in {database}")


def _find_table(target: Target, connection: sa.Connection, dialect: Dialect, database: str) -> tuple[str | None, str]:
    name, inspector = target.table, sa.inspect(connection)
    schemas = set(inspector.get_schema_names()) if "." in name else set()
    options: list[tuple[str | None, str]] = [(None, name)] if dialect.names_database(connection.engine.url) else []
    # A dot may be part of either name.
    options += [
        (name[:dot], name[dot + 1 :]) for dot, letter in enumerate(name) if letter == "." and name[:dot] in schemas
    ]
    if not options:
        raise UsageError(f"table {name}: {NO_DATABASE}")
    found = [(schema, table) for schema, table in options if dialect.catalog.has_table(connection, schema, table)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"table {name}: a table of that whole name and one in schema {found[-1][0]} both exist")
    for schema, table in options:
        if kind := _other_kind(inspector, schema, table):
            raise UsageError(f"table {name} is a {kind}; name the table behind it")
    near = _near(name, dialect.catalog.table_names(connection, None))
    raise MissingError(f"there is no table {name} in {database}{near}")


def _other_kind(inspector: Inspector, schema: str | None, name: str) -> str | None:
    if name in inspector.get_view_names(schema):
        return "view"
    if inspector.dialect.name != "postgresql":
        return None
    if name in inspector.get_materialized_view_names(schema):
        return "materialized view"
    foreign: list[str] = inspector.get_foreign_table_names(schema)  # type: ignore[attr-defined]
    return "foreign table" if name in foreign else None


def _keyless(name: str, place: str, columns: Iterable[str], dialect: Dialect, *, has_index: bool) -> KeylessError:
    """The error for the table *name* with *columns*, which has no primary key; *place* is the table in SQL."""
    names = (
        "; name the columns of a unique index with key_columns (--key-column)"
        if has_index
        else " and no unique index whose columns key_columns (--key-column) could name"
    )
    remedy = f"copy the table, as {NO_KEY_PAGE} shows"
    if dialect.new_key:
        taken = {each.lower() for each in columns}
        free = next(each for each in chain(["id"], map("row_id_{}".format, count(1))) if each not in taken)
        remedy = f"ALTER TABLE {place} ADD COLUMN {free} {dialect.new_key}; ({NO_KEY_PAGE})"
    return KeylessError(f"table {name} has no primary key{names}", remedy)


def _find_key(
    target: Target, columns: dict[str, ReflectedColumn], primary: tuple[str, ...], unique: Sequence[set[str]]
) -> tuple[str, ...]:
    if not target.key_columns:
        key = primary
    else:
        for name in target.key_columns:
            _named(columns, name, f"table {target.table}, key_columns")
        if not any(names and names <= set(target.key_columns) for names in (set(primary), *unique)):
            raise UsageError(
                f"table {target.table}: {', '.join(target.key_columns)} is no unique key; "
                "name the columns of the primary key or of a unique index"
            )
        key = tuple(dict.fromkeys(target.key_columns))
    if target.column in key:
        raise UsageError(f"{target.label}: a key column cannot hold the tokens; name other key_columns")
    return key


def find_unique(connection: sa.Connection, dialect: Dialect, schema: str | None, table: str) -> tuple[str, ...]:
    """The columns of the primary key, or else of a unique key without NULLs; none if there is no such key."""
    with reflecting(table):
        qualified = QualifiedName(schema, table, "")
        if primary := dialect.catalog.primary_key(connection, qualified):
            return primary
        columns = columns_of(connection, schema, table)
        nullable = {name for name, column in columns.items() if column.get("nullable")}
        indexes = _unique_indexes(dialect.catalog.unique_columns(connection, qualified))
    return next((tuple(names) for names in indexes if not nullable & set(names)), ())


def _unique_indexes(found: Iterable[UniqueColumn]) -> list[dict[str, str | None]]:
    """The columns of each index that is unique over all rows, with their collations if these may differ."""
    indexes: dict[str, dict[str | None, str | None]] = {}
    for index, column, collation in found:
        indexes.setdefault(index, {})[column] = collation
    # One over expressions says nothing of the columns themselves.
    return [{name: by for name, by in columns.items() if name} for columns in indexes.values() if None not in columns]


def _named(columns: dict[str, ReflectedColumn], name: str, where: str) -> ReflectedColumn:
    if name not in columns:
        raise MissingError(f"{where} has no column {name}{_near(name, columns)}")
    return columns[name]


def columns_of(connection: sa.Connection, schema: str | None, table: str) -> dict[str, ReflectedColumn]:
    """The columns by name. Raises as `reflecting` does, and NoSuchTableError."""
    with reflecting(table):
        return {column["name"]: column for column in sa.inspect(connection).get_columns(table, schema)}


@contextmanager
def reflecting(table: str) -> Iterator[None]:
    """Goes around all that SQLAlchemy is asked about *table*. Raises UnreflectedError if it fails at the answer.

    It warns of types and indexes that it does not know; none of them is refused for that.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sa.exc.SAWarning)
            yield
        return
    except PASSED_ON:
        raise
    except Exception as error:
        kind = type(error).__name__
    raise UnreflectedError(
        f"table {table}: SQLAlchemy {sa.__version__} cannot read its definition ({kind}); try another version of it"
    )


def base_type(column: ReflectedColumn) -> sa.types.TypeEngine[Any]:
    """The column's type; of a domain, the type below it."""
    kind = column["type"]
    while hasattr(kind, "data_type"):
        kind = kind.data_type
    return kind


def _near(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(near)}?" if near else ""


_KINDS = (
    (r"^(42703|1054|42P01)\b|no such column", "it names a column that is not there"),
    (r"^(42601|1064)\b|syntax error|incomplete input|unrecognized token", "it is no SQL condition"),
    (r"^(42883|no such function)|no such function", "it calls a function, or compares types, that do not fit"),
    (r"^(42804|22P02|42846)\b", "it compares values of types that do not fit"),
)
"""Codes of PostgreSQL and MariaDB, words of SQLite, and what each means."""
_WORDS = frozenset(("and", "or", "not", "is", "in", "null", "like", "between", "true", "false"))
_TEXTS = re.compile(r"'(?:[^']|'')*'")
_NAMES = re.compile(r"""["`\[]([^"`\]]+)["`\]]|\b([A-Za-z_]\w*)\b""")


def why_refused(condition: str, code: object, message: str, columns: Sequence[str], quote: str) -> str:
    """The database's *code* for it, what that means, and what to write.

    *message* is the database's own, of which nothing is shown; *quote* is the character around its names.
    """
    kind = next((words for pattern, words in _KINDS if re.search(pattern, f"{code} {message}")), "")
    near = _nearest(condition, columns) if kind == _KINDS[0][1] else ""
    return (
        f"the database does not take the condition in where (code {code}){kind and ': '}{kind}{near or '.'} "
        f"In SQL 'this' is a text, and {quote}this{quote} the name of a column"
    )


def _nearest(condition: str, columns: Sequence[str]) -> str:
    """The column that a name in *condition* probably means; empty if none is like one."""
    known = {name.lower(): name for name in columns}
    for quoted, bare in _NAMES.findall(_TEXTS.sub("''", condition)):
        name = (quoted or bare).lower()
        if (
            name not in _WORDS
            and name not in known
            and (near := difflib.get_close_matches(name, known, n=1, cutoff=0.7))
        ):
            return f"; did you mean {known[near[0]]}?"
    return ""
