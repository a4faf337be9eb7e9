"""What each row must contain at the end, computed from the commits that services saw acknowledged."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from tests.chaos.shapes import hash_of
from tests.keys import key_text

PRIMARY, PREVIOUS = "new", ("old", "older")
CANARY = "canary"
"""What every plaintext begins with."""


class Cells(NamedTuple):
    """The columns of a row without its key."""

    token: str
    note: str
    key_hash: str | None = None
    """What stands beside the token and changes with its key; None where there is no such column."""


State = Cells | None
"""None: there is no such row."""


def log_line(states: Mapping[int, State], *, sure: bool = True) -> str:
    """A log line with the states of some rows after a write; *sure* if its commit was acknowledged."""
    return json.dumps({"sure": sure, "states": {str(row): state for row, state in states.items()}}) + "\n"


def allowed_states(logs: Iterable[Path]) -> dict[int, list[State]]:
    """For each row its last acknowledged state, and the one that may have followed it. Each row is in one log only."""
    allowed: dict[int, list[State]] = {}
    for log in logs:
        for line in log.read_text().splitlines():
            entry = json.loads(line)
            for name, cells in entry["states"].items():
                state = Cells(*cells) if cells else None
                before = [] if entry["sure"] else allowed.get(int(name), [None])
                allowed[int(name)] = [*before, state]
    return allowed


def faults(found: Mapping[int, Cells], allowed: Mapping[int, list[State]]) -> list[str]:
    """What is wrong with a table after a last rotation, one line a row; it shows no token."""
    listed = [f"row {row} was made by no service" for row in found.keys() - allowed.keys()]
    for row, states in allowed.items():
        verdicts = [_fault(found.get(row), state) for state in states]
        if all(verdicts):
            listed.append(f"row {row}: {verdicts[-1]}")
    return listed


def is_broken(token: str) -> bool:
    """Whether no key opens it, so that it must stay as it is."""
    return _content(token, PRIMARY, *PREVIOUS) is None


def same_content(token: str, other: str) -> bool:
    """Whether two cells have the same plaintexts and times; two broken ones must be the same."""
    content = _content(token, PRIMARY, *PREVIOUS)
    same = _are_alike(content, _content(other, PRIMARY, *PREVIOUS))
    return same and (content is not None or _exact(token) == _exact(other))


def fits(cells: Cells) -> bool:
    """Whether what stands beside a token fits the key that it is under; whatever stands beside a broken one does."""
    labels = [label for label in (PRIMARY, *PREVIOUS) if _content(cells.token, label)]
    return cells.key_hash is None or not labels or cells.key_hash == hash_of(labels[0])


def _fault(found: State, state: State) -> str | None:
    if found is None or state is None:
        return None if found is state else "missing" if found is None else "resurrected"
    if found.note != state.note:
        return "its other column lost a write"
    content = _content(state.token, PRIMARY, *PREVIOUS)
    if content is None:
        same = (_exact(found.token), found.key_hash) == (_exact(state.token), state.key_hash)
        return None if same else "a broken cell was changed"
    if not _are_alike(_content(found.token, PRIMARY, *PREVIOUS), content):
        return "lost a write: another plaintext or another time"
    if not _content(found.token, PRIMARY):
        return "left under an older key, or as plaintext"
    return None if fits(found) else "its companion does not fit its token"


def _are_alike(one: Any, other: Any) -> bool:
    """Whether two contents are the same; that of a cell of plaintext has no time, and becomes a token of any time."""
    if one is None or other is None or None not in (one[1], other[1]):
        return bool(one == other)
    return bool(one[0] == other[0])


def _exact(cell: str) -> Any:
    """JSON as its values, numbers with all their digits; JSONB has blanks of its own."""
    return json.loads(cell, parse_float=str) if cell.startswith("{") else cell


def _content(cell: str, *labels: str) -> Any:
    """Plaintext and time of the token, or of each in JSON with all that is around them; None if no key decrypts one."""
    if not cell.startswith("{"):
        return _opened(cell, *labels)
    document = _exact(cell)
    opened = [_opened(token, *labels) for token in document.pop("tokens")]
    return None if None in opened else (opened, document)


def _opened(token: str, *labels: str) -> tuple[bytes, int | None] | None:
    """Plaintext and time; None if no key decrypts it. Stock Fernet decrypts the first of two joined tokens.

    A cell of plaintext is its own, without a time; it is under no key, which a single label asks for.
    """
    if token.startswith(CANARY):
        return (token.encode(), None) if len(labels) > 1 else None
    if not re.fullmatch(r"[\w-]+=*", token, re.ASCII):
        return None
    stock = MultiFernet([Fernet(key_text(label)) for label in labels])
    try:
        return stock.decrypt(token), stock.extract_timestamp(token.encode())
    except (InvalidToken, ValueError):
        return None
