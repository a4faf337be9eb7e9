"""Records that are sent elsewhere hold text, numbers and times, and no object of the service."""

from __future__ import annotations

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

from keyring_core.redaction import Redactor, configure_logging
from keyring_core.redaction.log_records import clean_copy

SECRET = secrets.token_urlsafe(24)
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
