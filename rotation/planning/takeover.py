"""Cells that are not a token of the keyring and become one: cells of another package, and plaintext. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from keyring_core import KeyConfigError, Malformed, MalformedToken
from rotation.model.target import Adopts, Format, Target
from rotation.planning.cell_kinds import CellKind, Classification
from rotation.planning.inner_tokens import InnerTokens, bytes_of

if TYPE_CHECKING:
    from keyring_core.legacy import LegacyReader

_CLASSES = (
    ("lowercase letters", str.islower),
    ("uppercase letters", str.isupper),
    ("digits", str.isdigit),
    ("blanks", str.isspace),
    ("other letters", str.isalpha),
)


class Taken(NamedTuple):
    """The content of a cell that becomes a token."""

    plaintext: bytes
    timestamp: int | None = None
    """The time when it was encrypted, in seconds since 1970; None: the token gets the time of the takeover."""

    def __repr__(self) -> str:
        return "<Taken>"


class Takeover:
    """The cells that a run makes tokens of, beside tokens under older keys."""

    def __init__(self, reader: LegacyReader | None = None, adopts: Adopts = Adopts.NOTHING) -> None:
        self.reader, self.adopts = reader, adopts

    @classmethod
    def of(cls, target: Target, environ: Mapping[str, str]) -> Takeover:
        """The takeover of *target*, with the secrets that *environ* has for it now. Raises KeyConfigError."""
        if target.source is None:
            return cls(None, target.adopts)
        try:
            return cls(target.source.reader(environ), target.adopts)
        except KeyConfigError as error:
            fault = str(error)
        raise KeyConfigError(f"{target.label}, from: {fault}")

    def longest(self, size: int) -> int:
        """The most bytes of plaintext in a cell of *size* bytes."""
        if self.reader and self.adopts is Adopts.NOTHING:
            return self.reader.longest_plaintext(size)
        return size

    def read(self, cell: str | bytes) -> Taken | None:
        """The content of *cell*, if another package wrote it under these secrets; otherwise None."""
        found = self.reader.open(cell) if self.reader else None
        return None if found is None else Taken(found.plaintext, found.timestamp)

    def adopt(
        self, cell: str | bytes, error: MalformedToken, found: Classification, inner: InnerTokens
    ) -> Taken | None:
        """*cell* as it stands, if it is to become a token; *found* says of what kind it is, *inner* what is in it."""
        kinds = {
            Adopts.NOTHING: (),
            Adopts.PLAINTEXT: (CellKind.PLAINTEXT,),
            Adopts.RANDOM: (CellKind.PLAINTEXT, CellKind.CIPHERTEXT, CellKind.NOT_A_TOKEN),
        }[self.adopts]
        searched = not inner.given_up and error.category != Malformed.TOO_LARGE
        return Taken(bytes_of(cell)) if found.kind in kinds and searched else None


NOTHING = Takeover()
"""Tokens alone move."""


def why_not_adopted(target: Target, adopts: Adopts = Adopts.PLAINTEXT) -> str | None:
    """The reason in words if `adopt` leaves the cells of *target* alone; None if it takes them."""
    if target.format is not Format.TOKEN:
        return f"its format is {target.format}; adopt makes a cell one bare token"
    first = "take them over first, with `run`, then drop `from` (in a model: legacy)"
    if target.source and not target.source.writes_tokens:
        return f"{target.source.package} writes no tokens, so that its cells may look like plaintext: {first}"
    if target.source and adopts is Adopts.RANDOM:
        return (
            f"under a wrong secret the cells of {target.source.package} look random: run without --accept-random, or "
            f"{first}"
        )
    return None


def describe(cell: str | bytes) -> str:
    """The length of *cell*, and which kinds of characters it has; nothing of its content."""
    if isinstance(cell, bytes):
        try:
            cell = cell.decode("utf-8")
        except UnicodeDecodeError:
            return f"{len(cell)} bytes, not text"
    return f"{len(cell)} characters: {', '.join(_kinds(cell))}"


def _kinds(text: str) -> Iterator[str]:
    left = set(text)
    for name, belongs in _CLASSES:
        if found := {letter for letter in left if belongs(letter)}:
            left -= found
            yield name
    if left:
        yield "symbols"
