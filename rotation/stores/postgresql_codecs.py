"""How psycopg sends and loads values: arrays in PostgreSQL's binary form, and texts of unchecked encoding.

Arrays: psycopg's own way to send a list costs more than the UPDATE. Format: `array_recv` in PostgreSQL's
src/backend/utils/adt/arrayfuncs.c.
Texts: a database whose encoding is SQL_ASCII checks none of them.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from itertools import chain
from struct import Struct
from typing import Any

TEXT, TEXT_ARRAY = 25, 1009
BIGINT, BIGINT_ARRAY = 20, 1016
_HEAD = Struct(">iiIii")
_LENGTH = Struct(">i")
_BIGINT_BYTES = 8


class TextArray(bytes):
    """A `text[]`."""


class BigintArray(bytes):
    """A `bigint[]`."""


def text_array(values: Sequence[str]) -> TextArray:
    """An array of ASCII texts, such as tokens."""
    lengths = {size: _LENGTH.pack(size) for size in set(map(len, values))}
    if len(lengths) == 1:
        [mark] = (length.decode("latin-1") for length in lengths.values())
        # The length stands before each text: one join puts it before the first one and between any two.
        return TextArray(_head(TEXT, values) + mark.join(["", *values]).encode("latin-1"))
    parts = chain.from_iterable((lengths[len(value)], value.encode("ascii")) for value in values)
    return TextArray(_head(TEXT, values) + b"".join(parts))


def bigint_array(values: Sequence[int]) -> BigintArray:
    """An array of whole numbers."""
    numbers = array("q", values)
    if sys.byteorder == "little":
        numbers.byteswap()
    data = numbers.tobytes()
    # Each after its length. `struct` would cache a hundred formats as long as a batch.
    cells = bytearray(_LENGTH.pack(_BIGINT_BYTES) + bytes(_BIGINT_BYTES)) * len(values)
    for byte in range(_BIGINT_BYTES):
        cells[_LENGTH.size + byte :: _LENGTH.size + _BIGINT_BYTES] = data[byte::_BIGINT_BYTES]
    return BigintArray(_head(BIGINT, values) + cells)


def register(connection: Any) -> None:
    """Registers both with a psycopg connection."""
    from psycopg.adapt import Dumper  # noqa: PLC0415 - an extra
    from psycopg.pq import Format  # noqa: PLC0415

    class AsItIs(Dumper):
        format = Format.BINARY

        def dump(self, obj: bytes) -> bytes:
            return bytes(obj)

    for kind, oid in ((TextArray, TEXT_ARRAY), (BigintArray, BIGINT_ARRAY)):
        connection.adapters.register_dumper(kind, type(f"{kind.__name__}Dumper", (AsItIs,), {"oid": oid}))


def take_any_text(connection: Any) -> None:
    """Lets a psycopg connection load texts that are not UTF-8. Otherwise one such text fails its whole batch."""
    from psycopg.adapt import Dumper, Loader  # noqa: PLC0415 - an extra

    class AnyTextLoader(Loader):
        def load(self, data: Any) -> str:
            return bytes(data).decode("utf-8", "surrogateescape")

    class AnyTextDumper(Dumper):
        """A key goes back as its bytes."""

        def dump(self, obj: str) -> bytes:
            return obj.encode("utf-8", "surrogateescape")

    # With UTF8 here, the server checks what it returns, and refuses all rows for one invalid text. This setting alone
    # may be of the session: a pooler keeps it for each client.
    autocommit, connection.autocommit = connection.autocommit, True
    connection.execute("SET client_encoding = 'SQL_ASCII'")
    connection.autocommit = autocommit
    for kind in ("text", "varchar", "bpchar", "name", '"char"'):
        connection.adapters.register_loader(kind, AnyTextLoader)
    connection.adapters.register_dumper(str, AnyTextDumper)


def _head(oid: int, values: Sequence[object]) -> bytes:
    # One dimension, no NULL, from 1 on.
    return _HEAD.pack(1, 0, oid, len(values), 1)
