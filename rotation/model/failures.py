"""Errors that stop a command, and the exit code of each."""

from __future__ import annotations

from keyring_core.errors import KeyringError, printable
from rotation.model.next_steps import PLAIN, Invocation, Remedy, Steps

CONTINUE = "Finished batches are kept. Run the command again to continue."
"""The end of a message about a run that stopped half way."""


class PrintedError(KeyringError):
    """An error whose message a command prints."""

    def __init__(self, *lines: Remedy) -> None:
        """*lines* of the message: words, a command behind words, or the next steps. A name makes no line of its own."""
        super().__init__(*(printable(line) if isinstance(line, str) else line for line in lines))

    def text(self, invocation: Invocation) -> str:
        """The message, with commands as *invocation* would type them."""
        lines = (
            invocation.next_lines(line) if isinstance(line, Steps) else [invocation.line(line)] for line in self.args
        )
        return "\n".join(each for part in lines for each in part)

    def __str__(self) -> str:
        return self.text(PLAIN)


def told(error: KeyringError, invocation: Invocation) -> str:
    """The message of *error*, with commands as *invocation* would type them."""
    return error.text(invocation) if isinstance(error, PrintedError) else str(error)


class UsageError(PrintedError):
    """The command line, rotation.toml or a table does not fit; nothing was touched. Exit code 2."""


class MissingError(UsageError):
    """The database has no such table, or the table no such column."""


class KeylessError(UsageError):
    """A table has no primary key, and the target names no key columns."""

    def __init__(self, fault: str, remedy: str) -> None:
        """*remedy*: the statement that adds a key, or where to read how."""
        super().__init__(f"{fault}; to add a key: {remedy}")
        self.fault, self.remedy = fault, remedy


class WorkerError(UsageError):
    """A worker cannot do its work as the others do: it lacks keys, or would write somewhere else."""


class StoreError(PrintedError):
    """The database failed; finished batches stay, and running again goes on. Exit code 3."""


class StoppedError(PrintedError):
    """Somebody asked the run to stop; finished batches stay, and running again goes on. Exit code 3."""
