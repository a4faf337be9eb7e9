"""`keys`: the life cycle of keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rotation.cli.help_page import STOPPED, UNWRITTEN, USAGE, HelpGroup
from rotation.cli.new_key_command import derive, generate
from rotation.cli.shared_options import (
    CommandContext,
    adding,
    common_options,
    common_parameters,
    complete_preset,
    only_key_set,
    own_keys_option,
    path_option,
    search_pace_option,
    target_options,
)
from rotation.model.failures import UsageError
from rotation.model.next_steps import Next, OneStep, Repeats, Steps
from rotation.world.process import LONGEST

if TYPE_CHECKING:
    from rotation.lifecycle.steps import StepResult
    from rotation.model.target import Target


step_options = adding(
    click.option(
        "--show-key",
        is_flag=True,
        help="If the keys are not in a file that this command may write, print the new values (secrets!) so you can "
        "store them yourself.",
    ),
    common_options,
    click.option(
        "--by",
        metavar="NAME",
        help="Who does this, for the ledger: a note, which nothing proves.  [default: the user of this process, or "
        "the one who called sudo]",
    ),
    own_keys_option,
)
force_option = click.option(
    "--force", metavar="KEY_ID", help="Override all refusals. Type the key's id again to confirm."
)

BY_HAND = "action needed: the keys are not in a file that it may write, so you must store them by hand"
REFUSED = "action needed: it was refused, with the reasons, and nothing was changed; or you must store the keys by hand"


@click.group(
    cls=HelpGroup,
    examples={
        "See which keys there are": "keys list --env-file .env",
        "Begin a rotation": "keys stage --env-file .env",
        "Once every service has the staged key": "keys promote --env-file .env",
    },
    exit_codes={
        0: "done",
        1: "action needed: a step was refused, or you must store a key by hand",
        2: USAGE,
        3: STOPPED,
    },
)
@common_parameters
def keys(**_: object) -> None:
    """Make keys, and stage, promote, suspend, resume, retire or restore them.

    A rotation goes: stage, promote, run, retire. A staged key decrypts; the primary key encrypts; a previous key
    still decrypts; a suspended key refuses, to try whether it can be retired.
    """


for _command in (generate, derive):
    keys.add_command(_command)


def step(
    done: str, left: str, examples: Mapping[str, str], *options: Callable[..., Any]
) -> Callable[[Callable[..., StepResult]], click.Command]:
    """Makes a command of a function that takes a step; it prints the result. *options* come before the common ones.

    *done* and *left*: what the exit codes 0 and 1 mean.
    """

    def add(take: Callable[..., StepResult]) -> click.Command:
        @wraps(take)
        def wrapped(command: CommandContext, *, by: str | None, show_key: bool, **given: Any) -> int:
            from rotation.output.documents.parts import json_text
            from rotation.output.key_steps import KeysStepJson, Unmasked, render

            if by is not None and not 0 < len(by.strip()) <= LONGEST:
                raise UsageError(f"--by: give a name of at most {LONGEST} characters, or leave the option out")
            command.by = by
            done, streams = take(command, **given), command.streams
            if command.as_json:
                document = KeysStepJson.of(done, command.invocation, show_key=show_key)
                print(json_text(document), file=streams.key_stream if show_key else streams.stdout)
            else:
                for line in render(done, command.invocation, show_key=show_key):
                    if isinstance(line, Unmasked):
                        print(line, file=streams.key_stream)
                    else:
                        command.say(line)
            return 1 if done.refused or done.written.manual else 0

        codes = {0: done, 1: left, 2: USAGE, 3: STOPPED}
        return keys.command(take.__name__, examples=examples, exit_codes=codes)(adding(*options, step_options)(wrapped))

    return add


@keys.command(
    "list",
    examples={
        "Which keys there are, and what still needs them": "keys list --env-file .env",
        "Those of a key set of rotation.toml": "keys list --env-file .env --keys airflow",
        "The setting that Airflow reads, by key ids": "keys list --env-file .env --format airflow",
    },
    exit_codes={0: "the keys are listed", 2: USAGE, 3: UNWRITTEN},
)
@click.option(
    "--format",
    "app",
    metavar="NAME",
    shell_complete=complete_preset,
    help="Print the setting that this application reads, by key ids.",
)
@click.option("--show-key", is_flag=True, help="With --format: print the keys themselves (secrets!).")
@common_options
@own_keys_option
def list_keys(command: CommandContext, *, app: str | None, show_key: bool) -> int:
    """List the keys' ids and states.

    Reads only. If there is a ledger, also their dates, the tokens under each, and the keys that are missing or
    retired.
    """
    from rotation.ledger.database import LedgerError
    from rotation.lifecycle import listing
    from rotation.output.key_steps import KeysListJson, render_list
    from rotation.output.terminal import following

    if app:
        return _print_setting(command, app, show_key=show_key)
    keyring = command.keyring()
    states = keyring.states_by_id
    try:
        ledger = command.open_ledger(make=False)
        days = command.inputs.any_policy().suspend_days
        found = listing.list_keys(states, ledger, command.service, key_set=command.key_set, suspend_days=days)
    except LedgerError as error:
        command.streams.warn(f"Warning: {error} Without it there are no dates and no tokens here.")
        ledger, found = None, listing.list_keys(states, None, command.service)
    document = KeysListJson.of(found, command.invocation, dated=ledger is not None)
    rows = [render_list(found)] if ledger else [f"{key.id}  {key.state}" for key in found]
    after = listing.after_listing(found, command.key_set, salted=keyring.salted_ids)
    command.show(document, [*rows, *following(after, command.invocation)])
    return 0


def _print_setting(command: CommandContext, name: str, *, show_key: bool) -> int:
    """Prints the keys as the application *name* reads them: the keys of its key set, if rotation.toml has that."""
    from rotation.applications import OwnKey, load_preset, setting_lines
    from rotation.lifecycle.environment_keys import EnvironmentKeys
    from rotation.lifecycle.transitions import all_keys
    from rotation.output.documents.parts import json_text
    from rotation.output.key_steps import KeysSettingJson

    preset = load_preset(name)
    own = preset.key_set(preset.setting[0])
    if command.key_set is None:
        command = command.with_keys(own if own in command.key_sets() else only_key_set(command))
    if command.key_set is None and preset.keys[own].primary.derive != "raw":
        raise UsageError(
            f"{preset.title} makes its key of a secret, and the environment holds keys; name a key set: --keys {own}"
        )
    keys = EnvironmentKeys(command)
    rule = keys.source(keys.settings.primary).rule
    held = []
    for key in all_keys(keys.settings):
        if keys.source(key).rule == rule:
            held.append(OwnKey(key.id, str(keys.states[key.id]), partial(keys.text, key)))
        else:
            # Its secret belongs into another setting: PostHog's older keys come from Django's SECRET_KEY.
            command.streams.warn(f"Note: {key.id} is made in another way than the primary key, and so is left out.")
    lines = setting_lines(preset, held, command.key_set, reveal=show_key)
    if not lines:
        sets = " or ".join(f"--keys {name}" for name in dict.fromkeys(map(preset.key_set, preset.setting)))
        raise UsageError(f"{preset.title} has no setting for the key set {command.key_set}; name one that has: {sets}")
    stream = command.streams.key_stream if show_key else command.streams.stdout
    print(
        json_text(KeysSettingJson(complete=True, app=name, lines=lines)) if command.as_json else "\n".join(lines),
        file=stream,
    )
    return 0


@step(
    "the key is staged",
    BY_HAND,
    {
        "Make a key, and write it into .env as staged": "keys stage --env-file .env",
        "Make one for keys that are in a vault, and print it": "keys stage --show-key",
    },
)
def stage(command: CommandContext) -> StepResult:
    """Make a key and stage it.

    Services that have a staged key decrypt with it, and do not encrypt with it yet. Give it to every service before you
    promote it.
    """
    from rotation import lifecycle

    return lifecycle.stage(command)


@step(
    "the key is primary, also if it was already",
    REFUSED,
    {
        "Encrypt with the staged key from now on": "keys promote --env-file .env",
        "Go back to a previous key": "keys promote 5f0c1a9e --env-file .env",
    },
    click.argument("key_id", required=False, metavar="[KEY_ID]"),
    force_option,
)
def promote(command: CommandContext, key_id: str | None, force: str | None) -> StepResult:
    """Make the staged key primary.

    The primary key becomes the first previous key. With the KEY_ID of a previous key, that one becomes primary again.
    """
    from rotation import lifecycle

    return lifecycle.promote(command, key_id, force)


@step(
    "the key is suspended, also if it was already",
    REFUSED,
    {
        "Try whether a key can be retired": "keys suspend 5f0c1a9e --env-file .env",
        "Try it though tokens under it are stored": "keys suspend 5f0c1a9e --env-file .env --force 5f0c1a9e",
    },
    click.argument("key_id", metavar="KEY_ID"),
    force_option,
)
def suspend(command: CommandContext, key_id: str, force: str | None) -> StepResult:
    """Try a retirement: services hold the key, and refuse its tokens.

    A refused read raises SuspendedKey in the service, which counts it; `check` and `keys list` say who was refused, if
    the service announces its keys. `keys resume` ends the trial at once. It is refused as long as a target is known to
    hold tokens under the key, or was not counted since the primary key took over.
    """
    from rotation import lifecycle

    return lifecycle.suspend(command, key_id, force)


@step(
    "the key is a previous key again",
    REFUSED,
    {"Let services read with the key again": "keys resume 5f0c1a9e --env-file .env"},
    click.argument("key_id", metavar="KEY_ID"),
)
def resume(command: CommandContext, key_id: str) -> StepResult:
    """End the trial of `keys suspend`: services open the key's tokens again.

    It says who was refused meanwhile, as far as services announced it.
    """
    from rotation import lifecycle

    return lifecycle.resume(command, key_id)


@step(
    "the key is retired",
    "action needed: something still needs the key, and nothing was changed; or you must store the keys by hand",
    {
        "Retire a key, and keep it for old backups": "keys retire 5f0c1a9e --env-file .env --archive 5f0c1a9e.keys",
        "With a proof for an auditor": "keys retire 5f0c1a9e --env-file .env --archive 5f0c1a9e.keys "
        "--certificate 5f0c1a9e.json",
        "Retire a key that no backup needs": "keys retire 5f0c1a9e --env-file .env --no-archive",
    },
    click.argument("key_id", metavar="KEY_ID"),
    path_option("--certificate", help="File for the proof, as JSON."),
    path_option("--sign-with", help="Ed25519 key that signs the certificate; `ledger keygen` makes one."),
    path_option(
        "--archive", help="Key file that keeps the key, for old backups; this or --no-archive has to be given."
    ),
    click.option(
        "--no-archive", is_flag=True, help="Keep the key nowhere: backups from its time can then not be read."
    ),
    click.option(
        "--no-wait", is_flag=True, help="Do not wait for one more announcement of each service: up to 75 seconds."
    ),
    force_option,
    search_pace_option,
)
@target_options
def retire(  # noqa: PLR0913 - click's
    command: CommandContext,
    targets: list[Target],
    *,
    key_id: str,
    certificate: Path | None,
    archive: Path | None,
    no_archive: bool,
    no_wait: bool,
    **settings: Any,
) -> StepResult:
    """Retire a previous key, if nothing needs it.

    It first waits for transactions that have written, counts every target again, and reads all other columns of every
    database on that PostgreSQL or MariaDB server that its user may enter. If anything needs the key, it refuses and
    names what. Of each service that announces itself once a minute it waits for one more word, so that its reads until
    then are known. Old backups need the key as long as you keep them: --archive keeps it in a file, --no-archive does
    not.
    """
    from rotation import lifecycle

    if no_archive and archive:
        raise UsageError("--archive and --no-archive exclude each other; keep one of them")
    if not (no_archive or archive):
        # The key would be gone before anybody reads about it.
        kept: OneStep = Next(
            ("--archive", f"{key_id}.keys"), "to keep the key for old backups:", repeats=Repeats.COMMAND
        )
        if key_id in command.keyring().salted_ids:
            # Each row makes its own key, and an archive holds keys.
            kept = "to read old backups later, keep its secret where you keep your backups' keys"
        ways = Steps(kept, Next(("--no-archive",), "to keep it nowhere:", repeats=Repeats.COMMAND))
        words = "say whether the key is to be archived; without it, backups from before today cannot be read."
        raise UsageError(f"{words} Nothing was changed.", ways)
    return lifecycle.retire(command, key_id, targets, proof=certificate, archive=archive, wait=not no_wait, **settings)


@step(
    "the key is a previous key again",
    BY_HAND,
    {
        "Read a backup from before the key was retired": "keys restore 5f0c1a9e --env-file .env "
        "--archive 5f0c1a9e.keys",
        "Take a lost key from an old dotenv file": "keys restore 5f0c1a9e --env-file .env --archive old.env",
    },
    click.argument("key_id", metavar="KEY_ID"),
    path_option(
        "--archive", required=True, help="File that holds the key: an archive, an old dotenv file, other text."
    ),
)
def restore(command: CommandContext, key_id: str, archive: Path) -> StepResult:
    """Put a retired or lost key back among the previous keys.

    Use it after you restored a backup from the time of that key, or found an old file that may have a lost key. Of a
    dotenv file every variable is looked at, of whatever key set: the id decides which key is taken.
    """
    from rotation import lifecycle

    return lifecycle.restore(command, key_id, archive)
