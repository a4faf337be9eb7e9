"""`ledger`: the tables of the ledger, made before anybody needs them."""

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
@click.option("--sql", is_flag=True, help="Print the statements for this database, and make nothing.")
@common_options
def init(command: Command, url: str | None, *, sql: bool) -> int:
    """Make the ledger's tables, so that nobody else needs the right to make one.

    In the database of --url, or of ROTATION_LEDGER_URL, or else in the SQLite file beside rotation.toml. Tables that
    are there already stay as they are.
    """
    from rotation.ledger.ledger import Ledger
    from rotation.ledger.schema import TABLE_NAMES, VERSION, ddl

    where = _where(command, url)
    if sql:
        statements = ddl(_dialect(where))
        if command.as_json:
            command.print_json({"complete": True, "statements": statements})
        else:
            command.say("".join(f"{statement};\n\n" for statement in statements).rstrip())
        return 0
    with Ledger.open(where) as opened:
        name, made = opened.name, opened.made
    if command.as_json:
        tables = list(TABLE_NAMES)
        command.print_json({"complete": True, "ledger": name, "version": VERSION, "made": made, "tables": tables})
        return 0
    command.say(f"The {name} {'has its tables now' if made else 'had its tables already'}, version {VERSION}:")
    for table in TABLE_NAMES:
        command.say(f"  {table}")
    return 0


def _where(command: Command, url: str | None) -> str:
    from rotation.ledger.ledger import ledger_url
    from rotation.model.targets import expand_url

    if url is not None:
        return expand_url(url, command.environ, "ledger init")
    path = command.config_path()
    if not command.environ.get(LEDGER_URL, "").strip() and not path.is_file():
        raise UsageError(f"no ledger is named: give --url, set {LEDGER_URL}, or go where rotation.toml is")
    return ledger_url(command.environ, path)


def _dialect(url: str) -> sa.Dialect:
    """How that database's SQL is written; none is connected to, and no driver is needed."""
    import sqlalchemy as sa
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    dialect = None
    # The message shows the text, password and all.
    with suppress(ArgumentError, NoSuchModuleError, ValueError):
        dialect = sa.make_url(re.sub("^postgres:", "postgresql:", url)).get_dialect()()
    if dialect is None:
        raise UsageError("ledger init: the url is not of the form dialect://user:...@host:port/database")
    return dialect
