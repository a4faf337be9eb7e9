"""The streams of a command or program, and the request to stop it."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TextIO

from keyring_core.errors import printable_lines
from rotation.model.failures import Stopping


@dataclass
class Streams(Stopping):
    """The output streams, and whether a stop was requested."""

    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)
    key_stream: TextIO = field(default_factory=lambda: sys.stdout)
    """The stream for a key that the user asked to see: stdout, without the redactor."""
    log_format: str | None = None
    """The form of log lines, as configure_logging calls it; None: the program around this has the log."""

    def warn(self, text: str) -> None:
        """Prints *text*, of one line or several, on stderr, and ignores a stderr that cannot be written."""
        with suppress(OSError):
            print(printable_lines(text), file=self.stderr, flush=True)
