"""A secret that a command reads: from a variable, a file, a command, stdin or a terminal. Never an argument."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import click

from keyring_core.key_commands import run_key_command
from keyring_core.key_files import MAX_FILE_BYTES, read_regular
from keyring_core.sources import COMMAND_SECONDS
from rotation.cli.options import Command, path_option
from rotation.model.failures import UsageError

_NEWLINE = re.compile(rb"\r?\n\Z")


class GivenSecret(NamedTuple):
    """The options that say where a secret is."""

    variable: str | None
    file: Path | None
    program: str | None


class ReadSecret(NamedTuple):
    """A secret, and its origin in words."""

    value: str | bytes
    where: str

    def __repr__(self) -> str:
        return f"<ReadSecret of {self.where}>"


def secret_options(command: Callable[..., int]) -> Callable[..., int]:
    """Adds --variable, --file and --command, and passes their values as a GivenSecret."""

    @click.option("--variable", metavar="NAME", help="Variable that holds the secret.")
    @path_option("--file", help="File that holds the secret.")
    @click.option("--command", "program", metavar="COMMAND", help="Command that prints the secret; no shell runs it.")
    @wraps(command)
    def wrapped(ready: Command, **options: Any) -> int:
        given = GivenSecret(*(options.pop(name) for name in GivenSecret._fields))
        return command(ready, given=given, **options)

    return wrapped


def read_secret(command: Command, given: GivenSecret) -> ReadSecret:
    """The secret that *given* leads to; without any option that of stdin, which a terminal is asked for.

    Raises UsageError and KeyConfigError, which show nothing of it.
    """
    if sum(each is not None for each in given) > 1:
        raise UsageError("--variable, --file and --command exclude each other; keep one of them")
    if given.variable is not None:
        return ReadSecret(read_variable(command, "--variable", given.variable), given.variable)
    if given.file is not None:
        return ReadSecret(_without_newline(_content(given.file)), f"--file ({given.file})")
    if given.program is not None:
        printed = run_key_command(given.program, "--command", command.environ, COMMAND_SECONDS)
        return ReadSecret(_without_newline(printed), "--command")
    if sys.stdin.isatty():
        # An empty answer is an answer, which has its own message.
        return ReadSecret(click.prompt("Secret", "", hide_input=True, show_default=False, err=True), "the secret")
    return ReadSecret(_without_newline(sys.stdin.buffer.read(MAX_FILE_BYTES)), "stdin")


def read_variable(command: Command, option: str, name: str) -> str:
    """The value of the variable *name*. Raises UsageError if it is not set; the *name* may be a secret by mistake."""
    if name in command.environ:
        return command.environ[name]
    if not re.fullmatch(r"[A-Za-z_]\w{0,63}", name, re.ASCII):
        raise UsageError(f"{option} takes the name of a variable; do not put a secret into a command line")
    raise UsageError(f"{option} {name}: this variable is not set. Set it, or name its dotenv file with --env-file.")


def _content(path: Path) -> bytes:
    fault = None
    try:
        return read_regular(path, "secret")[0]
    except OSError as error:
        fault = error.strerror or "cannot be read"
    raise UsageError(f"--file ({path}): {fault}. Name a file that holds the secret, alone")


def _without_newline(data: bytes) -> bytes:
    """*data* without the one newline that editors and `echo` put at its end."""
    return _NEWLINE.sub(b"", data)
