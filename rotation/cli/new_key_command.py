"""`keys generate` and `keys derive`: print a key that is new, or that an application makes of its secret.

With --try, the rule that makes the key of a stored token. The secret comes from a variable, a file, a command, stdin or
a terminal, never from an argument.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keyring_core import Derivation, Key
from keyring_core.derivation import KINDS
from keyring_core.errors import WeakKeyError
from rotation.cli.help_page import UNWRITTEN, USAGE, HelpPage
from rotation.cli.secret_input import SecretOptions, asked, read_salt, read_secret, secret_options
from rotation.cli.shared_options import CommandContext, common_options, find_targets, target_parameters
from rotation.model.failures import StoppedError, UsageError

if TYPE_CHECKING:
    from rotation.applications import Given, HeldSecret, StoredCell, Trial
    from rotation.discovery.discover import DatabaseUrl
    from rotation.discovery.result import DerivedKey
    from rotation.discovery.token_column import TokenColumn
    from rotation.model.target import Target
    from rotation.model.watcher import Watcher


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
@click.option("--try", "tries", is_flag=True, help="Find the kind: try all of them on a stored token.")
@click.option("--target", metavar="NAME", help="With --try: the target of rotation.toml that has the token.")
@click.option(
    "--row",
    multiple=True,
    metavar="KEY",
    help="With --try: the key of the token's row; repeatable, a value for each key column.  [default: the first "
    "row with a token]",
)
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
    if target or row or any(given.values()):
        raise UsageError("a cell is named, and nothing to do with it: add --try, and leave KIND out")
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


def try_kinds(  # noqa: PLR0913 - which secret, which rules, which cell
    command: CommandContext,
    options: SecretOptions,
    given: Given,
    *,
    target: str | None,
    row: Sequence[str],
    where: Mapping[str, Any],
) -> int:
    """Prints the rules that make the key of a token in the cell. Returns 0 if one fits, otherwise 1."""
    from rotation.applications import SecretPlace, StoredCell, cell_of, trial_of, try_rules
    from rotation.output.trial import KeysTryJson, render_trial

    has_cell = bool(target or row or any(where.values()))
    if not (has_cell or any(options) or sys.stdin.isatty()):
        raise UsageError(
            "stdin holds one of the two, the secret or the token: name the secret with --variable, --file or "
            "--command, or the token's cell with --url, --table and --column, or --target"
        )
    chosen = _target(command, target, where) if has_cell else None
    secret = read_secret(command, options)
    if not secret.value.strip():
        raise UsageError(f"{secret.where} is empty: the secret was expected there")
    if chosen:
        cell = cell_of(chosen, row, sleep=command.streams.wait, links=command.links)
    else:
        value, origin = asked(command, "Token", "the token", hide=False)
        if not value.strip():
            raise UsageError(f"{origin} is empty: the stored token was expected there")
        cell = StoredCell(value, origin)
    trial = trial_of(secret.value, cell, command.inputs.environ, given)
    with command.watch(dry_run=True) as watcher:
        try_rules(trial, secret.where, _follow(command, watcher, trial, secret.where))
    place = SecretPlace(options.variable or "", str(options.file or ""), options.program or "")
    command.show(KeysTryJson.of(trial, place, command.invocation), render_trial(trial, place, command.invocation))
    return 0 if trial.fits else 1


def _follow(command: CommandContext, watcher: Watcher, trial: Trial, where: str) -> Callable[[str], None]:
    """Says how long *trial* may take. Returns what is called before each key, which raises StoppedError on request."""
    from rotation.model.watcher import AtWork
    from rotation.output.trial import expected

    if not command.quiet:
        command.streams.warn(f"Note: {where}: {expected(trial)}")

    def advance(words: str) -> None:
        if command.streams.stopping:
            raise StoppedError("stopped on request. Nothing was written.")
        watcher(AtWork(words))

    return advance


def derived_keys(
    command: CommandContext,
    columns: Sequence[TokenColumn],
    secrets: Sequence[HeldSecret],
    databases: Sequence[DatabaseUrl],
) -> list[DerivedKey]:
    """The keys that *secrets* make for *columns* of *databases*, by any known rule. Raises StoppedError."""
    from rotation.applications import cell_of, try_held
    from rotation.model.target import Target

    urls = {each.written: each.url for each in databases}

    def read(column: TokenColumn) -> StoredCell:
        url = urls.get(column.url) or databases[0].url
        target = Target(url, column.table, column.column, column.table, column.key_columns)
        return cell_of(target, (), sleep=command.streams.wait, links=command.links)

    with command.watch(dry_run=True) as watcher:
        return list(try_held(columns, secrets, command.inputs.environ, read, partial(_follow, command, watcher)))


def given_rules(command: CommandContext, salts: tuple[str | None, str | None, bool], **rules: Any) -> Given:
    """The salt, info and iterations of the options, to be tried as well. Raises UsageError."""
    from rotation.applications import Given, Salt

    text, variable, is_hex = salts
    value = read_salt(command, text, variable, is_hex=is_hex)
    if value is None:
        return Given(**rules)
    place = ("--salt-variable", variable) if variable is not None else ("--salt", text or "")
    # In an entry, a text that begins with $ is the name of a variable.
    written = f"${variable}" if variable is not None else None if (text or "").startswith("$") else text
    options = (*place, *(["--salt-hex"] if is_hex else []))
    return Given((Salt(value, place[0], None if is_hex else written, options=options),), **rules)


def _target(command: CommandContext, name: str | None, where: Mapping[str, Any]) -> Target:
    """The one target that the options name. Raises UsageError."""
    if name and any(where.values()):
        raise UsageError("--target and --url, --table, --column exclude each other: a target is of rotation.toml")
    if name is None and not any(where.values()):
        raise UsageError("--row names a row of a table: add --target, or --url, --table and --column")
    targets = find_targets(command, where)
    found = [each for each in targets if name is None or name in {each.label, each.name, each.table}]
    if len({(each.url, each.label) for each in found}) == 1:
        return found[0]
    labels = ", ".join(dict.fromkeys(each.label for each in found or targets))
    if name is None:
        raise UsageError(f"--try takes one column; these are {labels}")
    raise UsageError(
        f"--target {name}: {'several targets are' if found else 'no target is'} called so; there are {labels}"
    )
