"""What speaks for and against a retirement, cheapest first: the search of every row comes once nothing else refuses."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from keyring_core import Key, Keyring
from rotation.context import Context
from rotation.discovery.result import Discovery
from rotation.ledger.session import Session
from rotation.lifecycle.environment_keys import EnvironmentKeys
from rotation.lifecycle.retirement_census import count
from rotation.lifecycle.shared_secrets import Need, SharedSecret, count_need, sharing
from rotation.model.failures import StoreError
from rotation.model.report import Report
from rotation.model.target import Target
from rotation.model.text import many
from rotation.retirement.decision import Refusal, refusals
from rotation.retirement.evidence import Evidence
from rotation.stores.other_writers import OpenTransaction
from rotation.stores.uncommitted import Uncommitted, uncommitted


@dataclass
class Case:
    """What is known for and against retiring one key."""

    evidence: Evidence
    census: Report
    shared: Sequence[SharedSecret]
    """The keys of other sets that are made of the same secret."""
    needs: Sequence[Need]
    unchecked: Sequence[str]
    """What could not be checked, in words."""

    @property
    def against(self) -> list[Refusal]:
        """Every reason to keep the key."""
        search, fault = self.evidence.search, self.evidence.search_fault
        return [*refusals(self.evidence), *(refusal for one in self.needs for refusal in one.refusals(search, fault))]

    @property
    def is_searched(self) -> bool:
        """Whether every row of every column was searched, or that failed."""
        return self.evidence.search is None or self.evidence.search.full


def examine(  # noqa: PLR0913 - what the case is about
    context: Context,
    session: Session,
    keys: EnvironmentKeys,
    key: Key,
    *,
    targets: Sequence[Target],
    everything: Sequence[Target],
    whatever: bool,
) -> Case:
    """Everything on retiring *key*: transactions, census, keys of other sets, a sample of all columns, every row.

    Each waits for those before it: once one of them refuses, the search of every row is left out, unless it is wanted
    *whatever* they say. *targets* are those whose key set the key is of, and *everything* are those of all key sets.

    Raises StoreError if a target cannot be opened, and StoppedError.
    """
    open_writers = OpenWriters(context, everything)
    # First of all: what is committed while this waits is counted below.
    uncommitted = open_writers.wait()
    evidence, census = count(context, session, keys.settings, key, targets=targets, everything=everything)
    shared = sharing(context, keys, key)
    needs = [count_need(session, one, everything) for one in shared.keys]
    case = Case(
        replace(evidence, uncommitted=uncommitted),
        census,
        shared.keys,
        needs,
        [*open_writers.unchecked, *shared.uncompared],
    )
    keyring = Keyring(*keys.settings)
    if not whatever:
        _search(case, context, everything, keyring, full=False)
        if case.against:
            return case
    _search(case, context, everything, keyring, full=True)
    case.evidence = replace(
        case.evidence,
        uncommitted=list({one.identity: one for one in (*uncommitted, *open_writers.late())}.values()),
        # A search may take an hour, and a service that started meanwhile still counts.
        fleet=session.fleet(keyring.states_by_id),
    )
    return case


def _search(case: Case, context: Context, targets: Sequence[Target], keyring: Keyring, *, full: bool) -> None:
    """Adds what a search finds: a sample, or with *full* every row, since a sample may miss the one token."""
    found: Discovery | None = None
    fault = None
    try:
        found = context.search(targets, keyring, full=full)
    except StoreError as error:
        fault = str(error)
    case.evidence = replace(case.evidence, search=found, search_fault=fault)


WAIT_SECONDS = 30.0
"""How long to wait for the end of transactions that had written before the census."""
LOOK_SECONDS = 0.5


class OpenWriters:
    """The transactions that were open before a census of *targets* and a search of their databases."""

    def __init__(self, context: Context, targets: Sequence[Target]) -> None:
        self._context = context
        self._urls = list(dict.fromkeys(target.url for target in targets))
        self.unchecked: Sequence[str] = ()
        """What could not be asked."""
        self._before: set[str] = set()
        """The identities of those that were open, whether they had written or not."""

    def wait(self) -> Sequence[OpenTransaction]:
        """Returns once all that have written have ended, or after WAIT_SECONDS with those that have not.

        Raises StoreError and StoppedError.
        """
        left, end = self._look_before().writers, time.monotonic() + WAIT_SECONDS
        if not left:
            return ()
        with self._context.watch(dry_run=True) as watcher:
            while left and time.monotonic() < end:
                watcher.at_work(f"waiting for the end of {many(len(left), 'transaction')}: {left[0].words}")
                self._context.streams.wait(LOOK_SECONDS)
                still = {one.identity for one in left}
                left = tuple(one for one in self._look_before().writers if one.identity in still)
        return left

    def late(self) -> Sequence[OpenTransaction]:
        """Those that were open before the census, have written by now, and are still open. Raises as `wait`.

        So may those have been that a database shows under another name then, or not before they write.
        """
        return [one for one in self._look().writers if one.may_be_older or one.identity in self._before]

    def _look_before(self) -> Uncommitted:
        seen = self._look()
        self.unchecked = seen.unchecked
        self._before |= {one.identity for one in seen.transactions}
        return seen

    def _look(self) -> Uncommitted:
        context = self._context
        return uncommitted(
            self._urls, wait=context.streams.wait, links=context.links, left_out=context.unsearched_databases()
        )
