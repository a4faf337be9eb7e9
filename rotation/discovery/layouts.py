"""Which layout each kind of database has."""

from __future__ import annotations

from rotation.discovery.catalogs import Layout
from rotation.discovery.mysql_tables import MySQLLayout
from rotation.discovery.postgresql_tables import PostgreSQLLayout
from rotation.discovery.sqlite_tables import SQLiteLayout
from rotation.stores.dialect import Dialect
from rotation.stores.mysql import MySQL
from rotation.stores.postgresql import PostgreSQL
from rotation.stores.sqlite import SQLite


def layout_of(dialect: Dialect) -> Layout:
    """The layout of that kind of database."""
    layouts: dict[type[Dialect], type[Layout]] = {
        SQLite: SQLiteLayout,
        PostgreSQL: PostgreSQLLayout,
        MySQL: MySQLLayout,
    }
    return layouts[type(dialect)]()
