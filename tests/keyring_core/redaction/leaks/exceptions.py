"""Secrets inside exceptions: messages, arguments, causes, notes, groups, source lines."""
# ruff: noqa: B904, SIM115, TRY301, TRY400 - a case does what it should not

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
from collections.abc import Callable
from typing import Any

from tests.keyring_core.redaction.leaks.case import World, leak


def _cause(world: World) -> None:
    try:
        raise KeyError(world.key)
    except KeyError as error:
        raise RuntimeError("outer") from error


def _context(world: World) -> None:
    try:
        raise KeyError(world.key)
    except KeyError:
        raise RuntimeError("outer")


def _note(world: World) -> None:
    error = ValueError("x")
    error.add_note(f"while loading {world.key}")
    raise error


def _group(world: World) -> None:
    raise ExceptionGroup("several", [ValueError(world.key), ExceptionGroup("inner", [KeyError(world.plaintext)])])


def _attribute(world: World) -> None:
    class WithValueError(Exception):
        def __init__(self, value: str) -> None:
            self.value = value

        def __str__(self) -> str:
            return f"refused {self.value!r}"

    raise WithValueError(world.password)


def _syntax(world: World) -> None:
    exec(f"key = '{world.key}' ' ", {})


def _raising_line(world: World) -> None:
    source = f"raise ValueError  # {world.key}"
    import linecache

    linecache.cache["<made>"] = (len(source), None, [source + "\n"], "<made>")
    exec(compile(source, "<made>", "exec"), {})


def _long_message(world: World) -> None:
    raise ValueError("x" * 5000 + world.key + "y" * 5000)


def _process(world: World) -> None:
    subprocess.run([sys.executable, "-S", "-c", "raise SystemExit(1)", world.key], check=True)


def _assertion(world: World) -> None:
    assert world.key == "other", f"{world.key} is not other"


RAISES: dict[str, Callable[[World], Any]] = {
    "message": lambda w: _raise(ValueError(w.key)),
    "message_in_bytes": lambda w: _raise(ValueError(w.key.encode())),
    "message_raw": lambda w: _raise(ValueError(w.raw)),
    "several_arguments": lambda w: _raise(ValueError("x", w.password, {"a": w.plaintext})),
    "key_error": lambda w: {}[w.password],
    "index_of": lambda w: [].index(w.key),
    "attribute_name": lambda w: getattr(object(), w.plaintext),
    "int_of": lambda w: int(w.plaintext),
    "open_of": lambda w: open(w.plaintext),
    "unicode_encode": lambda w: (w.accented + "\u20ac" + w.key).encode("ascii") and None,
    "cause": _cause,
    "context": _context,
    "note": _note,
    "group": _group,
    "attribute": _attribute,
    "syntax_error": _syntax,
    "source_line": _raising_line,
    "long_message": _long_message,
    "called_process": _process,
    "timeout": lambda w: _raise(subprocess.TimeoutExpired(["mysql", w.key], 1, output=w.key.encode())),
    "http_error": lambda w: _raise(urllib.error.URLError(f"https://h/?k={w.key}")),
    "os_error": lambda w: _raise(OSError(2, "No such file", f"/run/{w.plaintext}")),
    "assertion": _assertion,
    "multiline": lambda w: _raise(ValueError(f"\n{w.letter}\n{w.key}")),
}


def _raise(error: BaseException) -> None:
    raise error


def _case(fail: Callable[[World], Any]) -> Callable[[World], None]:
    def run(world: World) -> None:
        try:
            fail(world)
        except Exception as error:
            # Some of them hide their input from str(): arguments and object show it all the same.
            world.log.exception("failed", arguments=error.args, kept="kept")

    run.__module__ = __name__
    return run


for _name, _fail in RAISES.items():
    leak(name=_name)(_case(_fail))


@leak()
def exc_info_is_an_exception(world: World) -> None:
    """``exc_info=error``."""
    world.log.error("failed", exc_info=ValueError(world.key))


@leak()
def stdlib_exception(world: World) -> None:
    """A stdlib logger's ``exception``."""
    try:
        _cause(world)
    except RuntimeError:
        world.std.exception("failed")


@leak()
def stdlib_exception_as_message(world: World) -> None:
    """A stdlib message that is an exception."""
    world.std.error(ValueError(world.key))


@leak()
def json_decode_error(world: World) -> None:
    """An error that carries the whole document."""
    try:
        json.loads(f'{{"key": "{world.key}" oops')
    except json.JSONDecodeError as error:
        world.log.error("failed", document=error.doc, fields=vars(error))


@leak()
def unicode_error_object(world: World) -> None:
    """`UnicodeError.object` is the whole input."""
    try:
        f"{world.key}\u20ac".encode("ascii")
    except UnicodeEncodeError as error:
        world.log.error("failed", fields=[error.object, error.args])


@leak()
def database_error(world: World) -> None:
    """SQLAlchemy's parameters and the driver's message."""
    import sqlalchemy as sa

    engine = sa.create_engine("sqlite://")
    try:
        with engine.connect() as connection:
            connection.execute(sa.text("select * from nothing where cell = :cell"), {"cell": world.unknown})
    except sa.exc.SQLAlchemyError:
        world.log.exception("failed")
