"""The files that a command writes for its user. Each goes through one guard, and is then written whole or not at all.

The guard refuses a path that leads to a file which must not be lost, such as a key file or a database, under whatever
name; and it replaces a file only if that is empty, or begins as an older output of the same kind does.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import BinaryIO, NamedTuple

from rotation.model.failures import StoreError, UsageError
from rotation.world.atomic_file import LEGIBLE, PRIVATE, destination, is_same, new_file, opened_folder, opened_regular

LOOKED_AT = 1 << 20
"""So many bytes of an existing file are looked at: all of a key file, and the beginning of anything else."""


class Holds(Enum):
    """The content of a file that must not be lost, in words that follow its name."""

    KEYS = "keys are kept there"
    VARIABLES = "variables are read from it, and keys may be among them"
    RETIRED_KEYS = "retired keys are kept there, for old backups"
    CONFIG = "it is the rotation.toml of this command"
    DATABASE = "it belongs to an SQLite database of this command"
    PAUSE = "it is the file of --pause-file"


class Kept(NamedTuple):
    """A file that must not be lost, whether it is there yet or not."""

    path: Path
    holds: Holds


class Kind(NamedTuple):
    """A kind of output."""

    fault: Callable[[bytes], str | None]
    """The fault, in words, of an output of this kind in the place of a file that begins with these bytes."""
    adds_to: Holds | None = None
    """The files that an output of this kind is added to, and does not replace."""


def replaced(words: str, beginning: bytes) -> Kind:
    """A kind of output that replaces an older one whole: *words* for it, and a pattern of how each of them begins."""
    pattern = re.compile(beginning)

    def fault(data: bytes) -> str | None:
        return None if pattern.match(data) else f"is no {words}, and would be overwritten"

    return Kind(fault)


@dataclass(frozen=True)
class Output:
    """A file to write, which the guard has let pass."""

    path: Path
    called: str
    """Its name in messages."""
    kind: Kind

    @property
    def real(self) -> Path:
        """Where it is, behind symbolic links. Raises UsageError as `destination`."""
        return destination(self.path, self.called)

    def check(self) -> bytes:
        """The beginning of the file there. Raises UsageError unless it is empty, or a file that may be replaced."""
        real, fault = self.real, None
        try:
            with opened_folder(real.parent) as folder:
                return self._beginning(real.name, folder)
        except FileNotFoundError:
            return b""
        except OSError as error:
            fault = f"cannot be read: {error.strerror}"
        raise UsageError(f"{self.called}: {fault}; name another file")

    def _beginning(self, name: str, folder: int) -> bytes:
        """The same of the file *name* in *folder*. Raises OSError, too."""
        data = b""
        with suppress(FileNotFoundError), opened_regular(name, folder) as old, open(old, "rb", closefd=False) as file:
            data = file.read(LOOKED_AT).strip()
        if data and (fault := self.kind.fault(data)):
            raise UsageError(f"{self.called}: {fault}; name another file")
        return data

    @contextmanager
    def whole(self) -> Iterator[BinaryIO]:
        """A file to write to, which replaces the one at the path if no error occurs.

        It is made at once, so that a command fails before it counts for an hour. An older file's mode stays.
        Raises UsageError if the file cannot be made, StoreError if it cannot be finished; an older file then stays.
        """
        real, new, fault = self.real, None, None
        # A random name: two commands may write the same file for an hour each.
        beside = f".{secrets.token_hex(8)}.rotation-new"
        with ExitStack() as opened:
            try:
                folder = opened.enter_context(opened_folder(real.parent))
                # It gets an older file's mode, which may be a narrow one, when it is finished.
                mode = PRIVATE if real.exists() else LEGIBLE
                new = opened.enter_context(new_file(beside, folder, mode))
            except OSError as error:
                fault = error.strerror
            if new is None:
                raise UsageError(f"{self.called}: cannot be written: {fault}")
            with open(new.descriptor, "wb", closefd=False) as file:
                yield file
                try:
                    file.flush()
                    # Somebody may have put another file there meanwhile.
                    new.take_place(real.name, lambda: self._beginning(real.name, folder), owner_must_stay=False)
                except OSError as error:
                    fault = error.strerror or "the system refused"
                except UsageError as error:
                    fault = str(error).removeprefix(f"{self.called}: ")
            # A folder that cannot be listed is flushed by the system, later.
            with suppress(OSError):
                os.fsync(folder)
        if fault is not None:
            raise StoreError(f"{self.called}: could not be written: {fault}. What was there before is still there.")


CONFIG = Kind(lambda _: None, adds_to=Holds.CONFIG)
"""A rotation.toml. What it may be added to is read as one first."""


class Outputs:
    """The outputs of one command. Each has to be let pass before anything is counted, or read from a target."""

    def __init__(self, kept: Iterable[Kept] = (), known_later: Callable[[], Iterable[Kept]] = tuple) -> None:
        """*known_later*: files that take long to find, and are asked for only if nothing else refuses an output."""
        self._kept, self._known_later = list(kept), known_later
        self._taken: list[Output] = []

    def take(self, path: Path, called: str, kind: Kind) -> Output:
        """The output at *path*, which messages call *called*.

        Raises UsageError as `destination`, for a path that leads to a kept file or to another output, whatever its
        name, and for a file that is neither empty nor of this kind.
        """
        output = Output(path, called, kind)
        real = output.real
        for other in self._taken:
            if is_same(real, other.path):
                raise UsageError(f"{called}: {other.called} names this file, too; name another file")
        _refuse(output, real, self._kept)
        if not output.check():
            _refuse(output, real, self._known_later())
        self._taken.append(output)
        return output


def _refuse(output: Output, real: Path, kept: Iterable[Kept]) -> None:
    for one in kept:
        if one.holds is not output.kind.adds_to and is_same(real, one.path):
            raise UsageError(f"{output.called}: {one.holds.value}; name another file")
