"""The options of a run: one type that may travel to a worker, all of it, and one that stays in its process."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

from keyring_core import Keyring
from rotation.configuration.key_sets import ENVIRONMENT, KeyPlaces
from rotation.job.checkpoints import Checkpoints
from rotation.job.pace import Speed
from rotation.job.problems_file import ProblemsFile
from rotation.model.failures import UsageError
from rotation.model.key_history import UNKNOWN, History
from rotation.model.target import Target
from rotation.stores.columns import Shard


@dataclass(frozen=True)
class RunSettings:
    """The settings of a run; each is an option of the command line."""

    dry_run: bool = False
    """Read only, and report what a run would do."""
    batch_size: int | None = None
    """Rows in a transaction, at most; None: as many as the pace allows."""
    full_speed: bool = False
    """No pauses, large batches, even while others write: for when no service has to wait."""
    gentle: bool = False
    """Small batches and pauses, even while nobody else writes."""
    workers: int | None = None
    """Processes that share the work; from two on, Dask's."""
    dask: str | None = None
    """Address of a Dask scheduler whose workers do the work."""
    fresh: bool = False
    """Begin at the first row, whatever the ledger knows of a stopped run."""
    shard: str | None = None
    """`I/N`: only the I-th of N parts, from 0."""
    max_rate: float | None = None
    """Rows a second, at most."""
    pause_file: Path | None = None
    """The run waits while this file is there."""
    wait_for_server: timedelta = timedelta(minutes=5)
    """How long a server is waited for that answered and then went away; 0: not at all."""
    problems: Path | None = None
    """File for all problems, as JSON lines."""
    allow_demotion: bool = False
    """Move tokens also to a primary key that was promoted earlier than theirs."""

    @property
    def speed(self) -> Speed:
        """The pace: a dry run keeps nobody waiting. Raises UsageError for two of them."""
        if self.full_speed and self.gentle:
            raise UsageError("--full-speed and --gentle exclude each other")
        if self.full_speed or self.dry_run:
            return Speed.FULL
        return Speed.GENTLE if self.gentle else Speed.ADAPTIVE

    @property
    def part(self) -> Shard | None:
        """The rows that this run does, of several that share a table. Raises UsageError."""
        return Shard.parse(self.shard) if self.shard else None


@dataclass(frozen=True)
class RunOptions(RunSettings):
    """The settings of a run, and what its context adds. All of it may be sent to a worker: it holds no secret."""

    sample: int | None = None
    """Rows of a target that a dry run reads, about; None: all."""
    env_file: Path | None = None
    """Variables that workers read beside their environment."""
    history: History = UNKNOWN
    """The past of the keys, from the ledger."""
    keys: KeyPlaces = ENVIRONMENT
    """The names of the keys, so that a worker reads the same ones from its own environment."""

    def shared(self, count: int) -> RunOptions:
        """These options for each of *count* workers or threads, which share the rate."""
        return replace(self, max_rate=self.max_rate and self.max_rate / count)

    def anywhere(self) -> RunOptions:
        """The same for a process with another current folder."""
        env_file, pause_file = (path and path.absolute() for path in (self.env_file, self.pause_file))
        return replace(self, env_file=env_file, pause_file=pause_file)


@dataclass(frozen=True)
class LocalOptions:
    """Options that stay in this process: secrets, files, the ledger. They cannot be pickled; a worker has its own."""

    wait: Callable[[float], None] = time.sleep
    """Sleeps for some seconds; raises StoppedError as soon as a stop is requested."""
    problems: ProblemsFile | None = None
    """The file that lists every problem; a report keeps the first ones."""
    checkpoints: Callable[[Target, str], Checkpoints] | None = None
    """Knows how far a target's first pass has come, under the primary key of that id."""
    others: Sequence[tuple[str, Keyring]] = ()
    """Further key sets, by their names, whose tokens are known as theirs."""
    indexes: Collection[tuple[str, str, str]] = ()
    """Url, table and name of blind indexes that further targets name, such as those of other key sets."""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The secrets of other packages."""

    def __reduce__(self) -> NoReturn:
        raise TypeError("the options of a process stay in it")
