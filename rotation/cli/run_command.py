"""`status` and `run`: count stored tokens, and re-encrypt them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rotation.cli.help_page import STOPPED, USAGE, HelpPage
from rotation.cli.options import Command, common_options, pace_options, target_options

if TYPE_CHECKING:
    from rotation.model.report import Report
    from rotation.model.target import Target


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
def status(command: Command, targets: list[Target]) -> int:
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
def run(command: Command, targets: list[Target], **settings: Any) -> int:
    """Re-encrypt every target under the primary key.

    Safe while services write, safe to stop, safe to run again: it skips tokens that are done.
    """
    from rotation import job

    return show_report(command, job.run(command, targets, job.RunSettings(**settings)))


def show_report(command: Command, report: Report) -> int:
    """Prints *report*, and returns its exit code."""
    from rotation.output.documents.run import RunJson
    from rotation.output.run_text import render

    command.show(RunJson.of(report, command.invocation), render(report, command.invocation))
    return report.exit_code
