"""The plaintext in a pickle, read without loading it; or by loading it, if the caller says so."""

from __future__ import annotations

import pickle
import pickletools
from collections.abc import Iterator

from keyring_core.plaintexts import json_of

_SILENT = {"PROTO", "FRAME", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
"""Opcodes that leave the value as it is."""
_KINDS = {
    **dict.fromkeys(("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), "TEXT"),
    **dict.fromkeys(("SHORT_BINBYTES", "BINBYTES", "BINBYTES8"), "BYTES"),
}
_MOST_OPCODES = 20
"""More than any pickle of one text or bytes has."""

# The protocols before 3 say bytes by a call of a function, which is not made here.
_ENCODE = ({"GLOBAL MARK TEXT TEXT TUPLE REDUCE STOP", "GLOBAL TEXT TEXT TUPLE2 REDUCE STOP"}, "_codecs encode")
_NO_BYTES = ({"GLOBAL MARK TUPLE REDUCE STOP", "GLOBAL EMPTY_TUPLE REDUCE STOP"}, "__builtin__ bytes")


def plaintext_in(data: bytes, *, unpickle: bool) -> bytes | None:
    """The plaintext that the pickle *data* holds: text as UTF-8, bytes as they are; None if it holds anything else.

    Without *unpickle* nothing is loaded: the pickle is read opcode by opcode, and may have only those of one text or
    bytes. With *unpickle* it is loaded, which runs whatever code its author put in; then a bool, a number, a list or
    a dict is compact JSON.
    """
    try:
        value = _loaded(data) if unpickle else _read(data)
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, bytes):
            return bytes(value)
        return json_of(value) if value is not None and _is_json(value) else None
    except (ValueError, RecursionError):
        return None


def _read(data: bytes) -> str | bytes | None:
    """The text or bytes whose pickle *data* is. Raises ValueError."""
    names: list[str] = []
    values: list[object] = []
    for number, (name, argument) in enumerate(_opcodes(data)):
        if number == _MOST_OPCODES:
            return None
        if name not in _SILENT:
            names.append(_KINDS.get(name, name))
            values.append(argument)
    shape, arguments = " ".join(names), [value for value in values if value is not None]
    match arguments:
        case [str() | bytes() as value] if shape in {"TEXT STOP", "BYTES STOP"}:
            return value
        case [function, str() as text, "latin1"] if shape in _ENCODE[0] and function == _ENCODE[1]:
            return text.encode("latin-1")
        case [function] if shape in _NO_BYTES[0] and function == _NO_BYTES[1]:
            return b""
    return None


def _loaded(data: bytes) -> object:
    """What loading *data* gives; None if that fails. Raises ValueError."""
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
    """Whether JSON says exactly this *value*: a tuple would come back as a list, and the key 1 as "1"."""
    if type(value) is dict:
        return all(type(key) is str and _is_json(each) for key, each in value.items())
    if type(value) is list:
        return all(map(_is_json, value))
    return value is None or type(value) in {bool, int, float, str}
