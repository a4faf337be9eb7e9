"""Why a connection with TLS is not made: what an admin has to look at, in the names of a driver's own options."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from rotation.stores.dialect import Dialect


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


def is_lost(error: DBAPIError, dialect: Dialect | None) -> bool:
    """True if *error* says that a connection is lost, and not that none was made: a driver may call both the same."""
    if not error.connection_invalidated or dialect is None:
        return error.connection_invalidated
    code = dialect.code(error.orig or error)
    return code not in dialect.hopeless and (error.statement is not None or not isinstance(code, TlsFault))
