"""What speaks for and against a retirement, cheapest first: the search of every row comes once nothing else refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from keyring_core import Key, Keyring
from rotation.context import Context
from rotation.discovery.result import Discovery
from rotation.ledger.session import Session
from rotation.lifecycle.environment_keys import EnvironmentKeys
from rotation.lifecycle.open_writers import OpenWriters
from rotation.lifecycle.retirement_census import count
from rotation.lifecycle.shared_secrets import Need, SharedSecret, count_need, sharing
from rotation.model.failures import StoreError
from rotation.model.report import Report
from rotation.model.targets import Target
from rotation.retirement.decision import Refusal, refusals
from rotation.retirement.evidence import Evidence


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
