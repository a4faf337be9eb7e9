"""`ledger`: makes the tables of the ledger, verifies what it holds, and makes keys that sign certificates."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keyring_core.environment import LEDGER_URL
from rotation.cli.help_page import UNWRITTEN, USAGE, HelpGroup
from rotation.cli.shared_options import CommandContext, FilePath, common_options, common_parameters, path_option
from rotation.model.failures import UsageError

if TYPE_CHECKING:
    import sqlalchemy as sa

    from rotation.ledger.database import LedgerPlace


UNREACHABLE = "the ledger's database cannot be reached, or refuses"

url_option = click.option(
    "--url",
    metavar="URL",
    help=f"The ledger's database, or '$NAME' of a variable that holds it.  [default: ${LEDGER_URL}]",
)


@click.group(
    cls=HelpGroup,
    exit_codes={0: "done", 1: "action needed: `verify` found a difference", 2: USAGE, 3: UNREACHABLE},
    examples={
        "Make the tables": "ledger init --url '$LEDGER_URL'",
        "See that nothing in it was changed": "ledger verify",
        "Check a certificate that somebody has kept": "ledger verify 5f0c1a9e.json",
    },
)
@common_parameters
def ledger(**_: object) -> None:
    """Make the ledger's tables, and verify what it holds.

    The ledger records the keys' dates, the runs and the counts, so that a key is retired on evidence. It makes its
    tables by itself, if its user may.
    """


@ledger.command(
    "init",
    examples={
        "Make the tables in the database of a variable": "ledger init --url '$LEDGER_URL'",
        "Print the statements, for an administrator to run": "ledger init --url '$LEDGER_URL' --sql",
    },
    exit_codes={0: "the tables are there; with --sql: the statements are printed", 2: USAGE, 3: UNREACHABLE},
)
@url_option
@click.option("--sql", is_flag=True, help="Print the SQL statements for this database, and execute none.")
@common_options
def init(command: CommandContext, url: str | None, *, sql: bool) -> int:
    """Make the ledger's tables in its database.

    Then no other command needs the privilege to create tables. The database is named by --url, by ROTATION_LEDGER_URL,
    or by ledger in rotation.toml; otherwise it is the SQLite file beside rotation.toml. Tables that are there stay as
    they are.
    """
    from rotation.ledger.ledger import Ledger
    from rotation.ledger.schema import TABLE_NAMES, VERSION, ddl
    from rotation.output.documents.parts import LedgerInitJson, LedgerSqlJson
    from rotation.output.terminal import Verbatim

    place = _place(command, url, "ledger init")
    if sql:
        statements = ddl(_dialect(place.url))
        script = "".join(f"{statement};\n\n" for statement in statements).rstrip()
        command.show(LedgerSqlJson(complete=True, statements=statements), [Verbatim(script)])
        return 0
    command.check_ledger(place)
    with Ledger.open(place.url, place=place) as opened:
        name, made = opened.name, opened.made
        if opened.migrated:
            command.streams.warn(opened.migrated)
    tables = list(TABLE_NAMES)
    document = LedgerInitJson(complete=True, ledger=name, version=VERSION, made=made, tables=tables)
    heading = f"The {name} {'has its tables now' if made else 'had its tables already'}, version {VERSION}:"
    command.show(document, [heading, *(f"  {table}" for table in tables)])
    return 0


@ledger.command(
    "verify",
    examples={
        "See that nothing in the ledger was changed": "ledger verify",
        "Whether a file is the certificate that was issued": "ledger verify 5f0c1a9e.json",
        "All events, for a program": "ledger verify --json",
        "A signature alone, without the ledger": "ledger verify 5f0c1a9e.json --public signing.pem.pub",
    },
    exit_codes={
        0: "everything is as it was recorded",
        1: "something differs: each is named, with what to do",
        2: USAGE,
        3: f"{UNREACHABLE}, or has no tables of this version",
    },
)
@click.argument("certificate", required=False, metavar="[CERTIFICATE]", type=FilePath(path_type=Path))
@path_option(
    "--public",
    help="Public key of the one who signed CERTIFICATE. Checks the signature, and no ledger unless --url names one.",
)
@url_option
@common_options
def verify(command: CommandContext, certificate: Path | None, public: Path | None, url: str | None) -> int:
    """Verify the ledger's records and a certificate.

    Computes the digest of every event again, and compares keys, dates and certificates with what the events say. With
    CERTIFICATE, also whether that file is as this ledger issued it. Reads only; it makes and migrates nothing. Somebody
    who can write to the ledger can make a whole chain again, or remove its end: only a certificate or a head that is
    kept elsewhere, and a signature, show that. Runs, counts and reads are in no chain.
    """
    from rotation import audit

    if public and not certificate:
        raise UsageError("--public checks the signature of a certificate: name its file, too")
    place = None if public and url is None else _place(command, url, "ledger verify")
    if place:
        command.check_ledger(place)
    found = audit.verify(place, certificate, public, command.streams.wait)
    document = audit.LedgerVerifyJson.of(found, command.invocation)
    command.show(document, audit.render_verification(found, command.invocation))
    return 1 if found.differences else 0


@ledger.command(
    "keygen",
    examples={"Make a key that signs certificates": "ledger keygen signing.pem"},
    exit_codes={0: "both files are written", 2: USAGE, 3: UNWRITTEN},
)
@click.argument("file", metavar="FILE", type=FilePath(path_type=Path))
@common_options
def keygen(command: CommandContext, file: Path) -> int:
    """Make a key that signs certificates.

    Writes an Ed25519 key to FILE, which only its owner can read, and its public key to FILE.pub. It never replaces a
    file. `keys retire --sign-with` signs with the first; give the second to the one who is to check.
    """
    from rotation.lifecycle.signatures import make_signing_key
    from rotation.model.next_steps import Steps
    from rotation.output.documents.parts import LedgerKeygenJson
    from rotation.output.terminal import following

    signer, public = make_signing_key(command, file)
    document = LedgerKeygenJson(complete=True, key=signer.id, file=str(file), public=str(public))
    steps = Steps(
        f"keep {file} where only the one who signs can read it",
        f"give {public}, and the id {signer.id} by another way, to the one who is to check signatures",
    )
    said = f"Made the key {signer.id}. Written: {file}, {public}"
    command.show(document, [said, *following(steps, command.invocation)])
    return 0


def _place(command: CommandContext, url: str | None, whose: str) -> LedgerPlace:
    """The ledger of --url; otherwise the one of the environment or of rotation.toml. Raises UsageError without one."""
    from rotation.configuration.urls import expand_url
    from rotation.ledger.database import LedgerPlace

    given = None if url is None else LedgerPlace(expand_url(url, command.inputs.environ, whose), "--url")
    if place := given or command.ledger_place():
        return place
    raise UsageError(f"no ledger is named: give --url, set {LEDGER_URL}, or change to the folder of rotation.toml")


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
