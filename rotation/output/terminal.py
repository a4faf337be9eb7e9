"""A console whose reader may leave: rich would end the process, with an exit code that means something else here."""

from __future__ import annotations

from rich.console import Console


class PatientConsole(Console):
    """Goes on where nobody reads any more, so that the exit code is the command's own."""

    def on_broken_pipe(self) -> None:
        """Says nothing from then on."""
        self.quiet = True
