"""The keys of the environment and those that were retired, with what the ledger knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from keyring_core import KeyState
from rotation.ledger.ledger import Ledger, service_name
from rotation.ledger.records import LIVE, CensusRecord, InstanceRecord, in_fleet
from rotation.ledger.unexplained import unexplained
from rotation.model.key_history import Promotion
from rotation.model.text import retire_command
from rotation.retirement.decision import Evidence, Standing, refusals

RETIRED = "retired"


@dataclass(frozen=True)
class ListedKey:
    """One key of the environment, or one that was retired."""

    id: str
    state: str
    first_seen: datetime | None = None
    staged: datetime | None = None
    promoted: datetime | None = None
    retired: datetime | None = None
    forced: bool = False
    promoted_before: datetime | None = None
    promoted_after: datetime | None = None
    tokens: int | None = None
    """By the last census of each target; None without a census."""
    standing: str | None = None
    """Of a previous key, by those: `needed`, or `unproven`, since only `keys retire` checks everything."""
    remedy: str | None = None
    """What to do about what needs it."""

    @property
    def promotion(self) -> Promotion | None:
        """When it became primary, as far as the ledger knows."""
        return Promotion.of(self.promoted, self.promoted_after, self.promoted_before)

    def document(self, *, dated: bool) -> dict[str, Any]:
        """For JSON; without a ledger only id and state."""
        if not dated:
            return {"id": self.id, "state": self.state}
        return {
            name: value.isoformat(timespec="seconds") if isinstance(value, datetime) else value
            for name, value in asdict(self).items()
        }


def list_keys(states: Mapping[str, KeyState], ledger: Ledger | None, environ: Mapping[str, str]) -> list[ListedKey]:
    """The environment's keys in their order, then the retired ones."""
    if ledger is None:
        return [ListedKey(key_id, str(state)) for key_id, state in states.items()]
    service = service_name(environ)
    with ledger:
        known = ledger.keys()
        records = {key.id: key for key in known if key.service == service}
        censuses = [census for census in ledger.censuses() if census.service == service]
        fleet = in_fleet(ledger.instances(LIVE), states, service)
    retired = [key.id for key in records.values() if key.id not in states and key.retired]
    found = []
    for key_id in (*states, *retired):
        dates = asdict(records[key_id]) if key_id in records else {"id": key_id}
        dates.pop("service", None)
        tokens = sum(census.under.get(key_id, 0) for census in censuses) if censuses else None
        state = states.get(key_id, RETIRED)
        if state is KeyState.PREVIOUS:
            evidence = _evidence(key_id, states, censuses, fleet)
            dates |= {"standing": str(evidence.standing), "remedy": next((way for _, way in refusals(evidence)), None)}
        found.append(ListedKey(state=str(state), tokens=tokens, **dates))
    return found


def _evidence(
    key_id: str, states: Mapping[str, KeyState], censuses: Sequence[CensusRecord], fleet: Sequence[InstanceRecord]
) -> Evidence:
    """What the ledger alone knows of a previous key."""
    return Evidence(
        key_id=key_id,
        primary=next(known for known, state in states.items() if state is KeyState.PRIMARY),
        censuses=[(census.label, census) for census in censuses],
        sampled=any(census.sampled for census in censuses),
        since=min((census.taken for census in censuses), default=None),
        partial=any(census.where for census in censuses),
        unexplained=tuple(unexplained(key_id, censuses, censuses, censuses[0].service)) if censuses else (),
        fleet=fleet,
    )


def following(keys: Sequence[ListedKey]) -> str:
    """The next step in the life of these keys."""
    in_state = {state: [key.id for key in keys if key.state == state] for state in KeyState}
    if staged := in_state[KeyState.STAGED]:
        return f"when every service has {staged[0]}: rotate.py keys promote"
    if unneeded := [key.id for key in keys if key.standing == Standing.UNPROVEN and key.tokens is not None]:
        return f"{retire_command(unneeded[-1])}: it looks at everything, and takes the key out if nothing needs it"
    if previous := in_state[KeyState.PREVIOUS]:
        remedy = next((key.remedy for key in keys if key.id == previous[-1]), None) or "rotate.py run"
        return f"{remedy}, and when nothing needs it: {retire_command(previous[-1])}"
    return "rotate.py keys stage, when the key is to change"
