"""Transactions that are not committed yet: nobody else sees what they wrote."""

from __future__ import annotations

from typing import NamedTuple


class OpenTransaction(NamedTuple):
    """One of them."""

    identity: str
    """The same each time that it is seen, and no other's."""
    words: str
    """Whose it is and how old, for a message; never its statement."""
    wrote: bool
    """Whether it has written; one that only reads may write later."""
    end: str
    """What ends it, in words."""
    database: str | None = None
    """The name of the database that it writes to, if the server says so."""
    may_be_older: bool = False
    """Whether it may have been open before it had this identity: on a session, or as one that only read."""


class Uncommitted(NamedTuple):
    """The transactions that are not committed yet, and what could not be asked."""

    transactions: tuple[OpenTransaction, ...] = ()
    unchecked: tuple[str, ...] = ()
    """Why transactions of a database are not known, in words."""

    @property
    def writers(self) -> tuple[OpenTransaction, ...]:
        """Those that have written."""
        return tuple(each for each in self.transactions if each.wrote)
