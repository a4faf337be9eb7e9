"""Signatures of certificates, with Ed25519 (RFC 8032): makes keys, signs, and checks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keyring_core.sources import read_regular
from rotation.context import Context
from rotation.kept_files import outputs_of
from rotation.ledger.chain import SIGNATURE, canonical, unsigned
from rotation.model.failures import UsageError
from rotation.world.atomic_file import legible_to_others, read_whole, replace_whole, write_refusal
from rotation.world.outputs import Kind

MAKE = "keyring-rotate ledger keygen signing.pem"
LABEL = b"keyring-core certificate v1\0"
"""It stands before what is signed, so that no signature of anything else with the same key fits."""


class CertificateSignature(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The signature of a certificate, over all its other fields."""

    algorithm: Annotated[Literal["ed25519"], "The algorithm: Ed25519 of RFC 8032."] = "ed25519"
    key: Annotated[str, "The id of the signing key: the first 16 hexadecimal digits of the SHA-256 of its public key."]
    public: Annotated[
        str, "The public key, in hexadecimal digits; it proves nothing unless you have it from elsewhere."
    ]
    value: Annotated[str, "The signature, in hexadecimal digits."]


IS_THERE = "is there already, and no key for signatures replaces a file"
KEY_FILE = Kind(lambda _: IS_THERE)
"""A key that signs, or its public key."""


class Signer:
    """A private key that signs certificates."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private, self._public = private, private.public_key()

    @classmethod
    def generate(cls) -> Signer:
        """A new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path, called: str) -> Signer:
        """The key in the PEM file at *path*. Raises UsageError if it is none, or if others can read or change it."""
        data = read_given(path, called, "key")
        if fault := legible_to_others(path):
            raise UsageError(f"{called}: {fault.removeprefix(f'{path}: ')}")
        key = None
        # Their messages may hold parts of the file.
        with suppress(ValueError, TypeError, UnsupportedAlgorithm):
            key = serialization.load_pem_private_key(data, password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise UsageError(f"{called}: holds no Ed25519 key without a password; make one: {MAKE}")
        return cls(key)

    @property
    def id(self) -> str:
        """The id of the key."""
        return key_id_of(self._public)

    def private_pem(self) -> bytes:
        """The private key, as PKCS #8 in PEM, without a password: a secret."""
        return self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def public_pem(self) -> bytes:
        """The public key, in PEM."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._public.public_bytes(serialization.Encoding.PEM, form)

    def sign(self, certificate: Mapping[str, Any]) -> dict[str, Any]:
        """The signature of *certificate*, as its field has it."""
        value = self._private.sign(LABEL + canonical(unsigned(certificate)))
        made = CertificateSignature(key=self.id, public=self._public.public_bytes_raw().hex(), value=value.hex())
        found: dict[str, Any] = msgspec.to_builtins(made)
        return found


def make_signing_key(context: Context, path: Path) -> tuple[Signer, Path]:
    """A new key that signs, written to *path* for its owner alone, and its public key, in a file beside it.

    Returns the key and the path of its public key. Raises UsageError if one of the files is there, or must not be
    written; and StoreError.
    """
    public_path, outputs, taken = path.with_name(f"{path.name}.pub"), outputs_of(context), []
    for each in (path, public_path):
        taken.append(outputs.take(each, str(each), KEY_FILE))
        # An empty file may have a mode that lets others read the key.
        if read_whole(each).identity:
            raise UsageError(f"{each}: {IS_THERE}; name another file")
        if fault := write_refusal(each):
            raise UsageError(f"{each}: {fault}")
    signer = Signer.generate()
    replace_whole(read_whole(path), signer.private_pem())
    with taken[-1].whole() as file:
        file.write(signer.public_pem())
    return signer, public_path


def key_id_of(public: Ed25519PublicKey) -> str:
    """The id of a public key: the first 16 hexadecimal digits of its SHA-256."""
    return sha256(public.public_bytes_raw()).hexdigest()[:16]


def read_given(path: Path, called: str, kind: str) -> bytes:
    """The file at *path*, which messages call *called*; *kind* names what is read. Raises UsageError."""
    try:
        return read_regular(path, kind)[0]
    except OSError as error:
        fault = error.strerror or "cannot be read"
    raise UsageError(f"{called}: {fault}")


def signature_of(certificate: Mapping[str, Any]) -> CertificateSignature | None:
    """The signature in *certificate*; None without one, or if it has an unknown form."""
    try:
        return msgspec.convert(certificate.get(SIGNATURE), CertificateSignature)
    except msgspec.ValidationError:
        return None
