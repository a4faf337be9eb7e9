"""Small targets side by side: a thread does one from its first question to its last, while other threads do others.

A small target has few ranges to share, and much of its time are questions before and after them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import closing
from dataclasses import replace
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

from rotation.job.checkpoints import Checkpoints
from rotation.job.ranges import OpenTarget
from rotation.model.failures import StoppedError
from rotation.model.report import TargetReport
from rotation.model.target import Target
from rotation.model.watcher import Progress, Watcher
from rotation.stores.store import Store
from rotation.stores.threads import Threads
from rotation.world.process import CHECK_SECONDS, STOPPED

T = TypeVar("T")


class Turn(NamedTuple):
    """A target to do, and its report."""

    opened: OpenTarget
    part: TargetReport
    rows: int = -1
    """Its size; -1 if nobody has asked yet."""


Rotate = Callable[[Turn, Watcher], object]
"""Does one target. Raises nothing that is the database's fault."""


def rotate_side_by_side(tables: Sequence[Sequence[Turn]], threads: Threads, watcher: Watcher, rotate: Rotate) -> None:
    """Does the targets of each of *tables* in their order, several tables at a time.

    The ledger and *watcher* are used in the calling thread only; *watcher* sees one target after the other.
    """
    with closing(MainThread()) as main:

        def do_table(table: Sequence[Turn]) -> None:
            for turn in table:
                heard: list[Progress] = []
                with threads.links() as links:
                    store = turn.opened.store.twin(links)
                    turn.part.retries += turn.opened.store.retries
                    rotate(turn._replace(opened=_for_thread(turn.opened, main, store, threads.count)), heard.append)
                main.call(partial(_tell, watcher, heard))

        for future in [threads.submit(do_table, table) for table in tables]:
            main.serve(future)
            future.result()


def _tell(watcher: Watcher, heard: Sequence[Progress]) -> None:
    for progress in heard:
        watcher(progress)


def _for_thread(opened: OpenTarget, main: MainThread, store: Store, count: int) -> OpenTarget:
    """The same target with the *store* of one of *count* threads, whose checkpoints *main* records."""
    open_checkpoints = opened.local.checkpoints

    def relayed(target: Target, primary: str) -> Checkpoints:
        assert open_checkpoints is not None  # noqa: S101 - for the type checker
        return main.call(partial(open_checkpoints, target, primary)).through(main.call)

    local = replace(opened.local, checkpoints=open_checkpoints and relayed)
    return opened._replace(store=store, options=opened.options.shared(count), local=local)


class MainThread:
    """Does calls of other threads in the thread that made it, which owns the ledger's connection."""

    def __init__(self) -> None:
        """Does nothing yet."""
        self._calls = SimpleQueue[Callable[[], object]]()
        self._lock = threading.Lock()
        self._waiting: set[Future[Any]] = set()
        self._is_closed = False

    def call(self, act: Callable[[], T]) -> T:
        """The result of *act*, called in the thread that serves. Raises StoppedError if none does any more."""
        answer = Future[T]()
        with self._lock:
            if self._is_closed:
                raise StoppedError(STOPPED)
            self._waiting.add(answer)
        self._calls.put(partial(_answer, answer, act))
        try:
            return answer.result()
        except CancelledError:
            # Raised below, without it as the context.
            pass
        finally:
            with self._lock:
                self._waiting.discard(answer)
        raise StoppedError(STOPPED)

    def serve(self, until: Future[Any]) -> None:
        """Does calls until that future is done."""
        until.add_done_callback(lambda _: self._calls.put(lambda: None))
        while not until.done():
            try:
                self._calls.get(timeout=CHECK_SECONDS)()
            except Empty:
                continue

    def close(self) -> None:
        """Ends the calls that wait, and each later one."""
        with self._lock:
            self._is_closed = True
            for answer in self._waiting:
                answer.cancel()


def _answer(answer: Future[T], act: Callable[[], T]) -> None:
    if not answer.set_running_or_notify_cancel():
        return
    try:
        answer.set_result(act())
    except BaseException as error:
        answer.set_exception(error)
        if not isinstance(error, Exception):
            # A second signal, which ends this thread's work. The other one waits for an answer all the same.
            raise
