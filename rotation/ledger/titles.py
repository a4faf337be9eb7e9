"""What tells targets apart in words: several databases often have a table of the same name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rotation.ledger.census_record import place_of
from rotation.model.failures import UsageError
from rotation.model.targets import Target


def titles(targets: Sequence[Target]) -> Mapping[Target, str]:
    """Each target's label, and where others have the same one its database and its condition too; no two are equal."""
    labels = Counter(target.label for target in targets)
    found: dict[Target, str] = {}
    for number, target in enumerate(targets, 1):
        title = target.label if labels[target.label] == 1 else _in_full(target)
        found[target] = title if title not in found.values() else f"{title} (target {number})"
    return found


def _in_full(target: Target) -> str:
    try:
        place = place_of(target, service="")
    except UsageError:
        # Its url or its file is at fault, and whoever looks at it tells how.
        return target.label
    rows = f", rows where {place.where}" if place.where else ""
    return f"{target.label} in {place.database}{rows}"
