"""What a retirement cannot see yet: uncommitted transactions, what a replica lacks, and reads that were not announced.

It waits for the end of the transactions, and for one more word of each running service. It never rests on a server that
repeats what another one commits: that may lack a token that is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from typing import NamedTuple, TypeVar

from keyring_core import KeyState
from rotation.configuration.policy import LeftOut
from rotation.context import Context
from rotation.ledger.ledger import Ledger
from rotation.ledger.records import InstanceRecord
from rotation.ledger.session import Session
from rotation.model.key_use import named
from rotation.model.next_steps import Refusal
from rotation.model.target import Target
from rotation.model.text import many
from rotation.model.watcher import AtWork
from rotation.retirement import words
from rotation.stores.access import Access, RefusedStatement
from rotation.stores.change_tracker import OpenTransaction
from rotation.stores.connection import SharedConnections
from rotation.stores.databases import parse_url, read_url
from rotation.stores.servers import seen_replicas

T = TypeVar("T")

LOOK_SECONDS = 0.5


def _wait(
    context: Context,
    left: Sequence[T],
    look: Callable[[Sequence[T]], Sequence[T]],
    waiting: Callable[[Sequence[T]], str],
    end: float,
) -> Sequence[T]:
    """What is *left* at the time *end*, or nothing as soon as nothing is; *look* says what still is.

    *waiting*: what it waits for, in words.
    """
    if not left:
        return ()
    with context.watch(dry_run=True) as watcher:
        while left and time.monotonic() < end:
            watcher(AtWork(waiting(left)))
            context.streams.wait(LOOK_SECONDS)
            left = look(left)
    return left


ANNOUNCED_SECONDS = 75.0
"""The longest wait for an announcement that comes each minute; a write of it may take ten seconds."""


class Announcements:
    """What was the last word of each running service when this began."""

    def __init__(
        self, context: Context, session: Session, states: Mapping[str, KeyState], fleet: Sequence[InstanceRecord]
    ) -> None:
        """*fleet*: the running services that share one of the keys with these *states*."""
        self._context, self._session, self._states, self._fleet = context, session, states, fleet
        self._end = time.monotonic() + ANNOUNCED_SECONDS

    def wait(self) -> Sequence[InstanceRecord]:
        """Waits until each has announced itself once more, or has ended; returns the ones that have not in time.

        Only those that announce themselves each minute: others may have no reason to for long. Raises StoppedError.
        """

        def silent(left: Sequence[InstanceRecord]) -> Sequence[InstanceRecord]:
            now = {(each.service, each.instance): each for each in self._session.fleet(self._states)}
            return [each for each in left if now.get((each.service, each.instance)) == each]

        def waiting(left: Sequence[InstanceRecord]) -> str:
            services = named([each.words for each in left])
            return f"waiting for one more announcement of {services} (not with --no-wait)"

        regular = [each for each in self._fleet if each.is_regular]
        return _wait(self._context, silent(regular) if regular else (), silent, waiting, self._end)


WAIT_SECONDS = 30.0
"""The longest wait for the end of transactions that had written before the census."""


class OpenWriters:
    """The transactions that were open before a census of *targets* and a search of their databases."""

    def __init__(self, context: Context, targets: Sequence[Target]) -> None:
        self._context = context
        self._urls = list(dict.fromkeys(target.url for target in targets))
        self.unchecked: Sequence[str] = ()
        """Notes on databases that could not be asked."""
        self._before: set[str] = set()
        """The identities of all that were seen open, also without a write."""

    def wait(self) -> Sequence[OpenTransaction]:
        """Waits until all that have written have ended, WAIT_SECONDS at most; returns the ones that have not.

        Raises StoreError and StoppedError.
        """

        def still_open(left: Sequence[OpenTransaction]) -> Sequence[OpenTransaction]:
            before = {one.identity for one in left}
            return [one for one in self._look().writers if one.identity in before]

        def waiting(left: Sequence[OpenTransaction]) -> str:
            return f"waiting for the end of {many(len(left), 'transaction')}: {left[0].words}"

        return _wait(self._context, self._look().writers, still_open, waiting, time.monotonic() + WAIT_SECONDS)

    def late(self) -> Sequence[OpenTransaction]:
        """The transactions that were open before the census, have written by now, and are still open.

        One that its database may have shown under another name before, or not at all, counts as well. Raises as `wait`.
        """
        before = {*self._before}
        return [one for one in self._look().writers if one.may_be_older or one.identity in before]

    def _look(self) -> Uncommitted:
        context = self._context
        seen = uncommitted(
            self._urls, wait=context.streams.wait, links=context.links, left_out=context.policy().unsearched_databases
        )
        self.unchecked = seen.unchecked
        self._before |= {one.identity for one in seen.transactions}
        return seen


class Uncommitted(NamedTuple):
    """The transactions that are not committed yet, and the databases that could not be asked."""

    transactions: tuple[OpenTransaction, ...] = ()
    unchecked: tuple[str, ...] = ()
    """The reasons why transactions of a database are not known."""

    @property
    def writers(self) -> tuple[OpenTransaction, ...]:
        """The transactions that have written."""
        return tuple(each for each in self.transactions if each.wrote)


def uncommitted(
    urls: Iterable[str],
    *,
    wait: Callable[[float], None],
    links: SharedConnections,
    left_out: Mapping[str, str],
) -> Uncommitted:
    """Asks the databases at *urls*, and the others of their servers that their users may enter.

    *left_out*: patterns of the names of databases that are not searched, and why. Raises StoreError, UsageError and
    StoppedError.
    """
    found: dict[str, OpenTransaction] = {}
    unchecked: dict[str, None] = {}
    urls = list(urls)
    # A server shows the transactions of all its databases, whichever of them a url names.
    skipped = LeftOut(left_out, {parsed.database for url in urls if (parsed := parse_url(url))})
    for url in urls:
        with closing(Access(url, None, read_only=True, sleep=wait, links=links)) as access:
            for look in access.dialect.change_tracker.open_transactions:
                seen = access.attempt(look.ask)
                if isinstance(seen, str | RefusedStatement):
                    why = look.denied if isinstance(seen, RefusedStatement) else seen
                    unchecked[f"{access.name}: {why}; so it was not checked that nothing is left to commit"] = None
                    continue
                for one in seen:
                    if skipped.why(one.database) is None:
                        # With two urls of one server the same name for both.
                        place = one.database and access.dialect.describe(read_url(url).set(database=one.database))
                        name = place or access.name
                        named = one._replace(identity=f"{name}: {one.identity}", words=f"{name}: {one.words}")
                        found[named.identity] = named
    return Uncommitted(tuple(found.values()), tuple(unchecked))


class Replicas:
    """The databases of a retirement, and which of their servers are replicas.

    Asked are the databases of all targets and of the ledger, before anything is read and after; in between, each
    transaction of this process notes if it found a standby, such as one of a neighbour database, or behind a balancer.
    """

    def __init__(self, context: Context, session: Session, targets: Sequence[Target]) -> None:
        self._context, self._session = context, session
        self._urls = list(dict.fromkeys(target.url for target in targets))
        self._began = time.monotonic()
        self.notes: Sequence[str] = ()
        """On primaries that replicate, too."""

    def refusals(self) -> list[Refusal]:
        """Why what was read may not be all that is stored. Raises StoreError and StoppedError."""
        found, notes = [], []
        context, asked = self._context, []
        for url in self._urls:
            with closing(Access(url, None, read_only=True, sleep=context.streams.wait, links=context.links)) as access:
                # A file repeats nothing.
                if access.dialect.has_server and (answer := access.replication()):
                    asked.append((access.name, answer))
        if of_ledger := self._session.attempt(Ledger.replication):
            asked.append(of_ledger)
        for name, each in asked:
            if each.is_known and each.is_current:
                notes.append(f"{name}: {each.words}; what was committed there and has not arrived was not seen")
            else:
                found.append(words.replica(name, each.words, each.remedy, is_known=each.is_known))
        named = {reason.partition(": ")[0] for reason, _ in found}
        found += [
            words.replica(
                name, "a transaction found a standby or a replica there", "give urls that lead to primaries alone"
            )
            for name, seen in seen_replicas.copy().items()
            if seen >= self._began and name not in named
        ]
        self.notes = notes
        return found
