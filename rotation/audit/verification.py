"""Verifies a ledger and a certificate: the chain, what it explains, the file, and its signature. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from rotation.audit.differences import Difference, differences
from rotation.audit.issued import CertificateFileError, Compared, compare, parse_certificate
from rotation.ledger.chain import SIGNATURE, Chain, canonical, digest_of, unsigned
from rotation.ledger.database import LedgerPlace
from rotation.ledger.events import chain_at
from rotation.lifecycle.signatures import LABEL, key_id_of, read_given, signature_of
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
    data = read_given(file, str(file), "certificate") if file else None
    found = Verification(name=str(file) if file else None)
    if place:
        found.ledger, found.chain = chain_at(place, wait)
        found.differences += differences(found.chain)
    if data is None:
        return found
    name = str(file)
    try:
        document = parse_certificate(data)
    except CertificateFileError as error:
        found.differences.append(Difference(f"{name} {error}", "ask for the file as it was issued"))
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


def load_public(path: Path, called: str) -> Ed25519PublicKey:
    """The public key in the PEM file at *path*. Raises UsageError if it is none."""
    key, data = None, read_given(path, called, "key")
    with suppress(ValueError, UnsupportedAlgorithm):
        key = serialization.load_pem_public_key(data)
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{called}: holds no public Ed25519 key; `ledger keygen` writes one beside the private key")
    return key


def signature_fault(certificate: Mapping[str, Any], public: Ed25519PublicKey, name: str) -> Difference | None:
    """The reason that *certificate*, called *name*, is not what the key *public* signed; None if it is."""
    own, found = key_id_of(public), signature_of(certificate)
    if SIGNATURE not in certificate:
        return Difference(f"{name} is not signed", "ask for the certificate that was signed when the key was retired")
    if found is None:
        return Difference(f"{name}: its signature has an unknown form", "ask for the file as it was issued")
    if (found.key, found.public) != (own, public.public_bytes_raw().hex()):
        words = f"{name} was signed with another key ({found.key}); the one of --public is {own}"
        return Difference(words, "ask the signer for the public key, and not by way of this file")
    try:
        public.verify(bytes.fromhex(found.value), LABEL + canonical(unsigned(certificate)))
    except (InvalidSignature, ValueError):
        return Difference(f"{name} was changed after it was signed with {own}", "ask for the file as it was issued")
    return None
