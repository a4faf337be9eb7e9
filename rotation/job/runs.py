"""Runs and censuses, as a program calls them: targets in, a report out; what the ledger records of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import NamedTuple

from keyring_core import Keyring, KeyringError
from rotation.configuration.targets import companion_values
from rotation.context import Context
from rotation.discovery.discover import databases_of
from rotation.discovery.memory import SearchMemory
from rotation.job.checkpoints import Checkpoints
from rotation.job.loop import Job, rotate_jobs
from rotation.job.options import LocalOptions, RunOptions, RunSettings
from rotation.job.problems_file import PROBLEMS, ProblemsFile
from rotation.job.workers import Workers, open_workers
from rotation.kept_files import outputs_of
from rotation.ledger.key_uses import KeyUses
from rotation.ledger.ledger import Outcome
from rotation.ledger.records import SKEW, history_of, lacking
from rotation.ledger.session import OnFailure, Session
from rotation.model.counts import PARTS
from rotation.model.failures import StoppedError, UsageError
from rotation.model.key_history import UNKNOWN, History
from rotation.model.key_use import KeyUse
from rotation.model.next_steps import DISCOVER, PLAIN
from rotation.model.report import Report
from rotation.model.target import Adopts, Target
from rotation.stores.patience import IMPATIENT, Patience
from rotation.stores.store import Store
from rotation.world.outputs import Output

SALTED_SAMPLE = 40
"""Rows of a sample whose keys are derived row by row, which may take a quarter of a second for each."""


def run(context: Context, targets: Sequence[Target], settings: RunSettings | None = None) -> Report:
    """Re-encrypts every target under the primary key, and records the run in the ledger, if one counts.

    Services may write meanwhile. What is done is skipped, so that a run can be stopped and repeated at any time.

    Raises KeyConfigError and UsageError before anything is written; StoreError and StoppedError if nothing was written
    yet. What fails later is in the report.
    """
    settings = settings or RunSettings()
    parts = _parts(context, targets)
    # Both raise UsageError.
    _ = settings.speed, settings.part
    with ExitStack() as closing:
        problems = problems_output(context, targets, settings)
        listed = closing.enter_context(ProblemsFile(problems)) if problems else None
        log_format = context.streams.log_format or "auto"
        workers = closing.enter_context(
            open_workers(settings.workers, settings.dask, full_speed=settings.full_speed, log_format=log_format)
        )

        def job(part: _Part, recorder: RunRecorder) -> Job:
            primary = part.keyring.primary.id
            for one in lacking(recorder.session.fleet(part.keyring.states_by_id), primary):
                # No reason to stop: a leaked key has to go.
                words = f"{one.words} does not have {primary}, so it cannot read what a run writes; restart it."
                part.context.streams.warn(f"Note: {words}")
            recorder.whole = settings.shard is None and part.context.has_all_of(part.targets)
            history = recorder.history(part.keyring, allow_demotion=settings.allow_demotion)
            local = LocalOptions(problems=listed, checkpoints=partial(_checkpoints, recorder, settings))
            return _job(part, RunOptions(**vars(settings), history=history), local)

        return _recorded(context, parts, job, settings, workers)


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


def _checkpoints(recorder: RunRecorder, settings: RunSettings, target: Target, primary: str) -> Checkpoints:
    # The first of them is opened when every target was checked.
    recorder.begin()
    return Checkpoints(recorder.session, target, primary, shard=settings.shard or "", fresh=settings.fresh)


def status(context: Context, targets: Sequence[Target]) -> Report:
    """Counts tokens per key and target, and records the counts in the ledger, if one counts. Writes no target.

    Raises as `run` does.
    """

    def job(part: _Part, recorder: RunRecorder) -> Job:
        return _job(part, RunOptions(dry_run=True, history=recorder.history(part.keyring)), LocalOptions())

    settings = RunSettings(dry_run=True, wait_for_server=timedelta())
    return _recorded(context, _parts(context, targets), job, settings)


def census(context: Context, targets: Sequence[Target], keyring: Keyring, *, sample: int | None = None) -> Report:
    """Counts the tokens of every row, or of about *sample* rows of each target. Writes nothing, the ledger neither.

    Raises UsageError and StoreError if a target cannot be opened, and StoppedError.
    """
    part = _Part(context, keyring, targets)
    [report] = _rotate(context, [_job(part, RunOptions(dry_run=True, sample=sample), LocalOptions())])
    return report


def _job(part: _Part, options: RunOptions, local: LocalOptions) -> Job:
    """The targets of *part* with its keys, and what its context adds to the options."""
    context = part.context
    options = replace(options, env_file=context.inputs.dotenv and context.inputs.dotenv.path, keys=context.keys)
    environ = {**context.secrets, **context.inputs.environ}
    local = replace(local, wait=context.streams.wait, others=context.key_rings().others(), environ=environ)
    local = replace(local, indexes=context.indexes)
    return Job(part.targets, part.keyring, options, local)


def _recorded(
    context: Context,
    parts: Sequence[_Part],
    job: Callable[[_Part, RunRecorder], Job],
    settings: RunSettings,
    workers: Workers | int = 1,
) -> Report:
    """The report of all *parts*, each of which the ledger records."""
    patience = Patience(settings.wait_for_server)
    with ExitStack() as closing:
        recorders = [closing.enter_context(_recording(part, patience, dry_run=settings.dry_run)) for part in parts]
        jobs = [job(part, recorder) for part, recorder in zip(parts, recorders, strict=True)]
        reports = _rotate(context, jobs, workers, patience)
        for recorder, report, part in zip(recorders, reports, parts, strict=True):
            recorder.keep(report)
            report.uses = recorder.uses(part)
        done = Report.of_parts(reports)
        # One shard is no end, and neither is a run that stopped.
        if done.shard is None and not any(target.interrupted for target in done.targets):
            targets, first = [target for part in parts for target in part.targets], parts[0]
            done.uncovered = uncovered_of_apps(first.context, targets, first.keyring, recorders[0].session)
    return done


def uncovered_of_apps(
    context: Context, targets: Sequence[Target], keyring: Keyring, session: Session
) -> list[str] | None:
    """The labels of the columns with tokens that no target covers, in the databases of the known applications.

    None if no target is of an `[[app]]`, or if they could not be searched: it then warns, since the run is done. It
    reads the samples that a check reads, over the connections of *context*.
    """
    of_apps = [target for target in targets if target.app and target.adopts is Adopts.NOTHING]
    if not of_apps or context.streams.stopping:
        return None
    try:
        # A program may run some of the targets alone; all of them cover columns.
        everything = context.targets()
        plan = context.search_plan(everything, keyring, databases_of(of_apps))
        found = context.search(replace(plan, memory=SearchMemory.of(session.ledger)))
    except (KeyringError, StoppedError) as error:
        search = PLAIN.line(DISCOVER.after("To search them:"))
        context.streams.warn(f"Warning: columns that no target covers were not searched for tokens: {error}\n{search}")
        return None
    return [column.label for column in found.uncovered]


def _rotate(
    context: Context, jobs: Sequence[Job], workers: Workers | int = 1, patience: Patience = IMPATIENT
) -> list[Report]:
    """`rotate_jobs` with the connections and the progress display of *context*; one job reads only if all do."""
    options = jobs[0].options
    keyrings = {target.keys: job.keyring for job in jobs for target in job.targets}

    def open_target(target: Target) -> Store:
        salts = keyrings[target.keys].salt_columns
        return Store(
            target,
            read_only=options.dry_run,
            sleep=context.streams.wait,
            shard=options.part,
            sample=min(options.sample, SALTED_SAMPLE) if options.sample and salts else options.sample,
            links=context.links,
            companions=companion_values(dict(target.companions), keyrings[target.keys].primary),
            salts=salts,
            patience=patience,
        )

    with context.watch(dry_run=options.dry_run) as watcher:
        return rotate_jobs(jobs, open_target, watcher, workers)


@contextmanager
def _recording(part: _Part, patience: Patience, *, dry_run: bool) -> Iterator[RunRecorder]:
    """A recorder. A run whose database fails has failed; one whose arguments or targets do not fit has not begun."""
    context, keyring = part.context, part.keyring
    with Session.open(context.open_ledger, context.service, OnFailure.WARN, context.streams.warn) as session:
        if session.ledger:
            session.ledger.wait_for_server(patience, context.streams.wait)
            session.see_keys(keyring.states_by_id, context.inputs.any_policy().max_clock_skew)
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


@dataclass
class RunRecorder:
    """Records one run in a session that warns."""

    session: Session
    primary: str
    whole: bool = False
    """True if it is of every row of all targets of this key set."""
    _begun: bool = False
    _number: int | None = None
    """Of the run in the ledger, from its beginning to its end."""
    _goes_back: bool = False

    def history(self, keyring: Keyring, *, allow_demotion: bool = False) -> History:
        """The past of the keys, from the ledger; with *allow_demotion* the primary key counts as the newest."""
        others = [key.id for key in keyring.states if key is not keyring.primary]
        records = self.session.attempt(lambda ledger: ledger.keys())
        service, skew = self.session.service, self.session.ledger.skew if self.session.ledger else SKEW
        history = UNKNOWN if records is None else history_of(self.primary, others, records, service, skew=skew)
        if not (allow_demotion and history.newer):
            return history
        self._goes_back = True
        return replace(history, newer={})

    def begin(self) -> None:
        """Records that the run begins, once. Call it after all targets are checked: a typo is no failed run."""
        if self._begun:
            return
        self._begun = True
        service = self.session.service
        self._number = self.session.attempt(
            lambda ledger: ledger.begin_run("run", service, self.primary, whole=self.whole)
        )
        if self._goes_back and self._number is not None:
            # Otherwise the next run, without the option, would refuse what this one began.
            self.session.attempt(lambda ledger: ledger.mark_newest(self.primary, service))

    def keep(self, report: Report) -> None:
        """Records the censuses of the targets, and how the run ended."""
        self.session.keep_censuses(report, self.session.censuses(), by_run=self._number is not None)
        interrupted = any(target.interrupted for target in report.targets)
        counts = {name: sum(getattr(target.counts, name) for target in report.targets) for name in PARTS}
        self.end("interrupted" if interrupted else "complete" if report.complete else "left", counts)

    def uses(self, part: _Part) -> dict[str, KeyUse]:
        """The use of each key of *part* that another one took over from, as far as the ledger knows it."""
        states = part.keyring.states_by_id
        known = KeyUses.in_session(self.session, states)
        days = part.context.inputs.any_policy().suspend_days
        return {key_id: known.of_key(key_id, states, days) for key_id, state in states.items() if state.is_superseded}

    def end(self, outcome: Outcome, counts: dict[str, int] | None = None) -> None:
        """Records how the run ended, if it was begun and has no end yet."""
        number, self._number = self._number, None
        if number is not None:
            self.session.attempt(lambda ledger: ledger.end_run(number, outcome, counts))
