"""`keys generate` and `keys derive`: print a key that is new, or that an application makes of its secret.

The secret comes from a variable, a file, a command, stdin or a terminal, never from an argument.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import click

from keyring_core import Derivation, Key
from keyring_core.derivation import KINDS, protect
from keyring_core.errors import WeakKeyError
from keyring_core.key_commands import run_key_command
from keyring_core.key_files import MAX_FILE_BYTES, read_regular
from keyring_core.sources import COMMAND_SECONDS
from rotation.cli.help_page import UNWRITTEN, USAGE, HelpPage
from rotation.cli.options import CommandContext, common_options, path_option
from rotation.model.failures import UsageError


@click.command(
    "generate",
    cls=HelpPage,
    examples={"Print a new key": "keys generate"},
    exit_codes={0: "the key is printed", 2: USAGE, 3: UNWRITTEN},
)
@common_options
def generate(command: CommandContext) -> int:
    """Print a new key.

    It is printed alone, so that another program can read it. Nothing is stored.
    """
    return _print_key(command, Key.generate())


@click.command(
    "derive",
    cls=HelpPage,
    examples={
        "The key of a passphrase, which the terminal asks for": "keys derive sha256",
        "Of a variable in a dotenv file": "keys derive sha256 --env-file app.env --variable SECRET_KEY",
        "With PBKDF2": "keys derive pbkdf2-sha256 --variable SECRET_KEY --salt static-salt --iterations 100000",
    },
    exit_codes={0: "the key is printed", 2: USAGE, 3: UNWRITTEN},
)
@click.argument(
    "kind",
    required=False,
    metavar="[KIND]",
    shell_complete=lambda _, __, incomplete: [kind for kind in KINDS if kind.startswith(incomplete)],
)
@click.option("--salt", metavar="TEXT", help="The salt, for pbkdf2-sha256 and hkdf-sha256.")
@click.option("--salt-variable", metavar="NAME", help="Variable that holds the salt, if that is not public.")
@click.option("--salt-hex", is_flag=True, help="The salt is spelt in hexadecimal digits, as openalgo's.")
@click.option("--info", metavar="TEXT", help="The info, for hkdf-sha256.")
@click.option("--iterations", type=int, metavar="N", help="The number of iterations, for pbkdf2-sha256.")
@click.option("--allow-weak", is_flag=True, help="Print also a key that anybody can guess, to rotate away from it.")
@common_options
@click.option("--variable", metavar="NAME", help="Variable that holds the secret.")
@path_option("--file", help="File that holds the secret.")
@click.option("--command", "program", metavar="COMMAND", help="Command that prints the secret; no shell runs it.")
def derive(  # noqa: PLR0913 - click's
    command: CommandContext,
    *,
    kind: str | None,
    variable: str | None,
    file: Path | None,
    program: str | None,
    salt: str | None,
    salt_variable: str | None,
    salt_hex: bool,
    info: str | None,
    iterations: int | None,
    allow_weak: bool,
) -> int:
    """Print the key that an application makes of its secret.

    It is printed alone. KIND is the kind of derivation; without it, the error lists the kinds. Without an option that
    says where the secret is, a terminal is asked for it, and otherwise it is read from stdin. One newline at its end
    is dropped, but not from a variable.
    """
    if kind is None or kind not in KINDS:
        # What was given is not shown: it may be the secret.
        fault = "name the kind of derivation" if kind is None else "no such kind of derivation"
        width = max(map(len, KINDS))
        raise UsageError(f"{fault}, one of", *(f"  {name:<{width}}  {words}" for name, words in KINDS.items()))
    derivation = Derivation(kind, _salt(command, salt, salt_variable, is_hex=salt_hex), info, iterations)
    secret = _read_secret(command, variable, file, program)
    with command.reporting_warnings():
        try:
            key = derivation.key(secret.value, secret.where, allow_weak=allow_weak)
        except WeakKeyError as error:
            refusal = str(error)
        else:
            return _print_key(command, key)
    raise UsageError(
        *refusal.split("\n"), "If data is stored under it, --allow-weak prints it, to rotate away from it."
    )


def _salt(command: CommandContext, salt: str | None, variable: str | None, *, is_hex: bool) -> str | bytes | None:
    if salt is not None and variable is not None:
        raise UsageError("--salt and --salt-variable exclude each other; keep one of them")
    if variable is not None:
        salt = _read_variable(command, "--salt-variable", variable)
        protect(salt, "salt")
    if salt is None or not is_hex:
        return salt
    with suppress(ValueError):
        return bytes.fromhex(salt)
    raise UsageError("--salt-hex: the salt has other characters than hexadecimal digits; leave this option out")


def _print_key(command: CommandContext, key: Key) -> int:
    from rotation.output.documents.parts import NewKeyJson, as_json

    text = as_json(NewKeyJson(key.id, key.reveal())) if command.as_json else key.reveal()
    print(text, file=command.streams.key_stream)
    return 0


class _ReadSecret(NamedTuple):
    """A secret, and its origin in words."""

    value: str | bytes
    where: str

    def __repr__(self) -> str:
        return f"<ReadSecret of {self.where}>"


def _read_secret(command: CommandContext, variable: str | None, file: Path | None, program: str | None) -> _ReadSecret:
    """The secret that an option leads to; without any the text of stdin, which a terminal is asked for.

    Raises UsageError and KeyConfigError, which show nothing of it.
    """
    if sum(each is not None for each in (variable, file, program)) > 1:
        raise UsageError("--variable, --file and --command exclude each other; keep one of them")
    if variable is not None:
        return _ReadSecret(_read_variable(command, "--variable", variable), variable)
    if file is not None:
        return _ReadSecret(_content(file), f"--file ({file})")
    if program is not None:
        printed = run_key_command(program, "--command", command.environ, COMMAND_SECONDS)
        return _ReadSecret(_without_newline(printed), "--command")
    if sys.stdin.isatty():
        # An empty answer is an answer, which has its own message.
        return _ReadSecret(click.prompt("Secret", "", hide_input=True, show_default=False, err=True), "the secret")
    return _ReadSecret(_without_newline(sys.stdin.buffer.read(MAX_FILE_BYTES)), "stdin")


def _read_variable(command: CommandContext, option: str, name: str) -> str:
    """The value of the variable *name*. Raises UsageError if it is not set; the *name* may be a secret by mistake."""
    if name in command.environ:
        return command.environ[name]
    if not re.fullmatch(r"[A-Za-z_]\w{0,63}", name, re.ASCII):
        raise UsageError(f"{option} takes the name of a variable; do not put a secret into a command line")
    raise UsageError(f"{option} {name}: this variable is not set. Set it, or name its dotenv file with --env-file.")


def _content(path: Path) -> bytes:
    fault = None
    try:
        return _without_newline(read_regular(path, "secret")[0])
    except OSError as error:
        fault = error.strerror or "cannot be read"
    raise UsageError(f"--file ({path}): {fault}. Name a file that holds the secret, alone")


def _without_newline(data: bytes) -> bytes:
    """*data* without the one newline that editors and `echo` put at its end."""
    return re.sub(rb"\r?\n\Z", b"", data)
