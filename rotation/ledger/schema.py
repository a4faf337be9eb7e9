"""The ledger's tables, how their rows are read and written, their version, and the migrations from older versions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import UnionType
from typing import Any, TypeVar, get_origin, get_type_hints

import sqlalchemy as sa

from rotation.ledger.chain import TIME_FORMAT, read_json


class UtcTime(sa.TypeDecorator[datetime]):
    """A time as text: readable, sortable, and the same on every database in every zone."""

    impl = sa.String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: sa.Dialect) -> str | None:
        """Aware time in, UTC text out."""
        return None if value is None else value.astimezone(UTC).strftime(TIME_FORMAT)

    def process_result_value(self, value: Any | None, _dialect: sa.Dialect) -> datetime | None:
        """Text in, UTC time out. Raises ValueError for text that is no time."""
        return None if value is None else datetime.strptime(value, TIME_FORMAT).replace(tzinfo=UTC)


class _Spelt(sa.types.UserDefinedType[str]):
    """A type in a database's own words. SQLAlchemy's type would bring its whole dialect along, for every ledger."""

    cache_ok = True

    def __init__(self, words: str) -> None:
        self.words = words

    def get_col_spec(self, **_: object) -> str:
        """The words."""
        return self.words


def _name(length: int) -> sa.types.TypeEngine[str]:
    # By default MariaDB compares `Billing` and `billing` as equal.
    exact = _Spelt(f"VARCHAR({length}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    return sa.String(length).with_variant(exact, "mysql", "mariadb")


_LONG_TEXT = sa.Text().with_variant(_Spelt("LONGTEXT CHARACTER SET utf8mb4"), "mysql", "mariadb")


class JsonText(sa.TypeDecorator[Any]):
    """A JSON document as text, which every database has."""

    impl = _LONG_TEXT
    cache_ok = True

    def process_bind_param(self, value: Any, _dialect: sa.Dialect) -> str:
        """A JSON value in, text out."""
        return json.dumps(value)

    def process_result_value(self, value: Any, _dialect: sa.Dialect) -> Any:
        """Text in, a JSON value out. Raises ValueError for text that is no JSON, or that could be read in two ways."""
        return read_json(value)


T = TypeVar("T")
metadata = sa.MetaData()

schema = sa.Table(
    "keyring_ledger_schema",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, nullable=False),
)
keys = sa.Table(
    "keyring_ledger_keys",
    metadata,
    sa.Column("id", _name(8), primary_key=True),
    sa.Column("service", _name(100), primary_key=True),
    sa.Column("first_seen", UtcTime, nullable=False),
    sa.Column("staged", UtcTime),
    sa.Column("promoted", UtcTime),
    sa.Column("retired", UtcTime),
    sa.Column("forced", sa.Boolean, nullable=False, default=False),
    sa.Column("promoted_before", UtcTime),
    sa.Column("promoted_after", UtcTime),
    sa.Column("suspended", UtcTime),
    sa.Column("event", sa.BigInteger),
)
runs = sa.Table(
    "keyring_ledger_runs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("command", sa.String(20), nullable=False),
    sa.Column("service", _name(100), nullable=False),
    sa.Column("started", UtcTime, nullable=False),
    sa.Column("finished", UtcTime),
    sa.Column("outcome", sa.String(20)),
    sa.Column("primary_id", _name(8), key="primary", nullable=False),
    sa.Column("counts", JsonText, nullable=False),
    sa.Column("whole", sa.Boolean),
)
censuses = sa.Table(
    "keyring_ledger_censuses",
    metadata,
    sa.Column("place", _name(64), primary_key=True),  # a digest: the names together are too long for an index
    sa.Column("taken", UtcTime, nullable=False),
    sa.Column("document", JsonText, nullable=False),
)
instances = sa.Table(
    "keyring_ledger_instances",
    metadata,
    sa.Column("service", _name(100), primary_key=True),
    sa.Column("instance", _name(200), primary_key=True),
    sa.Column("primary_id", _name(8), key="primary", nullable=False),
    sa.Column("staged_id", _name(8), key="staged"),
    sa.Column("previous_ids", JsonText, key="previous", nullable=False),
    # In front of `seen`, whose old value it gets: MariaDB sets columns from left to right.
    sa.Column("seen_before", UtcTime),
    sa.Column("seen", UtcTime, nullable=False),
    sa.Column("ahead", sa.BigInteger),
)
reads = sa.Table(
    "keyring_ledger_reads",
    metadata,
    sa.Column("service", _name(100), primary_key=True),
    sa.Column("instance", _name(200), primary_key=True),
    sa.Column("key_id", _name(8), primary_key=True),
    sa.Column("opened", sa.BigInteger, nullable=False),
    sa.Column("last_opened", UtcTime),
    sa.Column("refused", sa.BigInteger, nullable=False),
    sa.Column("last_refused", UtcTime),
    sa.Column("seen", UtcTime, nullable=False),
)
certificates = sa.Table(
    "keyring_ledger_certificates",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key_id", _name(8), nullable=False),
    sa.Column("written", UtcTime, nullable=False),
    sa.Column("document", JsonText, nullable=False),
    sa.Column("digest", _name(64)),
    sa.Column("event", sa.BigInteger),
)
events = sa.Table(
    "keyring_ledger_events",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("service", _name(100)),
    sa.Column("key_id", _name(8)),
    sa.Column("event", sa.String(20), nullable=False),
    sa.Column("by_name", _name(100), key="by"),
    sa.Column("document", JsonText, nullable=False),
    sa.Column("previous", _name(64), nullable=False),
    sa.Column("digest", _name(64), nullable=False),
)
progress = sa.Table(
    "keyring_ledger_progress",
    metadata,
    sa.Column("plan", _name(64), primary_key=True),  # a digest, too
    sa.Column("upto_key", _LONG_TEXT, nullable=False),
    sa.Column("reached", UtcTime, nullable=False),
)
searches = sa.Table(
    "keyring_ledger_searches",
    metadata,
    sa.Column("place", _name(64), primary_key=True),  # a digest, too
    sa.Column("taken", UtcTime, nullable=False),
    sa.Column("document", JsonText, nullable=False),
)


def _tell_found_from_made(connection: sa.Connection) -> None:
    """Version 1 gave a key that it found primary the same date as one that a command promoted: treat all as found."""
    _adding(keys.c.promoted_before, keys.c.promoted_after)(connection)
    # A key was not primary when it was staged, or seen as a previous one.
    known = sa.case((keys.c.promoted > keys.c.first_seen, sa.func.coalesce(keys.c.staged, keys.c.first_seen)))
    # The order matters: MariaDB reads the new value of a column that is assigned further left.
    values = (
        (keys.c.promoted_after, known),
        (keys.c.promoted_before, keys.c.promoted),
        (keys.c.promoted, sa.null()),
    )
    connection.execute(keys.update().where(keys.c.promoted.is_not(None)).ordered_values(*values))


def _adding(*parts: sa.Table | sa.Column[Any]) -> Callable[[sa.Connection], None]:
    """A step that adds those tables and columns that are missing; each of the columns may be null."""

    def act(connection: sa.Connection) -> None:
        for part in parts:
            if isinstance(part, sa.Table):
                part.create(connection, checkfirst=True)
            elif part.name not in {each["name"] for each in sa.inspect(connection).get_columns(part.table.name)}:
                kind = part.type.compile(connection.dialect)
                connection.execute(sa.text(f"ALTER TABLE {part.table.name} ADD COLUMN {part.name} {kind}"))

    return act


MIGRATIONS: dict[int, Callable[[sa.Connection], None]] = {
    1: _tell_found_from_made,
    # It remembered no searches.
    2: _adding(searches),
    # It knew neither suspended keys nor reads, nor which runs were of all targets, and had no chain.
    3: _adding(
        *(reads, events, keys.c.suspended, keys.c.event, certificates.c.digest, certificates.c.event, runs.c.whole)
    ),
    # It knew neither how often an instance announces itself, nor that its clock is wrong.
    4: _adding(instances.c.seen_before, instances.c.ahead),
}
"""The steps from a version to the next one. On a database that commits each statement a step may find itself half
done, so it checks before it changes anything."""

VERSION = 5
"""The version that this program writes."""


def records_of(table: sa.Table) -> sa.Select[Any]:
    """Selects all rows; their columns have the names of a record's fields."""
    return sa.select(*(column.label(column.key) for column in table.c))


