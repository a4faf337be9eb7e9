"""The options that commands share, and the context and the targets that are made of them."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias

import click
from click.core import ParameterSource

from keyring_core.environment import ROTATION_CONFIG, names_primary
from keyring_core.redaction import configure_logging
from rotation.context import Context, entries_of_apps
from rotation.model.failures import UsageError
from rotation.model.next_steps import PLAIN, Invocation
from rotation.world.process import Streams

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rotation.configuration.declarations import DeclaredColumn
    from rotation.model.target import Target
    from rotation.model.watcher import Watcher

_Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
Declares: TypeAlias = "Callable[[], Sequence[DeclaredColumn]]"
"""The encrypted columns of an application that runs in this process."""
PROGRESS = "rotation.output.progress"
"""The logger of the lines that come every few seconds."""
RETRIES = "rotation.stores.access", "rotation.stores.patience"
"""The loggers of what is tried again after a transient error."""
FORMATS = {"text": "console", "json": "json"}
"""The values of --log-format, and what configure_logging calls each."""


@dataclass
class Process:
    """What a command line works with: an environment, streams, the columns of an application that runs it."""

    environ: Mapping[str, str]
    streams: Streams
    declares: Declares | None = None
    invocation: Invocation = PLAIN
    """Its program; once a command runs, that and its options, too."""


class CommandContext(Context):
    """A context, and how its command prints."""

    def __init__(  # noqa: PLR0913 - each stands by itself
        self,
        process: Process,
        config: Path | None = None,
        env_file: Path | None = None,
        *,
        uses_config: bool = True,
        as_json: bool = False,
        quiet: bool = False,
        verbose: bool = False,
    ) -> None:
        """*config*, *env_file* and *uses_config* as for a Context. Raises UsageError."""
        super().__init__(process.environ, config, env_file, process.streams, uses_config, declares=process.declares)
        self.as_json, self.quiet, self.verbose, self.invocation = as_json, quiet, verbose, process.invocation

    def watch(self, *, dry_run: bool) -> AbstractContextManager[Watcher]:
        """A bar per target on a terminal, a log line every few seconds elsewhere; nothing with --quiet."""
        from rotation.output.progress import LogWatcher, watch

        if self.quiet:
            return super().watch(dry_run=dry_run)
        if self.verbose:
            # A log line would break the bars.
            return nullcontext(LogWatcher(dry_run=dry_run))
        return watch(self.streams.stderr, self.inputs.process_environ, dry_run=dry_run)

    def say(self, part: RenderableType) -> None:
        """Prints on stdout; with --quiet not what comes next."""
        from rotation.output.terminal import NextStep, say

        if not (self.quiet and isinstance(part, NextStep)):
            say(part, self.streams.stdout, self.inputs.process_environ)

    def show(self, document: object, parts: Iterable[RenderableType]) -> None:
        """Prints *document* with --json, and otherwise *parts*, one below the other."""
        if self.as_json:
            print_json(document, self.streams.stdout)
        else:
            for part in parts:
                self.say(part)


def print_json(document: object, stream: TextIO) -> None:
    """Prints the one JSON document."""
    from rotation.output.documents.parts import json_text

    # A closed pipe does not change the exit code.
    with suppress(BrokenPipeError):
        print(json_text(document), file=stream)


class FilePath(click.Path):
    """A path; none that is empty, as of a variable that is not set, which would be the current folder."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """The path of *value*."""
        if value == "":
            self.fail("it is empty; name a file, or leave the option out", param, ctx)
        return super().convert(value, param, ctx)


def path_option(name: str, **settings: Any) -> _Decorator:
    """An option that takes a path."""
    return click.option(name, type=FilePath(path_type=Path), **{"metavar": "FILE"} | settings)


def adding(*options: _Decorator) -> _Decorator:
    """A decorator that adds *options* to a command, and passes their values by name."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


presentation_parameters = adding(
    click.option(
        "-q", "--quiet", is_flag=True, help="Only the report, warnings and errors: no progress, no next steps."
    ),
    click.option(
        "-v",
        "--verbose",
        count=True,
        help="Log every step on stderr; -vv: debugging, too. Otherwise only warnings are logged and, if stderr is no "
        "terminal, the progress every few seconds.",
    ),
    click.option(
        "--log-format", type=click.Choice([*FORMATS]), help="Form of log lines, which go to stderr.  [default: text]"
    ),
)
common_parameters = adding(
    path_option("--config", help="rotation.toml.  [default: $ROTATION_CONFIG, or ./rotation.toml]"),
    path_option("--env-file", help="Dotenv file with variables to read; they win over the environment."),
    click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON document on stdout."),
    presentation_parameters,
)
"""The options that stand before a command or behind it."""


