"""The tests' own databases: what one test leaves behind, the next does not find."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.databases import open_database

pytestmark = pytest.mark.database

LEFT = [
    pytest.param("CREATE TABLE more (id INTEGER)", True, id="table"),
    pytest.param("CREATE SCHEMA more; CREATE TABLE more.more (id INTEGER)", True, id="schema"),
    pytest.param("CREATE DOMAIN more AS TEXT", True, id="domain"),
    pytest.param("SELECT lo_from_bytea(0, 'more')", True, id="large-object"),
    pytest.param("REVOKE ALL ON SCHEMA public FROM PUBLIC", False, id="privilege"),
    pytest.param("CREATE PUBLICATION more FOR ALL TABLES", False, id="publication"),
    pytest.param("ALTER ROLE {name} CREATEDB", False, id="role"),
    pytest.param("ALTER DATABASE {name} CONNECTION LIMIT 0", False, id="limit"),
]
FOUND = sa.text(
    "SELECT (SELECT count(*) FROM pg_class WHERE relname = 'more'),"
    " (SELECT count(*) FROM pg_type WHERE typname = 'more'),"
    " (SELECT count(*) FROM pg_namespace WHERE nspname = 'more'), (SELECT count(*) FROM pg_largeobject_metadata),"
    " (SELECT count(*) FROM pg_publication),"
    " (SELECT nspacl::text LIKE '%,=U/%' FROM pg_namespace WHERE nspname = 'public'),"
    " (SELECT rolcreatedb FROM pg_roles WHERE rolname = current_user)"
)


@pytest.mark.parametrize(("statements", "kept"), LEFT)
def test_a_database_comes_back_as_it_was_made(statements: str, kept: bool, tmp_path: Path) -> None:
    """Objects are dropped; of any other change the whole database is dropped, and the next test gets another one."""
    with open_database("postgresql", tmp_path) as database:
        name = sa.make_url(database.url).database
        database.execute(*statements.format(name=name).split("; "))
    with open_database("postgresql", tmp_path) as database:
        again = sa.make_url(database.url).database
        engine = sa.create_engine(database.url)
        with engine.connect() as connection:
            found = tuple(connection.execute(FOUND).one())
        engine.dispose()

    assert found == (0, 0, 0, 0, 0, True, False)
    assert (again == name) == kept
