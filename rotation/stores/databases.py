"""The databases that are served, each with its dialect, and what a url leads to."""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, unquote

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from keyring_core.redaction import get_redactor
from keyring_core.sources import irregularity
from rotation.configuration.urls import path_of
from rotation.model.failures import UsageError
from rotation.model.target import Target, TargetId
from rotation.stores.dialect import Dialect

SECRET_OPTIONS = ("password", "passwd", "sslpassword", "ssl_key_password")


FILE_OPTIONS = (
    *("passfile", "servicefile", "sslcert", "sslkey", "sslrootcert", "sslcrl"),
    *("read_default_file", "ssl_ca", "ssl_cert", "ssl_key"),
)
"""The options of drivers that name a file."""
DIALECTS = "sqlite", "postgresql", "postgres", "mysql", "mariadb"
"""All databases, by the kinds of their urls. `rotation.configuration.targets.READINGS` has the same kinds."""


def find_dialect(name: str) -> Dialect | None:
    """The dialect for a url of that kind, such as `postgresql`; None if this package has none."""
    # Imported when one is asked for: SQLAlchemy's part for a database takes 10 to 40 ms.
    if name == "sqlite":
        from rotation.stores.sqlite.dialect import SQLite  # noqa: PLC0415 - as above

        return SQLite()
    if name in {"postgresql", "postgres"}:
        from rotation.stores.postgresql.dialect import PostgreSQL  # noqa: PLC0415 - as above

        return PostgreSQL()
    if name in {"mysql", "mariadb"}:
        from rotation.stores.mysql.dialect import MySQL  # noqa: PLC0415 - as above

        return MySQL()
    return None


DECODES = make_url("sqlite:///%20").database == " "
"""True if SQLAlchemy itself decodes and encodes the name of the database, or of its file, in a url; from 2.1 on."""


def read_url(text: str) -> URL:
    """The url *text*, alike in each SQLAlchemy: the name of the database is percent-encoded, as the password is.

    Raises ArgumentError, ValueError or NoSuchModuleError, whose words show the text.
    """
    url = make_url(text)
    return url if DECODES or url.database is None else url.set(database=unquote(url.database))


def write_url(url: URL, *, hide_password: bool = False) -> str:
    """The text that `read_url` reads *url* from: with its password, or with `***` in its place."""
    if not DECODES and url.database is not None:
        url = url.set(database=quote(url.database, safe=" +/"))
    return url.render_as_string(hide_password=hide_password)


def parse_url(text: str) -> URL | None:
    """The url; None if *text* is not a url. SQLAlchemy's own message would show it, password and all."""
    with suppress(ArgumentError, ValueError, NoSuchModuleError):
        return read_url(text)
    return None


def of_jdbc(text: str) -> str:
    """A further word on *text*, which is not a url here, if it is one of JDBC."""
    return '; leave out "jdbc:"' if text.strip().lower().startswith("jdbc:") else ""


def file_of(text: str) -> Path | None:
    """The file of the SQLite database at the url *text*; None if that is another kind of database, or no url."""
    url = parse_url(text)
    dialect = url and find_dialect(url.get_backend_name())
    return dialect.file(url) if url and dialect else None


def refuse_odd_files(url: URL) -> None:
    """Raises UsageError if *url* names a file that is not a regular one.

    A driver would wait for its writer, and no signal would end that. Of a file that is not there the driver says so.
    """
    for option in FILE_OPTIONS:
        for path in url.normalized_query.get(option, ()):
            with suppress(OSError, ValueError):
                fault = irregularity(os.stat(os.path.expanduser(path)))
                if fault and path != os.devnull:
                    raise UsageError(f"the url's {option}, {path}, {fault}")


def served_url(text: str, whose: str) -> tuple[Dialect, URL]:
    """The url *text*, and the dialect that serves it. Raises UsageError, which says *whose* url it is."""
    url = parse_url(text)
    if url is None:
        raise UsageError(
            f"{whose}: the url is not of the form dialect://user:...@host:port/database; for an SQLite file: "
            "sqlite:///app.db; percent-encode @ : / % in the password, and write the port as a number"
            f"{of_jdbc(text)}"
        )
    dialect = find_dialect(url.drivername.partition("+")[0])
    if dialect is None:
        raise UsageError(f"{whose}: unsupported database; supported: {', '.join(DIALECTS)}")
    try:
        refuse_odd_files(url)
        return dialect, dialect.prepare_url(url)
    except UsageError as error:
        fault = str(error)
    raise UsageError(f"{whose}: {fault}")


def identify(target: Target) -> TargetId:
    """The cells that *target* stands for. Connects to nothing; a url that cannot work is reported by `Store`.

    A relative path stays as it was given: the ledger knows the database by these words, from whatever folder.
    """
    database = digest = ""
    with suppress(UsageError):
        dialect, url = served_url(target.url, f"target {target.label}")
        path = path_of(target.given)
        database = dialect.describe(url if path is None else url.set(database=quote(path)))
    with suppress(ArgumentError, ValueError):
        # A password may differ from machine to machine, and must not travel, even as a digest.
        shown = read_url(target.given or target.url).difference_update_query(SECRET_OPTIONS)
        digest = sha256(write_url(shown, hide_password=True).encode("utf-8", "surrogatepass")).hexdigest()
    where = target.where and get_redactor().redact(target.where)
    return TargetId(database, digest, target.table, target.column, where, target.context)
