"""Sending and loading values with psycopg: arrays in PostgreSQL's binary form, times, and texts of unchecked encoding.

Arrays: psycopg's own way to send a list costs more than the UPDATE, and sends bytes as the session's settings were when
it last heard of them. Format: `array_recv` in PostgreSQL's src/backend/utils/adt/arrayfuncs.c.
Times: psycopg reads them in the session's style and zone, and hears of the style of a transaction only behind its first
answer. Two times of a zone may be equal in Python that are an hour apart: the clock is put back between them.
Texts: a database whose encoding is SQL_ASCII checks none of them.
"""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache
from itertools import chain
from struct import Struct, iter_unpack
from typing import Any
from uuid import UUID

from rotation.model.batch import gapless

TEXT, TEXT_ARRAY = 25, 1009
BYTEA, BYTEA_ARRAY = 17, 1001
BIGINT, BIGINT_ARRAY = 20, 1016
UUID_OID, UUID_ARRAY = 2950, 2951
_HEAD = Struct(">iiIii")
_LENGTH = Struct(">i")
_INTERVAL = re.compile(
    rb"(?:([-+]?\d+) years? ?)?(?:([-+]?\d+) mons? ?)?(?:([-+]?\d+) days? ?)?"
    rb"(?:([-+]?)(\d+):(\d+):(\d+)(?:\.(\d+))?)?"
)
_NUMBERS = {2: "h", 4: "i", 8: "q"}
"""The type codes of `array` by bytes."""


class TextArray(bytes):
    """A `text[]`."""


class ByteaArray(bytes):
    """A `bytea[]`."""


class BigintArray(bytes):
    """A `bigint[]`."""


class UuidArray(bytes):
    """A `uuid[]`."""


def text_array(values: Sequence[str]) -> TextArray:
    """An array of ASCII texts, such as tokens."""
    lengths = {size: _LENGTH.pack(size) for size in set(map(len, values))}
    if len(lengths) == 1:
        [mark] = (length.decode("latin-1") for length in lengths.values())
        # The length stands before each text: one join puts it before the first one and between any two.
        return TextArray(_head(TEXT, values) + mark.join(["", *values]).encode("latin-1"))
    parts = chain.from_iterable((lengths[len(value)], value.encode("ascii")) for value in values)
    return TextArray(_head(TEXT, values) + b"".join(parts))


def bytea_array(values: Sequence[bytes]) -> ByteaArray:
    """An array of bytes."""
    parts = chain.from_iterable((_LENGTH.pack(len(value)), value) for value in values)
    return ByteaArray(_head(BYTEA, values) + b"".join(parts))


def bigint_array(values: Sequence[int]) -> BigintArray:
    """An array of whole numbers."""
    return BigintArray(_head(BIGINT, values) + _with_lengths(_swapped(array("q", values)).tobytes(), 8))


def uuid_array(values: Sequence[UUID]) -> UuidArray:
    """An array of UUIDs."""
    return UuidArray(_head(UUID_OID, values) + _with_lengths(b"".join([value.bytes for value in values]), 16))


def numbers_in(data: bytes) -> Sequence[int]:
    """The whole numbers of an array without NULLs, of 2, 4 or 8 bytes each; as a range if they have no gaps.

    Raises ValueError if they do not ascend.
    """
    size = _LENGTH.unpack_from(data, _HEAD.size)[0]
    numbers = array(_NUMBERS[size])
    numbers.frombytes(_without_lengths(data, size))
    numbers = _swapped(numbers)
    if numbers != array(numbers.typecode, sorted(numbers)):
        raise ValueError("the numbers do not ascend")
    return gapless(numbers)


def uuids_in(data: bytes) -> Sequence[UUID]:
    """The UUIDs of an array without NULLs. Raises ValueError if they do not ascend."""
    found = [UUID(bytes=each) for (each,) in iter_unpack("16s", _without_lengths(data, 16))]
    if found != sorted(found):
        raise ValueError("the UUIDs do not ascend")
    return found


def _swapped(numbers: array[int]) -> array[int]:
    """*numbers* between the order of bytes here and the one of a network."""
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


