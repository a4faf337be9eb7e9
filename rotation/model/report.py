"""A report of all targets: what was done, what is left, and whether it is complete."""

from __future__ import annotations

import datetime
import json
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from rotation.model.batch import OVERSIZED
from rotation.model.counts import CellCounts, Counts, Problem, RowKey
from rotation.model.target import Format, Target, TargetId
from rotation.model.text import many

if TYPE_CHECKING:
    from rotation.model.key_history import Promotion
    from rotation.model.key_use import KeyUse


WHOLE = "pass"
"""The proof that a whole pass is which found nothing to do: each row as it was when it was read."""


@dataclass
class TargetReport:
    """The report of one target."""

    target: Target
    id: TargetId
    key_names: tuple[str, ...]
    counts: Counts = field(default_factory=Counts)
    passes: int = 0
    proof: str | None = None
    """The proof that nothing is left: a whole `pass` found nothing; nobody else wrote since the last one began
    (`unchanged`); or what others wrote since was read in one snapshot (`versions`). None if something may be left."""
    read_from: datetime.datetime | None = None
    read_to: datetime.datetime | None = None
    """When the last whole pass began, and when its table was looked at last. Of a `pass`, and of a census, each row is
    as it was at some time between the two; otherwise all rows are as they were at the second. None: it did not end."""
    seconds: float = 0.0
    retries: int = 0
    warnings: list[str] = field(default_factory=list)
    replica: str | None = None
    """What to know if it was read on a standby or a replica."""
    stopped: str | None = None
    """The reason that the run left this target alone, or stopped in it."""
    lacks_key: bool = False
    """True if most of its tokens do not open, so that a run writes nothing."""
    refuses_writes: bool = False
    """True if its column is too narrow for new tokens, which is known of a takeover alone, or if the database refuses
    every update, so that a run writes nothing."""
    hides_rows: bool = False
    """True if the database may hide rows of the table from this user; all else is about the others."""
    interrupted: bool = False
    """True if it stopped for a database error or on request, so that the next run continues."""
    unreadable: set[bytes] = field(default_factory=set)
    """Marks of the rows whose cells cannot be read, as `mark` makes them; MOST_MARKS at most."""
    unnamed_indexes: list[str] = field(default_factory=list)
    """Columns beside it that hold blind indexes and that no target names, so that no run renews them."""
    identity: str = ""
    """Which table of which server it is; empty if the database does not say."""

    @property
    def complete(self) -> bool:
        """True if nothing is left in it, and the last questions were asked about it."""
        return self.read_to is not None and self.stopped is None and self.counts.complete

    def remember(self, problems: Iterable[Problem]) -> None:
        """Marks the rows among *problems* whose cells cannot be read; the counts keep the first of them only."""
        for key, category, _ in problems:
            if category not in NOT_UNREADABLE and len(self.unreadable) < MOST_MARKS:
                self.unreadable.add(mark(legible_key(self.key_names, key)))

    def span(self) -> dict[str, Any]:
        """When the counts are of, as JSON."""
        times = {"read_from": self.read_from, "read_to": self.read_to}
        return {name: time.isoformat(timespec="milliseconds") if time else None for name, time in times.items()}


