"""What a leak case is. A case is a function that lets a secret out; its docstring says how."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from tests.keyring_core.redaction.leaks.canaries import Canaries


@dataclass(repr=False)
class World:
    """What a case can reach: its secrets, a folder for its files, and the loggers of a service."""

    secrets: Canaries
    folder: Path
    redacting: bool

    log: Any = field(default_factory=lambda: structlog.get_logger("svc"))
    std: logging.Logger = field(default_factory=lambda: logging.getLogger("svc.std"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.secrets, name)

    def structlog_chain(self, *processors: Any, factory: Any = None) -> Any:
        """A logger of an existing structlog configuration, with `redact_processor` before and after its renderer."""
        chain = list(processors)
        if self.redacting:
            from keyring_core.redaction import redact_processor

            chain = [*processors[:-1], redact_processor, processors[-1], redact_processor]
        structlog.configure(processors=chain, logger_factory=factory or structlog.PrintLoggerFactory(sys.stdout))
        return structlog.get_logger()

    def formatter(self, *args: Any, **kwargs: Any) -> logging.Formatter:
        """A stdlib formatter, as a `dictConfig` would name it."""
        if self.redacting:
            from keyring_core.redaction import RedactingFormatter

            return RedactingFormatter(*args, **kwargs)
        return logging.Formatter(*args, **kwargs)


@dataclass(frozen=True)
class Case:
    """A way to leak. *setup* is how redaction is switched on for it; see `run_case`. If not *alone*, it only logs."""

    name: str
    run: Callable[[World], Any]
    setup: str
    alone: bool


CASES: dict[str, Case] = {}


def leak(
    setup: str = "json", *, name: str = "", alone: bool = True
) -> Callable[[Callable[[World], Any]], Callable[[World], Any]]:
    """Registers a function as a case. What is not *alone* shares its process with others of its file."""

    def register(run: Callable[[World], Any]) -> Callable[[World], Any]:
        module = run.__module__.rpartition(".")[2]
        full = f"{module}.{name or run.__name__}"
        assert full not in CASES, full
        CASES[full] = Case(full, run, setup, alone)
        return run

    return register
