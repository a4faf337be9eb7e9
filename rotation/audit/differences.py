"""What the chain of a ledger does not explain: in its links, in the dates of keys, and in the certificates.

Takes the chain as values, and touches no database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from rotation.ledger.chain import (
    BEGAN,
    CERTIFIED,
    COLUMNS,
    FIRST_PREVIOUS,
    Chain,
    Columns,
    EventRecord,
    Head,
    KeptCertificate,
    certified_document,
    columns_of,
    digest_of,
    last_events,
    utc_text,
)
from rotation.model.next_steps import Remedy, Steps, retire_step


class Difference(NamedTuple):
    """A fact that is not as the chain says."""

    what: str
    remedy: Remedy


_BACKUP = "compare it with a backup of the ledger, and find out who can write to the ledger's database"
_FILE = "compare it with the file that was written when the key was retired: give it to `keyring-rotate ledger verify`"


def differences(chain: Chain) -> list[Difference]:
    """All that differs: in the chain itself, in the dates of keys, and in the certificates."""
    return [*_in_links(chain.events), *_in_keys(chain), *_in_certificates(chain)]


def _in_links(events: Sequence[EventRecord]) -> list[Difference]:
    """Events that were changed, removed or put in between."""
    if not events:
        return [Difference("all events are missing", _BACKUP)]
    found, before = [], Head(0, FIRST_PREVIOUS)
    for event in events:
        if event.number != before.number + 1:
            found.append(Difference(_gap(before.number + 1, event.number), _BACKUP))
        elif event.previous != before.digest:
            words = f"event {event.number} does not follow event {before.number}: one of them was put there later"
            found.append(Difference(words, _BACKUP))
        if not fits(event.digest, event.columns):
            found.append(Difference(f"event {event.number} ({event.event}) was changed", _BACKUP))
        before = Head(event.number, event.digest)
    return found


def _gap(first: int, number: object) -> str:
    """What is wrong in words, if the event *number* is there in the place of the event *first*."""
    # SQLite keeps any text in a column of numbers.
    if not isinstance(number, int) or number < first:
        return f"event {number} has a number that no event has"
    return f"event {first} is missing" if number == first + 1 else f"events {first} to {number - 1} are missing"


def _in_keys(chain: Chain) -> list[Difference]:
    """Keys whose dates no event explains, and keys of events that are not there."""
    said, there = replay(chain.events), {(key.service, key.id): columns_of(key) for key in chain.keys}
    found = []
    for place in sorted(said.keys() | there.keys(), key=str):
        name = f"key {place[1]} of {place[0]}"
        if place not in there:
            found.append(Difference(f"{name}: the events name it, and it is not in the ledger", _BACKUP))
        elif place not in said:
            found.append(Difference(f"{name}: no event explains it", _BACKUP))
        else:
            found += [
                Difference(f"{name}: {_words(column)} is {_shown(value)}, and its events say {_shown(other)}", _BACKUP)
                for column, value in there[place].items()
                if value != (other := said[place].get(column))
            ]
    return found


def _in_certificates(chain: Chain) -> list[Difference]:
    """Certificates that were changed, added or removed."""
    events = {event.number: event for event in chain.events if event.event == CERTIFIED}
    older: Mapping[str, str] = {}
    with suppress(AttributeError, LookupError, TypeError):
        older = {**chain.events[0].document["certificates"]}
    found, seen = [], set()
    for kept in chain.certificates:
        name, own = f"certificate of {kept.key_id}, written {utc_text(kept.written)}", events.get(kept.event or 0)
        if own is None and (kept.event is not None or str(kept.id) not in older):
            found.append(Difference(f"{name}: no event explains it", _FILE))
        elif not (_is_of(kept, own) if own else _is_older(kept, older[str(kept.id)])):
            found.append(Difference(f"{name}: it was changed in the ledger", _FILE))
        elif own and own.number in seen:
            found.append(Difference(f"{name}: it is there twice, and its event is of one", _FILE))
        seen.add(own and own.number)
    there = {kept.event for kept in chain.certificates} | {str(kept.id) for kept in chain.certificates}
    missing = [f"certificate of {events[number].key_id}, of event {number}" for number in events.keys() - there]
    missing += [f"certificate number {number} from before the chain began" for number in older.keys() - there]
    found += _in_retirements(chain.events)
    return [*found, *(Difference(f"{name}: it is not in the ledger", _BACKUP) for name in sorted(missing))]


def fits(digest: str | None, document: object) -> bool:
    """True if *digest* is that of *document*, which may be anything that somebody wrote: also what has no digest."""
    with suppress(TypeError, ValueError, RecursionError):
        return digest_of(document) == digest
    return False


def replay(events: Sequence[EventRecord]) -> dict[tuple[str, str], Columns]:
    """The columns of each key, by service and id, as the *events* say."""
    found: dict[tuple[str, str], Columns] = {}

    def apply(service: str, key_id: str, sets: Mapping[str, Any]) -> None:
        empty = dict.fromkeys(COLUMNS) | {"forced": False}
        found[service, key_id] = {**found.get((service, key_id), empty), **sets}

    for event in events:
        # A document that somebody changed may have any form; that it was changed is found by its digest.
        with suppress(AttributeError, LookupError, TypeError, ValueError):
            if event.event == BEGAN:
                for key in event.document["keys"]:
                    apply(key["service"], key["id"], key["sets"])
            elif event.service is not None and event.key_id is not None and "sets" in event.document:
                apply(event.service, event.key_id, {**event.document["sets"], "event": event.number})
    return found


def _in_retirements(events: Sequence[EventRecord]) -> list[Difference]:
    """Certificates that nothing follows: the end of a chain can be removed together with its dates.

    More often the command died. A later event of the key says that it was still there, or that it was retired.
    """
    found = []
    for event in last_events(events).values():
        if event.event == CERTIFIED:
            _, is_set, key_set = (event.service or "").rpartition("/")
            again = retire_step(event.key_id or "", key_set if is_set else None).after("finish it:")
            words = (
                f"certificate of {event.key_id}, of event {event.number}: no later event says that the key was "
                f"retired. Most likely `keys retire {event.key_id}` was cut short; otherwise events at the end were "
                "removed"
            )
            found.append(Difference(words, Steps(again, f"if nobody typed that command: {_BACKUP}")))
    return found


def _is_of(kept: KeptCertificate, event: EventRecord) -> bool:
    with suppress(AttributeError, TypeError, ValueError, RecursionError):
        facts = certified_document(kept.document)
        columns = kept.key_id, kept.written, kept.digest
        return event.document == facts and columns == (event.key_id, event.at, facts["certificate"])
    return False


def _is_older(kept: KeptCertificate, digest: str) -> bool:
    """True if *kept* is the certificate with that *digest*, from before the chain began."""
    return fits(digest, kept.document) and kept.digest is None and kept.document.get("key") == kept.key_id


def _words(column: str) -> str:
    return "the number of its last event" if column == "event" else column


def _shown(value: object) -> str:
    return "none" if value is None else str(value)