def start_log(level: int = logging.WARNING, log_format: str = FORMATS["text"], *, progress: bool = True) -> None:
    """Sends log lines to stderr, and redacts stdout and stderr."""
    configure_logging(stream=sys.stderr, level=level, renderer=log_format, guard_stdio=True)
    logging.getLogger(PROGRESS).setLevel(min(level, logging.INFO) if progress else level)
    # What fails in the end is an error of its own.
    for name in RETRIES:
        logging.getLogger(name).setLevel(level if progress else logging.ERROR)


def set_up(streams: Streams, *, quiet: bool, verbose: int, log_format: str | None) -> None:
    """Sets up the log as the options say, unless a program around the command line has its own. Raises UsageError."""
    if quiet and verbose:
        raise UsageError("--quiet and --verbose exclude each other; keep one of them")
    if streams.log_format and (quiet or verbose or log_format):
        streams.log_format = FORMATS[log_format or "text"]
        level = {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
        start_log(level, streams.log_format, progress=not quiet)


def common_options(command: Callable[..., int]) -> Callable[..., int]:
    """Adds the same options, and passes a CommandContext in their place."""

    @common_parameters
    @wraps(command)
    def wrapped(  # noqa: PLR0913 - click's
        config: Path | None,
        env_file: Path | None,
        *,
        as_json: bool,
        quiet: bool,
        verbose: int,
        log_format: str | None,
        **options: Any,
    ) -> int:
        context = click.get_current_context()
        process: Process = context.obj
        process.invocation = with_given(process.invocation, context)
        set_up(process.streams, quiet=quiet, verbose=verbose, log_format=log_format)
        with CommandContext(process, config, env_file, as_json=as_json, quiet=quiet, verbose=verbose > 0) as ready:
            return command(ready, **options)

    return wrapped


search_pace_option = click.option(
    "--full-speed",
    is_flag=True,
    help="Several tables of a server at once; no rest while others write to a file.",
)


TARGET_OPTIONS = ("url", "table", "columns", "key_columns", "where", "context")
"""The options that name a target: settings of a `[[target]]`."""


def complete_preset(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The applications that have a preset."""
    from rotation.applications import preset_names

    return [name for name in preset_names() if name.startswith(incomplete)]


def complete_key_set(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The key sets of the rotation.toml that the command line names so far."""
    from rotation.configuration.config_file import read_config

    node: click.Context | None = context
    given = None
    while node and not given:
        # Behind the command, or in front of it.
        given, node = node.params.get("config"), node.parent
    path = given or Path(os.environ.get(ROTATION_CONFIG) or "rotation.toml")
    with suppress(Exception):
        return [name for name in read_config(path, entries_of_apps).key_sets() if name.startswith(incomplete)]
    return []


def own_keys_option(command: Callable[..., int]) -> Callable[..., int]:
    """Adds --keys, and passes the command with the keys of that set.

    Without --keys, and without keys of the environment, the only key set counts.
    """

    @click.option(
        "--keys",
        "key_set",
        metavar="NAME",
        shell_complete=complete_key_set,
        help="Key set of rotation.toml or of a model.  [default: the environment's; without those, the only set]",
    )
    @wraps(command)
    def wrapped(ready: CommandContext, key_set: str | None, **options: Any) -> int:
        ready = ready.with_keys(key_set)
        # Options that name a target exclude a key set, and --format chooses its own.
        if key_set is None and not any(options.get(name) for name in (*TARGET_OPTIONS, "app")):
            ready = ready.with_keys(only_key_set(ready))
        return command(ready, **options)

    return wrapped


def only_key_set(command: CommandContext) -> str | None:
    """The one key set that there is, if neither the environment has keys of its own nor a target needs them.

    Raises UsageError, which names them, if there are several.
    """
    from rotation.configuration.key_sets import held_passphrase

    # A passphrase in ENCRYPTION_KEY is no key: `discover` prints a set whose secret it is.
    if names_primary(command.inputs.environ) and held_passphrase(command.inputs.environ) is None:
        return None
    if None in command.keys_in_use():
        return None
    sets = list(command.key_sets())
    if len(sets) > 1:
        names = " or ".join(f"--keys {name}" for name in sets)
        raise UsageError(f"ENCRYPTION_KEY holds no key, and there are {len(sets)} key sets; name one: {names}")
    return next(iter(sets), None)


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --url, --table, --column, --key-column, --where and --context, and passes the targets in their place."""

    @wraps(command)
    def wrapped(ready: CommandContext, given: Mapping[str, Any], **options: Any) -> Any:
        return command(ready, targets=find_targets(ready, given), **options)

    return target_parameters(wrapped)


def target_parameters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the same options, and passes their values by name, which are not checked yet."""

    @click.option(
        "--url", metavar="URL", help="Database, such as sqlite:///app.db, or '$NAME' of a variable that holds it."
    )
    @click.option("--table", metavar="TABLE", help="Table, or SCHEMA.TABLE.")
    @click.option("--column", "columns", multiple=True, metavar="COLUMN", help="Column that holds tokens; repeatable.")
    @click.option(
        "--key-column",
        "key_columns",
        multiple=True,
        metavar="COLUMN",
        help="Column of the table's key; repeatable.  [default: its primary key]",
    )
    @click.option("--where", metavar="SQL", help="Condition: only these rows.")
    @click.option("--context", metavar="CONTEXT", help="What the tokens are bound to, as in keyring.bind(CONTEXT).")
    @wraps(command)
    def wrapped(ready: CommandContext, **options: Any) -> Any:
        given = {name: options.pop(name) for name in TARGET_OPTIONS}
        if any(given.values()) and ready.key_set is not None:
            raise UsageError("--keys and --url, --table, --column exclude each other: a key set is of rotation.toml")
        ready.inputs.uses_config = ready.inputs.uses_config and not any(given.values())
        return command(ready, given=given, **options)

    return wrapped


def find_targets(command: CommandContext, given: Mapping[str, Any]) -> list[Target]:
    """The targets of the options; without any, the targets of rotation.toml. Raises UsageError."""
    from rotation.configuration.sections import TargetEntry
    from rotation.configuration.targets import make_targets, without_repeats

    if not any(given.values()):
        return command.targets()
    if command.inputs.config:
        raise UsageError("--config and --url, --table, --column exclude each other")
    if not (given["url"] and given["table"] and given["columns"]):
        raise UsageError("--url, --table and --column go together: give all three, or none and a --config")
    return without_repeats(make_targets(TargetEntry(**given), environ=command.inputs.environ))


GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.DEFAULT_MAP)
"""Behind the command, or in front of it."""


def with_given(invocation: Invocation, context: click.Context) -> Invocation:
    """*invocation* with the command of *context* and its options, for the messages that name the next command."""
    root = context.find_root()
    names = context.command_path.removeprefix(root.command_path).split()

    def takes(words: Sequence[str]) -> set[str]:
        command = root.command
        for word in words:
            command = (command.get_command(root, word) if isinstance(command, click.Group) else None) or command
        return {name for parameter in command.params for name in parameter.opts}

    parameters = {parameter.name: parameter for parameter in context.command.params}
    options: dict[str, list[tuple[str, ...]]] = {}
    arguments = []
    # In the order in which they were typed.
    for key, value in context.params.items():
        parameter = parameters[key]
        if context.get_parameter_source(key) not in GIVEN:
            continue
        if isinstance(parameter, click.Argument):
            arguments.append(str(value))
        else:
            name = max(parameter.opts, key=len)
            values = value if isinstance(value, tuple) else (value,)
            times = int(value) if isinstance(parameter, click.Option) and (parameter.is_flag or parameter.count) else 0
            options[name] = [(name,)] * times or [(name, _shown(parameter, each)) for each in values]
    return replace(invocation, command=(*names, *arguments), options=options, takes=takes)


def _shown(option: click.Parameter, value: object) -> str:
    """*value* as it can be typed again; a placeholder if it may hold a secret."""
    from keyring_core.redaction import get_redactor

    text, url = str(value), False
    if option.name == "url":
        from rotation.configuration.urls import may_hold_password

        url = may_hold_password(text)
    return (option.name or "").upper() if url or get_redactor().redact(text) != text else text
