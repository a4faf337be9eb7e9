"""Numbers and dates as the page writes them."""

from __future__ import annotations

from datetime import UTC, datetime

from markupsafe import Markup

from rotation.ledger.records import KeyRecord
from rotation.model import times


def share(part: int, whole: int) -> str:
    """`97.5 %`; `all` if nothing that was counted is missing. It never rounds to 0 or 100."""
    if not whole or part in (0, whole):
        return "all" if whole and part else "0 %"
    return f"{min(max(round(100 * part / whole, 1), 0.1), 99.9):.1f} %"


def day(when: datetime | None) -> Markup:
    """The date, in UTC; a dash for none."""
    if when is None:
        return Markup('<span class="none">–</span>')  # noqa: RUF001 - a dash
    text = f"{when.astimezone(UTC):%Y-%m-%d}"
    return Markup('<time datetime="{0}">{0}</time>').format(text)


def moment(when: datetime | None) -> Markup:
    """Date and time to the minute, in UTC; a dash for none."""
    if when is None:
        return day(None)
    when = when.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(f"{when:%Y-%m-%dT%H:%MZ}", f"{when:%Y-%m-%d %H:%M}")


def promoted(key: KeyRecord | None) -> Markup:
    """When a key became primary: a date, or `before` one if it was found primary or previous then."""
    promotion = key.promotion if key else None
    if key is None or (promotion is None and key.staged):
        return day(None)
    if promotion is None:
        return Markup("before {}").format(day(key.first_seen))
    if promotion.exact or promotion.earliest is None:
        return Markup("{}{}").format("" if promotion.exact else "before ", day(promotion.latest))
    return Markup("between {} and {}").format(day(promotion.earliest), day(promotion.latest))


def issued(seconds: int | None) -> Markup:
    """A token's time as a date; it may lie beyond any calendar."""
    if seconds is None:
        return day(None)
    when = times.issued(seconds)
    return day(when) if when else Markup("after 9999")
