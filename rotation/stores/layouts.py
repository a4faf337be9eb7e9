"""Which layout each kind of database has."""

from __future__ import annotations

from rotation.stores.dialect import Dialect
from rotation.stores.layout import Layout
from rotation.stores.layout_mysql import MySQLLayout
from rotation.stores.layout_postgresql import PostgreSQLLayout
from rotation.stores.layout_sqlite import SQLiteLayout
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
