"""One range of one target in a worker, in another process or on another machine, with the worker's own keys."""

from __future__ import annotations

import os
import socket
import threading
import time
import warnings
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from keyring_core import KeyConfigError, KeyConfigWarning, Keyring
from rotation.configuration.env_file import environment
from rotation.configuration.key_sets import Keys
from rotation.configuration.targets import companion_values, unsealed
from rotation.job.ranges import Bounds, Options, RangeDone, RangeWorker
from rotation.model.failures import StoppedError, Stopping, UsageError, WorkerError
from rotation.model.target import Target
from rotation.planning.takeover import NOTHING
from rotation.stores.databases import identify
from rotation.stores.store import Store

stop_request = Stopping()
"""Whether this process is to end."""


@dataclass(frozen=True)
class Setup:
    """What every range of a run needs. It is sent to workers, so it holds no key."""

    keys: tuple[tuple[str, str], ...]
    """Ids and states. The worker's own keys must have the same."""
    options: Options
    """Only what can be pickled. Waits sleep; a worker replaces them by waits that it can end."""


@dataclass(frozen=True)
class Task:
    """One range."""

    setup: Setup
    target: Target
    """If a variable holds its url, the worker reads that variable from its own environment."""
    database: str
    """A digest of the database that the url leads to where the run was started."""
    number: str
    """The number of the table, or of its file, that the target's name leads to there."""
    bounds: Bounds


def make_setup(keyring: Keyring, options: Options, workers: int) -> Setup:
    """The setup for *workers*, which share the rate of *options*."""
    throttle = options.throttle
    return Setup(
        _states(keyring),
        replace(
            options,
            env_file=options.env_file and options.env_file.absolute(),
            throttle=replace(
                throttle,
                wait=time.sleep,
                max_rate=throttle.max_rate and throttle.max_rate / workers,
                pause_file=throttle.pause_file and throttle.pause_file.absolute(),
            ),
            problems=None,
            checkpoints=None,
            others=(),
            environ={},
            takeover=NOTHING,
            index=None,
        ),
    )


def make_task(setup: Setup, target: Target, number: str, bounds: Bounds) -> Task:
    """A range for any worker, of the table of that *number*."""
    return Task(setup, target.sealed(), identify(target).digest, number, bounds)


def check_worker(setup: Setup) -> None:
    """Loads this worker's keys. Raises WorkerError if they are not those of the run."""
    _load(setup)


def do_range(task: Task) -> RangeDone:
    """Does the range with this process's own keys and connections. Raises WorkerError."""
    done = _open_target(task).worker.do(task.bounds)
    if isinstance(done.fault, StoppedError):
        # Only this worker is to end. The run goes on, and another worker does the rest.
        done.fault = None
    return done


@dataclass
class _OpenTarget:
    """A worker's target with its connection."""

    of: tuple[Setup, Target, str, str]
    worker: RangeWorker


_local = threading.local()


def _open_target(task: Task) -> _OpenTarget:
    """The target of *task*, opened. Each thread keeps the last one open."""
    of = task.setup, task.target, task.database, task.number
    if getattr(_local, "opened", None) is None or _local.opened.of != of:
        # First closes the connections of the previous target.
        _local.opened = None
        _local.opened = _open(task)
    opened: _OpenTarget = _local.opened
    return opened


def _open(task: Task) -> _OpenTarget:
    options = task.setup.options
    keyring, environ = _load(task.setup)
    fault = None
    try:
        target = unsealed(task.target, environ)
        if identify(target).digest != task.database:
            fault = f"{target.written} leads to another database here than where the run was started"
        else:
            store = Store(
                target,
                read_only=options.dry_run,
                sleep=stop_request.wait,
                shard=options.shard,
                companions=companion_values(dict(target.companions), keyring.primary),
            )
    except UsageError as error:
        fault = str(error)
    if fault:
        raise WorkerError(f"{_name()}: {fault}. Give every worker the same variables, then run again.")
    throttle = replace(options.throttle, wait=stop_request.wait)
    if store.number() != task.number:
        fault = f"{target.label} is another table here than where the run was started"
    try:
        options = replace(options.of(target, environ), throttle=throttle, others=_others(options.keys, environ))
    except KeyConfigError as error:
        fault = str(error)
    if fault:
        store.close()
        words = f"{_name()}: {fault}. Give every worker the same variables, then run again."
        raise WorkerError(*words.split("\n"))
    worker = RangeWorker(store, target.keyring(keyring), options)
    opened = _OpenTarget((task.setup, task.target, task.database, task.number), worker)
    # Closes the connection when another target is opened, or when the thread or the process ends.
    weakref.finalize(opened, store.close)
    return opened


def _others(keys: Keys, environ: Mapping[str, str]) -> Sequence[tuple[str, Keyring]]:
    """The other key sets of this process's environment. Each thread reads them once, and not for every target."""
    if getattr(_local, "others", None) is None or _local.others[0] != keys:
        _local.others = keys, keys.others(environ, {})
    others: Sequence[tuple[str, Keyring]] = _local.others[1]
    return others


def _load(setup: Setup) -> tuple[Keyring, Mapping[str, str]]:
    """The keyring of this process's own environment, and that environment. Raises WorkerError."""
    fault = None
    try:
        with warnings.catch_warnings():
            # The process that started the run prints the same warnings.
            warnings.simplefilter("ignore", KeyConfigWarning)
            environ = environment(os.environ, setup.options.env_file, "dotenv file")
            keyring = setup.options.keys.keyring(environ)
    except (KeyConfigError, UsageError) as error:
        fault = str(error)
    if fault:
        raise WorkerError(*f"{_name()}: {fault}".split("\n"))
    if _states(keyring) != setup.keys:
        raise WorkerError(
            f"{_name()} has other keys than the run was started with: {_shown(_states(keyring))} instead of "
            f"{_shown(setup.keys)}. Give every worker the same keys, then run again."
        )
    return keyring, environ


def _states(keyring: Keyring) -> tuple[tuple[str, str], ...]:
    return tuple((key_id, str(state)) for key_id, state in keyring.states_by_id.items())


def _shown(states: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{key} {state}" for key, state in states)


def _name() -> str:
    return f"worker {os.getpid()} on {socket.gethostname()}"
