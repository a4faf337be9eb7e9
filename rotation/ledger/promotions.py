"""What recorded key dates mean: which keys are newer than the primary, and when each key took over. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from rotation.model.key_history import History, Retired

if TYPE_CHECKING:
    from rotation.ledger.records import KeyRecord
    from rotation.model.key_history import Promotion


def history_of(primary: str, previous: Collection[str], records: Iterable[KeyRecord], service: str) -> History:
    """The history of *service*'s keys in *records*, for a run with these keys."""
    own = {record.id: record for record in records if record.service == service}
    return History(
        _promoted_later(own[primary], [own[key_id] for key_id in previous if key_id in own]) if primary in own else {},
        tuple(_retired(record) for record in own.values() if record.id not in {primary, *previous} and record.retired),
    )


def took_over(primary: str, previous: Collection[str], records: Iterable[KeyRecord], service: str) -> Promotion | None:
    """When the primary key took over from the *previous* ones; None if the ledger does not know.

    None, too, if a previous key was promoted later: then the primary key was put back by hand at an unknown time.
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
    # A primary key without a promotion was a previous key when it was first seen, so it is older than promoted ones.
    # For a key that was found primary the latest possible time counts: keys were seen in that order.
    return {
        key.id: key.promotion
        for key in previous
        if key.promotion and (primary.promotion is None or primary.promotion.latest < key.promotion.latest)
    }


def _retired(record: KeyRecord) -> Retired:
    # The key may have encrypted from the earliest possible time on.
    begin = record.promotion and record.promotion.earliest
    end = record.retired.timestamp() if record.retired else 0
    return Retired(record.id, begin.timestamp() if begin else None, end, record.forced)
