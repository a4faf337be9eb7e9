"""What the errors of psycopg mean, by the SQLSTATE of PostgreSQL, and before there is a session by their words."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from itertools import chain
from typing import Any, ClassVar

from rotation.stores.error_codes import (
    CLOSED,
    CUT,
    FOREIGN,
    FULL,
    NAMELESS,
    UNREACHABLE,
    ErrorCodes,
    Fault,
    TlsFault,
    words_for,
)

UNIDENTIFIED = (
    "the table, or a partition of it, is published, and nothing says which row an update is of: look at its REPLICA "
    "IDENTITY, and at the columns that the publication names"
)
BY_STATEMENT, OPTIONS = "a pooler's statement mode", "a pooler's options"
"""The codes for what a pooler says of itself, in place of an SQLSTATE that it shares with other faults, or has not."""
UNREACHED = frozenset({"OperationalError", "ConnectionTimeout"})
"""The driver's errors before there is a session."""
ANSWERS = {
    r"sorry, too many clients|too many connections for|connection slots are reserved|max_client_conn": "53300",
    r"the database system is|not (yet )?accepting connections": "57P03",
    r"password|(?<!certificate )authentication failed|no such user|role .* does not exist|not permitted to log in": (
        "28000"
    ),
    r"permission denied for database": "42501",
    r"database .* does not exist|not currently accepting|no such database|database .* is disabled": "3D000",
    r"unsupported (options )?startup parameter": OPTIONS,
    # PgBouncer's own while its server is away, unless it repeats an answer of that server, as the ones above.
    r"server_login_retry|cannot connect to server|query_wait_timeout|server conn crashed|shutting down": "08006",
}
"""The server's answers to a connection attempt, each with the SQLSTATE that the driver does not pass on."""
OUTCOMES = {
    r"valid client certificate|certificate authentication failed|alert (unknown ca|.*certificate)": TlsFault.CLIENT,
    r"certificate file|private key file|could not (load|read|open) .*certificate": TlsFault.FILE,
    r"server certificate for|host name must be specified": TlsFault.HOST,
    "certificate verify failed": TlsFault.AUTHORITY,
    "server does not support SSL": TlsFault.MISSING,
    # PgBouncer's own.
    "SSL required": TlsFault.DEMANDED,
    "channel binding": TlsFault.BINDING,
    # The end of the line in the middle of it is a server that stops.
    "SSL error: (?!unexpected eof)": TlsFault.HANDSHAKE,
    "response to SSL negotiation|expected authentication request|unencrypted data after SSL": FOREIGN,
    r"pg_hba\.conf": "pg_hba",
    "no password supplied": "no password",
}
"""Other ends of a connection attempt, by words of libpq or of the server, with the code that this package gives them.

With sslmode=prefer there are two attempts, and those of the one with TLS come first.
"""


