"""How many workers a run uses, and where they run."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from rotation.model.failures import UsageError, WorkerError
from rotation.model.text import install

MOST_LANES = 2
"""Cores up to which threads of one process do as much as processes: one computes, and the database beside it."""
WORTH_ROWS = 100_000
"""About as many rows as one process rotates in the half second that other processes take to start."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Workers:
    """An executor and how many workers it has; without one, this process does all the work."""

    executor: Executor | None = None
    count: int = 1
    least_rows: int = 0
    """A target with fewer rows is done in this process."""
    lanes: int = 1
    """Threads of this process that share the work, if there is no executor."""


ALONE = Workers()


@contextmanager
def open_workers(
    count: int | None, dask: str | None, *, full_speed: bool, log_format: str = "auto"
) -> Iterator[Workers]:
    """*count* processes, or the workers of the *dask* scheduler. Without both: one, or one per core at full speed.

    By default, a target with few rows is done in this process. Raises UsageError, and WorkerError if the scheduler
    cannot be reached.
    """
    if dask and count:
        raise UsageError("--dask and --workers exclude each other")
    if dask:
        with _dask(dask) as workers:
            yield workers
        return
    # Without full speed a run pauses so that services can work; a second worker would use those pauses.
    processes = count or (_cores() if full_speed else 1)
    if processes <= MOST_LANES:
        # While each core has a thread or the server at work, one more thread waits for the database.
        yield Workers(lanes=count or (processes + 1 if full_speed else 1))
        return
    from rotation.job.process_pool import ProcessWorkers  # noqa: PLC0415 - a run in one process needs none of it

    with ProcessWorkers(processes, log_level=logging.getLogger().level, log_format=log_format) as executor:
        yield Workers(executor, processes, 0 if count else WORTH_ROWS)


@contextmanager
def _dask(address: str) -> Iterator[Workers]:
    fault = None
    try:
        # It has no types.
        distributed: Any = importlib.import_module("distributed")
    except ImportError:
        fault = f"--dask needs another package; {install('dask')}"
    # Without certificates the constructor of a client fails half-way, and Python then hangs at exit.
    if not fault and address.startswith("tls://") and not _has_certificates(distributed):
        fault = (
            f"--dask {address}: Dask has no certificates that it can read. "
            "Set distributed.comm.tls in the configuration of Dask."
        )
    if fault:
        raise UsageError(fault)
    try:
        client = distributed.Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        fault = f"--dask {address}: the scheduler cannot be reached ({type(error).__name__})"
    if fault:
        raise WorkerError(fault)
    with client:
        # With `pure`, a range that is done again would return its old result.
        executor = client.get_executor(pure=False, retries=3)
        threads = sum(client.nthreads().values())
        if not threads:
            # The cluster may add workers on demand. Until then the log must say why the run stands still.
            log.warning("rotation.waiting_for_workers", dask=address)
        yield Workers(executor, threads or 1)


def _has_certificates(distributed: Any) -> bool:
    try:
        return distributed.Security().get_connection_args("client")["ssl_context"] is not None
    except (OSError, ValueError):
        return False


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
