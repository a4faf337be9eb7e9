"""TLS with MariaDB and MySQL: the driver's options for it, and the faults that its errors stand for."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import URL

from rotation.stores.tls import TlsFault

TLS_OPTIONS = frozenset({"ssl_ca", "ssl_capath", "ssl_cert", "ssl_key", "ssl_cipher", "ssl_check_hostname"})
"""The options of a url that SQLAlchemy puts into the driver's `ssl`."""
BESIDE = frozenset({"ssl_verify_cert", "ssl_verify_identity", "ssl_key_password"})
"""The options that it leaves beside that: the driver then drops these, or `ssl` and the CA in it."""
NO = frozenset({"0", "false", "no", "off", "none"})
OTHER_HOST = frozenset({62, 64})
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL."""
MISSING = 2026
"""The driver's own number for a server that has no TLS."""
CODES: Mapping[int, TlsFault] = {MISSING: TlsFault.MISSING, 3159: TlsFault.DEMANDED}
UNMADE, LOST = 2003, 2013
"""What the driver calls a connection that was not made because of TLS, or that the server ends after the handshake."""


def tls_options(url: URL) -> dict[str, Any]:
    """The driver's options for what its own names in *url* mean: it would take any text for true, such as "false"."""
    given = {name: str(url.query[name]) for name in {*TLS_OPTIONS, *BESIDE, "ssl_disabled"} & url.query.keys()}
    said = {name: value.lower() not in NO for name, value in given.items()}
    found: dict[str, Any] = {name: said[name] for name in ("ssl_disabled",) if name in said}
    if not given.keys() & BESIDE:
        return found
    made: dict[str, Any] = {name.removeprefix("ssl_"): given[name] for name in TLS_OPTIONS & given.keys()}
    made |= {"password": given["ssl_key_password"]} if "ssl_key_password" in given else {}
    made |= {"check_hostname": said["ssl_check_hostname"]} if "ssl_check_hostname" in said else {}
    identity, certificate = said.get("ssl_verify_identity"), said.get("ssl_verify_cert")
    if identity or certificate is not None:
        made["verify_mode"] = bool(identity or certificate)
    if identity is not None or certificate is not None:
        made["check_hostname"] = bool(identity or said.get("ssl_check_hostname"))
    if identity and not made.keys() & {"ca", "capath"}:
        # Without one the driver compares no names, though it takes the certificates of the system.
        of_system = ssl.get_default_verify_paths()
        made |= {"ca": of_system.cafile, "capath": of_system.capath}
    return found | {"ssl": made} | dict.fromkeys(given.keys() & BESIDE)


def refuse_plain(connection: Any) -> None:
    """Raises the driver's error if a new *connection* of it is without TLS, which was demanded.

    Its versions before 1.2 go on like that if the server says that it has none.
    """
    if connection.ssl and not connection._secure and getattr(connection, "_ssl_required", True):
        connection.close()
        raise connection.OperationalError(MISSING, "no TLS")


def tls_fault(error: BaseException, number: int) -> TlsFault | None:
    """The fault of TLS that a driver's *error* with that *number* stands for, if any."""
    cause = getattr(error, "original_exception", None) or error.__context__
    if number not in {UNMADE, LOST} or not isinstance(cause, ssl.SSLError):
        return CODES.get(number)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return TlsFault.HOST if cause.verify_code in OTHER_HOST else TlsFault.AUTHORITY
    if re.search("ALERT_(UNKNOWN_CA|.*CERTIFICATE)", cause.reason or ""):
        return TlsFault.CLIENT
    # Otherwise the server, or what is before it, went away.
    is_gone = number == LOST or isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError)
    return None if is_gone else TlsFault.HANDSHAKE
