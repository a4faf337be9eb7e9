"""A text file that is written whole: whoever opens it finds the old one or the new one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from rotation.errors import StoreError, UsageError


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """A file to write to, which takes the place of the one at *path* when all went well.

    It is made at once, so that nobody counts for an hour to find that there is no room for the result. Raises
    UsageError where it cannot be made, StoreError where it cannot be finished; an older file then stays.
    """
    real = Path(os.path.realpath(path))
    beside = real.with_name(f".{real.name}.{os.getpid()}.new")
    if real.exists() and not real.is_file():
        raise UsageError(f"{path}: is not a regular file")
    try:
        file = beside.open("w", encoding="utf-8")
        fault = None
    except OSError as error:
        fault = error.strerror
    if fault is not None:
        raise UsageError(f"{path}: cannot be written: {fault}")
    try:
        with file:
            yield file
            fault = _finish(file, beside, real)
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()
    if fault is not None:
        raise StoreError(f"{path}: could not be written: {fault}. What was there before is still there.")


def _finish(file: TextIO, beside: Path, real: Path) -> str | None:
    """Why the file could not take its place; None where it did."""
    try:
        file.flush()
        os.fsync(file.fileno())
        if real.exists():
            beside.chmod(real.stat().st_mode)
        beside.replace(real)
    except OSError as error:
        return error.strerror or "the system refused"
    return None
