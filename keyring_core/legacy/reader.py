"""Readers of another package's cells: their interface, and their results."""

from __future__ import annotations

from typing import NamedTuple, NoReturn, Protocol, final


class LegacyPlaintext(NamedTuple):
    """The plaintext that another package stored. Its repr shows nothing of it."""

    plaintext: bytes
    """Text as UTF-8."""
    timestamp: int | None
    """The time of encryption, in seconds since 1970, if the cell says it."""

    def __repr__(self) -> str:
        return f"<LegacyPlaintext of {len(self.plaintext)} bytes>"


class PackageCells(Protocol):
    """The cells of one package under some keys."""

    def open(self, cell: str | bytes) -> LegacyPlaintext | None:
        """As for `LegacyReader`."""

    def longest_plaintext(self, size: int) -> int:
        """As for `LegacyReader`."""


@final
class LegacyReader:
    """Reads the cells of one package. Holds keys, and so cannot be pickled or copied."""

    __slots__ = ("_cells", "words")

    words: str
    """The package, and where its secrets are, for messages. Holds no secret."""

    def __init__(self, cells: PackageCells, words: str) -> None:
        self._cells = cells
        self.words = words

    def open(self, cell: str | bytes) -> LegacyPlaintext | None:
        """The plaintext in *cell*; None if the package did not write it under these secrets.

        Raises nothing, whatever the cell is.
        """
        if isinstance(cell, bytearray | memoryview):  # as some drivers return a BLOB
            cell = bytes(cell)
        return self._cells.open(cell) if isinstance(cell, str | bytes) else None

    def longest_plaintext(self, size: int) -> int:
        """The most bytes that the plaintext of a cell of *size* bytes can have."""
        return max(0, self._cells.longest_plaintext(size))

    def __repr__(self) -> str:
        return f"<LegacyReader {self.words}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a LegacyReader is not pickled or copied: its keys would leave the process. Pickle its Legacy")
