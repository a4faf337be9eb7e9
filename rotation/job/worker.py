"""What a worker does, in a process of its own or on another machine: one range of one target, with its own keys."""

from __future__ import annotations

import os
import socket
import threading
import warnings
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from keyring_core import KeyConfigError, KeyConfigWarning, Keyring
from keyring_core.config import load_keyring
from rotation.job.ranges import Bounds, Options, RangeDone, RangeWorker
from rotation.job.throttle import Brake
from rotation.model.env_file import environment
from rotation.model.failures import StoppedError, UsageError, WorkerError
from rotation.model.key_history import UNKNOWN, History
from rotation.model.stopping import Stopping
from rotation.model.targets import Target
from rotation.stores.open import identify, open_store
from rotation.stores.shards import Shard


@dataclass(frozen=True)
class Setup:
    """How a worker is to work. It travels, and so it holds no key."""

    keys: tuple[tuple[str, str], ...]
    """Ids and states, which the worker's own must equal."""
    env_file: Path | None
    dry_run: bool
    batch_rows: int
    max_rate: float | None
    pause_file: Path | None
    idle_share: float
    shard: Shard | None
    history: History = UNKNOWN


@dataclass(frozen=True)
class Task:
    """One range."""

    setup: Setup
    target: Target
    """Where its url is a variable's, that is read here, in the worker."""
    database: str
    """A digest of where the coordinator's url leads."""
    bounds: Bounds


def make_setup(keyring: Keyring, options: Options, workers: int) -> Setup:
    """What *workers* need, so that together they do what one would do by *options*."""
    brake = options.brake
    return Setup(
        _states(keyring),
        options.env_file and options.env_file.absolute(),
        options.dry_run,
        options.batch_rows,
        brake.max_rate and brake.max_rate / workers,
        brake.pause_file and brake.pause_file.absolute(),
        brake.idle_share,
        options.shard,
        options.history,
    )


def make_task(setup: Setup, target: Target, bounds: Bounds) -> Task:
    """A range for whichever worker takes it."""
    return Task(setup, target.sealed(), identify(target).digest, bounds)


def report_for_duty(setup: Setup) -> None:
    """Loads the keys. Raises WorkerError where they are not the coordinator's."""
    _load(setup)


def do_range(task: Task) -> RangeDone:
    """The range, with this process's own keys and connections. Raises WorkerError."""
    done = _worker(task).do(task.bounds)
    if isinstance(done.fault, StoppedError):
        # This worker is to end, which is no reason for the run to stop: another one does the rest.
        done.fault = None
    return done


process = Stopping()
"""Whether this process is to end."""


@dataclass
class _Hand:
    """A target, opened."""

    of: tuple[Setup, Target, str]
    worker: RangeWorker


_own = threading.local()


def _worker(task: Task) -> RangeWorker:
    """For this thread and the task's target; opened once, as long as no other target comes between."""
    of = task.setup, task.target, task.database
    hand: _Hand | None = getattr(_own, "hand", None)
    if hand is None or hand.of != of:
        # The old one's connections go first.
        hand = _own.hand = None
        hand = _own.hand = _open(task)
    return hand.worker


def _open(task: Task) -> _Hand:
    setup = task.setup
    keyring, environ = _load(setup)
    fault = None
    try:
        target = task.target.unsealed(environ)
        if identify(target).digest != task.database:
            fault = f"{target.written} leads to another database here than where the run was started"
        else:
            store = open_store(target, read_only=setup.dry_run, wait=process.wait, shard=setup.shard)
    except UsageError as error:
        fault = str(error)
    if fault:
        raise WorkerError(f"{_name()}: {fault}. Give every worker the same, then run again.")
    brake = Brake(process.wait, setup.max_rate, setup.pause_file, setup.idle_share)
    options = Options(setup.dry_run, setup.batch_rows, brake, history=setup.history)
    hand = _Hand((setup, task.target, task.database), RangeWorker(store, target.keyring(keyring), options))
    # Another target takes its place, or its thread or process ends: any executor's workers hang up.
    weakref.finalize(hand, store.close)
    return hand


def _load(setup: Setup) -> tuple[Keyring, Mapping[str, str]]:
    """The keyring of this process's own environment, and that environment."""
    fault = None
    try:
        with warnings.catch_warnings():
            # Whoever started the run has been told.
            warnings.simplefilter("ignore", KeyConfigWarning)
            environ = environment(os.environ, setup.env_file)
            keyring = load_keyring(environ)
    except (KeyConfigError, UsageError) as error:
        fault = str(error)
    if fault:
        raise WorkerError(f"{_name()}: {fault}")
    if _states(keyring) != setup.keys:
        raise WorkerError(
            f"{_name()} has other keys than the run was started with: {_shown(_states(keyring))} in place of "
            f"{_shown(setup.keys)}. Give every worker the same keys, then run again."
        )
    return keyring, environ


def _states(keyring: Keyring) -> tuple[tuple[str, str], ...]:
    return tuple((key_id, str(state)) for key_id, state in keyring.states_by_id.items())


def _shown(states: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{key} {state}" for key, state in states)


def _name() -> str:
    return f"worker {os.getpid()} on {socket.gethostname()}"
