"""Reads a secret and its salt from where the options say: a variable, a file, a command, stdin or a terminal.

Never from an argument. No message shows anything of them.
"""

from __future__ import annotations

import os
import re
import select
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import click

from keyring_core.derivation import protect
from keyring_core.key_commands import run_key_command
from keyring_core.sources import COMMAND_SECONDS, MAX_FILE_BYTES, read_regular
from rotation.cli.shared_options import CommandContext, adding, path_option
from rotation.model.failures import UsageError
from rotation.world.process import CHECK_SECONDS

STDIN_SECONDS = 60.0
"""The most seconds for a secret on stdin."""
SAID_SECONDS = 2.0
"""After these stderr says what is waited for: somebody may have started the command without a pipe."""

secret_options = adding(
    click.option("--variable", metavar="NAME", help="Variable that holds the secret."),
    path_option("--file", help="File that holds the secret."),
    click.option("--command", "program", metavar="COMMAND", help="Command that prints the secret; no shell runs it."),
)


class SecretOptions(NamedTuple):
    """What the options say of the place of a secret; all None: stdin, or a terminal."""

    variable: str | None
    file: Path | None
    program: str | None


class ReadSecret(NamedTuple):
    """A secret, and its origin in words."""

    value: str | bytes
    where: str

    def __repr__(self) -> str:
        return f"<ReadSecret of {self.where}>"


def read_secret(command: CommandContext, place: SecretOptions) -> ReadSecret:
    """The secret in *place*; without one the text of stdin, which a terminal is asked for.

    Raises UsageError and KeyConfigError, which show nothing of it.
    """
    variable, file, program = place
    if sum(each is not None for each in place) > 1:
        raise UsageError("--variable, --file and --command exclude each other; keep one of them")
    if variable is not None:
        return ReadSecret(read_variable(command, "--variable", variable), variable)
    if file is not None:
        fault = None
        try:
            return ReadSecret(without_newline(read_regular(file, "secret")[0]), f"--file ({file})")
        except OSError as error:
            fault = error.strerror or "cannot be read"
        raise UsageError(f"--file ({file}): {fault}. Name a file that holds the secret, alone")
    if program is not None:
        printed = run_key_command(program, "--command", command.inputs.environ, COMMAND_SECONDS)
        return ReadSecret(without_newline(printed), "--command")
    return ReadSecret(*asked(command, "Secret", "the secret", hide=True))


def asked(command: CommandContext, prompt: str, words: str, *, hide: bool) -> tuple[str | bytes, str]:
    """What a terminal answers, or stdin holds; and where that is, in words. Raises UsageError and StoppedError."""
    if sys.stdin.isatty():
        # An empty answer is an answer, which has its own message.
        return click.prompt(prompt, "", hide_input=hide, show_default=False, err=True), words
    return without_newline(_from_stdin(command, words)), "stdin"


def _from_stdin(command: CommandContext, words: str) -> bytes:
    data, began, is_said = b"", time.monotonic(), False
    while len(data) < MAX_FILE_BYTES:
        command.streams.wait(0)
        if select.select((sys.stdin,), (), (), CHECK_SECONDS)[0]:
            part = os.read(sys.stdin.fileno(), MAX_FILE_BYTES - len(data))
            if not part:
                break
            data += part
        waited = time.monotonic() - began
        if waited > STDIN_SECONDS:
            raise UsageError(
                f"stdin: {words} is read from there, and its end did not come within {STDIN_SECONDS:.0f} seconds. "
                "Type < FILE behind the command, or let a program write to it that ends; --help names other places"
            )
        if waited > SAID_SECONDS and not is_said:
            command.streams.warn(f"Reading {words} from standard input, until its end.")
            is_said = True
    return data


def read_variable(command: CommandContext, option: str, name: str) -> str:
    """The value of the variable *name*. Raises UsageError if it is not set; the *name* may be a secret by mistake."""
    if name in command.inputs.environ:
        return command.inputs.environ[name]
    if not re.fullmatch(r"[A-Za-z_]\w{0,63}", name, re.ASCII):
        raise UsageError(f"{option} takes the name of a variable; do not put a secret into a command line")
    raise UsageError(f"{option} {name}: this variable is not set. Set it, or name its dotenv file with --env-file.")


def without_newline(data: bytes) -> bytes:
    """*data* without the one newline that editors and `echo` put at its end."""
    return re.sub(rb"\r?\n\Z", b"", data)


def read_salt(command: CommandContext, salt: str | None, variable: str | None, *, is_hex: bool) -> str | bytes | None:
    """The salt of the options; None without one. Raises UsageError."""
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
