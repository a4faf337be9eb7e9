"""Checkpoints: how far a run has come, so that the next one continues there. They save work and prove nothing.

They shorten the first pass only: "complete" still needs a whole pass that found nothing.
"""

from __future__ import annotations

import datetime
import json
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple, Self

import structlog

from keyring_core.redaction import get_redactor
from rotation.ledger.chain import read_json
from rotation.ledger.ledger import Ledger
from rotation.ledger.session import Session
from rotation.model.counts import RowKey
from rotation.model.target import Target
from rotation.stores.databases import identify

NOTE_SECONDS = 5.0
"""The least time between two checkpoints: at worst so much work is done again."""

log = structlog.get_logger(__name__)


class Reached(NamedTuple):
    """The progress of a pass."""

    key: RowKey | None = None
    """The key of the last row that is done; None: none is."""
    rows: int = 0
    """The number of rows that are done, to estimate how long the rest takes."""


Ask = Callable[[Callable[[Ledger], Any]], Any]
"""Returns what the call returns that it gives the ledger to; None without a ledger."""


class Checkpoints:
    """The progress of one target's first pass."""

    def __init__(self, session: Session, target: Target, primary: str, *, shard: str = "", fresh: bool = False) -> None:
        """With *fresh* it begins again from the first row."""
        self._ask: Ask = session.attempt
        self._fresh = fresh
        cells = (target.table, target.column, target.key_columns, target.where, target.context)
        self._plan = json.dumps([identify(target).digest, *cells, primary, shard])
        self._next = time.monotonic() + NOTE_SECONDS
        self._target = target
        self.recorded = False
        """True if the ledger has progress of it, which is to be deleted at the end."""

    def through(self, call: Callable[[Callable[[], Any]], Any]) -> Self:
        """The same, for another thread: the ledger is asked by *call*, in the thread that may."""
        ask = self._ask
        self._ask = lambda act: call(partial(ask, act))
        return self

    def begin(self) -> Reached:
        """The progress of the last run."""
        if self._fresh:
            self.end()
            return Reached()
        text = self._ask(lambda ledger: ledger.reached(self._plan))
        self.recorded = text is not None
        reached = _read(text, len(self._target.key_columns)) if text else Reached()
        if reached.key:
            log.warning("rotation.resumed_run", target=self._target.label, fresh="--fresh begins again")
        return reached

    def note(self, reached: Reached, *, now: bool = False) -> bool:
        """Every row up to the key of *reached* is done. Records it every NOTE_SECONDS, or *now*; whether it did."""
        if reached.key is None or (not now and time.monotonic() < self._next):
            return False
        self._next = time.monotonic() + NOTE_SECONDS
        if text := _write(reached.key, reached.rows):
            self._ask(lambda ledger: ledger.reach(self._plan, text))
            self.recorded = True
        return text is not None

    def end(self) -> None:
        """The pass is done; the next run begins at the first row."""
        self._ask(lambda ledger: ledger.forget(self._plan))


_KINDS: Mapping[str, tuple[type, Callable[[Any], str], Callable[[str], object]]] = {
    "bytes": (bytes, bytes.hex, bytes.fromhex),
    "uuid": (uuid.UUID, str, uuid.UUID),
    "decimal": (Decimal, str, Decimal),
    # A datetime is a date, too: the first that fits counts.
    "datetime": (datetime.datetime, datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    "date": (datetime.date, datetime.date.isoformat, datetime.date.fromisoformat),
    "time": (datetime.time, datetime.time.isoformat, datetime.time.fromisoformat),
}


def _write(key: RowKey, rows: int) -> str | None:
    """As text; None for a key with a part of an unknown type, or a secret: such a run begins again."""
    parts = [_write_part(part) for part in key]
    text = json.dumps({"key": parts, "rows": rows})
    return None if None in parts or get_redactor().redact(text) != text else text


def _write_part(part: object) -> object:
    if isinstance(part, str | int | float):
        return part
    return next(([name, write(part)] for name, (kind, write, _) in _KINDS.items() if isinstance(part, kind)), None)


def _read(text: str, columns: int) -> Reached:
    """The progress in the text, for a key of so many *columns*; none for text of another form."""
    with suppress(ArithmeticError, LookupError, TypeError, ValueError):
        note = read_json(text)
        parts = tuple(map(_read_part, note["key"]))
        if isinstance(note["key"], list) and len(parts) == columns:
            return Reached(parts, int(note["rows"]))
    return Reached()


def _read_part(part: object) -> object:
    """A part of a key. Raises LookupError, TypeError or ValueError for what `_write_part` does not write."""
    if isinstance(part, list):
        kind, text = part
        return _KINDS[kind][2](text)
    if not isinstance(part, str | int | float) or (isinstance(part, int) and not -(2**63) <= part < 2**64):
        raise TypeError
    return part
