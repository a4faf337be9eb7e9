"""`keys generate` and `keys derive`: print a key that is new, or that an application makes of its secret.

The secret comes from a variable, a file, a command, stdin or a terminal, never from an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from keyring_core import Derivation, Key
from keyring_core.derivation import KINDS
from keyring_core.errors import WeakKeyError
from rotation.cli.derive_trial import given_rules, refuse_trial_options, trial_options, try_kinds
from rotation.cli.help_page import UNWRITTEN, USAGE, HelpPage
from rotation.cli.secret_input import SecretOptions, read_salt, read_secret, secret_options
from rotation.cli.shared_options import CommandContext, common_options, target_parameters
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
        "Which kind it is, by a stored token": "keys derive --try --variable SECRET_KEY --url sqlite:///app.db "
        "--table user_credentials --column api_key",
    },
    exit_codes={
        0: "the key is printed; with --try, a rule fits",
        1: "with --try, no rule fits",
        2: USAGE,
        3: f"{UNWRITTEN}; with --try, database error or interruption",
    },
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
@trial_options
@common_options
@secret_options
@target_parameters
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
    tries: bool,
    target: str | None,
    row: tuple[str, ...],
    given: Mapping[str, Any],
) -> int:
    """Print the key that an application makes of its secret, or find out how it makes it.

    It is printed alone. KIND is the kind of derivation; without it, the error lists the kinds. Without an option that
    says where the secret is, a terminal is asked for it, and otherwise it is read from stdin. One newline at its end
    is dropped, but not from a variable.

    With --try, each kind is tried on a stored token, with every known salt: of all known applications, of the options
    and of the token's row. What fits is printed as an entry for rotation.toml, without the secret and the key. The
    token is in the cell that --target, or --url, --table and --column, and --row name; otherwise it comes from stdin.
    """
    place = SecretOptions(variable, file, program)
    if tries:
        if kind is not None:
            # What was given is not shown: it may be the secret.
            raise UsageError("--try finds the KIND, and takes none; do not put a secret into a command line")
        rules = given_rules(command, (salt, salt_variable, salt_hex), info=info, iterations=iterations)
        return try_kinds(command, place, rules, target=target, row=row, where=given)
    refuse_trial_options(target, row, given)
    if kind is None or kind not in KINDS:
        # What was given is not shown: it may be the secret.
        fault = "name the kind of derivation" if kind is None else "no such kind of derivation"
        width = max(map(len, KINDS))
        raise UsageError(
            f"{fault}, one of",
            *(f"  {name:<{width}}  {words}" for name, words in KINDS.items()),
            "Or let --try find it by a stored token.",
        )
    derivation = Derivation(kind, read_salt(command, salt, salt_variable, is_hex=salt_hex), info, iterations)
    secret = read_secret(command, place)
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


def _print_key(command: CommandContext, key: Key) -> int:
    from rotation.output.documents.parts import NewKeyJson, json_text

    text = json_text(NewKeyJson(key.id, key.reveal())) if command.as_json else key.reveal()
    print(text, file=command.streams.key_stream)
    return 0
