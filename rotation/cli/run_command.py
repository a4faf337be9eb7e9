"""`status`, `run` and `demo`: what looks at stored tokens, and what re-encrypts them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keyring_core import Keyring
from rotation.cli.options import Common, common_options, target_options

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from rotation.job.ranges import Options
    from rotation.model.report import Report, TargetReport
    from rotation.model.targets import Target
    from rotation.output.progress import BarWatcher, LogWatcher


@click.command()
@common_options
@target_options
def status(common: Common, targets: list[Target]) -> int:
    """Count tokens per key and target. Reads only."""
    from rotation.ledger.session import recording

    keyring = common.keyring()
    with recording(common, keyring) as recorder:
        options = replace(_options(common, dry_run=True), history=recorder.history(keyring))
        report = _rotate(common, targets, keyring, options)
        recorder.keep(report)
    return _report(common, report)


@click.command()
@click.option("--dry-run", is_flag=True, help="Read only, and say what a run would do.")
@click.option(
    "--batch-size",
    type=click.IntRange(1, 100_000),
    help="Rows in a transaction, at most.  [default: 100; with --full-speed 5000]",
)
@click.option("--full-speed", is_flag=True, help="No pauses, large batches: for when no service has to wait.")
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    help="Processes that share the work.  [default: 1; with --full-speed one a core, where the table is large]",
)
@click.option("--shard", metavar="I/N", help="Only the I-th of N parts, from 0: N such jobs share a table.")
@click.option("--fresh", is_flag=True, help="Begin anew, though the ledger knows how far a stopped run came.")
@click.option("--dask", metavar="ADDRESS", help="Scheduler of a Dask cluster whose workers do the work.")
@click.option("--max-rate", type=click.IntRange(1, 10**9), help="Rows a second, at most.")
@click.option(
    "--pause-file",
    type=click.Path(path_type=Path),
    help="While this file is there the run holds still, with no transaction open.",
)
@click.option(
    "--problems",
    type=click.Path(path_type=Path),
    help="File for all problems, as JSON lines; the screen shows the first twenty.",
)
@click.option(
    "--allow-demotion",
    is_flag=True,
    help="Move tokens also to a primary key that was promoted earlier than theirs: the way to roll back.",
)
@common_options
@target_options
def run(  # noqa: PLR0913 - click's
    common: Common,
    targets: list[Target],
    *,
    dry_run: bool,
    batch_size: int | None,
    full_speed: bool,
    workers: int | None,
    dask: str | None,
    fresh: bool,
    shard: str | None,
    max_rate: int | None,
    pause_file: Path | None,
    problems: Path | None,
    allow_demotion: bool,
) -> int:
    """Re-encrypt every target under the primary key.

    Safe while services write, safe to stop, safe to run again: what is done is skipped.
    """
    from rotation.job.checkpoints import Journal
    from rotation.job.problems_file import ProblemsFile
    from rotation.job.ranges import DEFAULT_BATCH, FULL_SPEED_BATCH, Options
    from rotation.job.throttle import IDLE_SHARE, Brake
    from rotation.job.workers import staff
    from rotation.ledger.session import recording
    from rotation.stores.shards import Shard

    keyring = common.keyring()
    rows = batch_size or (FULL_SPEED_BATCH if full_speed else DEFAULT_BATCH)
    brake = Brake(common.world.wait, max_rate, pause_file, 0 if full_speed else IDLE_SHARE)
    part = Shard.parse(shard) if shard else None
    with ExitStack() as closing:
        listed = closing.enter_context(ProblemsFile(problems)) if problems else None
        staffed = closing.enter_context(staff(workers, dask, full_speed=full_speed))
        recorder = closing.enter_context(recording(common, keyring, None if dry_run else "run"))

        def open_journal(target: Target, primary: str) -> Journal:
            # The first of them is opened when every target was checked.
            recorder.begin()
            return Journal(recorder, target, primary, shard=shard or "", fresh=fresh)

        options = Options(
            dry_run,
            rows,
            brake,
            listed,
            journal=open_journal,
            shard=part,
            env_file=common.env_file,
            workers=staffed.workers,
            least_rows=staffed.least_rows,
        )
        options = replace(options, history=recorder.history(keyring, allow_demotion=allow_demotion))
        report = _rotate(common, targets, keyring, options, staffed.executor)
        recorder.keep(report)
    return _report(common, report)


@click.command()
@common_options
def demo(common: Common) -> int:
    """Show a whole rotation on a throw-away SQLite database."""
    from rotation.cli.demo import demo as tell_demo

    def rotate(targets: list[Target], keyring: Keyring, *, dry_run: bool) -> Report:
        return _rotate(common, targets, keyring, _options(common, dry_run=dry_run))

    if not common.as_json:
        return tell_demo(common.world.say, rotate)
    code = tell_demo(lambda _: None, rotate)
    common.world.print_json({"complete": code == 0})
    return code


def census(common: Common, targets: list[Target], keyring: Keyring, sample: int | None = None) -> Report:
    """Every target, counted, or about *sample* rows of each; reads only."""
    return _rotate(common, targets, keyring, replace(_options(common, dry_run=True), sample=sample))


def look_at(common: Common, target: Target, keyring: Keyring, sample: int | None = None) -> TargetReport:
    """One target, counted. Raises KeyringError where that cannot be done."""
    return census(common, [target], keyring, sample).targets[0]


def _rotate(
    common: Common, targets: list[Target], keyring: Keyring, options: Options, executor: Executor | None = None
) -> Report:
    from rotation.job.run import rotate
    from rotation.stores.sql import SqlStore

    def open_store(target: Target) -> SqlStore:
        store = SqlStore(
            target, read_only=options.dry_run, sleep=common.world.wait, shard=options.shard, links=common.links
        )
        if options.sample is not None:
            store.thin_out(options.sample)
        return store

    verb = "reading" if options.dry_run else "rotating"
    with _watcher(common, verb=verb) as watcher:
        return rotate(targets, keyring, open_store, options, watcher, executor=executor)


def _options(common: Common, *, dry_run: bool) -> Options:
    from rotation.job.ranges import FULL_SPEED_BATCH, Options
    from rotation.job.throttle import Brake

    # What only reads, and the demo's own database, keep nobody waiting.
    return Options(dry_run, FULL_SPEED_BATCH, Brake(common.world.wait, idle_share=0))


@contextmanager
def _watcher(common: Common, *, verb: str) -> Iterator[BarWatcher | LogWatcher]:
    from rotation.output.progress import BarWatcher, LogWatcher

    stderr = common.world.stderr
    with BarWatcher(common.world.console(stderr), verb=verb) if stderr.isatty() else LogWatcher() as watcher:
        yield watcher


def _report(common: Common, report: Report) -> int:
    from rotation.output.run_text import render

    if common.as_json:
        common.world.print_json(report.document())
    else:
        for part in render(report):
            common.world.say(part)
    return report.exit_code
