"""What the errors of PyMySQL mean, by the numbers of MariaDB and MySQL."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from typing import Any, ClassVar

from rotation.stores.error_codes import (
    CLOSED,
    FOREIGN,
    FULL,
    NAMELESS,
    UNREACHABLE,
    ErrorCodes,
    Fault,
    TlsFault,
    words_for,
)

CONSTRAINT_NAMES: Mapping[int, str] = {
    1062: r"for key '(.+)'$",
    1451: r"CONSTRAINT `(.+?)` FOREIGN KEY",
    1452: r"CONSTRAINT `(.+?)` FOREIGN KEY",
    3819: r"^Check constraint '(.+)' is violated",
    4025: r"^CONSTRAINT `(.+?)` failed",
}
"""The pattern of the constraint's name in a message. The rest may hold a token."""

CRASHED = "it is marked as crashed: REPAIR TABLE"
ENGINE_FAILED = "its storage engine failed, and the server's log says why"

OTHER_HOST = frozenset({62, 64})
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL."""
NO_TLS = 2026
"""The driver's own number for a server that has no TLS."""
TLS_CODES: Mapping[int, TlsFault] = {NO_TLS: TlsFault.MISSING, 3159: TlsFault.DEMANDED}
UNMADE, LOST = 2003, 2013
"""What the driver calls a connection that was not made because of TLS, or that the server ends after the handshake."""


