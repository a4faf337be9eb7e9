"""What a PostgreSQL server says of itself: its start, and what it repeats of another one. Any user may ask.

It repeats all on a standby, and what a subscription brings on others.
Functions of recovery: https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-RECOVERY-INFO-TABLE
"""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from rotation.model.text import span
from rotation.stores.servers import Fact, Replication

SERVER = "CAST(extract(epoch FROM pg_postmaster_start_time()) AS text)"
RECOVERED = "coalesce(CAST(extract(epoch FROM pg_stat_get_bgwriter_stat_reset_time()) AS text), '')"
"""A recovery after a crash, which may keep the start of the server, resets the statistics."""
STANDBY = "CAST(pg_is_in_recovery() AS int)"
ROLE = """SELECT pg_is_in_recovery(),
CAST(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) AS float),
CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END,
(SELECT string_agg(CAST(subname AS text), ', ' ORDER BY subname) FROM pg_subscription
    WHERE subenabled AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()))"""


def started(server: object) -> tuple[Fact]:
    """The start of a *server*, as a fact."""
    return (("start", str(server)),)


def recovery(recovered: object) -> Fact:
    """The fact that is new after a crash, even if the server kept its start."""
    return ("recovery", str(recovered))


def replication(connection: sa.Connection) -> Replication | None:
    """What the server says of itself; any user may ask."""
    is_standby, behind, is_paused, subscriptions = connection.exec_driver_sql(ROLE).one()
    if is_standby:
        # Without writes on the primary that grows, too: what is not there yet nobody here can know.
        ago = None if behind is None else span(timedelta(seconds=max(0.0, behind)))
        last = f"was committed {ago} ago" if ago else "is not known"
        paused = ", and its replay is paused" if is_paused else ""
        words = f"it is a standby; the last transaction that it has replayed {last}{paused}"
        return Replication(words, "give the url of the primary")
    if subscriptions:
        words = f"it takes writes, and subscribes to another server, too ({subscriptions})"
        return Replication(words, "see that the subscription has caught up", is_current=True)
    return None
