"""`init` for a service of your own: searches its database, writes rotation.toml and, if wanted, a key."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from keyring_core import Key, KeyConfigError, Keyring
from keyring_core.environment import PRIMARY, key_files_in, names_primary
from keyring_core.errors import printable
from keyring_core.sources import is_missing
from rotation.applications import recognised_steps
from rotation.cli.init_questions import Wanted, ask, ask_whether, checked_url
from rotation.cli.init_result import Begun
from rotation.cli.shared_options import CommandContext, Process
from rotation.configuration.urls import expand_url, for_folder, may_hold_password
from rotation.context import Context
from rotation.discovery.discover import DatabaseUrl, SearchPlan, databases_of, discover
from rotation.discovery.result import Discovery
from rotation.kept_files import outputs_of
from rotation.ledger.database import DEFAULT_FILE
from rotation.lifecycle.key_file_edits import add_to_dotenv, edit_dotenv
from rotation.model.failures import UsageError
from rotation.model.next_steps import PROBLEMS_FILE, PROGRAM, THIS_AGAIN, Next, Repeats, Steps
from rotation.model.target import Target
from rotation.output.discovery_text import config_text, entries_text, gets_entry
from rotation.stores.databases import served_url
from rotation.world.atomic_file import (
    Snapshot,
    legible_to_others,
    read_whole,
    replace_whole,
    write_refusal,
)
from rotation.world.inputs import DOTENV, Dotenv
from rotation.world.outputs import CONFIG, Output

GIT_SECONDS = 10.0
"""The most seconds to wait for git: it may have hung, or its folder may be on a server that does not answer."""
URL = "DATABASE_URL"
FILE_HEADER = f"# Keys and other secrets: never commit this file. {PRIMARY} encrypts.\n"
KEY_TO_FILL_IN = f"""\
# Put the key that the service uses today behind the `=`, and remove the `#` in front.
# For a service without tokens, this prints a new key: {PROGRAM} keys generate
# {PRIMARY}=
"""


class Places(NamedTuple):
    """The database of the tokens, and the file of the keys."""

    url: str | None
    """The url as it is written; None: the databases that rotation.toml names."""
    env_file: Path | None
    """None: rotation.toml is there, and names none."""
    password_url: str | None = None
    """A url to put into the dotenv file, as DATABASE_URL."""


def begin_service(process: Process, wanted: Wanted, *, as_json: bool, quiet: bool) -> int:
    """Searches the database and writes the files. Returns 0, or 1 if something needs a look.

    Raises UsageError, and StoreError if the database cannot be searched; nothing is written then.
    """
    appends = not is_missing(wanted.config)
    if appends and not wanted.append:
        fault = f"{wanted.config}: is there already; nothing was changed."
        raise UsageError(Next(("init", "--append"), f"{fault} To add what it lacks:", repeats=Repeats.NONE))
    # A rotation.toml that is there says itself where the keys are, and on a terminal nothing more is asked.
    wanted = wanted._replace(asks=wanted.asks and not appends)
    places = Places(checked_url(wanted.url), wanted.env_file) if appends else _places(process, wanted)
    extra = {URL: places.password_url} if places.password_url else {}
    with CommandContext(
        replace(process, environ={**process.environ, **extra}, declares=None),
        wanted.config if appends else None,
        places.env_file if places.env_file and not is_missing(places.env_file) else None,
        uses_config=appends,
        as_json=as_json,
        quiet=quiet,
    ) as command:
        if command.inputs.dotenv:
            places = places._replace(env_file=command.inputs.dotenv.path)
        targets = command.targets(needed=False) if appends else []
        others = {} if _has_key(command) else _other_keys(command)
        named: Sequence[DatabaseUrl] = databases_of(targets)
        if url := places.url:
            written = for_folder(url, wanted.config.parent)
            named = [DatabaseUrl(expand_url(url, command.inputs.environ, "--url"), written)]
        if not named:
            raise UsageError(f"{command.inputs.config_path}: names no database yet; name the one to search with --url")
        output = _take_outputs(command, wanted.config, places.env_file, named)
        found = _search(command, named, targets, others)
        begun = _write(command, wanted, places, found, others, output=output)
        begun.has_targets = begun.has_targets or bool(targets)
        command.show(begun.document(), begun.lines())
    return int(bool(begun.needs))


def _places(process: Process, wanted: Wanted) -> Places:
    env_file = wanted.env_file or wanted.config.with_name(".env")
    if wanted.asks and wanted.env_file is None:
        env_file = Path(ask("File of the keys", str(env_file), check=_check_env_file))
    # Its variables may hold the url.
    environ = {**process.environ, **({} if is_missing(env_file) else Dotenv(env_file).read())}
    url = wanted.url or ask(
        "Database, as a url or $NAME of a variable that holds it",
        f"${URL}" if environ.get(URL) else "",
        check=lambda url: served_url(expand_url(url, environ, "the database"), "the database"),
    )
    if not (wanted.asks and may_hold_password(url)):
        return Places(checked_url(url), env_file)
    # A url that cannot be put there is refused now, and not after a search.
    add_to_dotenv(read_whole(env_file).data, URL, url)
    question = (
        f"This url may hold a password, and {wanted.config} is no place for one. Put it into {env_file} as {URL}?"
    )
    if not ask_whether(question, default=True):
        raise UsageError(f"nothing was written. Put the url into a variable, and name that: --url '${URL}'")
    return Places(f"${URL}", env_file, url)


def _check_env_file(name: str) -> None:
    """Raises UsageError if the file *name* cannot be read or, if it is missing, cannot be written."""
    path = Path(name)
    if not is_missing(path):
        Dotenv(path).read()
    elif fault := write_refusal(path):
        raise UsageError(f"{path}: {fault}")


def _has_key(command: CommandContext) -> bool:
    return names_primary(command.inputs.environ) or bool(command.key_rings().every())


def _other_keys(command: CommandContext) -> dict[Key, str]:
    """The keys in the dotenv file, each with the variable that holds it."""
    found: dict[Key, str] = {}
    for name, value in command.inputs.read_dotenv().items():
        with suppress(KeyConfigError):
            found.setdefault(Key.parse(value, name), name)
    return found


def _search(
    command: CommandContext, named: Sequence[DatabaseUrl], targets: Sequence[Target], others: Mapping[Key, str]
) -> Discovery:
    """The columns that hold tokens in the databases *named*, by samples. If no key is set, it tries *others*."""
    keyrings = command.key_rings().every()
    # No token is under a key that was made now.
    first, *previous = [*others, Key.generate()]
    keyring = command.keyring() if names_primary(command.inputs.environ) else Keyring(first, previous)
    plan = SearchPlan(
        named,
        targets,
        keyrings or {None: keyring},
        ignored=command.inputs.ignored(),
        left_out=command.policy().unsearched_databases,
    )
    found = discover(plan, command.open_survey)
    if may_hold_password(found.url):
        found.url = ""
    if found.uncovered:
        found.recognised = recognised_steps(found.tables_seen, found.url)
    return found


def _take_outputs(
    command: CommandContext, config: Path, env_file: Path | None, databases: Iterable[DatabaseUrl]
) -> Output:
    """The rotation.toml to write. Raises UsageError if that or the dotenv file must not be written."""
    # Without the rotation.toml that is not there yet, the command reads the one of the current folder.
    context = Context(command.inputs.process_environ, config, command.inputs.env_file, command.streams)
    outputs = outputs_of(context, (database.url for database in databases))
    if env_file:
        outputs.take(env_file, str(env_file), DOTENV)
    return outputs.take(config, str(config), CONFIG)


def _write(  # noqa: PLR0913 - what was asked for, and what was found
    command: CommandContext,
    wanted: Wanted,
    places: Places,
    found: Discovery,
    others: Mapping[Key, str],
    *,
    output: Output,
) -> Begun:
    env_file, url = places.env_file, places.url or found.url
    has_key, has_targets = _has_key(command), any(map(gets_entry, found.uncovered))
    begun = Begun(command.invocation, found, url, wanted.config, env_file, has_key, has_targets)
    keyring = command.key_rings().every().get(None)
    begun.rotating = keyring is not None and len(keyring.states_by_id) > 1
    begun.others = {key.id: name for key, name in others.items()}
    if begun.waiting:
        # A new key would take the place of the one that these tokens need.
        begun.refused_key = wanted.new_key
    elif not begun.has_key and _wants_key(wanted, begun, command.inputs.environ):
        begun.new_key, begun.has_key = Key.generate(), True
    old = read_whole(env_file) if env_file else None
    variables = _variables(old, places, begun, named=wanted.env_file is not None) if old else b""
    text = _config_text(wanted.config, begun, env_file if variables else None)
    # The keys come first: without rotation.toml the same command can be typed again.
    if env_file and old and variables != old.data:
        if warning := legible_to_others(env_file):
            command.streams.warn(f"Warning: {warning}")
        replace_whole(old, variables)
        begun.files.append(env_file)
        begun.is_private = not legible_to_others(env_file)
    if text is not None:
        with output.whole() as file:
            file.write(text.encode())
        begun.files.append(wanted.config)
    lines = {env_file.name: env_file.name} if env_file else {}
    lines |= {f"{DEFAULT_FILE}*": f"{DEFAULT_FILE}-wal", "*.keys": "retired.keys", PROBLEMS_FILE: PROBLEMS_FILE}
    begun.to_ignore = _not_ignored(wanted.config.parent, lines)
    return begun


def _wants_key(wanted: Wanted, begun: Begun, environ: Mapping[str, str]) -> bool:
    if begun.env_file is None and wanted.new_key:
        raise UsageError(
            f'{wanted.config}: names no file for a new key; nothing was changed. Write env_file = ".env" at its top'
        )
    if wanted.new_key and (files := key_files_in(environ)):
        raise UsageError(
            f"keys are in files here ({', '.join(map(printable, files))}), and --new-key writes one into a dotenv "
            "file. Nothing was changed.",
            Steps(
                Next(("keys", "generate"), f"make a file that only you can read, and name it in {PRIMARY}_FILE; for "
                     "the key in it:", repeats=Repeats.NONE),
                THIS_AGAIN,
            ),
        )  # fmt: skip
    if wanted.new_key or not wanted.asks or key_files_in(environ):
        return wanted.new_key
    return ask_whether(f"No key is in {begun.env_file}. Make one?", default=True)


def _variables(old: Snapshot, places: Places, begun: Begun, *, named: bool) -> bytes:
    """The *old* dotenv file with what it lacks; a new one only if it is *named*, or if no key is anywhere else."""
    data = old.data
    if not old.identity and (named or begun.new_key or not begun.has_key or places.password_url):
        data = (FILE_HEADER + ("" if begun.has_key else KEY_TO_FILL_IN)).encode()
    if places.password_url:
        data = add_to_dotenv(data, URL, places.password_url)
    return edit_dotenv(data, PRIMARY, (), [begun.new_key.reveal()]) if begun.new_key else data


def _config_text(path: Path, begun: Begun, env_file: Path | None) -> str | None:
    """The new text of rotation.toml; None if it lacks nothing. Raises UsageError if its entries do not fit in."""
    if not path.exists():
        named = env_file and (env_file if env_file.is_absolute() else Path(os.path.relpath(env_file, path.parent)))
        return config_text(begun.found, named, for_folder(begun.url, path.parent), begun.invocation)
    if not any(map(gets_entry, begun.columns)):
        return None
    text = f"{path.read_text().rstrip()}\n\n{entries_text(begun.columns, begun.invocation)}"
    try:
        tomllib.loads(text)
    except ValueError:
        text = ""
    if not text:
        raise UsageError(f"{path}: its entries are no [[target]], so that none can be added behind them")
    return text


def _not_ignored(folder: Path, patterns: Mapping[str, str]) -> list[str]:
    """The *patterns* for a .gitignore that git does not follow in *folder* yet: all of them outside of a work tree.

    Each is given with the name of a file that it is for.
    """
    git = shutil.which("git")
    left, quiet = [], subprocess.DEVNULL
    for pattern, name in patterns.items():
        command = [git or "", "-C", str(folder.resolve()), "check-ignore", "--quiet", "--", name]
        try:
            # Exit code 0: it is ignored; 1: it is not; 128: this is no work tree.
            if git and subprocess.call(command, stdout=quiet, stderr=quiet, timeout=GIT_SECONDS) == 0:  # noqa: S603 - no shell
                continue
        except subprocess.TimeoutExpired:
            # It has hung, and would for each further name.
            git = None
        left.append(pattern)
    return left