class MySQLErrorCodes(ErrorCodes):
    """By error number: https://mariadb.com/kb/en/mariadb-error-code-reference/."""

    refusals: ClassVar[Mapping[Any, str]] = {
        **words_for(
            ca="ssl_ca",
            cert="ssl_cert",
            key="ssl_key",
            mode="ssl_ca and ssl_disabled",
            any_host="ssl_check_hostname=false",
            versions="ssl_cipher",
        ),
        6: "the server lost a temporary file: two servers must not share a folder for these (tmpdir)",
        1021: "the disk is full",
        1036: "the table is read-only",
        1038: "the server cannot sort with so little memory: raise this user's sort_buffer_size",
        1040: FULL,
        1044: "this user may not use the database",
        1045: "user or password is wrong, or the account asks for TLS or for a certificate of the client",
        1049: "there is no such database",
        1114: "the table is full",
        1129: "the server takes no connection from this host any more: mysqladmin flush-hosts",
        1130: "the server takes no connection from this host: look at the user's host",
        1142: "the privilege for it is missing: grant SELECT and UPDATE on the table",
        1143: "the privilege for it is missing: grant SELECT and UPDATE on its columns",
        1184: "the init_connect of the server fails: correct it there",
        1153: "a value is larger than max_allowed_packet",
        1203: FULL,
        1205: "another transaction holds a lock",
        1226: FULL,
        1231: "the server takes no such value of a session variable: look at init_command in the url",
        1227: "the privilege for it is missing: grant SELECT and UPDATE on the table",
        1290: "the server is read-only",
        3032: "the server is in offline mode, which lets in its administrators only",
        3572: "another transaction holds a lock",
        1698: "user or password is wrong",
        1792: "the transaction is read-only",
        1836: "the server is read-only",
        2003: "the server cannot be reached",
        1047: "this node of the cluster takes no statements yet",
        1053: "the server is shutting down",
        1927: "the connection was lost",
        1969: "a statement took too long: raise this user's max_statement_time",
        2006: "the connection was lost",
        2013: "the connection was lost",
        3024: "a statement took too long: raise this user's max_execution_time",
        9001: "the proxy has no connection to its server",
    }
    damages: ClassVar[Mapping[Any, str]] = {
        126: CRASHED,
        144: CRASHED,
        145: CRASHED,
        1030: ENGINE_FAILED,
        1194: CRASHED,
        1195: CRASHED,
        1286: "its storage engine is not loaded",
        1296: ENGINE_FAILED,
        1356: "what the view refers to is not there, or its owner may not read it",
        1812: "its tablespace is not there",
        1814: "its tablespace was discarded",
        1877: "it is corrupt",
        1932: "its storage engine does not have it, or cannot decrypt it",
    }
    denials: ClassVar[frozenset[Any]] = frozenset({1142, 1143, 1227})
    absences: ClassVar[frozenset[Any]] = frozenset({1049})
    locked: ClassVar[frozenset[Any]] = frozenset({1205, 3572})
    # 0 the connection is closed, 1040, 1203 and 1226 none to spare, 1047 a node of Galera is not ready, 1053 shutdown,
    # 1927 killed, 2002..2055 connection, 3032 offline mode, 9001 ProxySQL has no server.
    gone: ClassVar[frozenset[Any]] = frozenset(
        {0, 1040, 1047, 1053, 1203, 1226, 1927, 2002, 2003, 2006, 2013, 2014, 2055, 3032, 9001, FOREIGN}
    )
    read_only: ClassVar[frozenset[Any]] = frozenset({1290, 1836})
    # 6 a temporary file is gone, 1020 changed since read, 1213 deadlock, 1412 altered since the snapshot, 3024 killed.
    transient: ClassVar[frozenset[Any]] = (gone - {FOREIGN}) | {6, 1020, 1213, 1412, 3024}
    # 1048 NULL, 1062 unique, 1242 a trigger's subquery, 1264 range, 1265 cut, 1292 and 1366 not of the type, 1406 too
    # long, 1451 and 1452 foreign key, 1644 a SIGNAL, 3819 and 4025 check.
    row: ClassVar[frozenset[Any]] = frozenset(
        {1048, 1062, 1242, 1264, 1265, 1292, 1366, 1406, 1451, 1452, 1644, 3819, 4025}
    )

    def is_late(self, error: BaseException) -> bool:
        """By the error that the driver met."""
        cause = getattr(error, "original_exception", None)
        return isinstance(cause, TimeoutError) or (self.code(error) == 2013 and "timed out" in str(error))

    def code(self, error: BaseException) -> object:
        """The error number, unless TLS or another kind of server is behind it; the driver's own errors have words."""
        number = error.args[0] if error.args else None
        if isinstance(number, int):
            return _tls_fault(error, number) or number
        return FOREIGN if str(number).startswith("Packet sequence number wrong") else None

    def fault(self, error: BaseException) -> Fault:
        """By error number: https://mariadb.com/kb/en/mariadb-error-code-reference/. A wrong name stays wrong."""
        fault, cause = super().fault(error), getattr(error, "original_exception", None)
        return Fault.PERMANENT if fault is Fault.TRANSIENT and isinstance(cause, socket.gaierror) else fault

    def words(self, error: BaseException) -> str | None:
        """By error number; if no server answered, by the driver's own error."""
        cause = getattr(error, "original_exception", None)
        if isinstance(cause, socket.gaierror):
            return NAMELESS
        if isinstance(cause, ConnectionRefusedError):
            return CLOSED
        return self.unreachable(error) or super().words(error)

    def unreachable(self, error: BaseException) -> str | None:
        """By the driver's own error."""
        cause = getattr(error, "original_exception", None)
        return UNREACHABLE.get(cause.errno or 0) if isinstance(cause, OSError) else None

    def constraint(self, error: BaseException) -> str | None:
        """From the message, which is English whatever the user's language only by default; else None."""
        pattern = CONSTRAINT_NAMES.get(self.code(error))  # type: ignore[call-overload]
        name = re.search(pattern, str(error.args[1])) if pattern and len(error.args) > 1 else None
        return name[1] if name else None


def _tls_fault(error: BaseException, number: int) -> TlsFault | None:
    """The fault of TLS that a driver's *error* with that *number* stands for, if any."""
    cause = getattr(error, "original_exception", None) or error.__context__
    if number not in {UNMADE, LOST} or not isinstance(cause, ssl.SSLError):
        return TLS_CODES.get(number)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return TlsFault.HOST if cause.verify_code in OTHER_HOST else TlsFault.AUTHORITY
    if re.search("ALERT_(UNKNOWN_CA|.*CERTIFICATE)", cause.reason or ""):
        return TlsFault.CLIENT
    # Otherwise the server, or what is before it, went away.
    is_gone = number == LOST or isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError)
    return None if is_gone else TlsFault.HANDSHAKE
