"""A store in memory, and services that write to it at the worst moment."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from cryptography.fernet import Fernet

from keyring_core import Keyring
from rotation.job.loop import rotate
from rotation.job.options import LocalOptions, RunOptions
from rotation.model.batch import Batch, BlockSwap, Swaps, Written
from rotation.model.counts import RowKey
from rotation.model.report import Report, TargetReport
from rotation.model.target import Target
from rotation.model.watcher import Advanced, AtWork, Began, Note, Progress, SoFar
from rotation.stores.change_tracker import Changed, Doubt, Unknown
from rotation.stores.connection import Line
from rotation.stores.dialect import Tempo
from rotation.stores.servers import Fact
from tests.keys import key_text

ISSUED_AT = 1_600_000_000
TARGET = Target("sqlite:///app.db", "creds", "token", "creds")


def token(label: str, text: str = "secret", issued_at: int = ISSUED_AT) -> str:
    """A token under the key of that label."""
    return Fernet(key_text(label)).encrypt_at_time(text.encode(), issued_at).decode()


def batch_of(rows: Sequence[tuple[RowKey, Any]]) -> Batch:
    """A batch of these keys and cells."""
    return Batch([key for key, _ in rows], [cell for _, cell in rows])


class Unwatched:
    """Nothing shows what others write."""

    name: str | None = None
    facts: frozenset[Fact] = frozenset()

    def wrote(self, transactions: Iterable[int]) -> None:
        """Takes no notice."""

    def allow(self, writes: int) -> None:
        """Takes no notice."""

    def reached(self, facts: Iterable[Fact]) -> None:
        """Takes no notice."""

    def changed(self, *, wrote: bool = True) -> Changed | Unknown:
        return Unknown("nothing shows it", Doubt.SPAN)


class Seconds:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class MemoryStore:
    """Cells by row; *between* is called after each read, as a service that writes before we do."""

    def __init__(self, cells: dict[Any, Any], between: Callable[[MemoryStore], None] = lambda _: None) -> None:
        self.retries = 0
        self.line = Line()
        self.tempo = Tempo()
        self.cells = cells
        self.refuses: dict[RowKey, tuple[str, str]] = {}
        self.keyless_rows = 0
        self.cautions: list[str] = []
        self.names: tuple[str, ...] = ("id",)
        self.reads = self.writes = 0
        self._between = between

    def key_names(self) -> tuple[str, ...]:
        return self.names

    def warnings(self) -> list[str]:
        return self.cautions

    def replica(self) -> None:
        """It repeats nobody."""

    def identity(self) -> str:
        return ""

    def number(self) -> str:
        return ""

    def size(self) -> int:
        return len(self.cells)

    def keyless(self) -> int:
        return self.keyless_rows

    def key_after(self, after: RowKey | None, rows: int) -> RowKey | None:
        keys = [(row,) for row in sorted(self.cells) if after is None or (row,) > after]
        return keys[rows - 1] if len(keys) >= rows else None

    def read(self, after: RowKey | None, upto: RowKey | None, limit: int) -> Batch:
        self.reads += 1
        found = [
            ((row,), cell)
            for row, cell in sorted(self.cells.items())
            if (after is None or (row,) > after) and (upto is None or (row,) <= upto)
        ][:limit]
        self._between(self)
        return batch_of(found)

    def write(self, swaps: Swaps, blocks: Sequence[BlockSwap] = (), most_rows: int = 0) -> Written:
        assert most_rows
        assert not blocks
        self.writes += 1
        written = Written()
        for key, old, new in swaps.rows():
            if key in self.refuses:
                written.refused[key] = self.refuses[key]
            elif self.cells.get(key[0]) != old:
                written.lost.add(key)
            else:
                self.cells[key[0]] = new
        return written

    def blind_indexes(self, *, of_all_rows: bool) -> list[str]:
        del of_all_rows
        return []

    def hides_rows(self) -> bool:
        return False

    def refuses_updates(self) -> None:
        return None

    def lacks_room(self, longest: Callable[[int], int]) -> None:
        return None

    def settle(self) -> None:
        pass

    def servers(self) -> set[Fact]:
        return set()

    def watch(self, *, reads_only: bool = False) -> Unwatched:
        return Unwatched()

    def pages(self, watch: object) -> None:
        return None

    def twin(self, links: object) -> MemoryStore:
        return self

    def close(self) -> None:
        """Holds nothing."""


class Sending(ThreadPoolExecutor):
    """Threads in place of processes: what they get and what they return is pickled, and they read their own keys."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        def work(sent: bytes) -> Any:
            act, arguments, options = pickle.loads(sent)
            return pickle.loads(pickle.dumps(act(*arguments, **options)))

        return super().submit(work, pickle.dumps((fn, args, kwargs)))


class Notes(dict[str, str]):
    """A session with a ledger that keeps checkpoints, in memory."""

    def attempt(self, act: Callable[[Any], Any]) -> Any:
        return act(self)

    def reached(self, plan: str) -> str | None:
        return self.get(plan)

    def reach(self, plan: str, upto: str) -> None:
        self[plan] = upto

    def forget(self, plan: str) -> None:
        self.pop(plan, None)


class Silence:
    """A watcher that says nothing."""

    def __call__(self, progress: Progress) -> None:
        """Each kind of progress has its method."""
        match progress:
            case Began():
                self.begin(*progress)
            case Advanced():
                self.advance(*progress)
            case AtWork():
                self.at_work(*progress)
            case Note():
                self.announce(*progress)

    def begin(self, report: TargetReport, rows: int, pass_number: int, done: int = 0) -> None:
        """Nothing."""

    def advance(self, rows: int, outdated: int, pace: str = "") -> None:
        """Nothing."""

    def at_work(self, words: str, rows: int = 0, so_far: SoFar | None = None) -> None:
        """Nothing."""

    def announce(self, words: str) -> None:
        """Nothing."""


def run(
    store: MemoryStore, keyring: Keyring, options: RunOptions | None = None, local: LocalOptions | None = None
) -> Report:
    """The job on one store."""
    return rotate([TARGET], keyring, lambda _: store, options or RunOptions(), Silence(), local=local)