class PostgreSQLErrorCodes(ErrorCodes):
    """By the SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html."""

    refusals: ClassVar[Mapping[Any, str]] = {
        **words_for(
            ca="sslrootcert",
            cert="sslcert",
            key="sslkey",
            mode="sslmode",
            any_host="sslmode=verify-ca",
            versions="ssl_min_protocol_version",
        ),
        "pg_hba": "the server's pg_hba.conf admits no such connection: look at user, database and sslmode in the url, "
        "and at the address of this machine",
        "no password": "the server asks for a password, and none was given",
        "22P05": "its encoding lacks a character that was sent; write names (ROTATION_SERVICE, --by) in ASCII letters, "
        "or take a database in UTF8",
        "25006": "the database is read-only (a standby?)",
        "28000": "user or password is wrong",
        "28P01": "user or password is wrong",
        "3D000": "there is no such database",
        "42501": "the privilege for it is missing: grant SELECT and UPDATE on the table, and USAGE on its schema",
        "53100": "the disk is full",
        "53200": "the server has not enough memory",
        "53300": FULL,
        "08006": "the pooler has no connection to its server",
        BY_STATEMENT: "the pooler is in statement mode, in which there are no transactions; it needs transaction or "
        "session mode for this database and user (pool_mode)",
        OPTIONS: "the pooler takes no such options: look at what stands behind ? in the url; a table of another schema "
        "can be named with it, as app.creds, and search_path be set for the user by ALTER ROLE",
        "55P03": "another transaction holds a lock",
        "25P03": "the server ends what waits in a transaction: raise this user's idle_in_transaction_session_timeout",
        "25P04": "the server ends long transactions: raise this user's transaction_timeout",
        "57014": "a statement was cancelled: raise this user's statement_timeout, if it has one",
        "57P01": "the connection was lost",
        "57P03": "the server is starting or shutting down",
        "57P05": "the server ends what waits between transactions: raise this user's idle_session_timeout",
    }
    damages: ClassVar[Mapping[Any, str]] = {
        "58P01": "a file of it is not there",
        "XX001": "some of its data is damaged",
        "XX002": "an index of it is damaged: REINDEX",
    }
    unforeseen = "the database failed, and the server's log says why"
    denials: ClassVar[frozenset[Any]] = frozenset({"42501"})
    transient: ClassVar[frozenset[Any]] = frozenset(
        {"08", "40", "57P01", "57P02", "57P03", "57P05", "53300", "25P03", "25P04"}
    )
    gone: ClassVar[frozenset[Any]] = frozenset({"08", "57P01", "57P02", "57P03", "53300", FOREIGN})
    hopeless: ClassVar[frozenset[Any]] = frozenset({BY_STATEMENT})
    read_only: ClassVar[frozenset[Any]] = frozenset({"25006"})
    locked: ClassVar[frozenset[Any]] = frozenset({"55P03"})
    # 21 and 22 data, 23 constraint, 27 a trigger, 44 WITH CHECK OPTION, P0 a trigger's RAISE, 54000 too much for an
    # index.
    row: ClassVar[frozenset[Any]] = frozenset({"21", "22", "23", "27", "44", "P0", "54000"})

    def is_late(self, error: BaseException) -> bool:
        """It has a class of its own for that."""
        return type(error).__name__ == "ConnectionTimeout"

    def code(self, error: BaseException) -> object:
        """The SQLSTATE; for an answer to a connection attempt, the one that its words stand for."""
        state = getattr(error, "sqlstate", None)
        if state == "08P01" and "statement pooling mode" in str(error):
            return BY_STATEMENT
        if state is None and type(error).__name__ in UNREACHED:
            found = (state for pattern, state in ANSWERS.items() if re.search(pattern, _answer(error) or ""))
            others = (code for pattern, code in OUTCOMES.items() if re.search(pattern, str(error)))
            return next(chain(found, others), None)
        return state

    def fault(self, error: BaseException) -> Fault:
        """By the SQLSTATE's class: https://www.postgresql.org/docs/current/errcodes-appendix.html."""
        if self.code(error) or type(error).__name__ not in UNREACHED:
            return super().fault(error)
        # A server that starts again refuses connections for a while. An answer in words that are not known may be a
        # refused login: trying again can lock the account.
        return Fault.PERMANENT if _is_nameless(error) or _answer(error) else Fault.TRANSIENT

    def words(self, error: BaseException) -> str | None:
        """By SQLSTATE; before there is a session the driver has none."""
        if self.code(error) is None and type(error).__name__ in UNREACHED:
            if _is_nameless(error):
                return NAMELESS
            if "Connection refused" in str(error):
                return CLOSED
            if _answer(error):
                return "the server refuses the connection, and its log says why; check database, user and password"
            return self.unreachable(error)
        # Its SQLSTATE stands for other faults, too.
        if getattr(getattr(error, "diag", None), "source_function", None) == "CheckCmdReplicaIdentity":
            return UNIDENTIFIED
        return super().words(error)

    def is_gone(self, error: BaseException) -> bool:
        """Also if no server answers; a name that was known before may be looked up in vain during a failover."""
        if self.code(error) is None and type(error).__name__ in UNREACHED:
            return _answer(error) is None
        return super().is_gone(error)

    def unreachable(self, error: BaseException) -> str | None:
        """By the system's own words, which libpq passes on; not all of them come through."""
        if self.code(error) or type(error).__name__ not in UNREACHED or _answer(error) or _is_nameless(error):
            return None
        return next((found for number, found in UNREACHABLE.items() if os.strerror(number) in str(error)), CUT)

    def lacks_memory(self, error: BaseException) -> bool:
        """By the words of libpq, which are not the server's own: these have an SQLSTATE."""
        of_server = getattr(error, "sqlstate", None)
        return of_server is None and re.search("out of memory|cannot allocate memory", str(error)) is not None

    def constraint(self, error: BaseException) -> str | None:
        """The constraint's name. Not the DETAIL beside it, which holds the token."""
        return getattr(getattr(error, "diag", None), "constraint_name", None)


def _answer(error: BaseException) -> str | None:
    """The server's own answers to connection attempts: severity, a colon and two blanks, in any language."""
    found = re.findall(r"failed: \S+:  (.*)", str(error))
    return "\n".join(found) or None


def _is_nameless(error: BaseException) -> bool:
    # Older versions of the driver have the resolver's words alone.
    return str(error).startswith(("failed to resolve host", "[Errno "))
