"""The streams of a command line: errors, warnings and refusals in colour on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from rotation.context import Streams
from rotation.model.next_steps import PROGRAM


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
