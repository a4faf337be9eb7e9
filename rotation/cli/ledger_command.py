"""`ledger init`: makes the tables of the ledger."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from keyring_core.environment import LEDGER_URL
from rotation.cli.help_page import USAGE, HelpGroup
from rotation.cli.options import CommandContext, common_options, common_parameters
from rotation.model.failures import UsageError

if TYPE_CHECKING:
    import sqlalchemy as sa


EXIT_CODES = {
    0: "the tables are there; with --sql: the statements are printed",
    2: USAGE,
    3: "the ledger's database cannot be reached, or refuses",
}


@click.group(cls=HelpGroup, exit_codes=EXIT_CODES, examples={"Make the tables": "ledger init --url '$LEDGER_URL'"})
@common_parameters
def ledger(**_: object) -> None:
    """Make the ledger's tables.

    The ledger records the keys' dates, the runs and the counts, so that a key is retired on evidence. It makes its
    tables by itself, if its user may.
    """


@ledger.command(
    "init",
    examples={
        "Make the tables in the database of a variable": "ledger init --url '$LEDGER_URL'",
        "Print the statements, for an administrator to run": "ledger init --url '$LEDGER_URL' --sql",
    },
    exit_codes=EXIT_CODES,
)
@click.option(
    "--url",
    metavar="URL",
    help=f"The ledger's database, or '$NAME' of a variable that holds it.  [default: ${LEDGER_URL}]",
)
@click.option("--sql", is_flag=True, help="Print the SQL statements for this database, and execute none.")
@common_options
def init(command: CommandContext, url: str | None, *, sql: bool) -> int:
    """Make the ledger's tables in its database.

    Then no other command needs the privilege to create tables. The database is named by --url, by ROTATION_LEDGER_URL,
    or by ledger in rotation.toml; otherwise it is the SQLite file beside rotation.toml. Tables that are there stay as
    they are.
    """
    from rotation.configuration.urls import expand_url
    from rotation.ledger.database import LedgerPlace
    from rotation.ledger.ledger import Ledger
    from rotation.ledger.schema import TABLE_NAMES, VERSION, ddl
    from rotation.output.documents.parts import LedgerInitJson, LedgerSqlJson
    from rotation.output.terminal import Verbatim

    given = None if url is None else LedgerPlace(expand_url(url, command.environ, "ledger init"), "--url")
    place = given or command.ledger_place()
    if place is None:
        raise UsageError(f"no ledger is named: give --url, set {LEDGER_URL}, or change to the folder of rotation.toml")
    if sql:
        statements = ddl(_dialect(place.url))
        script = "".join(f"{statement};\n\n" for statement in statements).rstrip()
        command.show(LedgerSqlJson(complete=True, statements=statements), [Verbatim(script)])
        return 0
    command.check_ledger(place)
    with Ledger.open(place.url, place=place) as opened:
        name, made = opened.name, opened.made
    tables = list(TABLE_NAMES)
    document = LedgerInitJson(complete=True, ledger=name, version=VERSION, made=made, tables=tables)
    heading = f"The {name} {'has its tables now' if made else 'had its tables already'}, version {VERSION}:"
    command.show(document, [heading, *(f"  {table}" for table in tables)])
    return 0


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
