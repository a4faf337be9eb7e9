"""What the ledger's key dates mean for a run: which way would be back, and which key took over when. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from rotation.model.key_history import History, Retired

if TYPE_CHECKING:
    from rotation.ledger.records import KeyRecord
    from rotation.model.key_history import Promotion


def history_of(primary: str, previous: Collection[str], records: Iterable[KeyRecord], service: str) -> History:
    """What *records* tell a run of *service* with these keys."""
    own = {record.id: record for record in records if record.service == service}
    return History(
        _promoted_later(own[primary], [own[key_id] for key_id in previous if key_id in own]) if primary in own else {},
        tuple(_retired(record) for record in own.values() if record.id not in {primary, *previous} and record.retired),
    )


def took_over(primary: str, previous: Collection[str], records: Iterable[KeyRecord], service: str) -> Promotion | None:
    """When the primary key took over from the *previous* ones, as far as the ledger knows; None: it does not.

    Nor does it where one of these was promoted later: somebody has put the primary key back, and nobody saw when.
    """
    own = {record.id: record for record in records if record.service == service}
    if primary not in own or _promoted_later(own[primary], [own[key_id] for key_id in previous if key_id in own]):
        return None
    return own[primary].promotion


def next_promotion(own: Promotion, records: Iterable[KeyRecord]) -> Promotion | None:
    """The first promotion after *own*, by the latest times at which they can have been: another key took over then."""
    later = [each.promotion for each in records if each.promotion and each.promotion.latest > own.latest]
    return min(later, key=lambda promotion: (promotion.latest, not promotion.exact), default=None)


def _promoted_later(primary: KeyRecord, previous: Iterable[KeyRecord]) -> dict[str, Promotion]:
    # A primary key that was never promoted was a previous one when it was first seen: older than all that were.
    # Of a key that was found primary the latest possible time counts: it was seen in that order.
    return {
        key.id: key.promotion
        for key in previous
        if key.promotion and (primary.promotion is None or primary.promotion.latest < key.promotion.latest)
    }


def _retired(record: KeyRecord) -> Retired:
    # It may have encrypted from the earliest possible time on.
    begin = record.promotion and record.promotion.earliest
    end = record.retired.timestamp() if record.retired else 0
    return Retired(record.id, begin.timestamp() if begin else None, end)
