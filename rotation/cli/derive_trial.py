"""`keys derive --try`: which rule makes the key of a stored token, given the secret."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from rotation.cli.secret_input import SecretOptions, asked, read_salt, read_secret
from rotation.cli.shared_options import CommandContext, adding, find_targets
from rotation.model.failures import StoppedError, UsageError

if TYPE_CHECKING:
    from rotation.applications import Given, HeldSecret, StoredCell, Trial
    from rotation.discovery.discover import DatabaseUrl
    from rotation.discovery.result import DerivedKey
    from rotation.discovery.token_column import TokenColumn
    from rotation.model.target import Target
    from rotation.model.watcher import Watcher

trial_options = adding(
    click.option("--try", "tries", is_flag=True, help="Find the kind: try all of them on a stored token."),
    click.option("--target", metavar="NAME", help="With --try: the target of rotation.toml that has the token."),
    click.option(
        "--row",
        multiple=True,
        metavar="KEY",
        help="With --try: the key of the token's row; repeatable, a value for each key column.  [default: the first "
        "row with a token]",
    ),
)


def refuse_trial_options(target: str | None, row: Sequence[str], given: Mapping[str, Any]) -> None:
    """Raises UsageError if a cell is named, without --try."""
    if target or row or any(given.values()):
        raise UsageError("a cell is named, and nothing to do with it: add --try, and leave KIND out")


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
    from rotation.applications import SecretPlace, trial_of, try_rules
    from rotation.output.documents.trial import KeysTryJson
    from rotation.output.trial_text import render_trial

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
    cell = _stored(command, chosen, row) if chosen else _typed(command)
    trial = trial_of(secret.value, cell, command.inputs.environ, given)
    with command.watch(dry_run=True) as watcher:
        try_rules(trial, secret.where, _follow(command, watcher, trial, secret.where))
    place = SecretPlace(options.variable or "", str(options.file or ""), options.program or "")
    command.show(KeysTryJson.of(trial, place, command.invocation), render_trial(trial, place, command.invocation))
    return 0 if trial.fits else 1


def _follow(command: CommandContext, watcher: Watcher, trial: Trial, where: str) -> Callable[[str], None]:
    """Says how long *trial* may take. Returns what is called before each key, which raises StoppedError on request."""
    from rotation.model.watcher import AtWork
    from rotation.output.trial_text import expected

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


def _stored(command: CommandContext, target: Target, row: Sequence[str]) -> StoredCell:
    """The cell of *target* in that *row*, with the row's other values. Raises UsageError and StoreError."""
    from rotation.applications import cell_of

    return cell_of(target, row, sleep=command.streams.wait, links=command.links)


def _typed(command: CommandContext) -> StoredCell:
    """The token on stdin, or that a terminal answers. Raises UsageError and StoppedError."""
    from rotation.applications import StoredCell

    value, where = asked(command, "Token", "the token", hide=False)
    if not value.strip():
        raise UsageError(f"{where} is empty: the stored token was expected there")
    return StoredCell(value, where)
