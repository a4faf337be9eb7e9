"""The time of a ledger: its server's, or without a server this machine's; and how clocks that differ are named."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import sqlalchemy as sa

from rotation.ledger import schema as tables
from rotation.ledger.database import LedgerAccess, LedgerError
from rotation.model.text import span, to_minute, to_second

ASK_AGAIN_SECONDS = 60.0
"""The server is asked once, and again after so long. Until then the time goes on by this machine's monotonic clock,
which stands still while the machine sleeps: then it is behind, which makes a command only more careful."""
CLOCK_REMEDY = (
    "set this machine's clock by NTP: timedatectl. If it is right, a clock that was ahead made that entry: no later "
    "date is moved by it"
)
SERVER_CLOCK_REMEDY = (
    "set the clock of the ledger's server by NTP. If it is right, a clock that was ahead made that entry: no later "
    "date is moved by it"
)
BOTH_CLOCKS_REMEDY = "set the clock of the one that is wrong by NTP: timedatectl"
SERVICE_CLOCK_REMEDY = "set the clock of that service's machine by NTP: timedatectl"


def utc_now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


class LedgerClock:
    """The clock of a ledger. If it has a server, the clock of that counts alone, for every machine the same.

    A machine whose clock is ahead would date a run or a promotion after reads of services that come later, and one
    whose clock is behind would date a promotion before the one that it follows.
    """

    def __init__(self, access: LedgerAccess, local: Callable[[], datetime], skew: timedelta) -> None:
        """*local*: this machine's clock; *skew*: the most by which two clocks may differ."""
        self._access, self.local, self._skew = access, local, skew
        self._has_server = access.has_clock
        self._server: datetime | None = None
        """The server's time when it was asked."""
        self._asked_at = 0.0
        self._latest: datetime | None = None
        """The latest time in the ledger that was not still to come, or the last date of this process."""
        self._has_latest = False

    def time(self, connection: sa.Connection | None = None) -> datetime:
        """The time; asks in the transaction of *connection* if it has to ask. Raises LedgerError."""
        if not self._has_server:
            return self.local()
        passed = time.monotonic() - self._asked_at
        if self._server is None or not 0 <= passed < ASK_AGAIN_SECONDS:
            try:
                found = self._access.clock(connection) if connection else self._access.read(self._access.clock)
            except LedgerError:
                if self._server is None:
                    raise
                # The next step that needs the ledger reports the fault. It is not waited for at each target of a check.
                found = self._server + timedelta(seconds=max(passed, 0))
            self._server, self._asked_at, passed = found, time.monotonic(), 0.0
        return self._server + timedelta(seconds=passed)

    def date(self, connection: sa.Connection | None = None) -> datetime:
        """The date of what happens now, as `dated` has it; asks as `time`. Raises LedgerError."""
        now = self.time(connection)
        if not self._has_latest:
            ask = partial(latest_times, upto=now + self._skew)
            _, self._latest = ask(connection) if connection else self._access.read(ask)
            self._has_latest = True
        self._latest = dated(now, self._latest, self._skew)
        return self._latest

    def compare(self) -> Clocks:
        """The time beside the latest one in the ledger, and beside this machine's clock. Raises LedgerError."""

        def act(connection: sa.Connection) -> Clocks:
            now, local = self.time(connection), self.local()
            latest, self._latest = latest_times(connection, now + self._skew)
            self._has_latest = True
            carried = dated(now, self._latest, self._skew)
            return Clocks(now, latest, carried, local - now if self._has_server else None)

        return self._access.read(act)


def dated(now: datetime, latest: datetime | None, skew: timedelta) -> datetime:
    """The date of what happens *now*, after *latest*: never before that, unless that is still to come.

    What is later than now by more than *skew* was written by a clock that was ahead, and is not carried on.
    """
    return latest if latest and now < latest <= now + skew else now


def latest_times(connection: sa.Connection, upto: datetime) -> tuple[datetime | None, datetime | None]:
    """The latest time in the ledger, of keys, runs and censuses, and the latest one up to *upto*, in one statement.

    Services' times do not count.
    """
    keys, runs = tables.keys.c, tables.runs.c
    dates = (keys.first_seen, keys.staged, keys.promoted, keys.promoted_before, keys.retired, keys.suspended)
    columns = (*dates, runs.started, runs.finished, tables.censuses.c.taken)
    # Each of the latest times, and each that is not after that time.
    both = [sa.select(sa.func.max(each), sa.func.max(sa.case((each <= upto, each)))) for each in columns]
    found = connection.execute(sa.union_all(*both)).all()
    latest, before = (max(filter(None, times), default=None) for times in zip(*found, strict=True))
    return latest, before


@dataclass(frozen=True)
class Clocks:
    """What a command has to know of clocks when it begins."""

    now: datetime
    """The ledger's time."""
    latest: datetime | None = None
    """The latest time in the ledger."""
    carried: datetime | None = None
    """The date of a step that is made now."""
    ahead: timedelta | None = None
    """By how much this machine's clock is ahead of the one of the ledger's server; None without a server."""

    def faults(self, skew: timedelta, now: datetime | None = None) -> list[tuple[str, str]]:
        """A sentence, and its remedy, on each difference of more than *skew*. *now*: the ledger's time since."""
        now, found = now or self.now, []
        whose, remedy = "the clock", CLOCK_REMEDY
        if self.ahead is not None:
            whose, remedy = "the clock of the ledger's server", SERVER_CLOCK_REMEDY
            if abs(self.ahead) > skew:
                where = "ahead of" if self.ahead > timedelta() else "behind"
                differs = f"is {span(abs(self.ahead))} {where} the one of the ledger's server, which counts"
                found.append((f"this machine's clock {differs}", BOTH_CLOCKS_REMEDY))
        if self.latest is not None and self.latest - now > skew:
            entry = f"the ledger holds an entry of {to_minute(self.latest)}"
            found.append((f"{whose} says {to_minute(now)}, and {entry}", remedy))
        return found

    @property
    def note(self) -> str | None:
        """A sentence on dates that are later than the clock by a second or more; None if they are not."""
        if self.carried is None or self.carried - self.now < timedelta(seconds=1):
            return None
        return (
            f"the ledger holds an entry of {to_second(self.carried)}, {span(self.carried - self.now)} after the clock: "
            "until then each step gets that date"
        )
