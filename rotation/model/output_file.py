"""Writes a command's output file whole or not at all, in place of a regular file or of none.

A symbolic link stays, and the file behind it is written; devices, FIFOs, sockets and directories are refused.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from keyring_core.key_files import irregularity
from rotation.model.failures import StoreError, UsageError

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
"""Flags for a new file: never through a link, and never an existing file."""
PRIVATE, LEGIBLE = 0o600, 0o666
"""Modes of a new file: one that may hold a key, and one that holds no secret (minus the umask)."""
LINKS = 40


def destination(path: Path, called: str = "") -> Path:
    """The file to write for *path*: the one behind symbolic links, which stay.

    Raises UsageError, which names the fault, for a directory, a device, a FIFO, a socket, and a process's open file
    such as /dev/stdout. *called* is what the message calls the path.
    """
    fault = None
    try:
        if path == Path("-"):
            fault = "is no file; nothing is written to standard output in its place"
        elif _is_open_file(path):
            fault = "is not a regular file but what a process has open"
        else:
            fault = irregularity(os.stat(path))
    except FileNotFoundError:
        # There is no file yet.
        fault = None
    except OSError as error:
        fault = f"cannot be written: {error.strerror}"
    except ValueError:
        fault = "not a file name"
    if fault:
        raise UsageError(f"{called or path}: {fault}")
    return Path(os.path.realpath(path))


@contextmanager
def whole_file(path: Path, called: str) -> Iterator[BinaryIO]:
    """A file to write to, which replaces the one at *path* if no error occurs.

    It is made at once, so that a command fails before it counts for an hour. An older file's mode stays.
    Raises UsageError as `destination` and if the file cannot be made, StoreError if it cannot be finished; an older
    file then stays.
    """
    real = destination(path, called)
    # A random name: two commands may write the same file for an hour each.
    beside = real.with_name(f".{secrets.token_hex(8)}.rotation-new")
    try:
        # It gets an older file's mode, which may be a narrow one, when it is finished.
        descriptor, fault = os.open(beside, NEW, PRIVATE if real.exists() else LEGIBLE), None
    except OSError as error:
        descriptor, fault = -1, error.strerror
    if descriptor < 0:
        raise UsageError(f"{called}: cannot be written: {fault}")
    try:
        with open(descriptor, "wb") as file:
            yield file
            fault = _finish(file, beside, real)
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()
    if fault is not None:
        raise StoreError(f"{called}: could not be written: {fault}. What was there before is still there.")


def take_place(beside: Path, real: Path) -> None:
    """Renames the new file *beside* to *real*. Raises OSError if that is no longer a regular file."""
    with suppress(FileNotFoundError):
        if fault := irregularity(os.lstat(real)):
            raise OSError(errno.EINVAL, fault)
    os.rename(beside, real)


def keep_attributes(path: Path, descriptor: int, *, owner_must_stay: bool) -> None:
    """Gives the new file, open as *descriptor*, the mode, owner and attributes of the one at *path*."""
    status, mine = os.stat(path), os.fstat(descriptor)
    if (status.st_uid, status.st_gid) != (mine.st_uid, mine.st_gid):
        try:
            os.fchown(descriptor, status.st_uid, status.st_gid)
        except OSError:
            # Otherwise the service that owns a key file could no longer read it.
            if owner_must_stay:
                raise
    # They include the access control list. macOS has no such calls.
    for name in os.listxattr(path) if hasattr(os, "listxattr") else ():
        with suppress(OSError):
            os.setxattr(descriptor, name, os.getxattr(path, name))
    os.fchmod(descriptor, stat.S_IMODE(status.st_mode))


@contextmanager
def opened_folder(folder: Path) -> Iterator[int]:
    """The folder as a descriptor, to be locked or flushed."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _finish(file: BinaryIO, beside: Path, real: Path) -> str | None:
    """Why the file could not take its place; None if it did."""
    try:
        file.flush()
        if real.exists():
            keep_attributes(real, file.fileno(), owner_must_stay=False)
        os.fsync(file.fileno())
        take_place(beside, real)
    except OSError as error:
        return error.strerror or "the system refused"
    # A folder that cannot be opened is flushed by the system, later.
    with suppress(OSError), opened_folder(real.parent) as folder:
        os.fsync(folder)
    return None


def _is_open_file(path: Path) -> bool:
    """Whether *path* is /dev/stdout, /dev/fd/3 or another link to what a process has open."""
    for _ in range(LINKS):
        path = Path(os.path.realpath(path.parent)) / path.name
        if path.parts[1:2] == ("proc",):
            return True
        if not path.is_symlink():
            return False
        path = path.parent / os.readlink(path)
    return False
