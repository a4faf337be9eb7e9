"""`status`, `run` and `adopt`: count stored tokens, re-encrypt them, and encrypt what is still plaintext."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from rotation.cli.help_page import STOPPED, USAGE, HelpPage
from rotation.cli.shared_options import CommandContext, adding, common_options, path_option, target_options
from rotation.model.failures import UsageError

if TYPE_CHECKING:
    from rotation.model.report import Report
    from rotation.model.target import Target


def length_of_time(text: str) -> timedelta:
    """The time that *text* spells as rotation.toml does; 0 needs no unit. Raises BadParameter."""
    from rotation.configuration.policy import Duration

    try:
        return Duration.parse("0s" if text == "0" else text)
    except ValueError as error:
        fault = str(error)
    raise click.BadParameter(fault)


pace_options = adding(
    click.option("--full-speed", is_flag=True, help="No pauses, large batches, even while others write."),
    click.option("--gentle", is_flag=True, help="Small batches and pauses, even while nobody else writes."),
    click.option(
        "--batch-size",
        type=click.IntRange(1, 100_000),
        metavar="ROWS",
        help="Rows per transaction, at most.  [default: 100 to 1000, by the pace; with --full-speed 5000 or more]",
    ),
    click.option("--max-rate", type=click.IntRange(1, 10**9), metavar="ROWS", help="Rows per second, at most."),
    click.option(
        "--workers",
        type=click.IntRange(1, 256),
        metavar="N",
        help="Processes that share the work; from 2 on they need the extra dask. Add --full-speed: otherwise they take "
        "each other for services, and pause.  [default: 1]",
    ),
    click.option("--dask", metavar="ADDRESS", help="Scheduler of a Dask cluster; its workers do the work."),
    click.option("--shard", metavar="I/N", help="Only the I-th of N parts, from 0: N such jobs share a table."),
    click.option("--fresh", is_flag=True, help="Start again from the first row, even if the ledger has a checkpoint."),
    click.option(
        "--wait-for-server",
        type=length_of_time,
        metavar="TIME",
        default="5m",
        show_default=True,
        help="How long to wait for a server that restarts or fails over in the middle of the run, such as 90s or 1h; "
        "0 gives up after some seconds.",
    ),
    path_option("--pause-file", help="While this file exists, the run pauses, with no transaction open."),
    path_option("--problems", help="File for all problems, as JSON lines; the screen shows the first twenty."),
)
"""The speed of a command that writes, its processes, and its first row."""


@click.command(
    cls=HelpPage,
    examples={
        "Count the tokens of every target in ./rotation.toml": "status --env-file .env",
        "Count tokens of one column, without a rotation.toml": "status --env-file .env --url sqlite:///app.db "
        "--table user_credentials --column api_key",
        "The same for a program": "status --env-file .env --json",
    },
    exit_codes={
        0: "every token is under the primary key",
        1: "tokens are under older keys, or cells are left that no run can rotate: each is named",
        2: USAGE,
        3: "database error or interruption",
    },
)
@common_options
@target_options
def status(command: CommandContext, targets: list[Target]) -> int:
    """Count tokens per key and target.

    Reads only, and may run at any time. Its numbers say how many tokens a run would re-encrypt.
    """
    from rotation import job

    return show_report(command, job.status(command, targets))


@click.command(
    cls=HelpPage,
    examples={
        "Read only, and report what a run would do": "run --env-file .env --dry-run",
        "Re-encrypt every target of ./rotation.toml": "run --env-file .env",
        "Re-encrypt one column, without a rotation.toml": "run --env-file .env --url '$DATABASE_URL' "
        "--table user_credentials --column api_key",
        "At night, as fast as the server can, with all problems in a file": "run --env-file .env --full-speed "
        "--problems problems.jsonl",
    },
    exit_codes={
        0: "complete: every token is under the primary key",
        1: "action needed: rows are left (each is named), another rotation works against this one, the file of "
        "--problems is incomplete, or a dry run found tokens to rotate",
        2: USAGE,
        3: STOPPED,
    },
)
@click.option("--dry-run", is_flag=True, help="Read only, and report what a run would do.")
@pace_options
@click.option(
    "--allow-demotion",
    is_flag=True,
    help="Allow a primary key that was promoted earlier than the tokens' own key: to roll back.",
)
@common_options
@target_options
def run(command: CommandContext, targets: list[Target], **settings: Any) -> int:
    """Re-encrypt every target under the primary key.

    Safe while services write, safe to stop, safe to run again: it skips tokens that are done.
    """
    from rotation import job

    return show_report(command, job.run(command, targets, job.RunSettings(**settings)))


def show_report(command: CommandContext, report: Report) -> int:
    """Prints *report*, and returns its exit code."""
    from rotation.output.documents.run import RunJson
    from rotation.output.run_text import render

    command.show(RunJson.of(report, command.invocation), render(report, command.invocation))
    return report.exit_code


@click.command(
    cls=HelpPage,
    examples={
        "Read every row, and show what would become a token": "adopt --env-file .env",
        "Read every row, then encrypt": "adopt --env-file .env --yes",
        "Only the rows of one tenant": "adopt --env-file .env --url '$DATABASE_URL' --table user_credentials "
        "--column api_key --where 'tenant_id = 7'",
    },
    exit_codes={
        0: "complete: every cell is a token under the primary key",
        1: "action needed: there is plaintext to encrypt and --yes was not given, or cells are left: each is named",
        2: USAGE,
        3: STOPPED,
    },
)
@click.option("--yes", is_flag=True, help="Write. Without it this command only reads, and shows what it would encrypt.")
@click.option("--dry-run", is_flag=True, help="Only read, even with --yes.")
@click.option(
    "--accept-random",
    is_flag=True,
    help="Encrypt random-looking cells, too: keys stored as they are, or another cipher's output, which look the same.",
)
@pace_options
@common_options
@target_options
def adopt(
    command: CommandContext, targets: list[Target], *, yes: bool, dry_run: bool, accept_random: bool, **settings: Any
) -> int:
    """Encrypt cells that are still plaintext.

    Reads every row first, and writes only with --yes. Cells that may be a token, in whatever encoding, are refused
    and named. Targets with another format, or with cells of another package, are left out, by name. Let the services
    read both before you begin: accept_plaintext=True on their column types.
    """
    from rotation import job
    from rotation.job.runs import problems_output
    from rotation.output.run_text import samples

    adopting, left_out = _adopting(targets, accept_random=accept_random)

    def look_or_write(**changed: Any) -> Report:
        report = job.run(command, adopting, job.RunSettings(**settings | changed))
        report.left_out[:0] = left_out
        return report

    if dry_run or not yes:
        return show_report(command, look_or_write(dry_run=True))
    # Found now, and not after the dry run.
    problems_output(command, adopting, job.RunSettings(**settings))
    first = look_or_write(dry_run=True, problems=None)
    if any(target.stopped for target in first.targets):
        # Not every row was read.
        return show_report(command, first)
    if not command.as_json:
        for line in (line for target in first.targets for line in samples(target)):
            command.say(line)
    return show_report(command, look_or_write())


def _adopting(targets: Sequence[Target], *, accept_random: bool) -> tuple[list[Target], list[str]]:
    """The targets whose plaintext is encrypted, and why the others are left out. Raises UsageError if all are."""
    from rotation.model.target import Adopts
    from rotation.planning.rules import why_not_adopted

    adopts = Adopts.RANDOM if accept_random else Adopts.PLAINTEXT
    reasons = {target: why for target in targets if (why := why_not_adopted(target, adopts))}
    if len(reasons) == len(targets):
        raise UsageError("; ".join(f"{target.label}: {why}" for target, why in reasons.items()))
    taken = [replace(target, adopts=adopts) for target in targets if target not in reasons]
    return taken, [f"{target.label}: left out: {why}" for target, why in reasons.items()]
