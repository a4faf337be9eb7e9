"""The chain of the ledger's events, as values: digests, links, and what the events say. Touches no database.

Each event holds the digest of the one before it (Haber and Stornetta, "How to Time-Stamp a Digital Document", 1991,
section 5.1, linking). So a change of one event changes the digests of all that follow. It is a list and no tree: unlike
RFC 6962, a check reads all of it, which a ledger's few hundred events allow.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from hashlib import sha256
from math import isfinite
from typing import Any, NamedTuple, NoReturn, TypeAlias

from rotation.ledger.records import KeyRecord
from rotation.model.next_steps import Remedy, Steps, retire_step

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"
FIRST_PREVIOUS = "0" * 64
"""In the place of a digest: the first event has none before it."""
BEGAN, CERTIFIED = "began", "certified"
"""The first event of a ledger, and the one of each certificate."""

SIGNATURE = "signature"
"""The field of a certificate that its digest leaves out, since it is made of the rest."""


def utc_text(when: datetime) -> str:
    """A time as the ledger has it: in UTC, with microseconds."""
    return when.astimezone(UTC).strftime(TIME_FORMAT)


def canonical(document: object) -> bytes:
    """The one spelling of a JSON *document*: sorted names, no blanks, UTF-8.

    The idea is that of RFC 8785, whose spelling it is for documents of text, whole numbers and names in ASCII.
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "surrogatepass")


def digest_of(document: object) -> str:
    """The SHA-256 of the canonical JSON, in 64 hexadecimal digits. Raises TypeError or ValueError for no document."""
    return sha256(canonical(document)).hexdigest()


def fits(digest: str | None, document: object) -> bool:
    """True if *digest* is that of *document*, which may be anything that somebody wrote: also what has no digest."""
    with suppress(TypeError, ValueError, RecursionError):
        return digest_of(document) == digest
    return False


class UnclearJsonError(ValueError):
    """Two programs that read the text could see two different documents. The words show none of it."""


def read_json(text: str) -> Any:
    """The JSON document *text*. Raises ValueError for what is none, and UnclearJsonError."""
    hooks: dict[str, Any] = {"object_pairs_hook": _object, "parse_constant": _refused, "parse_float": _finite}
    with suppress(RecursionError):
        return json.loads(text, **hooks)
    raise ValueError


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise UnclearJsonError("has a name twice in one object")
    return found


def _refused(_: str) -> NoReturn:
    raise UnclearJsonError("holds a number that programs read in different ways")


def _finite(number: str) -> float:
    found = float(number)
    return found if isfinite(found) else _refused(number)


def unsigned(certificate: Mapping[str, Any]) -> dict[str, Any]:
    """The *certificate* without its signature: what is signed, and what its digest is of."""
    return {name: value for name, value in certificate.items() if name != SIGNATURE}


class Head(NamedTuple):
    """The last event."""

    number: int
    digest: str


@dataclass(frozen=True)
class EventRecord:
    """One event of the chain."""

    number: int
    """From 1, without gaps."""
    at: datetime
    service: str | None
    key_id: str | None
    event: str
    by: str | None
    """Who ran the command, as they or the system call them."""
    document: dict[str, Any]
    """Its facts: `sets` are the columns of the key that it changed."""
    previous: str
    """The digest of the event before it."""
    digest: str

    @property
    def columns(self) -> dict[str, Any]:
        """What its digest is of: all other columns."""
        columns = asdict(self) | {"at": utc_text(self.at)}
        del columns["digest"]
        return columns

    @property
    def computed(self) -> str:
        """The digest that it ought to have. Raises as `digest_of`."""
        return digest_of(self.columns)


def linked(after: Head | None, at: datetime, event: str, document: dict[str, Any], **who: str | None) -> EventRecord:
    """The event that follows *after*; *who*: its service, key_id and by."""
    number, previous = (after.number + 1, after.digest) if after else (1, FIRST_PREVIOUS)
    names = {"service": None, "key_id": None, "by": None} | who
    made = EventRecord(number, at, event=event, document=document, previous=previous, digest="", **names)
    return EventRecord(**vars(made) | {"digest": made.computed})