def records_in(connection: sa.Connection, kind: type[T], query: sa.Select[Any]) -> list[T]:
    """The rows of *query* as records of that *kind*. Raises TypeError for a value of another type: an edited row."""
    rows = connection.execute(query).mappings().all()
    hints = get_type_hints(kind).items()
    types = {name: hint if get_origin(hint) in {None, UnionType} else get_origin(hint) for name, hint in hints}
    return [kind(**{name: _checked(name, row[name], types[name]) for name in row}) for row in rows]


def _checked(name: str, value: object, expected: Any) -> object:
    # JSON has a list for a tuple.
    if expected is tuple and isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    if not isinstance(value, expected):
        raise TypeError(name)
    return value


def upsert(
    connection: sa.Connection, table: sa.Table, key: Mapping[str, Any], values: Mapping[str, Any], **new: Any
) -> bool:
    """Updates the row with that *key* to *values*; inserts it if it is missing, then with the *new* values instead.

    Returns whether it was missing.
    """
    row = sa.and_(*(table.c[name] == value for name, value in key.items()))
    if connection.execute(table.update().where(row).values(values)).rowcount:
        return False
    connection.execute(table.insert().values({**values, **new, **key}))
    return True


TABLE_NAMES = tuple(metadata.tables)
"""All tables of a ledger; each name begins with `keyring_ledger_`."""


def ddl(dialect: sa.Dialect) -> list[str]:
    """The statements that make a ledger of this version in a database of that dialect."""
    tables = metadata.sorted_tables
    indexes = sorted((index for table in tables for index in table.indexes), key=lambda index: str(index.name))
    made: list[sa.Compiled] = [sa.schema.CreateTable(table).compile(dialect=dialect) for table in tables]
    made += [sa.schema.CreateIndex(index).compile(dialect=dialect) for index in indexes]
    version = schema.insert().values(id=1, version=VERSION)
    made.append(version.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    return [str(statement).strip() for statement in made]


VERSION_QUERY = sa.select(schema.c.version)


def read_version(connection: sa.Connection) -> int:
    """The version of the ledger in the database; 0 if there is none."""
    if not sa.inspect(connection).has_table(schema.name):
        return 0
    return connection.scalar(VERSION_QUERY) or 0


def migrate(connection: sa.Connection, found: int) -> None:
    """Migrates a ledger of version *found*. The database raises if another process does the same meanwhile."""
    if found == 0:
        metadata.create_all(connection)
        connection.execute(schema.insert().values(id=1, version=VERSION))
        return
    for version in range(found, VERSION):
        MIGRATIONS[version](connection)
    connection.execute(schema.update().values(version=VERSION))
