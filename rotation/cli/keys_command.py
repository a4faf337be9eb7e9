"""`keys`: the life cycle of keys."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keyring_core import Derivation, Key
from keyring_core.derivation import KINDS, protect
from keyring_core.errors import WeakKeyError
from rotation.cli.options import Command, common_options, key_set_option, path_option, target_options
from rotation.cli.secret_input import GivenSecret, read_secret, read_variable, secret_options
from rotation.model.failures import UsageError

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
    return _print_key(command, Key.generate())


@keys.command("derive")
@click.argument("kind", required=False, metavar="KIND")
@click.option("--salt", help="The salt, for pbkdf2-sha256 and hkdf-sha256.")
@click.option("--salt-variable", metavar="NAME", help="Variable that holds the salt, if that is not public.")
@click.option("--salt-hex", is_flag=True, help="The salt is spelt in hexadecimal digits, as openalgo's.")
@click.option("--info", help="The info, for hkdf-sha256.")
@click.option("--iterations", type=int, help="The number of iterations, for pbkdf2-sha256.")
@click.option("--allow-weak", is_flag=True, help="Print also a key that anybody can guess, to rotate away from it.")
@common_options
@secret_options
def derive(  # noqa: PLR0913 - click's
    command: Command,
    given: GivenSecret,
    *,
    kind: str | None,
    salt: str | None,
    salt_variable: str | None,
    salt_hex: bool,
    info: str | None,
    iterations: int | None,
    allow_weak: bool,
) -> int:
    """Print the Fernet key that an application makes of its secret, alone.

    KIND is the kind of derivation; without it, the error lists the kinds. Without an option that says where the secret
    is, a terminal is asked for it, and otherwise it is read from stdin. One newline at its end is dropped, but not from
    a variable.
    """
    if kind is None or kind not in KINDS:
        raise UsageError(_no_such_kind(kind))
    derivation = Derivation(kind, _salt(command, salt, salt_variable, is_hex=salt_hex), info, iterations)
    secret = read_secret(command, given)
    with command.reporting_warnings():
        try:
            key = derivation.key(secret.value, secret.where, allow_weak=allow_weak)
        except WeakKeyError as error:
            refusal = str(error)
        else:
            return _print_key(command, key)
    raise UsageError(f"{refusal}\nIf data is stored under it, --allow-weak prints it, to rotate away from it.")


def _salt(command: Command, salt: str | None, variable: str | None, *, is_hex: bool) -> str | bytes | None:
    """The salt that the options give. Raises UsageError."""
    if salt is not None and variable is not None:
        raise UsageError("--salt and --salt-variable exclude each other; keep one of them")
    if variable is not None:
        salt = read_variable(command, "--salt-variable", variable)
        protect(salt, "salt")
    if salt is None or not is_hex:
        return salt
    with suppress(ValueError):
        return bytes.fromhex(salt)
    raise UsageError("--salt-hex: the salt has other characters than hexadecimal digits; leave this option out")


def _no_such_kind(kind: str | None) -> str:
    # What was given is not shown: it may be the secret.
    fault = "name the kind of derivation" if kind is None else "no such kind of derivation"
    width = max(map(len, KINDS))
    return "\n".join([f"{fault}, one of", *(f"  {name:<{width}}  {words}" for name, words in KINDS.items())])


def _print_key(command: Command, key: Key) -> int:
    text = json.dumps({"id": key.id, "key": key.reveal()}) if command.as_json else key.reveal()
    print(text, file=command.streams.key_stream)
    return 0


@keys.command("list")
@click.option("--format", "app", metavar="NAME", help="Print the setting that this application reads, by key ids.")
@click.option("--show-key", is_flag=True, help="With --format: print the keys themselves (secrets!).")
@common_options
@key_set_option
def list_keys(command: Command, *, app: str | None, show_key: bool) -> int:
    """List the keys' ids and states, and from the ledger their dates and tokens. Reads only."""
    from rotation.ledger.database import LedgerError
    from rotation.lifecycle import listing
    from rotation.output.keys_text import render_list

    if app:
        return _print_setting(command, app, show_key=show_key)
    states = command.keyring().states_by_id
    try:
        ledger = command.open_ledger(make=False)
        found = listing.list_keys(states, ledger, command.service)
    except LedgerError as error:
        command.streams.warn(f"Warning: {error} Without it there are no dates and no tokens here.")
        ledger, found = None, listing.list_keys(states, None, command.service)
    document = {"keys": [key.document(dated=ledger is not None) for key in found]}
    rows = [render_list(found)] if ledger else [f"{key.id}  {key.state}" for key in found]
    command.show(document, [*rows, f"Next: {listing.following(found, command.key_set)}"])
    return 0


def _print_setting(command: Command, name: str, *, show_key: bool) -> int:
    """Prints the keys as the application *name* reads them: those of its key set, if rotation.toml has that."""
    from rotation.lifecycle.environment_keys import EnvironmentKeys
    from rotation.lifecycle.transitions import states
    from rotation.model.preset_setting import OwnKey, setting_lines
    from rotation.model.presets import load_preset

    preset = load_preset(name)
    own = preset.key_set(preset.setting[0])
    if command.key_set is None and own in command.key_sets():
        command = command.with_keys(own)
    if command.key_set is None and preset.keys[own].primary.derive != "raw":
        raise UsageError(
            f"{preset.title} makes its key of a secret, and the environment holds keys; name a key set: --keys {own}"
        )
    keys = EnvironmentKeys(command)
    rule = keys.source(keys.settings.primary).rule
    held = []
    for key, state in states(keys.settings).items():
        if keys.source(key).rule == rule:
            held.append(OwnKey(key.id, str(state), partial(keys.text, key)))
        else:
            # Its secret belongs into another setting: PostHog's older keys come from Django's SECRET_KEY.
            command.streams.warn(f"Note: {key.id} is made in another way than the primary key, and so is left out.")
    lines = setting_lines(preset, held, command.key_set, reveal=show_key)
    if not lines:
        sets = " or ".join(f"--keys {name}" for name in dict.fromkeys(map(preset.key_set, preset.setting)))
        raise UsageError(f"{preset.title} has no setting for the key set {command.key_set}; name one that has: {sets}")
    stream = command.streams.key_stream if show_key else command.streams.stdout
    print(
        json.dumps({"complete": True, "app": name, "lines": lines}) if command.as_json else "\n".join(lines),
        file=stream,
    )
    return 0


@keys.command("stage")
@show_key_option
@common_options
@key_set_option
def stage(command: Command, *, show_key: bool) -> int:
    """Make a key and stage it: services decrypt with it, but do not encrypt with it yet."""
    from rotation.lifecycle import operations

    return _print(command, operations.stage(command), show_key=show_key)


@keys.command("promote")
@click.argument("key_id", required=False, metavar="[ID]")
@force_option
@show_key_option
@common_options
@key_set_option
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
@key_set_option
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
@key_set_option
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