@dataclass(frozen=True)
class KeptCertificate:
    """A certificate as the ledger keeps it."""

    id: int
    key_id: str
    written: datetime
    document: dict[str, Any]
    digest: str | None = None
    """Null of one that is older than the chain."""
    event: int | None = None
    """The number of its event; null of an older one."""


class Chain(NamedTuple):
    """The events of a ledger, and the rows that they have to explain."""

    events: Sequence[EventRecord]
    keys: Sequence[KeyRecord]
    certificates: Sequence[KeptCertificate]

    @property
    def ledger(self) -> str | None:
        """The name of this ledger, which no other one has: the digest of its first event. None without events."""
        return self.events[0].digest if self.events else None

    @property
    def head(self) -> Head | None:
        """The last event; None without events."""
        return Head(self.events[-1].number, self.events[-1].digest) if self.events else None


Columns: TypeAlias = dict[str, Any]
"""Columns of a key, with each time as text."""

_COLUMNS = [field.name for field in fields(KeyRecord) if field.name not in {"id", "service", "promoted_in"}]


def columns_of(record: KeyRecord) -> Columns:
    """The columns of a key that events explain."""
    return {name: as_json(getattr(record, name)) for name in _COLUMNS}


def as_json(value: object) -> object:
    """*value* for a document: a time as text."""
    return utc_text(value) if isinstance(value, datetime) else value


def first_document(ledger: str, keys: Sequence[KeyRecord], certificates: Sequence[KeptCertificate]) -> dict[str, Any]:
    """The facts of the first event: a random name, and what the ledger held before it had a chain."""
    return {
        "ledger": ledger,
        "keys": [{"id": key.id, "service": key.service, "sets": columns_of(key)} for key in keys],
        "certificates": {str(one.id): digest_of(one.document) for one in certificates},
    }


def replay(events: Sequence[EventRecord]) -> dict[tuple[str, str], Columns]:
    """The columns of each key, by service and id, as the *events* say."""
    found: dict[tuple[str, str], Columns] = {}

    def put(service: str, key_id: str, sets: Mapping[str, Any]) -> None:
        empty = dict.fromkeys(_COLUMNS) | {"forced": False}
        found[service, key_id] = {**found.get((service, key_id), empty), **sets}

    for event in events:
        # A document that somebody changed may have any form; that it was changed is found by its digest.
        with suppress(AttributeError, LookupError, TypeError, ValueError):
            if event.event == BEGAN:
                for key in event.document["keys"]:
                    put(key["service"], key["id"], key["sets"])
            elif event.service is not None and event.key_id is not None and "sets" in event.document:
                put(event.service, event.key_id, {**event.document["sets"], "event": event.number})
    return found


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


def last_events(events: Iterable[EventRecord]) -> dict[tuple[str | None, str | None], EventRecord]:
    """The last of these *events* of each key, by service and id. They come in their order."""
    return {(event.service, event.key_id): event for event in events}


def _in_retirements(events: Sequence[EventRecord]) -> list[Difference]:
    """Certificates that nothing follows: the end of a chain can be removed together with its dates.

    More often the command died. A later event of the key says that it was still there, or that it was retired.
    """
    return [
        Difference(
            f"certificate of {event.key_id}, of event {event.number}: no later event says that the key was retired. "
            f"Most likely `keys retire {event.key_id}` was cut short; otherwise events at the end were removed",
            Steps(_retire_again(event), f"if nobody typed that command: {_BACKUP}"),
        )
        for event in last_events(events).values()
        if event.event == CERTIFIED
    ]


def _retire_again(event: EventRecord) -> Remedy:
    """The command that finishes the retirement of a certificate's *event*."""
    _, is_set, key_set = (event.service or "").rpartition("/")
    return retire_step(event.key_id or "", key_set if is_set else None).after("finish it:")


def certified_document(certificate: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of the event of a *certificate*: two digests."""
    signature = certificate.get(SIGNATURE)
    return {
        "certificate": digest_of(unsigned(certificate)),
        "signature": None if signature is None else digest_of(signature),
    }


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
