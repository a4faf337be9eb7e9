"""Verifies a ledger and a certificate: the chain, what it explains, the file, and its signature. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keyring_core.sources import read_regular
from rotation.ledger.chain import Chain, Difference, differences, digest_of, unsigned
from rotation.ledger.database import LedgerPlace
from rotation.ledger.events import chain_at
from rotation.ledger.issued import CertificateFileError, Compared, compare, parse_certificate
from rotation.lifecycle.signatures import key_id_of, load_public, signature_fault, signature_of
from rotation.model.failures import UsageError


@dataclass
class Verification:
    """What was verified, and what differs."""

    ledger: str | None = None
    """The ledger in words; None if none was read."""
    chain: Chain | None = None
    name: str | None = None
    """The file of the certificate, as it was named."""
    compared: Compared | None = None
    """The file beside the ledger's certificate; None without a file, or without a ledger."""
    digest: str | None = None
    """The digest of the certificate in the file."""
    signed_with: str | None = None
    """The id of the key that the file names as the one that signed it."""
    is_signature_checked: bool = False
    """True if the signature fits the public key that was given."""
    differences: list[Difference] = field(default_factory=list)


def verify(
    place: LedgerPlace | None,
    file: Path | None,
    public: Path | None,
    wait: Callable[[float], None],
) -> Verification:
    """Verifies the ledger at *place*, the certificate in *file*, and its signature with the key in *public*.

    Each may be None. *wait* sleeps, and raises StoppedError if a stop was requested. Raises UsageError for a file that
    cannot be read, and LedgerError.
    """
    key = load_public(public, f"--public {public}") if public else None
    data = _read(file) if file else None
    found = Verification(name=str(file) if file else None)
    if place:
        found.ledger, found.chain = chain_at(place, wait)
        found.differences += differences(found.chain)
    if data is None:
        return found
    name, document = str(file), _parsed(data, str(file), found)
    if document is None:
        return found
    found.digest = digest_of(unsigned(document))
    if signature := signature_of(document):
        found.signed_with = signature.key
    if key:
        fault = signature_fault(document, key, name)
        found.differences += [fault] if fault else []
        found.signed_with, found.is_signature_checked = key_id_of(key), fault is None
    if found.chain:
        found.compared = compare(document, found.chain, name)
        found.differences += found.compared.differences
    return found


def _read(file: Path) -> bytes:
    try:
        return read_regular(file, "certificate")[0]
    except OSError as error:
        fault = error.strerror or "cannot be read"
    raise UsageError(f"{file}: {fault}")


def _parsed(data: bytes, name: str, found: Verification) -> dict[str, Any] | None:
    """The certificate; None if it is none, which is then among the differences."""
    try:
        return parse_certificate(data)
    except CertificateFileError as error:
        found.differences.append(Difference(f"{name} {error}", "ask for the file as it was issued"))
    return None
