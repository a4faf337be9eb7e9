"""The file of an SQLite database, which may be moved or replaced while it is open."""

from __future__ import annotations

from pathlib import Path

MOVED = "the file was moved, replaced or deleted while it was open"


class FileMovedError(Exception):
    """The path of an open database leads to another file by now, or to none."""

    def __init__(self) -> None:
        super().__init__(MOVED)


class OpenFile:
    """Notices if a path leads to another file than it did at first; what was opened by it is still the old one."""

    def __init__(self, path: Path) -> None:
        """Looks at nothing yet."""
        self._path = path.absolute()
        self._first: tuple[int, int] | None = None

    def check(self) -> None:
        """Raises FileMovedError. Until the file is there, any will do: a ledger is made by the first connection."""
        found = self._number()
        if self._first is None:
            self._first = found
        elif found != self._first:
            raise FileMovedError

    def _number(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino
