"""Columns with tokens that the preset of a known application does not know, as those of a newer version of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from keyring_core import Keyring, KeyringError
from rotation.context import Context
from rotation.discovery.discover import databases_of
from rotation.discovery.memory import SearchMemory
from rotation.ledger.session import Session
from rotation.model.failures import StoppedError
from rotation.model.next_steps import DISCOVER, PLAIN
from rotation.model.target import Adopts, Target


def uncovered_of_apps(
    context: Context, targets: Sequence[Target], keyring: Keyring, session: Session
) -> list[str] | None:
    """The labels of the columns with tokens that no target covers, in the databases of the known applications.

    None if no target is of an `[[app]]`, or if they could not be searched: it then warns, since the run is done. It
    reads the samples that a check reads, over the connections of *context*.
    """
    of_apps = [target for target in targets if target.app and target.adopts is Adopts.NOTHING]
    if not of_apps or context.streams.stopping:
        return None
    try:
        # A program may run some of the targets alone; all of them cover columns.
        everything = context.targets()
        plan = context.search_plan(everything, keyring, databases_of(of_apps))
        found = context.search(replace(plan, memory=SearchMemory.of(session.ledger)))
    except (KeyringError, StoppedError) as error:
        search = PLAIN.line(DISCOVER.after("To search them:"))
        context.streams.warn(f"Warning: columns that no target covers were not searched for tokens: {error}\n{search}")
        return None
    return [column.label for column in found.uncovered]
