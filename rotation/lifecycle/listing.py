"""Lists the keys of an environment, with their dates and tokens from the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from keyring_core import KeyState
from rotation.ledger.ledger import Ledger
from rotation.ledger.records import LIVE, in_fleet
from rotation.model.key_history import Promotion
from rotation.model.next_steps import RUN, Next, Remedy, Steps, read_the_rest, retire_step
from rotation.retirement import Standing, of_censuses, refusals, standing

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
    """By the last census of each target; None without one."""
    standing: str | None = None
    """Of a previous key, by those censuses: `needed`, or `unproven`, since only `keys retire` reads everything."""
    remedy: Remedy | None = None
    """The remedy for the first reason to keep it."""

    @property
    def promotion(self) -> Promotion | None:
        """When it became primary, as far as the ledger knows."""
        return Promotion.of(self.promoted, self.promoted_after, self.promoted_before)


def list_keys(states: Mapping[str, KeyState], ledger: Ledger | None, service: str) -> list[ListedKey]:
    """The keys of *service* in their order, then the retired ones. Closes *ledger*. Raises LedgerError."""
    if ledger is None:
        return [ListedKey(key_id, str(state)) for key_id, state in states.items()]
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
        tokens = sum(census.counts.under.get(key_id, 0) for census in censuses) if censuses else None
        state = states.get(key_id, RETIRED)
        if state is KeyState.PREVIOUS:
            evidence = replace(
                of_censuses(key_id, states, [(census.label, census) for census in censuses], censuses, service),
                since=min((census.taken for census in censuses), default=None),
                fleet=fleet,
            )
            dates |= {"standing": str(standing(evidence)), "remedy": next((way for _, way in refusals(evidence)), None)}
        found.append(ListedKey(state=str(state), tokens=tokens, **dates))
    return found


def following(keys: Sequence[ListedKey], key_set: str | None = None) -> Steps:
    """The next steps with these keys."""
    in_state = {state: [key.id for key in keys if key.state == state] for state in KeyState}
    if staged := in_state[KeyState.STAGED]:
        return Steps(Next(("keys", "promote"), keys=key_set), when=f"When every service has {staged[0]}:")
    if unneeded := [key.id for key in keys if key.standing == Standing.UNPROVEN and key.tokens is not None]:
        return read_the_rest(unneeded[-1], key_set)
    if previous := in_state[KeyState.PREVIOUS]:
        remedy = next((key.remedy for key in keys if key.id == previous[-1]), None) or RUN
        return Steps(remedy, retire_step(previous[-1], key_set).after(f"when nothing needs {previous[-1]}:"))
    return Steps(Next(("keys", "stage"), keys=key_set), when="When the key is to change:")
