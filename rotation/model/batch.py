"""Rows in, changes and counts out. Touches no database, so a test needs none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import repeat
from typing import Any, NamedTuple

from keyring_core import (
    DamagedToken,
    InvalidToken,
    Key,
    Keyring,
    KeyState,
    Malformed,
    MalformedToken,
    UndecryptableToken,
)
from keyring_core.token_batches import Refused, pick
from keyring_core.tokens import INSIDE, iv_of, timestamp_of
from rotation.model.bulk_columns import are_all, each
from rotation.model.counts import Counts, RowKey
from rotation.model.inner_tokens import SHORTEST, InnerTokens, bytes_of, find_inner, holds_mark
from rotation.model.key_history import UNKNOWN, History
from rotation.model.nested import find_nested
from rotation.model.trials import Trial, errors_in, judge

NESTED = "nested"
"""The category of a token that holds another one: it counts among those under its key, too."""

GIVEN_UP = "there is more in it than could be searched, so it may hold a token that no run rotates"
"""What is told of a cell whose search was given up."""


class Row(NamedTuple):
    """One cell and the key of its row."""

    key: RowKey
    value: str | bytes | None


class Change(NamedTuple):
    """What a cell held when it was read, and what it is to hold."""

    key: RowKey
    old: str | bytes
    new: str | bytes


class Planned(NamedTuple):
    """A change, and what is public of the token that it replaces."""

    change: Change
    key_id: str
    signed: bytes
    """The token without its tag."""

    @property
    def issued(self) -> int:
        """The token's own time, in seconds since 1970; its successor keeps it."""
        return timestamp_of(self.signed)

    @property
    def iv(self) -> bytes:
        """The initialisation vector; its successor has another."""
        return iv_of(self.signed)


class Outcome(NamedTuple):
    """What one batch of rows comes to."""

    planned: list[Planned]
    counts: Counts
    """Of every row but the planned ones."""


def sort_rows(
    keyring: Keyring,
    rows: Sequence[Row],
    *,
    dry_run: bool = False,
    history: History = UNKNOWN,
    balance: Counter[Key] | None = None,
) -> Outcome:
    """Rotates what needs it and counts the rest; a bad cell spoils no other.

    A dry run counts as rotated what a run would rotate, and plans nothing. Tokens under a key that *history* calls
    newer than the primary one stay. *balance* tells of the batches before this one, as `judge` wants it.
    """
    counts = Counts()
    keys, cells = _cells_of(rows, counts)
    planned: dict[int, Planned] = {}
    refused: dict[int, InvalidToken] = {}
    trials: list[Trial] = []
    for part in keyring.find_many(cells):
        if isinstance(part, Refused):
            refused[part.place] = part.error
            continue
        places, signed, state = part.stripe.places, part.signed, keyring.states[part.key]
        if reason := _reason_to_stay(part.key.id, state, history):
            counts.unsettled += len(places)
            counts.hold(part.key.id, signed)
            _note_nested(counts, keyring, part.key, signed, pick(keys, places))
            for place in places:
                counts.note(keys[place], *reason)
        elif dry_run:
            trials.append(Trial(part.key, places, signed, None, keyring.damaged_many(part)))
        elif state is KeyState.PRIMARY:
            _count_found(counts, part.key.id, state, signed)
            _note_nested(counts, keyring, part.key, signed, pick(keys, places))
        else:
            renewed = keyring.reencrypt_many(part)
            trials.append(Trial(part.key, places, signed, renewed, errors_in(renewed)))
    for trial in judge(trials, Counter() if balance is None else balance):
        refused |= {trial.places[index]: error for index, error in trial.errors.items()}
        key, at, tokens, new, _ = trial.sound()
        if new is None:
            _count_found(counts, key.id, keyring.states[key], tokens)
            _note_nested(counts, keyring, key, tokens, pick(keys, at))
            counts.unbound += len(tokens) if key.context != keyring.context else 0
            continue
        changes = each(Change, pick(keys, at), *_alike(pick(cells, at), new))
        planned.update(zip(at, each(Planned, changes, repeat(key.id, len(changes)), tokens), strict=True))
    for place in sorted(refused):
        _count_refused(counts, keys[place], _looked_into(keyring, counts, cells[place], refused[place]), history)
    # In the order of the rows, which is the order to write them in.
    return Outcome([planned[place] for place in sorted(planned)], counts)


