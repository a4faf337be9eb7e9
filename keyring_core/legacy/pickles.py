"""The pickle of one value in, its plaintext out. Nothing is imported and no code of a pickle runs, unless it is loaded.

A pickle is a program. Only the few steps that make a text, a number or a date are carried out here, by this file.
"""

from __future__ import annotations

import pickle
import pickletools
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from keyring_core.tokens import json_of

_MOST_OPCODES = 60
"""More than any pickle of one value has."""


def plaintext_in(data: bytes, *, unpickle: bool) -> bytes | None:
    """The plaintext that the pickle *data* holds: text as UTF-8, bytes as they are; None if it holds anything else.

    A date, a time, a timedelta, a Decimal or a UUID is text that an encrypted column of that type reads; a bool or a
    number is JSON. With *unpickle* the pickle is loaded, which runs whatever code its author put in; then a list or a
    dict is JSON, too.
    """
    try:
        value = _loaded(data) if unpickle else _read(data)
        if isinstance(value, bytes):
            return bytes(value)
        text = _text_of(value)
        if text is not None:
            return text.encode()
        return json_of(value) if value is not None and _is_json(value) else None
    except (ValueError, RecursionError, OverflowError):
        return None


def _text_of(value: object) -> str | None:
    """The text that `keyring_core.integrations.values` reads as *value*; None if that has another form, or none."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        # Equal times have one text.
        value = value.astimezone(UTC)
    match value:
        case str():
            return value
        case date() | time():
            return None if isinstance(value, time) and value.tzinfo is not None else value.isoformat()
        case timedelta():
            sign, value = ("-", -value) if value < timedelta() else ("", value)
            return f"{sign}P{value.days}DT{value.seconds}.{value.microseconds:06d}S"
        case Decimal() | UUID():
            return None if isinstance(value, Decimal) and not value.is_finite() else str(value)
    return None


class _Name(str):
    """A module and a name in it, as a pickle names what it would import: `datetime date`."""

    __slots__ = ()


_ZONE, _UNPICKLE = _Name("zoneinfo ZoneInfo"), _Name("zoneinfo ZoneInfo._unpickle")
_UUID = _Name("uuid UUID")


def _attribute(owner: object, name: object) -> _Name:
    if (owner, name) != (_ZONE, "_unpickle"):
        raise ValueError("another attribute")
    return _UNPICKLE


def _latin(text: str, codec: str) -> bytes:
    """The bytes of a pickle of a protocol before 3."""
    if codec != "latin1":
        raise ValueError("another codec")
    return text.encode("latin-1")


def _zone_of_pytz(name: str, offset: int | None = None, *_: object) -> tzinfo:
    return ZoneInfo(name) if offset is None else timezone(timedelta(seconds=offset))


_CALLS: Mapping[str, Callable[..., object]] = {
    "_codecs encode": _latin,
    # With an argument it would make as many bytes as that says.
    "__builtin__ bytes": lambda: b"",
    "datetime date": date,
    "datetime datetime": datetime,
    "datetime time": time,
    "datetime timedelta": timedelta,
    "datetime timezone": timezone,
    "decimal Decimal": Decimal,
    "__builtin__ getattr": _attribute,
    "builtins getattr": _attribute,
    _UNPICKLE: lambda name, _from_cache: ZoneInfo(name),
    "pytz _UTC": lambda: UTC,
    "pytz _p": _zone_of_pytz,
    # The protocols before 2 make an object by this.
    "copy_reg _reconstructor": lambda kind, _base, _state: _made(kind),
}
"""What stands for the functions that a pickle calls. All of them take plain values and have no effect."""

_VALUES = frozenset(
    (
        *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    )
)
"""Opcodes whose argument is a value."""
_PLAIN = (str, bytes, int, float, date, time, timedelta, Decimal, UUID)
"""The types of values. Lists and dicts are none: one that holds another twice again and again has no end."""
_SILENT = {"PROTO", "FRAME"}
_PUTS, _GETS = {"MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"}, {"GET", "BINGET", "LONG_BINGET"}
_MARK = object()


def _taken(stack: list[Any], number: int) -> tuple[Any, ...]:
    """The last *number* values of *stack*, which are not on it any more. Raises IndexError."""
    return tuple([stack.pop() for _ in range(number)][::-1])


def _to_mark(stack: list[Any]) -> tuple[Any, ...]:
    """The values behind the last mark. Raises IndexError."""
    found: list[Any] = []
    while (value := stack.pop()) is not _MARK:
        found.append(value)
    return tuple(found[::-1])


def _with(held: Mapping[Any, Any], items: Sequence[Any]) -> dict[Any, Any]:
    """*held* with further keys, each in front of its value."""
    return {**held, **dict(zip(items[::2], items[1::2], strict=True))}


def _named(module: object, name: object) -> _Name:
    """The name of a pickle that names it by two texts. Raises ValueError for others: names of names would double."""
    if type(module) is not str or type(name) is not str:
        raise ValueError("no name")
    return _Name(f"{module} {name}")


def _called(function: object, arguments: tuple[Any, ...]) -> object:
    """The result of a call. Raises KeyError for a function that is none of the known ones, or whatever those raise."""
    return _CALLS[function if isinstance(function, _Name) else ""](*arguments)


def _made(kind: object) -> object:
    """An object of *kind* without a state, for which that stands. Raises ValueError for another one than a UUID."""
    if kind != _UUID:
        raise ValueError("another type")
    return kind


def _built(kind: object, state: Mapping[str, int]) -> object:
    """The object of *kind* with its *state*. Raises ValueError for another one than a UUID."""
    return UUID(int=state["int"]) if _made(kind) else None


_STEPS: Mapping[str, Callable[[list[Any]], object]] = {
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "MARK": lambda _: _MARK,
    "EMPTY_TUPLE": lambda _: (),
    "TUPLE1": lambda stack: _taken(stack, 1),
    "TUPLE2": lambda stack: _taken(stack, 2),
    "TUPLE3": lambda stack: _taken(stack, 3),
    "TUPLE": _to_mark,
    "EMPTY_DICT": lambda _: {},
    "DICT": lambda stack: _with({}, _to_mark(stack)),
    "SETITEM": lambda stack: _with(stack.pop(-3), _taken(stack, 2)),
    "SETITEMS": lambda stack: _with(items=_to_mark(stack), held=stack.pop()),
    "STACK_GLOBAL": lambda stack: _named(*_taken(stack, 2)),
    "REDUCE": lambda stack: _called(*_taken(stack, 2)),
    "NEWOBJ": lambda stack: _made(_taken(stack, 2)[0]),
    "BUILD": lambda stack: _built(*_taken(stack, 2)),
}
"""What each opcode puts in place of the values that it takes from the end of the stack."""


def _read(data: bytes) -> object:
    """The value whose pickle *data* is; None if it is of another type. Raises ValueError."""
    stack: list[Any] = []
    memo: dict[object, Any] = {}
    for number, (name, argument) in enumerate(_opcodes(data)):
        if name == "STOP":
            [value] = stack
            return value if isinstance(value, _PLAIN) and not isinstance(value, _Name) else None
        if number == _MOST_OPCODES:
            return None
        try:
            if name in _PUTS:
                memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
            elif name in _GETS:
                stack.append(memo[argument])
            elif name == "GLOBAL":
                stack.append(_Name(argument))
            elif name not in _SILENT:
                stack.append(argument if name in _VALUES else _STEPS[name](stack))
        except Exception:
            # What a wrong key decrypts to may look like any step, with any values.
            return None
    return None


def _loaded(data: bytes) -> object:
    """The value that loading *data* gives; None if that fails. Raises ValueError."""
    for _ in _opcodes(data):
        # All of it has to be one pickle: what a wrong key decrypts to may begin like one.
        pass
    try:
        return pickle.loads(data)  # noqa: S301 - on the caller's explicit word, after the MAC was checked
    except Exception:
        # A pickle can raise anything.
        return None


def _opcodes(data: bytes) -> Iterator[tuple[str, object]]:
    """Each opcode's name and argument. Raises ValueError if *data* is not one whole pickle."""
    for opcode, argument, place in pickletools.genops(data):
        if opcode.name == "STOP" and place != len(data) - 1:
            raise ValueError("something follows the pickle")
        yield opcode.name, argument


def _is_json(value: object) -> bool:
    """True if JSON gives back exactly this *value*: a tuple would come back as a list, and the key 1 as "1"."""
    if type(value) is dict:
        return all(type(key) is str and _is_json(each) for key, each in value.items())
    if type(value) is list:
        return all(map(_is_json, value))
    return value is None or type(value) in {bool, int, float, str}
