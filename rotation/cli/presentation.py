"""The streams of a command line, in colour on a terminal, and --quiet, --verbose and --log-format."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import click

from keyring_core.redaction import configure_logging
from rotation.context import Streams
from rotation.model.failures import UsageError
from rotation.model.next_steps import PROGRAM

PROGRESS = "rotation.output.progress"
"""The logger of the lines that come every few seconds."""
RETRIES = "rotation.stores.access"
"""The logger of what is tried again after a transient error."""
FORMATS = {"text": "console", "json": "json"}
"""The values of --log-format, and what configure_logging calls each."""


@dataclass
class TerminalStreams(Streams):
    """Streams that colour what they warn of, unless the environment says otherwise."""

    environ: Mapping[str, str] = field(default_factory=dict)
    program: str = PROGRAM
    """The name of the program in commands, which are not wrapped."""

    def warn(self, text: str) -> None:
        """Prints on stderr, and ignores a stderr that cannot be written."""
        if not (self.stderr.isatty() or self.environ.get("FORCE_COLOR")):
            super().warn(text)
            return
        from rotation.output.terminal import warn

        with suppress(OSError):
            warn(text, self.stderr, self.environ, self.program)
            self.stderr.flush()


def presentation_parameters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the three options, and passes their values by name."""
    for option in (
        click.option(
            "--log-format",
            type=click.Choice([*FORMATS]),
            help="Form of log lines, which go to stderr.  [default: text]",
        ),
        click.option(
            "-v",
            "--verbose",
            count=True,
            help="Log every step on stderr; -vv: debugging, too. Otherwise only warnings are logged and, if stderr is "
            "no terminal, the progress every few seconds.",
        ),
        click.option(
            "-q", "--quiet", is_flag=True, help="Only the report, warnings and errors: no progress, no next steps."
        ),
    ):
        command = option(command)
    return command


def presentation_options(command: Callable[..., int]) -> Callable[..., int]:
    """Adds the three options, sets up the log as they say, and passes on `quiet` and what else there is."""

    @presentation_parameters
    @wraps(command)
    def wrapped(*args: Any, quiet: bool, verbose: int, log_format: str | None, **options: Any) -> int:
        set_up(click.get_current_context().obj.streams, quiet=quiet, verbose=verbose, log_format=log_format)
        return command(*args, quiet=quiet, **options)

    return wrapped


def set_up(streams: Streams, *, quiet: bool, verbose: int, log_format: str | None) -> None:
    """Sets up the log as the options say, unless a program around the command line has its own. Raises UsageError."""
    if quiet and verbose:
        raise UsageError("--quiet and --verbose exclude each other; keep one of them")
    if streams.log_format and (quiet or verbose or log_format):
        streams.log_format = FORMATS[log_format or "text"]
        level = {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
        start_log(level, streams.log_format, progress=not quiet)


def start_log(level: int = logging.WARNING, log_format: str = FORMATS["text"], *, progress: bool = True) -> None:
    """Sends log lines to stderr, and redacts stdout and stderr."""
    configure_logging(stream=sys.stderr, level=level, renderer=log_format, guard_stdio=True)
    logging.getLogger(PROGRESS).setLevel(min(level, logging.INFO) if progress else level)
    # What fails in the end is an error of its own.
    logging.getLogger(RETRIES).setLevel(level if progress else logging.ERROR)