def _cells_of(rows: Sequence[Row], counts: Counts) -> tuple[Sequence[RowKey], Sequence[str | bytes]]:
    """Keys and cells of the rows that hold something; counts all."""
    keys, cells = zip(*rows, strict=True) if rows else ((), ())
    if not are_all(cells, str, bytes):
        # SQLite keeps a number in a text column where somebody put one.
        full = [(key, cell if isinstance(cell, str | bytes) else str(cell)) for key, cell in rows if cell is not None]
        keys, cells = zip(*full, strict=True) if full else ((), ())
    counts.scanned, counts.null = len(cells), len(rows) - len(cells)
    return keys, cells


def _alike(old: Sequence[str | bytes], new: Sequence[Any]) -> tuple[Sequence[str | bytes], Sequence[str | bytes]]:
    """Both, with each new token of the type of the old one."""
    if are_all(old, str):
        return old, new
    return old, [
        token if isinstance(cell, str) else token.encode("ascii") for cell, token in zip(old, new, strict=True)
    ]


def _reason_to_stay(key_id: str, state: KeyState, history: History) -> tuple[str, str] | None:
    """Category and detail, where to the primary key would be the wrong way."""
    if state is KeyState.STAGED:
        # A service that has it as primary would only write it again.
        return "staged-key", f"under the staged key {key_id}: finish the promotion, then run again"
    if state is KeyState.PREVIOUS and (detail := history.demotion(key_id)):
        return "newer-key", detail
    return None


def _count_found(counts: Counts, key_id: str, state: KeyState, signed: Sequence[bytes]) -> None:
    counts.hold(key_id, signed)
    if state is KeyState.PRIMARY:
        counts.current += len(signed)
    else:
        counts.to_rotate += len(signed)


def _note_nested(counts: Counts, keyring: Keyring, key: Key, signed: Sequence[bytes], rows: Sequence[RowKey]) -> None:
    """Counts what tokens hold besides; what was just rotated the last pass looks into."""
    for index, inner in find_nested(keyring, key, signed):
        counts.nested += 1
        counts.inner.update(inner.under)
        counts.given_up += inner.given_up
        counts.note(rows[index], NESTED, _told(inner))


def _told(inner: InnerTokens) -> str:
    """What is wrong with a token that holds *inner*."""
    if not (inner.under or inner.unknown):
        return GIVEN_UP
    keys = ", ".join(f"under {key_id}" for key_id in inner.under) or "under no key here"
    told = f"it holds another token ({keys}), which no run rotates"
    return f"{told}; {GIVEN_UP}" if inner.given_up else told


def _looked_into(keyring: Keyring, counts: Counts, cell: str | bytes, error: InvalidToken) -> InvalidToken:
    """*error*, or what a cell that passed for plaintext is. Counts the tokens in it, and a cell that may hide one."""
    data = bytes_of(cell)
    # A damaged token is one all the same: there is nothing around it.
    if len(data) < SHORTEST or isinstance(error, DamagedToken):
        return error
    inner = find_inner([keyring], data) if holds_mark(data) else InnerTokens()
    counts.inner.update(inner.under)
    counts.given_up += inner.given_up
    if not isinstance(error, MalformedToken) or error.category != Malformed.PLAINTEXT:
        return error
    if inner:
        return MalformedToken(Malformed.NOT_A_TOKEN, f"{INSIDE} ({len(data)} bytes)")
    counts.suspects += 1
    return error


def _count_refused(counts: Counts, key: RowKey, error: InvalidToken, history: History) -> None:
    category = error.category if isinstance(error, MalformedToken | UndecryptableToken) else "unreadable"
    if category == Malformed.EMPTY:
        counts.empty += 1
        return
    if category == Malformed.PLAINTEXT:
        counts.plaintext += 1
    else:
        counts.unreadable += 1
    detail = error.found if isinstance(error, MalformedToken) else str(error)
    if type(error) is UndecryptableToken and error.timestamp is not None:
        counts.lost.append(error.timestamp)
        hint = history.hint(error.timestamp)
        detail = f"{detail}; {hint}" if hint else detail
    counts.note(key, str(category), detail)
