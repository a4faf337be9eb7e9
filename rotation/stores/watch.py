"""What happened to a target during one pass: what others wrote, and whether it is the same table on the same server."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rotation.stores.access import Access
from rotation.stores.columns import TableState
from rotation.stores.dialect import Mode
from rotation.stores.other_writers import Changed, ChangeTracker, Doubt, Unknown
from rotation.stores.servers import Fact, is_one

OTHER_SERVER = (
    "the server restarted meanwhile, or another one answered, so what was written may be lost; if a proxy leads to "
    "several servers, name one of them in the url"
)


class Watch:
    """Watches a target during one pass: the table that its name leads to and, if the database shows them, others."""

    def __init__(  # noqa: PLR0913 - all that may take the proof away
        self,
        access: Access,
        state: Callable[[], TableState],
        others: ChangeTracker,
        *,
        proves: bool,
        fires: bool,
        beside: bool,
        most: int | None = None,
    ) -> None:
        """Begins to watch the table, and with *proves* the *others*.

        *fires*: a write fires triggers. *beside*: more than cells is read. *most*: of more rows a pass is to be made.
        """
        access.link.servers()
        self._access, self._state, self._others, self._begun = access, state, others, state()
        self.facts = {*self._begun.server}
        """The facts of all servers that the pass was led to, as far as it was `reached`."""
        # A server that is too old, or a role with rights on some columns only, refuses the statement.
        self._proves = proves and access.attempt(others.begin) is True
        self._fires, self._beside, self._most = fires, beside, most

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
        state = self._state()
        self.reached(state.server)
        self.reached(self._access.link.servers())
        if self.facts and not is_one(self.facts):
            return Unknown(OTHER_SERVER, Doubt.ALTERED)
        if state != self._begun:
            return Unknown("the table was altered meanwhile", Doubt.ALTERED)
        return found

    def reached(self, facts: Iterable[Fact]) -> None:
        """A part of the pass was done with the server of these *facts*, also in another thread or process."""
        self.facts.update(facts)

    def _asked(self, *, wrote: bool) -> Changed | Unknown:
        if not self._proves:
            return Unknown("nothing shows what others write here", Doubt.SPAN)
        if wrote and (self._fires or self._beside):
            return Unknown("this run wrote more than cells: by a trigger, or beside them")
        found = self._access.read(self._others.changed, Mode.SNAPSHOT)
        if self._beside and isinstance(found, Changed) and found.batch.rows:
            # The columns beside these cells are not read with them.
            return Unknown("others wrote meanwhile")
        if self._most is not None and isinstance(found, Changed) and found.batch.rows > self._most:
            return Unknown("others wrote much meanwhile")
        return found
