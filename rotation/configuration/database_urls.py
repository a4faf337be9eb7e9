"""Urls as objects of SQLAlchemy, and back: one meaning, whichever version of SQLAlchemy is installed.

The name of the database, or of its file, is percent-encoded in a url, as the password is. From 2.1 on SQLAlchemy reads
and writes it so; 2.0 takes it as it stands.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

import sqlalchemy as sa

DECODES = sa.make_url("sqlite:///%20").database == " "
"""True if SQLAlchemy itself decodes and encodes the name of the database."""


def read_url(text: str) -> sa.URL:
    """The url *text*. Raises ArgumentError, ValueError or NoSuchModuleError, whose words show the text."""
    url = sa.make_url(text)
    return url if DECODES or url.database is None else url.set(database=unquote(url.database))


def write_url(url: sa.URL, *, hide_password: bool = False) -> str:
    """The text that `read_url` reads *url* from: with its password, or with `***` in its place."""
    if not DECODES and url.database is not None:
        url = url.set(database=quote(url.database, safe=" +/"))
    return url.render_as_string(hide_password=hide_password)
