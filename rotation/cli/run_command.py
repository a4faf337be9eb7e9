"""`status`, `run` and `demo`: count stored tokens, and re-encrypt them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from keyring_core import Keyring
from rotation.cli.options import Command, common_options, path_option, target_options

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

    return _print(command, job.status(command, targets))


@click.command()
@click.option("--dry-run", is_flag=True, help="Read only, and report what a run would do.")
@click.option(
    "--batch-size",
    type=click.IntRange(1, 100_000),
    help="Rows per transaction, at most.  [default: 100 to 1000, by the pace; with --full-speed 5000 or more]",
)
@click.option("--full-speed", is_flag=True, help="No pauses, large batches, even while others write.")
@click.option("--gentle", is_flag=True, help="Small batches and pauses, even while nobody else writes.")
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    help="Threads (up to 2) or processes that share the work.  [default: 1; with --full-speed one per core]",
)
@click.option(
    "--strides",
    type=click.IntRange(1, 64),
    default=1,
    help="PostgreSQL: write every n-th row of a batch by itself, so that a huge table grows less.  [default: 1]",
)
@click.option("--shard", metavar="I/N", help="Only the I-th of N parts, from 0: N such jobs share a table.")
@click.option("--fresh", is_flag=True, help="Start again from the first row, even if the ledger has a checkpoint.")
@click.option("--dask", metavar="ADDRESS", help="Scheduler of a Dask cluster; its workers do the work.")
@click.option("--max-rate", type=click.IntRange(1, 10**9), help="Rows per second, at most.")
@path_option("--pause-file", help="While this file exists, the run pauses, with no transaction open.")
@path_option("--problems", help="File for all problems, as JSON lines; the screen shows the first twenty.")
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

    return _print(command, job.run(command, targets, job.RunSettings(**settings)))


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


def _print(command: Command, report: Report) -> int:
    """Prints *report*, and returns its exit code."""
    command.show(report.document(), _parts(report))
    return report.exit_code


def _parts(report: Report) -> Iterator[RenderableType]:
    from rotation.output.run_text import render

    yield from render(report)
