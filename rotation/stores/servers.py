"""Which server answers: one that began again, recovered from a crash or took over may lack what was written before.

Commits that do not wait for the disk are lost in a crash, and a standby that takes over may be behind. So a pass in
which the server changed proves nothing, and `rotation.stores.store.Watch` says so.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from rotation.stores.watchdog import Session

SERVER = "rotation.server"
"""The name under which a connection notes the facts of its server, unless a pooler or a proxy is between."""
Fact = tuple[str, str]
"""What is known of a server: the name of the fact, and its value, which another server or another start has not."""


class Peer(NamedTuple):
    """The server at the other end of a new connection."""

    facts: tuple[Fact, ...] = ()
    session: Session | None = None
    """How it knows all transactions of the connection; None if each transaction notes that itself, under SESSION."""


def is_one(facts: Collection[Fact]) -> bool:
    """True if *facts* can be those of one server that has not begun again: no fact has two values."""
    return len({name for name, _ in facts}) == len({*facts})