def _with_lengths(data: bytes, size: int) -> bytes:
    """The elements of an array, each of *size* bytes after its length."""
    # `struct` would cache a hundred formats as long as a batch.
    cells = bytearray(_LENGTH.pack(size) + bytes(size)) * (len(data) // size)
    for byte in range(size):
        cells[_LENGTH.size + byte :: _LENGTH.size + size] = data[byte::size]
    return bytes(cells)


def _without_lengths(data: bytes, size: int) -> bytes:
    """The elements of an array, one after the other."""
    cells = bytearray((len(data) - _HEAD.size) // (_LENGTH.size + size) * size)
    for byte in range(size):
        cells[byte::size] = data[_HEAD.size + _LENGTH.size + byte :: _LENGTH.size + size]
    return bytes(cells)


def register(connection: Any) -> None:
    """Registers them with a psycopg connection."""
    for kind, dumper in _array_dumpers().items():
        connection.adapters.register_dumper(kind, dumper)
    for name, loader in _time_loaders().items():
        connection.adapters.register_loader(name, loader)


@cache
def _array_dumpers() -> Mapping[type, type]:
    # Made once: psycopg keeps each class that was ever registered.
    from psycopg.adapt import Dumper  # noqa: PLC0415 - an extra
    from psycopg.pq import Format  # noqa: PLC0415

    class AsItIs(Dumper):
        format = Format.BINARY

        def dump(self, obj: bytes) -> bytes:
            return bytes(obj)

    oids = {TextArray: TEXT_ARRAY, ByteaArray: BYTEA_ARRAY, BigintArray: BIGINT_ARRAY, UuidArray: UUID_ARRAY}
    return {kind: type(f"{kind.__name__}Dumper", (AsItIs,), {"oid": oid}) for kind, oid in oids.items()}


@cache
def _time_loaders() -> Mapping[str, type]:
    from psycopg import DataError  # noqa: PLC0415 - an extra
    from psycopg.adapt import Loader  # noqa: PLC0415
    from psycopg.types import datetime as times  # noqa: PLC0415

    class SpanLoader(Loader):
        """A month is 30 days, and a year 12 months: so the server compares them, and psycopg takes a year for 365."""

        def load(self, data: Any) -> timedelta:
            try:
                return _span(bytes(data))
            except (AttributeError, OverflowError):
                pass
            raise DataError("an interval that Python does not have")

    def alone(loader: Any) -> type:
        # Without a connection psycopg reads ISO, and into UTC.
        def init(self: Any, oid: int, _context: Any = None) -> None:
            loader.__init__(self, oid)

        return type(f"Own{loader.__name__}", (loader,), {"__init__": init})

    drivers = {"date": times.DateLoader, "timestamp": times.TimestampLoader, "timestamptz": times.TimestamptzLoader}
    return {name: alone(loader) for name, loader in drivers.items()} | {"interval": SpanLoader}


def _span(data: bytes) -> timedelta:
    """The interval that *data* spells in the style `postgres`. Raises AttributeError for anything else."""
    years, months, days, sign, hours, minutes, seconds, part = _INTERVAL.fullmatch(data).groups(b"0")  # type: ignore[union-attr]
    whole = timedelta(30 * (12 * int(years) + int(months)) + int(days))
    rest = timedelta(0, int(seconds), int(part.ljust(6, b"0")), 0, int(minutes), int(hours))
    return whole - rest if sign == b"-" else whole + rest


def take_any_text(connection: Any) -> None:
    """Lets a psycopg connection load texts that are not UTF-8. Otherwise one such text fails its whole batch."""
    loader, dumper = _of_any_text()
    # With UTF8 here, the server checks what it returns, and refuses all rows for one invalid text. This setting alone
    # may be of the session: a pooler keeps it for each client.
    autocommit, connection.autocommit = connection.autocommit, True
    connection.execute("SET client_encoding = 'SQL_ASCII'")
    connection.autocommit = autocommit
    for kind in ("text", "varchar", "bpchar", "name", '"char"'):
        connection.adapters.register_loader(kind, loader)
    connection.adapters.register_dumper(str, dumper)


@cache
def _of_any_text() -> tuple[type, type]:
    from psycopg.adapt import Dumper, Loader  # noqa: PLC0415 - an extra

    class AnyTextLoader(Loader):
        def load(self, data: Any) -> str:
            return bytes(data).decode("utf-8", "surrogateescape")

    class AnyTextDumper(Dumper):
        """A key goes back as its bytes."""

        def dump(self, obj: str) -> bytes:
            return obj.encode("utf-8", "surrogateescape")

    return AnyTextLoader, AnyTextDumper


def _head(oid: int, values: Sequence[object]) -> bytes:
    # One dimension, no NULL, from 1 on.
    return _HEAD.pack(1, 0, oid, len(values), 1)
