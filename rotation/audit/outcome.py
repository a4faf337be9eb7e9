"""The outcome of `ledger verify`, as text and as a JSON document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from msgspec import UNSET
from rich.console import RenderableType
from rich.text import Text

from rotation.audit.issued import Compared, Field
from rotation.audit.verification import Verification
from rotation.ledger.chain import SIGNATURE, Chain, KeptCertificate, digest_of, unsigned, utc_text
from rotation.model.next_steps import PLAIN, Invocation
from rotation.model.text import many, to_second
from rotation.output.documents.parts import Document, Missing
from rotation.output.terminal import following, rows_table

LAST_EVENTS = 10
"""Events that a screen shows; --json has all."""


def render_verification(found: Verification, invocation: Invocation = PLAIN) -> Iterator[RenderableType]:
    """The lines of a screen."""
    if found.chain and found.ledger:
        yield from _chain(found.ledger, found.chain)
    if found.compared and found.compared.is_as_issued and not found.compared.differences:
        # Certificates that are older than the chain are in its first event.
        event = found.compared.event
        whence = f"event {event}" if event != 1 else "before the chain began"
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
    rows = [
        [str(event.number), to_second(event.at), event.service or "", event.key_id or "", event.event, event.by or ""]
        for event in chain.events[-LAST_EVENTS:]
    ]
    yield rows_table(["#event", "time", "service", "key", "what", "by"], rows, always="#event")


class EventJson(Document):
    """An event of the chain."""

    number: Annotated[int, "Its number, from 1."]
    at: Annotated[str, "When it was, in UTC."]
    service: Annotated[str | None, "Whose key it is about."]
    key_id: Annotated[str | None, "The key; null for the first event."]
    event: Annotated[str, "What happened: `began`, `found`, `staged`, `promoted`, `certified`, `retired` and so on."]
    by: Annotated[str | None, "Who ran the command, as they or the system call them: a note."]
    document: Annotated[Any, "Its facts: `sets` are the columns of the key that it set."]
    previous: Annotated[str, "The digest of the event before it."]
    digest: Annotated[str, "Its digest: SHA-256 of the canonical JSON of all other columns."]


class IssuedJson(Document):
    """A certificate that the ledger keeps."""

    key: Annotated[str, "The id of the key that was retired."]
    written: Annotated[str, "When it was issued, in UTC."]
    digest: Annotated[str, "SHA-256 of its canonical JSON without its signature."]
    event: Annotated[int | None, "The number of its event; null if it is older than the chain."]
    signed_with: Annotated[str | None, "The id of the key that signed it; null if it is not signed."]

    @classmethod
    def of(cls, kept: KeptCertificate) -> IssuedJson:
        """The part on one certificate."""
        document = kept.document if isinstance(kept.document, dict) else {}
        signature = document.get(SIGNATURE)
        signed_with = signature.get("key") if isinstance(signature, dict) else None
        return cls(kept.key_id, utc_text(kept.written), digest_of(unsigned(document)), kept.event, signed_with)


class CertificateFileJson(Document):
    """The certificate in a file."""

    file: Annotated[str, "The file."]
    as_issued: Annotated[bool | None, "True if this ledger issued it as it is; null if no ledger was read."]
    digest: Annotated[str | None, "SHA-256 of its canonical JSON without its signature; null if it is no certificate."]
    event: Annotated[int | None, "The event of the certificate that it is, or was before it was changed."]
    fields: Annotated[list[Field], "The fields in which it differs from the copy in the ledger."]
    signed_with: Annotated[str | None, "The id of the key that is said to have signed it."]
    signature_checked: Annotated[bool, "True if the signature fits the key of --public."]


class DifferenceJson(Document):
    """A fact that is not as it was recorded."""

    what: Annotated[str, "What differs."]
    remedy: Annotated[str, "What to do, a step a line."]


class LedgerVerifyJson(Document):
    """`ledger verify`."""

    complete: Annotated[Literal[True], "Always true."]
    verified: Annotated[bool, "True if nothing differs."]
    ledger: Annotated[str | None, "The ledger, without a password; null if none was read."]
    id: Annotated[str | None, "The name of the ledger: the digest of its first event."]
    head: Annotated[str | None, "The digest of its last event."]
    events: Annotated[list[EventJson], "All events, in order."]
    certificates: Annotated[list[IssuedJson], "All certificates that it keeps, in order."]
    differences: Annotated[list[DifferenceJson], "All that differs."]
    certificate: Annotated[CertificateFileJson | Missing, "The file, if one was given."] = UNSET

    @classmethod
    def of(cls, found: Verification, invocation: Invocation = PLAIN) -> LedgerVerifyJson:
        """The document on what was found."""
        chain = found.chain
        events = [EventJson.like(event, at=utc_text(event.at)) for event in (chain.events if chain else ())]
        return cls(
            complete=True,
            verified=not found.differences,
            ledger=found.ledger,
            id=chain.ledger if chain else None,
            head=chain.head.digest if chain and chain.head else None,
            events=events,
            certificates=[IssuedJson.of(kept) for kept in chain.certificates] if chain else [],
            differences=[DifferenceJson(each.what, invocation.text(each.remedy)) for each in found.differences],
            certificate=_of_file(found, found.compared) if found.name else UNSET,
        )


def _of_file(found: Verification, compared: Compared | None) -> CertificateFileJson:
    kept = compared.kept if compared else None
    return CertificateFileJson(
        file=found.name or "",
        as_issued=None if found.chain is None else compared is not None and compared.is_as_issued,
        digest=found.digest,
        event=kept.event if kept else compared.event if compared else None,
        fields=compared.fields if compared else [],
        signed_with=found.signed_with,
        signature_checked=found.is_signature_checked,
    )
