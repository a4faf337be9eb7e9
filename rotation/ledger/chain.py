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

COLUMNS = [field.name for field in fields(KeyRecord) if field.name not in {"id", "service", "promoted_in"}]
"""The columns that events explain."""


def columns_of(record: KeyRecord) -> Columns:
    """The columns of a key that events explain."""
    return {name: as_json(getattr(record, name)) for name in COLUMNS}


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


def last_events(events: Iterable[EventRecord]) -> dict[tuple[str | None, str | None], EventRecord]:
    """The last of these *events* of each key, by service and id. They come in their order."""
    return {(event.service, event.key_id): event for event in events}


def certified_document(certificate: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of the event of a *certificate*: two digests."""
    signature = certificate.get(SIGNATURE)
    return {
        "certificate": digest_of(unsigned(certificate)),
        "signature": None if signature is None else digest_of(signature),
    }
