"""Certificates for a server and a client of a test's own."""

from __future__ import annotations

import ipaddress
import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.x509.oid import NameOID

LOCAL = (x509.IPAddress(ipaddress.ip_address("127.0.0.1")),)
"""A server's name, which is not that of "localhost"."""


class Authority:
    """A CA, whose certificate is the file `NAME.crt` of a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        """Makes it."""
        self._folder, self._key, self._name = folder, generate_private_key(SECP256R1()), name
        certificate = self._signed(name, self._key, is_ca=True, names=(), days=30)
        self.file = folder / f"{name}.crt"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def sign(
        self,
        name: str,
        subject: str,
        names: Sequence[x509.GeneralName] = (),
        *,
        days: int = 30,
        owner: str | None = None,
    ) -> None:
        """Makes the files `NAME.crt` and `NAME.key` of *owner*, valid until in so many *days*, or replaces them."""
        key = generate_private_key(SECP256R1())
        certificate = self._signed(subject, key, is_ca=False, names=names, days=days)
        pem, pkcs8, plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        contents = {".crt": certificate.public_bytes(pem), ".key": key.private_bytes(pem, pkcs8, plain)}
        for suffix, content in contents.items():
            file = self._folder / f"{name}{suffix}"
            file.write_bytes(content)
            file.chmod(0o600)
            if owner:
                shutil.chown(file, owner)

    def _signed(
        self, subject: str, key: EllipticCurvePrivateKey, *, is_ca: bool, names: Sequence[x509.GeneralName], days: int
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(_named(subject))
            .issuer_name(_named(self._name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(60))
            .not_valid_after(now + timedelta(days))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return made.sign(self._key, hashes.SHA256())


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def owner_of_postgres() -> str | None:
    """The account that `own_postgres` runs as, if it is another one."""
    return "postgres" if os.geteuid() == 0 else None


def lock(key: Path, locked: Path, password: str) -> None:
    """Writes the *key* into the file *locked*, which takes the *password*."""
    found = serialization.load_pem_private_key(key.read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(password.encode())
    locked.write_bytes(found.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
