"""One range of one target in a worker, in another process or on another machine, with the worker's own keys."""

from __future__ import annotations

import logging
import os
import pickle
import socket
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from typing import NamedTuple

from keyring_core import KeyConfigError, KeyConfigWarning, Keyring
from keyring_core.redaction import configure_logging
from rotation.configuration.key_sets import KeyPlaces
from rotation.configuration.key_sources import KeyCell
from rotation.configuration.targets import companion_values, unsealed
from rotation.job.options import LocalOptions, RunOptions
from rotation.job.ranges import Bounds, OpenTarget, RangeDone, RangeWorker
from rotation.model.failures import StoppedError, UsageError, WorkerError
from rotation.model.target import Target
from rotation.planning.rules import Takeover
from rotation.stores.connection import SharedConnections
from rotation.stores.databases import identify
from rotation.stores.key_cells import read_cell
from rotation.stores.patience import Patience
from rotation.stores.store import Store
from rotation.world.inputs import Dotenv
from rotation.world.key_rings import KeyRings
from rotation.world.process import Stopping

stop_request = Stopping()
"""Set if this process is to end."""


class Order(NamedTuple):
    """The keys and options of every range of a run."""

    keys: tuple[tuple[str, str], ...]
    """Ids and states. The worker's own keys must have the same."""
    options: RunOptions


class Task(NamedTuple):
    """One range, as it is sent to a worker. It holds no key."""

    order: Order
    target: Target
    """If a variable holds its url, the worker reads that variable from its own environment."""
    normalize: bytes
    """Pickled: the function of the target's index, which the worker imports."""
    database: str
    """A digest of the database that the url leads to where the run was started."""
    number: str
    """The number of the table, or of its file, that the target's name leads to there."""
    bounds: Bounds


def make_order(keyring: Keyring, options: RunOptions) -> Order:
    """The order for any worker, wherever it runs."""
    return Order(_states(keyring), options.anywhere())


def make_task(order: Order, target: Target, number: str, bounds: Bounds) -> Task:
    """A range for any worker, of the table of that *number*."""
    index, function = target.index, pickled(target.index and target.index.normalize)
    sent = replace(target.sealed(), index=index and index._replace(normalize=None))
    return Task(order, sent, function, identify(target).digest, number, bounds)


def pickled(function: Callable[[str], str] | None) -> bytes:
    """*function* by its name, for a worker to import; empty if it has no name by which it can be found.

    An object that can be called would be sent with what it holds, such as the secret of a `partial`.
    """
    try:
        made = pickle.dumps(function)
        found = pickle.loads(made)  # noqa: S301 - made here
        # The method of a class is another object each time.
        is_named = found is function or getattr(found, "__self__", found) is getattr(function, "__self__", None)
        return made if is_named else b""
    except Exception:
        # A callable of the application can raise anything.
        return b""


def can_import(function: bytes) -> bool:
    """True if this process can import that pickled *function*."""
    try:
        _imported(function)
    except UsageError:
        return False
    return True


def _imported(function: bytes) -> Callable[[str], str] | None:
    """The pickled *function*; what its module prints goes to stderr. Raises UsageError."""
    try:
        with redirect_stdout(sys.stderr):
            found: Callable[[str], str] | None = pickle.loads(function)  # noqa: S301 - from where the run was started
        return found
    except (Exception, SystemExit) as error:
        fault = f"the function of the index cannot be imported ({type(error).__name__})"
    raise UsageError(fault)


def ask_to_stop() -> None:
    """Ends the range of this process after its batch, and each later one before its first."""
    stop_request.stopping = True


def join_log(level: int, log_format: str) -> None:
    """Sets up the log of this process as the run has it, also for Dask's records."""
    configure_logging(stream=sys.stderr, level=level, renderer=log_format, guard_stdio=True)
    for name, logger in logging.root.manager.loggerDict.items():
        if name.partition(".")[0] in {"distributed", "tornado"} and isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.propagate = True
    # The process that started the run gets the errors of tasks, and says what they mean.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)


def check_worker(order: Order) -> None:
    """Loads this worker's keys. Raises WorkerError if they differ from the run's."""
    _load(order)


