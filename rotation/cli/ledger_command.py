"""`ledger init`: makes the tables of the ledger."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from keyring_core.environment import LEDGER_URL
from rotation.cli.options import Command, common_options
from rotation.model.failures import UsageError

if TYPE_CHECKING:
    import sqlalchemy as sa


@click.group()
def ledger() -> None:
    """Make the ledger's tables."""


@ledger.command("init")
@click.option("--url", help=f"The ledger's database, or $NAME of a variable that holds it. Default: ${LEDGER_URL}.")
@click.option("--sql", is_flag=True, help="Print the SQL statements for this database, and execute none.")
@common_options
def init(command: Command, url: str | None, *, sql: bool) -> int:
    """Make the ledger's tables, so that no other command needs the privilege to create tables.

    In the database of --url, or of ROTATION_LEDGER_URL; otherwise in the SQLite file beside rotation.toml. Existing
    tables stay as they are.
    """
    from rotation.ledger.ledger import Ledger
    from rotation.ledger.schema import TABLE_NAMES, VERSION, ddl

    url = _url(command, url)
    if sql:
        statements = ddl(_dialect(url))
        script = "".join(f"{statement};\n\n" for statement in statements).rstrip()
        command.show({"complete": True, "statements": statements}, [script])
        return 0
    with Ledger.open(url) as opened:
        name, made = opened.name, opened.made
    tables = list(TABLE_NAMES)
    document = {"complete": True, "ledger": name, "version": VERSION, "made": made, "tables": tables}
    heading = f"The {name} {'has its tables now' if made else 'had its tables already'}, version {VERSION}:"
    command.show(document, [heading, *(f"  {table}" for table in tables)])
    return 0


def _url(command: Command, url: str | None) -> str:
    from rotation.ledger.ledger import ledger_url
    from rotation.model.targets import expand_url

    if url is not None:
        return expand_url(url, command.environ, "ledger init")
    path = command.config_path()
    if not command.environ.get(LEDGER_URL, "").strip() and not path.is_file():
        raise UsageError(f"no ledger is named: give --url, set {LEDGER_URL}, or change to the folder of rotation.toml")
    return ledger_url(command.environ, path)


def _dialect(url: str) -> sa.Dialect:
    """The SQL dialect of that database. It connects to nothing, and needs no driver."""
    import sqlalchemy as sa
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    dialect = None
    # The message of these errors shows the url with its password.
    with suppress(ArgumentError, NoSuchModuleError, ValueError):
        dialect = sa.make_url(re.sub("^postgres:", "postgresql:", url)).get_dialect()()
    if dialect is None:
        raise UsageError("ledger init: the url is not of the form dialect://user:...@host:port/database")
    return dialect
