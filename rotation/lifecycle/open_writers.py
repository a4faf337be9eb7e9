"""Waits until what was written before a census is committed, since the census would not see it; names what is not."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rotation.context import Context
from rotation.model.open_transaction import OpenTransaction, Uncommitted
from rotation.model.targets import Target
from rotation.model.text import many
from rotation.stores.uncommitted import uncommitted

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