_local = threading.local()


def do_range(task: Task) -> RangeDone:
    """Does the range with this process's own keys and connections. Raises WorkerError."""
    of = task._replace(bounds=Bounds())
    # Each thread keeps the worker of its last target open.
    if getattr(_local, "worker", None) is None or _local.of != of:
        # First closes the connections of the previous target.
        _local.worker = None
        _local.worker, _local.of = _open(of), of
    worker: RangeWorker = _local.worker
    done = worker.do(task.bounds)
    if isinstance(done.fault, StoppedError):
        # Only this worker is to end. The run goes on, and another worker does the rest.
        done.fault = None
    return done


def _open(of: Task) -> RangeWorker:
    options, fault = of.order.options, None
    keyring, environ = _load(of.order)
    try:
        target = unsealed(of.target, environ)
        if target.index:
            target = replace(target, index=target.index._replace(normalize=_imported(of.normalize)))
        local = LocalOptions(stop_request.wait, others=_others(options.keys, environ), environ=environ)
        bound, takeover = target.keyring(keyring), Takeover.of(target, environ)
        if identify(target).digest != of.database:
            fault = f"{target.written} leads to another database here than where the run was started"
        else:
            store = Store(
                target,
                read_only=options.dry_run,
                sleep=stop_request.wait,
                shard=options.part,
                companions=companion_values(dict(target.companions), keyring.primary),
                salts=keyring.salt_columns,
                patience=Patience(options.wait_for_server, is_known=True),
            )
            if store.number() != of.number:
                store.close()
                fault = f"{target.label} is another table here than where the run was started"
    except (UsageError, KeyConfigError) as error:
        fault = str(error)
    if fault:
        words = f"{_name()}: {fault}. Give every worker the same variables, then run again."
        raise WorkerError(*words.split("\n"))
    worker = RangeWorker(OpenTarget(target, store, bound, options, local, takeover))
    # Closes the connection when another target is opened, or when the thread or the process ends.
    weakref.finalize(worker, store.close)
    return worker


def _others(keys: KeyPlaces, environ: Mapping[str, str]) -> Sequence[tuple[str, Keyring]]:
    """The other key sets of this process's environment. Each thread reads them once, and not for every target."""
    if getattr(_local, "others", None) is None or _local.others[0] != keys:
        _local.others = keys, KeyRings(keys, environ, _read_cell).others()
    others: Sequence[tuple[str, Keyring]] = _local.others[1]
    return others


def _load(order: Order) -> tuple[Keyring, Mapping[str, str]]:
    """The keyring of this process's own environment, and that environment. Raises WorkerError."""
    fault = None
    try:
        with warnings.catch_warnings():
            # The process that started the run prints the same warnings.
            warnings.simplefilter("ignore", KeyConfigWarning)
            env_file = order.options.env_file
            environ = {**os.environ, **(Dotenv(env_file, "dotenv file").read() if env_file else {})}
            keyring = KeyRings(order.options.keys, environ, _read_cell).keyring()
    except (KeyConfigError, UsageError) as error:
        fault = str(error)
    if fault:
        raise WorkerError(*f"{_name()}: {fault}".split("\n"))
    if _states(keyring) != order.keys:
        raise WorkerError(
            f"{_name()} has other keys than the run was started with: {_shown(_states(keyring))} instead of "
            f"{_shown(order.keys)}. Give every worker the same keys, then run again."
        )
    return keyring, environ


def _read_cell(cell: KeyCell, keyring: Keyring) -> bytes | None:
    """Reads a key in a cell with a connection of its own, which is closed before a target is opened."""
    links = SharedConnections(stop_request.wait)
    try:
        return read_cell(cell, keyring, wait=stop_request.wait, links=links)
    finally:
        links.close()


def _states(keyring: Keyring) -> tuple[tuple[str, str], ...]:
    return tuple((key_id, str(state)) for key_id, state in keyring.states_by_id.items())


def _shown(states: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{key} {state}" for key, state in states)


def _name() -> str:
    return f"worker {os.getpid()} on {socket.gethostname()}"
