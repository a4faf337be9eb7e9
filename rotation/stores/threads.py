"""The threads that share the work of this process, each with connections of its own: how many, and how one waits."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, TypeVar

from rotation.stores.connection import SharedConnections
from rotation.world.process import CHECK_SECONDS

MOST_THREADS = 3
"""One process of Python gains nothing from more."""

T = TypeVar("T")
Outcome = TypeVar("Outcome")


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def most_threads() -> int:
    """One more than there are processors, since each waits for its database for a part of the time."""
    return min(cores() + 1, MOST_THREADS)


def wait_for(future: Future[Any], sleep: Callable[[float], None], check: Callable[[], object] = lambda: None) -> None:
    """Returns when *future* is done. *sleep* raises StoppedError on request, and *check* if it will not be done."""
    while not wait([future], CHECK_SECONDS).done:
        sleep(0)
        check()


class Threads:
    """Threads of this process, and their connections."""

    def __init__(self, count: int, wait: Callable[[float], None]) -> None:
        """Starts none. *wait* raises StoppedError if a stop was requested."""
        self.count, self._wait = count, wait
        self._threads = ThreadPoolExecutor(count)
        self._links = [SharedConnections(wait) for _ in range(count)]
        self._free = SimpleQueue[SharedConnections]()
        for links in self._links:
            self._free.put(links)

    def submit(self, act: Callable[[T], Outcome], given: T) -> Future[Outcome]:
        """Calls *act* with what is *given* in one of the threads."""
        return self._threads.submit(act, given)

    @contextmanager
    def links(self) -> Iterator[SharedConnections]:
        """The connections of one thread, for its use alone."""
        links = self._free.get()
        try:
            yield links
        finally:
            self._free.put(links)

    def each(self, items: Iterable[T], act: Callable[[T, SharedConnections], Outcome]) -> Iterator[tuple[T, Outcome]]:
        """Each of *items* with the result of *act*, in their order. Raises what *act* raises, and StoppedError."""

        def do(item: T) -> Outcome:
            with self.links() as links:
                return act(item, links)

        def first() -> tuple[T, Outcome]:
            item, future = waiting.popleft()
            wait_for(future, self._wait)
            return item, future.result()

        waiting: deque[tuple[T, Future[Outcome]]] = deque()
        for item in items:
            waiting.append((item, self.submit(do, item)))
            if len(waiting) > 2 * self.count:
                yield first()
        while waiting:
            yield first()

    def disconnect(self) -> None:
        """Closes the connections."""
        for links in self._links:
            links.close()

    def close(self) -> None:
        """Ends the threads after their statement, and closes the connections."""
        self._threads.shutdown(cancel_futures=True)
        self.disconnect()
