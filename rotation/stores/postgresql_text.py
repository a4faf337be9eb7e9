"""Texts of a PostgreSQL database that checks none of them: its encoding is SQL_ASCII."""

from __future__ import annotations

from typing import Any


def take_any_text(connection: Any) -> None:
    """Teaches a psycopg connection that a text may be no UTF-8, so that it hides no row beside it."""
    from psycopg.adapt import Dumper, Loader  # noqa: PLC0415 - an extra

    class AnyTextLoader(Loader):
        def load(self, data: Any) -> str:
            return bytes(data).decode("utf-8", "surrogateescape")

    class AnyTextDumper(Dumper):
        """A key goes back as its bytes."""

        def dump(self, obj: str) -> bytes:
            return obj.encode("utf-8", "surrogateescape")

    # As UTF-8 the server would check what it hands out, and refuse all for one text that is none. This is the one
    # setting of a session: a pooler looks after it for each client.
    autocommit, connection.autocommit = connection.autocommit, True
    connection.execute("SET client_encoding = 'SQL_ASCII'")
    connection.autocommit = autocommit
    for kind in ("text", "varchar", "bpchar", "name", '"char"'):
        connection.adapters.register_loader(kind, AnyTextLoader)
    connection.adapters.register_dumper(str, AnyTextDumper)
