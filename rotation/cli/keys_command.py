"""`keys`: the life cycle of keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keyring_core import Key
from rotation.cli.options import Command, common_options, path_option, target_options

if TYPE_CHECKING:
    from rotation.lifecycle.operations import StepResult
    from rotation.model.targets import Target

show_key_option = click.option(
    "--show-key",
    is_flag=True,
    help="If the keys are not in a file that this command may write, print the new values (secrets!) so you can store "
    "them yourself.",
)
force_option = click.option("--force", metavar="ID", help="Override all refusals. Type the key's id to confirm.")


@click.group()
def keys() -> None:
    """Make keys, and stage, promote, retire or restore them."""


@keys.command("generate")
@common_options
def generate(command: Command) -> int:
    """Print a new key, alone."""
    key = Key.generate()
    text = json.dumps({"id": key.id, "key": key.reveal()}) if command.as_json else key.reveal()
    print(text, file=command.streams.key_stream)
    return 0


@keys.command("list")
@common_options
def list_keys(command: Command) -> int:
    """List the keys' ids and states, and from the ledger their dates and tokens. Reads only."""
    from rotation.ledger.database import LedgerError
    from rotation.lifecycle import listing
    from rotation.output.keys_text import render_list

    states = command.keyring().states_by_id
    try:
        ledger = command.open_ledger(make=False)
        found = listing.list_keys(states, ledger, command.environ)
    except LedgerError as error:
        command.streams.warn(f"Warning: {error} Without it there are no dates and no tokens here.")
        ledger, found = None, listing.list_keys(states, None, command.environ)
    document = {"keys": [key.document(dated=ledger is not None) for key in found]}
    rows = [render_list(found)] if ledger else [f"{key.id}  {key.state}" for key in found]
    command.show(document, [*rows, f"Next: {listing.following(found)}"])
    return 0


@keys.command("stage")
@show_key_option
@common_options
def stage(command: Command, *, show_key: bool) -> int:
    """Make a key and stage it: services decrypt with it, but do not encrypt with it yet."""
    from rotation.lifecycle import operations

    return _print(command, operations.stage(command), show_key=show_key)


@keys.command("promote")
@click.argument("key_id", required=False, metavar="[ID]")
@force_option
@show_key_option
@common_options
def promote(command: Command, key_id: str | None, force: str | None, *, show_key: bool) -> int:
    """Make the staged key primary; the primary becomes the first previous key.

    With the ID of a previous key, go back to that one.
    """
    from rotation.lifecycle import operations

    return _print(command, operations.promote(command, key_id, force), show_key=show_key)


@keys.command("retire")
@click.argument("key_id", metavar="ID")
@path_option("--certificate", help="File for the proof, as JSON.")
@path_option("--archive", help="Key file that keeps the key, for old backups.")
@force_option
@show_key_option
@common_options
@target_options
def retire(  # noqa: PLR0913 - click's
    command: Command,
    targets: list[Target],
    *,
    key_id: str,
    certificate: Path | None,
    archive: Path | None,
    force: str | None,
    show_key: bool,
) -> int:
    """Retire a previous key, if a fresh census of every target proves that nothing needs it."""
    from rotation.lifecycle import operations

    done = operations.retire(command, key_id, targets, proof=certificate, archive=archive, force=force)
    return _print(command, done, show_key=show_key)


@keys.command("restore")
@click.argument("key_id", metavar="ID")
@path_option("--archive", required=True, help="Key file that holds the key.")
@show_key_option
@common_options
def restore(command: Command, key_id: str, archive: Path, *, show_key: bool) -> int:
    """Put a retired key back among the previous keys, after a backup from its time was restored."""
    from rotation.lifecycle import operations

    return _print(command, operations.restore(command, key_id, archive), show_key=show_key)


def _print(command: Command, done: StepResult, *, show_key: bool) -> int:
    """Prints the result of a step. Returns the exit code: 0 done; 1 refused, or to be done by hand."""
    from rotation.output.keys_text import Unmasked, document, render

    streams = command.streams
    if command.as_json:
        print(json.dumps(document(done, show_key=show_key)), file=streams.key_stream if show_key else streams.stdout)
    else:
        for line in render(done, show_key=show_key):
            if isinstance(line, Unmasked):
                print(line, file=streams.key_stream)
            else:
                command.say(line)
    return 1 if done.refused or done.written.manual else 0
