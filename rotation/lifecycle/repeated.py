"""A step that was taken already: what to say, and what to type next."""

from __future__ import annotations

from rotation.context import Context
from rotation.ledger.ledger import Ledger
from rotation.ledger.session import OnFailure, Session
from rotation.lifecycle.environment_keys import EnvironmentKeys
from rotation.model.failures import UsageError
from rotation.model.invocation import command_line
from rotation.model.times import to_second


def check_not_retired(context: Context, keys: EnvironmentKeys, key_id: str) -> None:
    """Raises UsageError if the ledger knows that the key was retired, and the environment does not have it."""
    if key_id in keys.states:
        return
    with Session.open(lambda: context.open_ledger(make=False), context.service, OnFailure.NOTE) as session:
        records = session.attempt(Ledger.keys) or ()
        own = (one for one in records if (one.id, one.service) == (key_id, session.service))
        if retired := next((one.retired for one in own if one.retired), None):
            raise UsageError(f"{key_id} was retired at {to_second(retired)}.", f"Next: {command_line('check')}")
