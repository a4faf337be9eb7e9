"""Records that are sent elsewhere hold text, numbers and times, and no object of the service."""

from __future__ import annotations

import io
import json
import logging
import logging.handlers
import pickle
import secrets
from collections import deque, namedtuple
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from keyring_core.redaction import Redactor, configure_logging
from keyring_core.redaction.log_records import clean_copy
from tests.keys import random_secret

SECRET = random_secret()
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Session:
    """Its repr shows nothing; its attributes and its str do."""

    def __init__(self) -> None:
        self.note = SECRET

    def __repr__(self) -> str:
        return "<Session>"

    def __str__(self) -> str:
        return f"session of {self.note}"


class Level(IntEnum):
    """Of a service's own."""

    NOTICE = 25


class Tagged(list[int]):
    """A list with an attribute."""


def sent(**extra: Any) -> dict[str, Any]:
    return vars(clean_copy(Redactor([SECRET]), logging.makeLogRecord({"msg": "loaded", **extra})))


def test_objects_become_text() -> None:
    """An object is sent as its masked repr, wherever it stands; containers become plain ones."""
    tagged = Tagged([1])
    tagged.note = SECRET  # type: ignore[attr-defined]
    pair = namedtuple("Pair", "left right")(Session(), 1)

    fields = sent(a=Session(), b=[{"c": (Session(), {Session()})}], d={Session(): 1}, e=tagged, f=deque([1]), g=pair)

    assert fields["a"] == "<Session>"
    assert fields["b"] == [{"c": ("<Session>", {"<Session>"})}]
    assert fields["d"] == {"<Session>": 1}
    assert [type(fields[name]) for name in "ef"] == [list, list]
    assert fields["g"] == ("<Session>", 1)
    assert SECRET.encode() not in pickle.dumps(fields)


def test_text_numbers_and_times_are_sent_as_they_are() -> None:
    """What a receiver can read without the service's code keeps its type."""
    plain = {"a": "x", "b": b"x", "c": 1.5, "d": True, "e": None, "f": NOW, "g": Decimal("1.5"), "h": [{"i": (1, NOW)}]}

    fields = sent(**plain)

    assert {name: fields[name] for name in plain} == plain


def test_what_is_hashable_stays_so() -> None:
    """A key or a member that is a tuple of its own kind, or a number of one, is sent as a plain one."""
    point = namedtuple("Point", "x y")(1, 2)

    fields = sent(hits={point: 3}, seen={point}, levelno=Level.NOTICE)

    assert (fields["hits"], fields["seen"], fields["levelno"]) == ({(1, 2): 3}, {(1, 2)}, 25)
    assert type(fields["levelno"]) is int


def test_handlers_send_no_object() -> None:
    """`SocketHandler` pickles, and `HTTPHandler` shows, nothing that a repr hides."""
    configure_logging(Redactor([SECRET]))
    record = logging.makeLogRecord({"msg": "loaded", "session": Session(), "space": SimpleNamespace(a=1)})

    pickled = logging.handlers.SocketHandler("127.0.0.1", 1).makePickle(record)
    mapped = logging.handlers.HTTPHandler("127.0.0.1", "/").mapLogRecord(record)

    assert SECRET.encode() not in pickled
    assert (mapped["session"], mapped["space"]) == ("<Session>", "namespace(a=1)")


class SafeAtoms(dict[str, Any]):
    """As gunicorn's (gunicorn/glogging.py): what its access log is made of, with an answer to every name."""

    def __init__(self, atoms: dict[str, Any]) -> None:
        dict.__init__(self)
        for key, value in atoms.items():
            if isinstance(value, str):
                self[key] = value.replace('"', '\\"')
            else:
                self[key] = value

    def __getitem__(self, k: str) -> Any:
        if k.startswith("{"):
            kl = k.lower()
            if kl in self:
                return super().__getitem__(kl)
            return "-"
        if k in self:
            return super().__getitem__(k)
        return "-"


class Noting(SafeAtoms):
    """One that is not copied, since it takes notes of writes."""

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)


NUMBER = 8_641_975_320_864_197
BEARER = "Bearer " + secrets.token_urlsafe(24) + "1"
ATOMS = {"h": "1.2.3.4", "r": 'GET /"x" HTTP/1.1', "{authorization}i": BEARER, "n": NUMBER}
LINES = {
    "gunicorn": (
        ('%(h)s "%(r)s" %({X-Request-Id}i)s %({Authorization}i)s', SafeAtoms(ATOMS)),
        '1.2.3.4 "GET /\\"x\\" HTTP/1.1" - Bearer [REDACTED:authorization]',
    ),
    "a mapping that is not copied": (
        ("%(h)s %({x}i)s %({authorization}i)s", Noting(ATOMS)),
        "1.2.3.4 - Bearer [REDACTED:authorization]",
    ),
    "a sensitive name": (("%(password)s %(none)s", Noting({"password": "x7", "n": BEARER})), "[REDACTED:password] -"),
    "a number in a mapping": (("%(n)d %(none)s", Noting(ATOMS)), "[REDACTED:secret] -"),
    "a number": (("%d of %.4s", NUMBER, SECRET), "[REDACTED:secret] of [RED"),
    "a number in its width": (("%-20d|", NUMBER), "[REDACTED:secret]    |"),
    "a level": (("%d %s", Level.NOTICE, SECRET), "25 [REDACTED:secret]"),
}


@pytest.mark.parametrize(("arguments", "line"), LINES.values(), ids=LINES)
@pytest.mark.parametrize("logger", ["stdlib", "structlog"])
def test_a_line_that_can_be_formatted_is_written(arguments: tuple[Any, ...], line: str, logger: str) -> None:
    """Where a mask does not fit, the line is there nevertheless, and masked."""
    stream = io.StringIO()
    configure_logging(Redactor([SECRET, str(NUMBER)]), stream=stream, renderer="json")

    (logging.getLogger("svc") if logger == "stdlib" else structlog.get_logger("svc")).warning(*arguments)

    assert json.loads(stream.getvalue())["event"] == line
