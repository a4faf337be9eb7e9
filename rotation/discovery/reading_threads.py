"""The threads that read tables for a search; each has a connection of its own, and reads one table at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from rotation.stores.connection import SharedConnections
from rotation.stores.table_readers import Courtesy
from rotation.world.process import most_threads, wait_for

if TYPE_CHECKING:
    from rotation.discovery.survey import Survey

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class ReadingThreads:
    """As many as a run has; they start with the first database."""

    def __init__(self) -> None:
        """Starts none."""
        self._threads: ThreadPoolExecutor | None = None
        self._links: list[SharedConnections] = []
        self._idle = SimpleQueue[SharedConnections]()

    def each(
        self, survey: Survey, items: Iterable[Item], act: Callable[[Survey, Item, Courtesy], Outcome]
    ) -> Iterator[tuple[Item, Outcome]]:
        """Each of *items* with the result of *act*, in their order. Raises what *act* raises, and StoppedError."""
        courtesy = Courtesy(survey.sleep, full_speed=True)
        threads = self._threads or self._start(survey.sleep)
        waiting: deque[tuple[Item, Future[Outcome]]] = deque()
        for item in items:
            waiting.append((item, threads.submit(self._do, survey, item, act, courtesy)))
            if len(waiting) > 2 * len(self._links):
                yield _first(survey, waiting)
        while waiting:
            yield _first(survey, waiting)
        # While somebody is connected to a database of PostgreSQL, nobody can copy, rename or drop it.
        self._disconnect()

    def _start(self, sleep: Callable[[float], None]) -> ThreadPoolExecutor:
        self._links = [SharedConnections(sleep) for _ in range(most_threads())]
        for links in self._links:
            self._idle.put(links)
        self._threads = ThreadPoolExecutor(len(self._links))
        return self._threads

    def close(self) -> None:
        """Ends the threads after their statement, and closes the connections."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        self._disconnect()

    def _disconnect(self) -> None:
        for links in self._links:
            links.close()

    def _do(
        self, survey: Survey, item: Item, act: Callable[[Survey, Item, Courtesy], Outcome], courtesy: Courtesy
    ) -> Outcome:
        links = self._idle.get()
        try:
            return act(survey.twin(links), item, courtesy)
        finally:
            self._idle.put(links)


def _first(survey: Survey, waiting: deque[tuple[Item, Future[Outcome]]]) -> tuple[Item, Outcome]:
    item, future = waiting.popleft()
    wait_for(future, survey.sleep)
    return item, future.result()
