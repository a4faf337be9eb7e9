"""What a driver's errors mean: for the job, and in words for an admin. Each database's own class has its codes."""

from __future__ import annotations

import enum
import errno
from collections.abc import Mapping
from typing import Any, ClassVar

from sqlalchemy.exc import DBAPIError

from rotation.stores.watchdog import SILENT

FULL = "the server has no connection to spare: end idle ones, or raise its limit"
CLOSED = "nothing listens at this port: look whether the server runs, and at the port in the url"
NAMELESS = "no server of this name is known: look at the host in the url"
UNREACHABLE = {
    errno.EHOSTUNREACH: "no route leads to the host: it is down, or the network or a firewall refuses to lead there; "
    "look at the host in the url, and at the network",
    errno.ENETUNREACH: "this machine has no route to the network of the host: look at the network or VPN of this "
    "machine, and at the host in the url",
    errno.ETIMEDOUT: SILENT,
}
"""The words for an admin, by the system's error, if no packet reached a server."""
CUT = (
    "the server cannot be reached: its host is down, no route leads to the host, or a proxy on the way has no server; "
    "look at host and port in the url, and at the network"
)
FOREIGN = "foreign"
"""The code of an error which says that another kind of server answers."""


class Fault(enum.Enum):
    """The meaning of a database's error for the job."""

    TRANSIENT = "try the batch again, in a new transaction"
    LOCKED = "another transaction holds a row"
    ROW = "the database refuses the value of one row"
    PERMANENT = "trying again will not help"


class TlsFault(enum.Enum):
    """The code of an error, in place of a database's own. Trying again helps against none of them."""

    HOST = (
        "the server's certificate is for another host name: write a name that is in it as the host into the url, or "
        "{any_host} if the names need not be compared"
    )
    AUTHORITY = (
        "the server's certificate is not trusted: the CA in the file that {ca} in the url names has not signed it, or "
        "it has expired"
    )
    FILE = (
        "a file for TLS cannot be used: look at {ca}, {cert} and {key} in the url; nobody but its owner may read the "
        "file of a key (chmod 600)"
    )
    CLIENT = (
        "the server does not accept the client's certificate, or there is none: look at {cert} and {key} in the url"
    )
    MISSING = "the server has no TLS, which the url demands: switch it on at the server, or look at {mode} in the url"
    DEMANDED = "the server accepts no connection without TLS: look at {mode} in the url"
    BINDING = (
        "the url demands channel binding, which takes TLS and a password with SCRAM: look at channel_binding and "
        "{mode} in the url"
    )
    HANDSHAKE = (
        "TLS with the server fails: look at its versions and ciphers ({versions} in the url), and at the port in the "
        "url, where something else may listen"
    )


def words_for(**options: str) -> Mapping[TlsFault, str]:
    """The words for each of them, with the driver's *options*."""
    return {fault: fault.value.format(**options) for fault in TlsFault}


class ErrorCodes:
    """Explains the errors of a database's driver."""

    product: ClassVar[str]
    """The name for an admin."""
    refusals: ClassVar[Mapping[Any, str]] = {}
    """The words for an admin, by error code."""
    unforeseen: ClassVar[str] = "the database failed"
    """The words for any other; the database's own may hold a value."""
    damages: ClassVar[Mapping[Any, str]] = {}
    """The words, by error code, for one table that cannot be read, while others can."""
    denials: ClassVar[frozenset[Any]] = frozenset()
    """The codes for a missing right."""
    absences: ClassVar[frozenset[Any]] = frozenset()
    """The codes for a database that is not there."""
    transient: ClassVar[frozenset[Any]] = frozenset()
    """The codes, and classes of SQLSTATE, after which the same is tried again."""
    locked: ClassVar[frozenset[Any]] = frozenset()
    """The same for a row that another transaction holds."""
    row: ClassVar[frozenset[Any]] = frozenset()
    """The same for a value that is refused in one row."""
    gone: ClassVar[frozenset[Any]] = frozenset()
    """The same if the server went away, and may come back: a run waits for it."""
    hopeless: ClassVar[frozenset[Any]] = frozenset()
    """The same if each connection would be lost in the same way."""
    read_only: ClassVar[frozenset[Any]] = frozenset()
    """The same if the server takes no writes, as one whose place another one has taken."""

    def code(self, error: BaseException) -> object:
        """The database's own code for a driver's *error*."""
        raise NotImplementedError

    def fault(self, error: BaseException) -> Fault:
        """The meaning of a driver's *error*, by its code or, of an SQLSTATE, by its class: the first two letters."""
        for fault, codes in ((Fault.LOCKED, self.locked), (Fault.TRANSIENT, self.transient), (Fault.ROW, self.row)):
            if self._is_in(error, codes):
                return fault
        return Fault.PERMANENT

    def is_gone(self, error: BaseException) -> bool:
        """True if a driver's *error* says that a server which answered before went away."""
        return self._is_in(error, self.gone)

    def is_read_only(self, error: BaseException) -> bool:
        """True if a driver's *error* says that the server takes no writes."""
        return self._is_in(error, self.read_only)

    def _is_in(self, error: BaseException, codes: frozenset[Any]) -> bool:
        code = self.code(error)
        return code in codes or str(code)[:2] in codes

    def unreachable(self, error: BaseException) -> str | None:
        """The words for an admin if a driver's *error* says that no packet reached a server."""

    def words(self, error: BaseException) -> str | None:
        """The words for an admin for a driver's *error*; None for one that is not foreseen."""
        code = self.code(error)
        return self.foreign if code == FOREIGN else self.refusals.get(code)

    @property
    def foreign(self) -> str:
        """The words for an admin if another kind of server answers."""
        return f"what answers there does not speak as a {self.product} server does"

    def damage(self, error: BaseException) -> str | None:
        """The words for an admin if a driver's *error* is about one table alone; None if it is not known to be."""
        return self.damages.get(self.code(error))

    def lacks_memory(self, error: BaseException) -> bool:
        """True if a driver's *error* stands for a MemoryError of this process."""
        del error
        return False

    def constraint(self, error: BaseException) -> str | None:
        """The name of the constraint that refused a row, if the driver reports it."""
        raise NotImplementedError

    def is_late(self, error: BaseException) -> bool:
        """True if the driver gave up because there was no answer."""
        del error
        return False


def is_lost(error: DBAPIError, codes: ErrorCodes | None) -> bool:
    """True if *error* says that a connection is lost, and not that none was made: a driver may call both the same."""
    if not error.connection_invalidated or codes is None:
        return error.connection_invalidated
    code = codes.code(error.orig or error)
    return code not in codes.hopeless and (error.statement is not None or not isinstance(code, TlsFault))