@dataclass
class Report:
    """The result of a command, over all targets."""

    dry_run: bool
    primary: str
    keys: list[dict[str, str]]
    targets: list[TargetReport] = field(default_factory=list)
    shard: str | None = None
    """The shard that it is of, such as `0/3`; None for all rows."""
    fault: str | None = None
    """The reason that the file of problems is incomplete."""
    newer: Mapping[str, Promotion] = field(default_factory=dict)
    """Previous keys that were promoted later than the primary key, whose tokens are left, and when that was."""
    uses: Mapping[str, KeyUse] = field(default_factory=dict)
    """The use of each key that another one took over from, as far as a ledger knows it."""
    left_out: list[str] = field(default_factory=list)
    """The optional targets that are not there, and those that `adopt` cannot take, each with the reason."""
    key_set: str | None = None
    """The key set that it is of; None: the environment's own keys."""
    salted: Collection[str] = ()
    """The ids of its keys that stand for those that are made for each row."""
    uncovered: Sequence[str] | None = None
    """The columns with tokens that no target covers, in the databases of known applications; None: not searched."""
    parts: Sequence[Report] = ()
    """The reports that it was joined of, each of one key set; none if there is only one."""

    @classmethod
    def of_parts(cls, parts: Sequence[Report]) -> Report:
        """One report of all *parts*. Of one part it is that part; otherwise *primary* is the first one's."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            parts[0].dry_run,
            parts[0].primary,
            [key for part in parts for key in part.keys],
            [target for part in parts for target in part.targets],
            parts[0].shard,
            next((part.fault for part in parts if part.fault), None),
            {key_id: promoted for part in parts for key_id, promoted in part.newer.items()},
            {key_id: use for part in parts for key_id, use in part.uses.items()},
            [words for part in parts for words in part.left_out],
            parts=parts,
        )

    @property
    def by_keys(self) -> Sequence[Report]:
        """Its parts, or itself if it is of one key set."""
        return self.parts or (self,)

    def under(self, key_id: str) -> int:
        """Tokens under that key, in all targets."""
        return sum(target.counts.under[key_id] for target in self.targets)

    @property
    def complete(self) -> bool:
        """True if no token is under another key than the primary, and no cell needs a person."""
        waiting = any(report.counts.to_rotate for report in self.targets)
        return not waiting and all(report.complete for report in self.targets)

    @property
    def exit_code(self) -> int:
        """0 complete, 1 something is left, 3 interrupted."""
        if any(report.interrupted for report in self.targets):
            return 3
        return 0 if self.complete and self.fault is None else 1


def others_in_words(counts: CellCounts) -> str:
    """The tokens of keys that are not here, which the target leaves; empty without any."""
    if not counts.others:
        return ""
    verb = "was" if counts.others == 1 else "were"
    return f'{many(counts.others, "token")} of keys that are not here {verb} left, as others = "leave" says'


def set_format(counts: Counts) -> str:
    """A remedy for most of the cells that a target of another format would rotate."""
    [(name, _)] = counts.formats.most_common(1)
    inside = f"are encoded again, in {name}" if name in {Format.BASE64, Format.HEX} else "stand inside longer text"
    inside = "are bare tokens" if name == Format.TOKEN else inside
    return f'they {inside}: set format = "{name}" for it in rotation.toml'


def legible_key(names: tuple[str, ...], key: RowKey) -> dict[str, Any]:
    """A row's key with its columns' names, for JSON and for a screen."""
    return {name: _legible(part) for name, part in zip(names, key, strict=True)}


def row_in_words(names: tuple[str, ...], key: RowKey) -> str:
    """A row by its *key*: `id=7`."""
    return ", ".join(f"{name}={part}" for name, part in legible_key(names, key).items())


def _legible(part: object) -> object:
    if part is None or isinstance(part, bool | int | float):
        return part
    if isinstance(part, bytes | bytearray | memoryview):
        return bytes(part).hex()
    if isinstance(part, datetime.datetime | datetime.date | datetime.time):
        return part.isoformat()
    return str(part).encode("utf-8", "backslashreplace").decode("utf-8")


SIZE = 8
MOST_MARKS = 100_000
"""Marks kept per target, about a megabyte; beyond these only numbers are compared."""

NOT_UNREADABLE = frozenset(
    (
        *("nested", "plaintext", "suspect", "staged-key", "newer-key"),
        *("no-key", "locked", "rewritten", "refused", "not-written", "no-index", OVERSIZED),
    )
)
"""Categories of problems that are not about cells that cannot be read."""


def mark(key: Mapping[str, object]) -> bytes:
    """A row's mark: a digest of its key. *key* maps column names to values that fit JSON."""
    return sha256(json.dumps(list(key.items())).encode()).digest()[:SIZE]


def pack(marks: Iterable[bytes]) -> str:
    """Marks as text, MOST_MARKS of them at most."""
    return b64encode(b"".join(sorted(marks)[:MOST_MARKS])).decode()


def unpack(text: str) -> frozenset[bytes]:
    """The marks in a packed text. Raises ValueError for other text."""
    data = b64decode(text, validate=True)
    return frozenset(data[place : place + SIZE] for place in range(0, len(data), SIZE))
