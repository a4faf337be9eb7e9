"""Whether this machine's clock can be believed: what the ledger holds was written before."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from rotation.cli.options import Common
from rotation.ledger.ledger import Ledger, utc_now
from rotation.model.failures import UsageError
from rotation.model.policy import Policy

REMEDY = "set this machine's clock by NTP: timedatectl"


def clock_fault(latest: datetime | None, now: datetime, skew: timedelta) -> str | None:
    """What to say of a clock that is *now* behind the ledger's *latest* time by more than *skew*; None if it is not."""
    if latest is None or latest - now <= skew:
        return None
    return f"the clock says {now:%Y-%m-%d %H:%M} UTC, and the ledger holds an entry of {latest:%Y-%m-%d %H:%M} UTC"


def warn_of_clock(common: Common, ledger: Ledger) -> None:
    """Warns on stderr, before a command writes dates that are too early. Raises LedgerError."""
    if fault := clock_fault(ledger.latest(), utc_now(), _skew(common)):
        common.world.tell(f"Warning: {fault}. Next: {REMEDY}")


def _skew(common: Common) -> timedelta:
    """What the policy allows. A rotation.toml that cannot be read is told by the commands that need it."""
    from rotation.model.targets import load_policy  # noqa: PLC0415 - it reads TOML, which few commands do

    path = common.config_path()
    if not common.without_config and path.is_file():
        with suppress(UsageError):
            return load_policy(path).max_clock_skew
    return Policy().max_clock_skew
