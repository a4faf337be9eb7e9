"""Databases that a test has for itself: the rest of the server is invisible."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.conftest import Cli, Ran
from tests.databases import KINDS, Database, open_database

Discover = Callable[..., Ran]


@pytest.fixture(params=KINDS)
def whole(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without other tables; on MariaDB its url's user sees only `NAME` and `NAME_more`."""
    with open_database(request.param, tmp_path) as database:
        more = f"{sa.make_url(database.url).database}_more" if database.kind == "mariadb" else None
        database.execute(*([f"CREATE DATABASE {more} CHARACTER SET utf8mb4"] if more else []))
        yield database
        database.execute(*([f"DROP DATABASE {more}"] if more else []))


@pytest.fixture
def discover(cli: Cli, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Discover:
    """Runs `discover` in an empty folder, on a database whose url it puts into DATABASE_URL."""
    monkeypatch.chdir(tmp_path)

    def run(database: Database, *more: str, as_json: bool = True) -> Ran:
        environ["DATABASE_URL"] = database.url
        ran = cli("discover", "--url", "$DATABASE_URL", *(["--json"] if as_json else []), *more)
        assert "gAAAA" not in ran.out + ran.err, "no cell is ever shown"
        return ran

    return run


def columns(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What was found, by the column's label."""
    return {f"{column['table']}.{column['column']}": column for column in document["columns"]}


def remarks(document: dict[str, Any], of: str = "beyond") -> dict[str, str]:
    """The remarks of the document's list *of*, by subject; several on one subject are in one text."""
    found: dict[str, str] = {}
    for remark in document[of]:
        found[remark["subject"]] = f"{found.get(remark['subject'], '')}{remark['words']}; "
    return found
