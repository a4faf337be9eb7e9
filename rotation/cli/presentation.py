"""The streams of a command line, in colour on a terminal, and its log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from keyring_core.redaction import configure_logging
from rotation.model.next_steps import PROGRAM
from rotation.world.process import Streams

PROGRESS = "rotation.output.progress"
"""The logger of the lines that come every few seconds."""
RETRIES = "rotation.stores.access", "rotation.stores.patience"
"""The loggers of what is tried again after a transient error."""
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


def start_log(level: int = logging.WARNING, log_format: str = FORMATS["text"], *, progress: bool = True) -> None:
    """Sends log lines to stderr, and redacts stdout and stderr."""
    configure_logging(stream=sys.stderr, level=level, renderer=log_format, guard_stdio=True)
    logging.getLogger(PROGRESS).setLevel(min(level, logging.INFO) if progress else level)
    # What fails in the end is an error of its own.
    for name in RETRIES:
        logging.getLogger(name).setLevel(level if progress else logging.ERROR)
