"""What a command meets outside: the environment, the streams, and a request to stop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from rotation.model.stopping import Stopping

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


@dataclass
class World(Stopping):
    """What a command meets outside: the environment, the streams, and whether somebody asked it to stop."""

    environ: Mapping[str, str]
    stdout: TextIO
    stderr: TextIO
    key_stream: TextIO
    """Where `keys generate` prints: stdout, without the net that masks keys."""

    def console(self, stream: TextIO) -> Console:
        """A rich console on *stream*: colours on a terminal, plain text elsewhere."""
        from rotation.output.terminal import PatientConsole  # noqa: PLC0415 - --help needs none of it

        width = None if stream.isatty() else 160
        return PatientConsole(
            file=stream, width=width, markup=False, highlight=False, emoji=False, _environ=self.environ
        )

    def say(self, part: RenderableType) -> None:
        """Prints on stdout."""
        from rich.text import Text  # noqa: PLC0415

        self.console(self.stdout).print(part, soft_wrap=isinstance(part, str | Text))

    def print_json(self, document: Mapping[str, Any]) -> None:
        """Prints the one JSON document on stdout."""
        # A reader that has gone does not change what the command came to.
        with suppress(BrokenPipeError):
            print(json.dumps(document, ensure_ascii=True), file=self.stdout)

    def tell(self, text: str) -> None:
        """Prints on stderr; where that cannot be written, the exit code has to say it."""
        with suppress(OSError):
            print(text, file=self.stderr, flush=True)
