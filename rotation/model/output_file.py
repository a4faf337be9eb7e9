"""What may be replaced by a new file, and how the new one takes its place: a regular file, or none.

A symbolic link stays, and the file behind it is written; devices, FIFOs, sockets and directories are refused.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from keyring_core.key_files import irregularity
from rotation.model.failures import UsageError

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
