"""A retirement never rests on a server that repeats what another one commits: it may lack a token that is there.

Asked are the databases of all targets and of the ledger, before anything is read and after; in between, each
transaction of this process notes if it found a standby, such as one of a neighbour database, or behind a balancer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing

from rotation.context import Context
from rotation.ledger.ledger import Ledger
from rotation.ledger.session import Session
from rotation.model.next_steps import THIS_AGAIN, Steps
from rotation.model.target import Target
from rotation.retirement import Refusal
from rotation.stores.access import Access
from rotation.stores.servers import Replication, seen_replicas


class Replicas:
    """The databases of a retirement, and which of their servers are replicas."""

    def __init__(self, context: Context, session: Session, targets: Sequence[Target]) -> None:
        self._context, self._session = context, session
        self._urls = list(dict.fromkeys(target.url for target in targets))
        self._began = time.monotonic()
        self.notes: Sequence[str] = ()
        """On primaries that replicate, too."""

    def refusals(self) -> list[Refusal]:
        """Why what was read may not be all that is stored. Raises StoreError and StoppedError."""
        found, notes = [], []
        for name, each in self._ask():
            if each and not each.is_known:
                found.append(Refusal(f"{name}: {each.words}", Steps(each.remedy, THIS_AGAIN)))
            elif each and each.is_current:
                notes.append(f"{name}: {each.words}; what was committed there and has not arrived was not seen")
            elif each:
                found.append(_refusal(name, each.words, each.remedy))
        named = {reason.partition(": ")[0] for reason, _ in found}
        found += [
            _refusal(name, "a transaction found a standby or a replica there", "give urls that lead to primaries alone")
            for name in seen_replicas.since(self._began)
            if name not in named
        ]
        self.notes = notes
        return found

    def _ask(self) -> Iterator[tuple[str, Replication | None]]:
        """For each database its name, and the answer."""
        context = self._context
        for url in self._urls:
            with closing(Access(url, None, read_only=True, sleep=context.streams.wait, links=context.links)) as access:
                answer = access.replication()
                yield access.name, answer
        if of_ledger := self._session.attempt(Ledger.replication):
            yield of_ledger


def _refusal(name: str, words: str, remedy: str) -> Refusal:
    return Refusal(f"{name}: {words}; a token may be committed that is not there yet", Steps(remedy, THIS_AGAIN))
