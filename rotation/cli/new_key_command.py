"""`keys generate` and `keys derive`: print a key that is new, or that an application makes of its secret."""

from __future__ import annotations

from contextlib import suppress

import click

from keyring_core import Derivation, Key
from keyring_core.derivation import KINDS, protect
from keyring_core.errors import WeakKeyError
from rotation.cli.help_page import UNWRITTEN, USAGE, HelpPage
from rotation.cli.options import Command, common_options
from rotation.cli.secret_input import GivenSecret, read_secret, read_variable, secret_options
from rotation.model.failures import UsageError


@click.command(
    "generate",
    cls=HelpPage,
    examples={"Print a new key": "keys generate"},
    exit_codes={0: "the key is printed", 2: USAGE, 3: UNWRITTEN},
)
@common_options
def generate(command: Command) -> int:
    """Print a new key.

    It is printed alone, so that another program can read it. Nothing is stored.
    """
    return _print_key(command, Key.generate())


def _kinds(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    return [kind for kind in KINDS if kind.startswith(incomplete)]


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
@click.argument("kind", required=False, metavar="[KIND]", shell_complete=_kinds)
@click.option("--salt", metavar="TEXT", help="The salt, for pbkdf2-sha256 and hkdf-sha256.")
@click.option("--salt-variable", metavar="NAME", help="Variable that holds the salt, if that is not public.")
@click.option("--salt-hex", is_flag=True, help="The salt is spelt in hexadecimal digits, as openalgo's.")
@click.option("--info", metavar="TEXT", help="The info, for hkdf-sha256.")
@click.option("--iterations", type=int, metavar="N", help="The number of iterations, for pbkdf2-sha256.")
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
    """Print the key that an application makes of its secret.

    It is printed alone. KIND is the kind of derivation; without it, the error lists the kinds. Without an option that
    says where the secret is, a terminal is asked for it, and otherwise it is read from stdin. One newline at its end
    is dropped, but not from a variable.
    """
    if kind is None or kind not in KINDS:
        raise UsageError(*_no_such_kind(kind))
    derivation = Derivation(kind, _salt(command, salt, salt_variable, is_hex=salt_hex), info, iterations)
    secret = read_secret(command, given)
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


def _no_such_kind(kind: str | None) -> list[str]:
    # What was given is not shown: it may be the secret.
    fault = "name the kind of derivation" if kind is None else "no such kind of derivation"
    width = max(map(len, KINDS))
    return [f"{fault}, one of", *(f"  {name:<{width}}  {words}" for name, words in KINDS.items())]


def _print_key(command: Command, key: Key) -> int:
    from rotation.output.documents.parts import NewKeyJson, as_json

    text = as_json(NewKeyJson(key.id, key.reveal())) if command.as_json else key.reveal()
    print(text, file=command.streams.key_stream)
    return 0
