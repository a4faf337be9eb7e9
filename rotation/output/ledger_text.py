"""The result of `ledger verify` as text."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from rotation.ledger.chain import Chain
from rotation.lifecycle.verification import Verification
from rotation.model.next_steps import PLAIN, Invocation
from rotation.model.text import many, to_second
from rotation.output.terminal import Fitting, following, rows_table

LAST_EVENTS = 10
"""Events that a screen shows; --json has all."""


def render_verification(found: Verification, invocation: Invocation = PLAIN) -> Iterator[RenderableType]:
    """The lines of a screen."""
    if found.chain and found.ledger:
        yield from _chain(found.ledger, found.chain)
    if found.compared and found.compared.is_as_issued and not found.compared.differences:
        event = found.compared.kept and found.compared.kept.event
        whence = f"event {event}" if event else "before the chain began"
        yield f"{found.name} is as this ledger issued it ({whence}). SHA-256: {found.digest}"
    if found.is_signature_checked:
        yield f"{found.name} is as it was signed with the key {found.signed_with}, which --public names."
    elif found.signed_with and not any("signed" in each.what for each in found.differences):
        yield f"Note: {found.name} names the key {found.signed_with} as the one that signed it; --public checks that."
    for each in found.differences:
        yield Text(f"Differs: {each.what}.", "bold yellow")
        yield from following(each.remedy, invocation, indent="  ")
    if not found.differences:
        yield Text("Verified: nothing differs.", "bold green")


def _chain(ledger: str, chain: Chain) -> Iterator[RenderableType]:
    kept = many(len(chain.certificates), "certificate")
    if not chain.events or not chain.head:
        yield f"The {ledger} has no events, and {kept}."
        return
    since = to_second(chain.events[0].at)
    yield f"The {ledger} has {many(len(chain.events), 'event')} since {since}, and {kept}."
    yield f"Its name: {chain.ledger}"
    yield f"Its head: {chain.head.digest} (event {chain.head.number})"
    yield _last(chain)


def _last(chain: Chain) -> Fitting:
    rows = [
        [str(event.number), to_second(event.at), event.service or "", event.key_id or "", event.event, event.by or ""]
        for event in chain.events[-LAST_EVENTS:]
    ]
    return rows_table(["#event", "time", "service", "key", "what", "by"], rows, always="#event")
