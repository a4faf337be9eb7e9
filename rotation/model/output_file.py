"""What a command writes becomes a file whole or not at all, in the place of a regular file or of none.

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
"""How a new file is opened: never through a link, and never one that is there."""
PRIVATE, LEGIBLE = 0o600, 0o666
"""The mode of a new file: of one that may hold a key, and of one that holds no secret, from which the umask takes."""
LINKS = 40


def destination(path: Path, called: str = "") -> Path:
    """The file that is written for *path*: the one behind symbolic links, which stay.

    Raises UsageError, which says what stands there, for all that no file may replace: a directory, a device, a FIFO, a
    socket, and a process's open file such as /dev/stdout. *called* is what the message calls the path.
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
        # Nothing stands there yet.
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
    """A file to write to, which takes the place of the one at *path* when all went well.

    It is made at once, so that nobody counts for an hour to find that there is no room for the result. An older file's
    mode stays. Raises UsageError as `destination` and where it cannot be made, StoreError where it cannot be finished;
    an older file then stays.
    """
    real = destination(path, called)
    # A name of its own: two commands may take an hour each to write the same file.
    beside = real.with_name(f".{secrets.token_hex(8)}.rotation-new")
    try:
        # An older file's mode is given to it when it is whole, and may be a narrow one.
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
    """Puts the new file *beside* where *real* is. Raises OSError where that is no regular file any more."""
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
            # The service that owns a key file could not read it any more.
            if owner_must_stay:
                raise
    # The access list is among them. macOS has no such calls.
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
    """Why the file could not take its place; None where it did."""
    try:
        file.flush()
        if real.exists():
            keep_attributes(real, file.fileno(), owner_must_stay=False)
        os.fsync(file.fileno())
        take_place(beside, real)
    except OSError as error:
        return error.strerror or "the system refused"
    # In a folder that cannot be listed the name is flushed when the system does it.
    with suppress(OSError), opened_folder(real.parent) as folder:
        os.fsync(folder)
    return None


def _is_open_file(path: Path) -> bool:
    """Whether *path* is /dev/stdout, /dev/fd/3 or the like: a link to what a process has open, wherever that leads."""
    for _ in range(LINKS):
        path = Path(os.path.realpath(path.parent)) / path.name
        if path.parts[1:2] == ("proc",):
            return True
        if not path.is_symlink():
            return False
        path = path.parent / os.readlink(path)
    return False
