"""A file that is said to be a certificate, compared with what a ledger issued. Touches no database."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any

from rotation.audit.differences import Difference
from rotation.ledger.chain import (
    BEGAN,
    CERTIFIED,
    SIGNATURE,
    Chain,
    KeptCertificate,
    UnclearJsonError,
    canonical,
    certified_document,
    read_json,
)

_PLACE = frozenset({"ledger", "event", "head", SIGNATURE})
"""The fields that the ledger adds to what a retirement counted."""
_ISSUED = "ask for the file as it was issued; the ledger keeps what it issued, and --json prints both"


class CertificateFileError(ValueError):
    """The text is no certificate, in words that show none of it."""


def parse_certificate(data: bytes) -> dict[str, Any]:
    """The certificate that *data* is. Raises CertificateFileError."""
    fault = "is no JSON"
    try:
        found = read_json(data.decode())
    except UnclearJsonError as error:
        fault = f"{error}, and no certificate does"
    except ValueError:
        pass
    else:
        if isinstance(found, dict) and isinstance(found.get("key"), str) and "certificate" in found:
            return found
        fault = "is no certificate of a retirement"
    raise CertificateFileError(fault)


@dataclass
class Field:
    """A field in which the file and the copy in the ledger differ."""

    # A JSON document has these, with the texts beside them as descriptions.
    name: Annotated[str, "The field."]
    file: Annotated[Any, "What the file has; null if it is missing."]
    ledger: Annotated[Any, "What the ledger has; null if it is missing."]


@dataclass
class Compared:
    """A certificate file beside what the ledger has."""

    event: int | None = None
    """The event that has its digests; of an older certificate the first one. Then this ledger issued it as it is."""
    kept: KeptCertificate | None = None
    """The ledger's copy of it, or of what it was before it was changed."""
    fields: list[Field] = field(default_factory=list)
    """The fields in which the two differ."""
    differences: list[Difference] = field(default_factory=list)

    @property
    def is_as_issued(self) -> bool:
        """True if the chain has its digest."""
        return self.event is not None


def compare(document: Mapping[str, Any], chain: Chain, name: str) -> Compared:
    """Compares the certificate *document* of a file, called *name*, with those of *chain*."""
    found = Compared(_event_of(document, chain), _likely(document, chain))
    found.fields = _differing(document, found.kept.document) if found.kept else []
    names = ", ".join(each.name for each in found.fields)
    if found.is_as_issued:
        if found.fields:
            words = f"{name} is as it was issued, and the ledger's copy of it was changed: {names}"
            found.differences.append(Difference(words, "keep the file, and compare the ledger with a backup"))
        if fault := _head_fault(document, chain, name):
            found.differences.append(fault)
    elif found.kept:
        found.differences.append(Difference(f"{name} was changed after it was issued: {names}", _ISSUED))
    else:
        words, remedy = f"{name}: this ledger issued no such certificate", "name the ledger that issued it: --url"
        own, ledger = chain.ledger or "", document.get("ledger")
        is_of_another = isinstance(ledger, str) and ledger != own
        if is_of_another:
            words = f"{name} is a certificate of another ledger ({str(ledger)[:16]}); this one is {own[:16]}"
        found.differences.append(Difference(words, remedy if is_of_another else f"{remedy}; or ask who made it"))
    return found


def _event_of(document: Mapping[str, Any], chain: Chain) -> int | None:
    """The unchanged event with the digests of *document*; of an older certificate, the first one if it has its digest.

    Somebody may have put the digests of a file of their own into an event, which then is not as its own digest says.
    """
    facts = certified_document(document)
    for event in chain.events:
        with suppress(AttributeError, LookupError, TypeError):
            is_of = event.event == CERTIFIED and event.document == facts
            is_older = event.event == BEGAN and facts["certificate"] in event.document["certificates"].values()
            if (is_of or is_older) and event.computed == event.digest:
                return event.number
    return None


def _likely(document: Mapping[str, Any], chain: Chain) -> KeptCertificate | None:
    """The ledger's copy of *document*, or of what it most likely was: the one that differs least.

    It is of the same event, or of the same key; if the file names another ledger, nothing else may differ.
    """

    def is_likely(differing: set[str]) -> bool:
        if document.get("ledger") in (None, chain.ledger):
            return "key" not in differing or "event" not in differing
        return differing <= _PLACE

    there = [one for one in chain.certificates if isinstance(one.document, dict)]
    fields = [{each.name for each in _differing(document, one.document)} for one in there]
    likely = [(len(names), one) for names, one in zip(fields, there, strict=True) if is_likely(names)]
    return min(likely, key=lambda found: found[0])[1] if likely else None


def _differing(document: Mapping[str, Any], kept: Mapping[str, Any]) -> list[Field]:
    # As JSON: in Python, True is 1.
    return [
        Field(each, document.get(each), kept.get(each))
        for each in (*kept, *(each for each in document if each not in kept))
        if each not in document or each not in kept or canonical(document[each]) != canonical(kept[each])
    ]


def _head_fault(document: Mapping[str, Any], chain: Chain, name: str) -> Difference | None:
    """The reason that the events before this certificate are not those that it names; None if they are."""
    number, head = document.get("event"), document.get("head")
    if not isinstance(number, int):
        return None
    before = next((event for event in chain.events if event.number == number - 1), None)
    if before and before.digest == head:
        return None
    words = f"{name} names event {number - 1} as {str(head)[:16]}, and the chain has {'another' if before else 'none'}"
    return Difference(
        f"{words}: the events before it were made again, or removed",
        "compare the ledger with a backup from the day of the certificate",
    )
