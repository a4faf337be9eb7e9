"""The keys of an environment with what the ledger knows of each, as `keys list` shows them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime

from keyring_core import KeyState
from rotation.ledger.key_uses import KeyUses
from rotation.ledger.ledger import Ledger
from rotation.ledger.records import KeyDates, missing
from rotation.model.key_use import KeyUse, trial
from rotation.model.next_steps import CHECK, RUN, Next, Remedy, Steps, lines_of, read_the_rest, retire_step
from rotation.retirement.evidence import of_censuses
from rotation.retirement.reasons import Standing, refusals, standing

CUT_SHORT = "The retirement of {} was cut short; to record it:"


@dataclass(frozen=True)
class ListedKey(KeyDates):
    """One key of the environment, or one that is missing or was retired."""

    id: str
    state: str
    first_seen: datetime | None = None
    tokens: int | None = None
    """By the last census of each target; None without one."""
    use: KeyUse = field(default_factory=KeyUse)
    """The reads with it, by any service."""
    standing: str | None = None
    """Of a key that another one took over from: `needed`, or `unproven`, since only `keys retire` reads everything."""
    remedy: Remedy | None = None
    """The remedy for the first reason to keep it."""


def list_keys(
    states: Mapping[str, KeyState],
    ledger: Ledger | None,
    service: str,
    *,
    key_set: str | None = None,
    suspend_days: int = 0,
) -> list[ListedKey]:
    """The keys of *service* in their order, then missing and retired ones. Closes *ledger*. Raises LedgerError."""
    if ledger is None:
        return [ListedKey(key_id, str(state)) for key_id, state in states.items()]
    with ledger:
        known = KeyUses.of(ledger, states, service)
        censuses = [census for census in ledger.censuses() if census.service == service]
        cut_short = ledger.cut_short(service, states)
    records = {key.id: key for key in known.records if key.service == service}
    retired = [key.id for key in records.values() if key.id not in states and key.retired]
    lost = (key.id for key in missing(states, known.records, service))
    gone = dict.fromkeys(lost, "missing") | dict.fromkeys([*retired, *cut_short], "retired")
    found = []
    for key_id in (*states, *gone):
        record, state = records.get(key_id), states.get(key_id)
        dates = {each.name: getattr(record, each.name) for each in fields(KeyDates)} if record else {}
        tokens = sum(census.counts.under.get(key_id, 0) for census in censuses) if censuses else None
        listed = ListedKey(
            key_id,
            str(state or gone[key_id]),
            record.first_seen if record else None,
            tokens,
            known.of_key(key_id, states, suspend_days),
            **dates,
        )
        if state and state.is_superseded:
            evidence = replace(
                of_censuses(key_id, states, [(census.label, census) for census in censuses], censuses, service),
                since=min((census.taken for census in censuses), default=None),
                fleet=known.fleet,
                use=listed.use,
                key_set=key_set,
            )
            remedy = next((way for _, way in refusals(evidence)), None)
            listed = replace(listed, standing=str(standing(evidence)), remedy=remedy)
        found.append(listed)
    return found


def after_listing(  # noqa: PLR0911 - a step for each state
    keys: Sequence[ListedKey], key_set: str | None = None, *, salted: Collection[str] = ()
) -> Steps:
    """The next steps with these keys; *salted* as for `retire_step`."""
    if cut_short := [key.id for key in keys if key.state == "retired" and key.retired is None]:
        return Steps(retire_step(cut_short[0], key_set), when=CUT_SHORT.format(cut_short[0]))
    in_state = {state: [key.id for key in keys if key.state == state] for state in KeyState}
    if staged := in_state[KeyState.STAGED]:
        return Steps(Next(("keys", "promote"), keys=key_set), when=f"When every service has {staged[0]}:")
    if suspended := [key for key in keys if key.state == KeyState.SUSPENDED]:
        last = suspended[-1]
        back = Next(("keys", "resume", last.id), f"if something needs {last.id}:", key_set)
        go = retire_step(last.id, key_set, salted=salted).after(f"if nothing does for {trial(last.use.days)}:")
        if last.remedy is None:
            return Steps(CHECK.after("see what is refused:"), back, go)
        commands = [step.command for step in lines_of(last.remedy) if isinstance(step, Next)]
        return Steps(*([] if back.command in commands else [back]), last.remedy, go)
    if unneeded := [key.id for key in keys if key.standing == Standing.UNPROVEN and key.tokens is not None]:
        return read_the_rest(unneeded[-1], key_set, salted=salted)
    if previous := in_state[KeyState.PREVIOUS]:
        remedy = next((key.remedy for key in keys if key.id == previous[-1]), None) or RUN
        last_step = retire_step(previous[-1], key_set, salted=salted).after(f"when nothing needs {previous[-1]}:")
        return Steps(remedy, last_step)
    return Steps(Next(("keys", "stage"), keys=key_set), when="When the key is to change:")
