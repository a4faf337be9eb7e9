"""`status`, `run` and `demo`: count stored tokens, and re-encrypt them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from keyring_core import Keyring
from rotation.cli.options import Command, common_options, pace_options, target_options

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rotation.model.report import Report
    from rotation.model.targets import Target


@click.command()
@common_options
@target_options
def status(command: Command, targets: list[Target]) -> int:
    """Count tokens per key and target. Reads only."""
    from rotation import job

    return show_report(command, job.status(command, targets))


@click.command()
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


@click.command()
@common_options
def demo(command: Command) -> int:
    """Show a whole rotation on a temporary SQLite database."""
    from rotation import job
    from rotation.cli.demo import demo as show_demo
    from rotation.job.runs import reading, rotate_targets

    def rotate(targets: list[Target], keyring: Keyring, *, dry_run: bool) -> Report:
        [report] = rotate_targets(command, [job.Job(targets, keyring, reading(command, dry_run=dry_run))])
        return report

    code = show_demo((lambda _: None) if command.as_json else command.say, rotate)
    command.show({"complete": code == 0}, [])
    return code


def show_report(command: Command, report: Report) -> int:
    """Prints *report*, and returns its exit code."""
    command.show(report.document(), _parts(report))
    return report.exit_code


def _parts(report: Report) -> Iterator[RenderableType]:
    from rotation.output.run_text import render

    yield from render(report)
