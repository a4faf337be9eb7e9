"""What stops a command, and with which exit code."""

from __future__ import annotations

from keyring_core.errors import KeyringError

CONTINUE = "Finished batches are kept. Run the command again to continue."
"""The end of a message about a run that stopped half way."""


class UsageError(KeyringError):
    """The command line, rotation.toml or a table does not fit; nothing was touched. Exit code 2."""


class MissingError(UsageError):
    """The database has no such table, or the table no such column."""


class WorkerError(UsageError):
    """A worker cannot do its work as the others do: it lacks keys, or would write somewhere else."""


class StoreError(KeyringError):
    """The database failed; finished batches stay, and running again goes on. Exit code 3."""


class StoppedError(KeyringError):
    """Somebody asked the run to stop; finished batches stay, and running again goes on. Exit code 3."""
