"""How many workers a run takes, and from where."""

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

WORTH_ROWS = 100_000
"""Processes take half a second to start; in that time one alone does so many rows."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Staffing:
    """An executor, or none: one process does best alone."""

    executor: Executor | None = None
    workers: int = 1
    least_rows: int = 0
    """A target with fewer rows is done without them."""


@contextmanager
def staff(workers: int | None, dask: str | None, *, full_speed: bool) -> Iterator[Staffing]:
    """What was asked for; else one worker, and at full speed one a core, where the table is worth it.

    Raises UsageError, and WorkerError where a cluster cannot be reached.
    """
    if dask and workers:
        raise UsageError("--dask and --workers exclude each other")
    if dask:
        with _dask(dask) as staffing:
            yield staffing
        return
    count = workers or (_cores() if full_speed else 1)
    if count == 1:
        # The pauses that a run makes for services' sake are no pauses if somebody else works in them.
        yield Staffing()
        return
    from rotation.job.process_pool import ProcessWorkers  # noqa: PLC0415 - most runs need none

    with ProcessWorkers(count, log_level=logging.getLogger().level) as executor:
        yield Staffing(executor, count, 0 if workers else WORTH_ROWS)


@contextmanager
def _dask(address: str) -> Iterator[Staffing]:
    fault = None
    try:
        # It has no types.
        distributed: Any = importlib.import_module("distributed")
    except ImportError:
        fault = f"--dask needs another package; {install('dask')}"
    # Without certificates a client is half made, and waits for itself when Python ends.
    if not fault and address.startswith("tls://") and not _has_certificates(distributed):
        fault = (
            f"--dask {address}: Dask has no certificates that it can read; look at distributed.comm.tls in its settings"
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
            # It may be one that grows with its work. A run that stands still must say why.
            log.warning("rotation.waiting_for_workers", dask=address)
        yield Staffing(executor, threads or 1)


def _has_certificates(distributed: Any) -> bool:
    try:
        return distributed.Security().get_connection_args("client")["ssl_context"] is not None
    except (OSError, ValueError):
        return False


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
