"""Secrets inside values: what a walker over an event has to know, and usually does not."""

from __future__ import annotations

import array
import collections
import dataclasses
import enum
import functools
import pathlib
import re
import types
import typing
from collections.abc import Callable
from typing import Any

from tests.keyring_core.redaction.leaks.case import World, leak


@dataclasses.dataclass
class Account:
    name: str
    note: str


class Pair(typing.NamedTuple):
    left: str
    right: str


class Plain:
    def __init__(self, note: object) -> None:
        self.note = note

    def __repr__(self) -> str:
        return f"Plain({self.note!r})"


class OnlyStr(Plain):
    def __str__(self) -> str:
        return f"note {self.note}"

    __repr__ = __str__


class Slots:
    __slots__ = ("note",)

    def __init__(self, note: str) -> None:
        self.note = note

    def __repr__(self) -> str:
        return f"<Slots {self.note}>"


class Text(str):
    __slots__ = ()


class Structlogged:
    def __init__(self, note: str) -> None:
        self.note = note

    def __structlog__(self) -> str:
        return self.note

    __repr__ = __structlog__


def vars_of_fernet(raw: bytes) -> dict[str, bytes]:
    """As `vars` of a stock Fernet shows its key up to cryptography 50."""
    return {"_signing_key": raw[:16], "_encryption_key": raw[16:]}


def nested(depth: int, value: object) -> object:
    for _ in range(depth):
        value = {"in": [value]}
    return value


VALUES: dict[str, Callable[[World], Any]] = {
    "text": lambda w: w.key,
    "text_with_context": lambda w: f"the key is {w.key}, keep it",
    "two_in_one_text": lambda w: f"{w.key}{w.plaintext}",
    "bytes": lambda w: w.key.encode(),
    "bytearray": lambda w: bytearray(w.key.encode()),
    "bytes_not_utf8": lambda w: b"\xff" + w.key.encode(),
    "raw_bytes": lambda w: w.raw,
    "raw_bytearray": lambda w: bytearray(w.raw),
    "signing_half": lambda w: w.raw[:16],
    "encryption_half": lambda w: w.raw[16:],
    "raw_numbers": lambda w: list(w.raw),
    "raw_array": lambda w: array.array("B", w.raw),
    "list": lambda w: ["a", w.key],
    "tuple": lambda w: (1, w.key),
    "set": lambda w: {w.key},
    "frozenset": lambda w: frozenset([w.key]),
    "deque": lambda w: collections.deque([w.key]),
    "dict": lambda w: {"a": w.key},
    "dict_key": lambda w: {w.key: 1},
    "dict_tuple_key": lambda w: {(w.key, 1): 1},
    "dict_bytes_key": lambda w: {w.key.encode(): 1},
    "dict_int_key": lambda w: {1: w.key},
    "ordered_dict": lambda w: collections.OrderedDict(a=w.key),
    "default_dict": lambda w: collections.defaultdict(list, a=[w.key]),
    "counter": lambda w: collections.Counter([w.key]),
    "chain_map": lambda w: collections.ChainMap({"a": w.key}),
    "user_dict": lambda w: collections.UserDict(a=w.key),
    "user_list": lambda w: collections.UserList([w.key]),
    "mapping_proxy": lambda w: types.MappingProxyType({"a": w.key}),
    "dict_items": lambda w: {"a": w.key}.items(),
    "dict_values": lambda w: {"a": w.key}.values(),
    "dataclass": lambda w: Account("bob", w.key),
    "dataclass_in_list": lambda w: [Account("bob", w.plaintext)],
    "named_tuple": lambda w: Pair("a", w.key),
    "simple_namespace": lambda w: types.SimpleNamespace(a=w.key),
    "enum": lambda w: enum.Enum("Colour", {"RED": w.key}).RED,
    "object_with_repr": lambda w: Plain(w.key),
    "object_with_str": lambda w: OnlyStr(w.key),
    "object_with_slots": lambda w: Slots(w.key),
    "object_with_raw_bytes": lambda w: Plain(w.raw),
    "object_for_structlog": lambda w: Structlogged(w.key),
    "str_subclass": lambda w: Text(w.key),
    "partial": lambda w: functools.partial(print, w.key),
    "path": lambda w: pathlib.PurePosixPath("/run/secrets") / w.key,
    "match": lambda w: re.match(r"[\w=-]+", w.key),
    "exception": lambda w: ValueError(w.key),
    "exception_in_list": lambda w: [KeyError(w.key)],
    "slice": lambda w: slice(w.key),
    "vars_of_fernet": lambda w: vars_of_fernet(w.raw),
    "vars_of_multifernet": lambda w: [vars_of_fernet(w.raw)],
    "depth_7": lambda w: nested(7, w.key),
    "depth_40": lambda w: nested(20, w.key),
    "mixed": lambda w: [{"a": ({w.key},)}, [collections.deque([{"b": w.raw}])]],
    "key_and_password": lambda w: {"a": w.key, "b": w.password},
    "large_number": lambda w: int.from_bytes(w.raw, "big"),
    "ten_characters_of_it": lambda w: w.key[7:17],
    "first_half": lambda w: w.key[:22],
    "cut_by_a_column": lambda w: w.key[:40],
    "long_and_cut": lambda w: w.long[:80],
}


def _case(make: Callable[[World], Any]) -> Callable[[World], None]:
    def run(world: World) -> None:
        world.log.info("values", field=make(world), kept="kept")

    run.__module__ = __name__
    return run


for _name, _make in VALUES.items():
    leak(name=_name, alone=False)(_case(_make))
