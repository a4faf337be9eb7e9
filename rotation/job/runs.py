"""Runs and censuses, as a program calls them: targets in, a report out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from keyring_core import Keyring
from rotation.configuration.targets import companion_values
from rotation.context import Context
from rotation.job.checkpoints import Checkpoints
from rotation.job.pace import Speed, Throttle
from rotation.job.problems_file import PROBLEMS, ProblemsFile
from rotation.job.ranges import Options
from rotation.job.recorder import RunRecorder
from rotation.job.rotation import Job, rotate_all
from rotation.job.workers import ALONE, Workers, open_workers
from rotation.kept_files import outputs_of
from rotation.ledger.records import lacking
from rotation.ledger.session import OnFailure, Session
from rotation.model.failures import StoppedError, UsageError
from rotation.model.outputs import Output
from rotation.model.report import Report
from rotation.model.target import Target
from rotation.stores.row_keys import Shard
from rotation.stores.store import Store


@dataclass(frozen=True)
class RunSettings:
    """How a run works; each is an option of the command line."""

    dry_run: bool = False
    """Read only, and report what a run would do."""
    batch_size: int | None = None
    """Rows in a transaction, at most."""
    full_speed: bool = False
    """No pauses, large batches, even while others write: for when no service has to wait."""
    gentle: bool = False
    """Small batches and pauses, even while nobody else writes."""
    workers: int | None = None
    """Processes that share the work."""
    dask: str | None = None
    """Address of a Dask scheduler whose workers do the work."""
    fresh: bool = False
    """Begin at the first row, whatever the ledger knows of a stopped run."""
    shard: str | None = None
    """`I/N`: only the I-th of N parts, from 0."""
    max_rate: int | None = None
    """Rows a second, at most."""
    pause_file: Path | None = None
    """The run waits while this file is there."""
    problems: Path | None = None
    """File for all problems, as JSON lines."""
    strides: int = 1
    """Write every n-th row of a batch in a transaction of its own: on PostgreSQL table and log then grow less."""
    allow_demotion: bool = False
    """Move tokens also to a primary key that was promoted earlier than theirs."""

    @property
    def speed(self) -> Speed:
        """The pace that these settings ask for. Raises UsageError for two of them."""
        if self.full_speed and self.gentle:
            raise UsageError("--full-speed and --gentle exclude each other")
        if self.full_speed:
            return Speed.FULL
        return Speed.GENTLE if self.gentle else Speed.ADAPTIVE


def run(context: Context, targets: Sequence[Target], settings: RunSettings | None = None) -> Report:
    """Re-encrypts every target under the primary key, and records the run in the ledger, if one counts.

    Services may write meanwhile. What is done is skipped, so that a run can be stopped and repeated at any time.

    Raises KeyConfigError and UsageError before anything is written; StoreError and StoppedError if nothing was written
    yet. What fails later is in the report.
    """
    settings = settings or RunSettings()
    parts = _parts(context, targets)
    speed = settings.speed
    throttle = Throttle(context.streams.wait, settings.max_rate, settings.pause_file)
    shard = Shard.parse(settings.shard) if settings.shard else None
    with ExitStack() as closing:
        problems = problems_output(context, targets, settings)
        listed = closing.enter_context(ProblemsFile(problems)) if problems else None
        log_format = context.streams.log_format or "auto"
        workers = closing.enter_context(
            open_workers(settings.workers, settings.dask, full_speed=settings.full_speed, log_format=log_format)
        )
        common = Options(
            settings.dry_run,
            settings.batch_size,
            Speed.FULL if settings.dry_run else speed,
            settings.strides,
            throttle,
            listed,
            shard=shard,
            env_file=context.dotenv and context.dotenv.path,
            workers=workers.count,
            least_rows=workers.least_rows,
        )

        def options(part: _Part, recorder: RunRecorder) -> Options:
            _name_lacking(part, recorder.session)
            return replace(
                _with_keys(common, part.context),
                checkpoints=partial(_checkpoints, recorder, settings),
                history=recorder.history(part.keyring, allow_demotion=settings.allow_demotion),
            )

        return _recorded(context, parts, options, workers, dry_run=settings.dry_run)


def problems_output(context: Context, targets: Sequence[Target], settings: RunSettings) -> Output | None:
    """The file of *settings* for problems. Raises UsageError if it must not be written."""
    if settings.problems is None:
        return None
    outputs = outputs_of(context, (target.url for target in targets), settings.pause_file)
    return outputs.take(settings.problems, f"--problems {settings.problems}", PROBLEMS)


class _Part(NamedTuple):
    """The targets of one key set."""

    context: Context
    keyring: Keyring
    targets: Sequence[Target]


def _parts(context: Context, targets: Sequence[Target]) -> list[_Part]:
    """*targets* by their key sets; raises KeyConfigError if the keys of one do not load."""
    return [_Part(own, own.keyring(), some) for own, some in context.by_keys(targets)]


def _name_lacking(part: _Part, session: Session) -> None:
    """Names each running service that could not read what a run writes. It is no reason to stop: a leaked key goes."""
    primary = part.keyring.primary.id
    for one in lacking(session.fleet(part.keyring.states_by_id), primary):
        part.context.streams.warn(
            f"Note: {one.words} does not have {primary}, so it cannot read what a run writes; restart it."
        )


def _checkpoints(recorder: RunRecorder, settings: RunSettings, target: Target, primary: str) -> Checkpoints:
    # The first of them is opened when every target was checked.
    recorder.begin()
    return Checkpoints(recorder, target, primary, shard=settings.shard or "", fresh=settings.fresh)


def status(context: Context, targets: Sequence[Target]) -> Report:
    """Counts tokens per key and target, and records the counts in the ledger, if one counts. Writes no target.

    Raises as `run` does.
    """

    def options(part: _Part, recorder: RunRecorder) -> Options:
        return replace(_with_keys(reading(context), part.context), history=recorder.history(part.keyring))

    return _recorded(context, _parts(context, targets), options, dry_run=True)


def census(context: Context, targets: Sequence[Target], keyring: Keyring, *, sample: int | None = None) -> Report:
    """Counts the tokens of every row, or of about *sample* rows of each target. Writes nothing, the ledger neither.

    Raises UsageError and StoreError if a target cannot be opened, and StoppedError.
    """
    options = replace(_with_keys(reading(context), context), sample=sample)
    [report] = rotate_targets(context, [Job(targets, keyring, options)])
    return report


def reading(context: Context, *, dry_run: bool = True) -> Options:
    """The options of what keeps nobody waiting: it only reads, or has a database of its own."""
    return Options(dry_run, speed=Speed.FULL, throttle=Throttle(context.streams.wait))


def _with_keys(options: Options, context: Context) -> Options:
    """*options* for the keys of *context*."""
    return replace(
        options, keys=context.keys, others=context.other_keyrings(), environ={**context.secrets, **context.environ}
    )


def _recorded(
    context: Context,
    parts: Sequence[_Part],
    options: Callable[[_Part, RunRecorder], Options],
    workers: Workers = ALONE,
    *,
    dry_run: bool,
) -> Report:
    """The report of all *parts*, each of which the ledger records."""
    with ExitStack() as closing:
        recorders = [closing.enter_context(_recording(part, dry_run=dry_run)) for part in parts]
        pairs = list(zip(parts, recorders, strict=True))
        jobs = [Job(part.targets, part.keyring, options(part, recorder)) for part, recorder in pairs]
        reports = rotate_targets(context, jobs, workers)
        for recorder, report in zip(recorders, reports, strict=True):
            recorder.keep(report)
    return Report.of_parts(reports)


def rotate_targets(context: Context, jobs: Sequence[Job], workers: Workers = ALONE) -> list[Report]:
    """`rotate` with the connections and the progress display of *context*; no job reads only unless all do."""
    options = jobs[0].options
    primaries = {target.keys: job.keyring.primary for job in jobs for target in job.targets}

    def open_target(target: Target) -> Store:
        return Store(
            target,
            read_only=options.dry_run,
            sleep=context.streams.wait,
            shard=options.shard,
            sample=options.sample,
            links=context.links,
            companions=companion_values(dict(target.companions), primaries[target.keys]),
        )

    with context.watch(dry_run=options.dry_run) as watcher:
        return rotate_all(jobs, open_target, watcher, executor=workers.executor, lanes=workers.lanes)


@contextmanager
def _recording(part: _Part, *, dry_run: bool) -> Iterator[RunRecorder]:
    """A recorder. A run whose database fails has failed; one whose arguments or targets do not fit has not begun."""
    context, keyring = part.context, part.keyring
    with Session.open(context.open_ledger, context.service, OnFailure.WARN, context.streams.warn) as session:
        if session.ledger:
            session.see_keys(keyring.states_by_id, context.clock_skew())
        # A dry run, like a census, is no run of its own.
        recorder = RunRecorder(session, keyring.primary.id, _begun=dry_run)
        try:
            yield recorder
        except UsageError:
            raise
        except StoppedError:
            recorder.end("interrupted")
            raise
        except BaseException:
            recorder.begin()
            raise
        finally:
            recorder.end("failed")
