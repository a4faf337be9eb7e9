"""`keys`: make keys, and take them through their lives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keyring_core import Key
from rotation.cli.options import Common, common_options, target_options
from rotation.cli.run_command import census

if TYPE_CHECKING:
    from rotation.model.targets import Target

show_key_option = click.option(
    "--show-key", is_flag=True, help="Where no file is ours to write, print the keys themselves, to be put by hand."
)


@click.group()
def keys() -> None:
    """Make keys, and take them through their lives: stage, promote, retire."""


@keys.command("generate")
@common_options
def generate(common: Common) -> int:
    """Print a new key, alone."""
    key = Key.generate()
    text = json.dumps({"id": key.id, "key": key.reveal()}) if common.as_json else key.reveal()
    print(text, file=common.world.key_stream)
    return 0


@keys.command("list")
@common_options
def list_keys(common: Common) -> int:
    """List the keys' ids and states, and from the ledger their dates and tokens. Reads only."""
    from rotation.ledger.database import LedgerError
    from rotation.lifecycle import listing

    states = {key.id: state for key, state in common.keyring().states.items()}
    try:
        ledger = common.open_ledger(make=False)
        found = listing.list_keys(states, ledger, common.environ)
    except LedgerError as error:
        common.world.tell(f"Warning: {error} Without it there are no dates and no tokens here.")
        ledger, found = None, listing.list_keys(states, None, common.environ)
    if common.as_json:
        common.world.print_json({"keys": [key.document(dated=ledger is not None) for key in found]})
        return 0
    if ledger:
        common.world.say(listing.render(found))
    else:
        for key in found:
            common.world.say(f"{key.id}  {key.state}")
    common.world.say(f"Next: {listing.following(found)}")
    return 0


@keys.command("stage")
@show_key_option
@common_options
def stage(common: Common, *, show_key: bool) -> int:
    """Make a key and stage it: services decrypt with it, and encrypt nothing yet."""
    from rotation.lifecycle import operations
    from rotation.output import keys_text

    return keys_text.tell(operations.stage(common), common.world, as_json=common.as_json, show_key=show_key)


@keys.command("promote")
@click.argument("key_id", required=False, metavar="[ID]")
@click.option("--force", metavar="ID", help="Do it against all reasons; the key's id, typed.")
@show_key_option
@common_options
def promote(common: Common, key_id: str | None, force: str | None, *, show_key: bool) -> int:
    """Make the staged key primary; the primary becomes the first previous key.

    With the ID of a previous key, go back to that one.
    """
    from rotation.lifecycle import operations
    from rotation.output import keys_text

    done = operations.promote(common, key_id, force)
    return keys_text.tell(done, common.world, as_json=common.as_json, show_key=show_key)


@keys.command("retire")
@click.argument("key_id", metavar="ID")
@click.option("--certificate", type=click.Path(path_type=Path), help="File for the proof, as JSON.")
@click.option("--archive", type=click.Path(path_type=Path), help="Key file that keeps the key, for old backups.")
@click.option("--force", metavar="ID", help="Do it against all reasons; the key's id, typed. Recorded as forced.")
@show_key_option
@common_options
@target_options
def retire(  # noqa: PLR0913 - click's
    common: Common,
    targets: list[Target],
    *,
    key_id: str,
    certificate: Path | None,
    archive: Path | None,
    force: str | None,
    show_key: bool,
) -> int:
    """Take a previous key out, once a fresh census of every target proves that nothing needs it."""
    from rotation.discovery.discover import discover, places_of
    from rotation.lifecycle import operations
    from rotation.lifecycle.retirement_census import Looks
    from rotation.output import keys_text

    looks = Looks(
        census=lambda some, keyring: census(common, some, keyring),
        # A sample may miss the one token that needs the key.
        search=lambda some, keyring: discover(
            places_of(some), some, keyring, common.open_survey, full=True, schemas=None
        ),
    )
    done = operations.retire(
        common,
        key_id,
        targets,
        looks,
        proof=certificate,
        archive=archive,
        force=force,
    )
    return keys_text.tell(done, common.world, as_json=common.as_json, show_key=show_key)


@keys.command("restore")
@click.argument("key_id", metavar="ID")
@click.option("--archive", type=click.Path(path_type=Path), required=True, help="Key file that holds the key.")
@show_key_option
@common_options
def restore(common: Common, key_id: str, archive: Path, *, show_key: bool) -> int:
    """Put a retired key back among the previous ones: a backup of its time was restored."""
    from rotation.lifecycle import operations
    from rotation.output import keys_text

    done = operations.restore(common, key_id, archive)
    return keys_text.tell(done, common.world, as_json=common.as_json, show_key=show_key)
