"""One target in a database, opened: read by keys, written by compare-and-swap, and watched for other writers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

from rotation.stores.access import Access
from rotation.stores.columns import TableState
from rotation.stores.connection import SharedConnections
from rotation.stores.other_writers import Changed, Doubt, OtherWriters, Unknown
from rotation.stores.reader import Reader
from rotation.stores.writer import Writer


class Store(Reader, Writer):
    """The store of a target. `OpenTable` opens it; its reads stand in reader.py, its writes in writer.py."""

    def watch(self, *, reads_only: bool = False) -> Watch:
        """Begins to watch, before the first read of a pass; with *reads_only* the table alone, not what others write.

        Raises StoreError as `Watch.changed` does.
        """
        # Under a condition, rows come and go that nobody wrote.
        proves = not reads_only and self._target.where is None
        fires, beside = bool(self._triggers), self._reads_beside
        return Watch(self._access, self._state, self._others, proves=proves, fires=fires, beside=beside)

    def twin(self, links: SharedConnections) -> Store:
        """A copy for another thread, with a connection of *links*; or this store, if threads do best to take turns."""
        if self._dialect.one_connection:
            return self
        other = copy.copy(self)
        other._access = self._access.twin(links)
        other._others = self._others.of_thread()
        return other


class Watch:
    """Watches a target during one pass: the table that its name leads to and, if the database shows them, others."""

    def __init__(  # noqa: PLR0913 - all that may take the proof away
        self,
        access: Access,
        state: Callable[[], TableState],
        others: OtherWriters,
        *,
        proves: bool,
        fires: bool,
        beside: bool,
    ) -> None:
        """Begins to watch the table, and with *proves* the *others*.

        *fires*: a write fires triggers. *beside*: more than cells is read.
        """
        self._access, self._state, self._others, self._begun = access, state, others, state()
        # A server that is too old, or a role with rights on some columns only, refuses the statement.
        self._proves = proves and access.attempt(others.begin) is True
        self._fires, self._beside = fires, beside

    @property
    def name(self) -> str | None:
        """The name of this proof in the report; None if nothing shows what others write."""
        return self._others.proof if self._proves else None

    def wrote(self, transactions: Iterable[int]) -> None:
        """These transactions are of this run."""
        self._others.wrote(transactions)

    def allow(self, writes: int) -> None:
        """Leaves out *writes* of this process itself through other connections, such as the ledger's."""
        self._others.allow(writes)

    def changed(self, *, wrote: bool = True) -> Changed | Unknown:
        """The rows that others have written, or why they are not known; *wrote*: this run has written meanwhile, too.

        Raises StoreError if the name leads to another table by now, or if some rows are hidden from this user.
        """
        found = self._asked(wrote=wrote)
        # Last: what altered the table may have hidden something from the question, too.
        if self._state() != self._begun:
            return Unknown("the table was altered meanwhile", Doubt.ALTERED)
        return found

    def _asked(self, *, wrote: bool) -> Changed | Unknown:
        if not self._proves:
            return Unknown("nothing shows what others write here", Doubt.SPAN)
        if wrote and (self._fires or self._beside):
            return Unknown("this run wrote more than cells: by a trigger, or beside them")
        found = self._access.read(self._others.changed)
        if self._beside and isinstance(found, Changed) and found.batch.rows:
            # The columns beside these cells are not read with them.
            return Unknown("others wrote meanwhile")
        return found
