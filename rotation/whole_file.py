"""A file that is written whole or not at all: whoever reads it, or dies writing it, finds the old or the new one."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from rotation.errors import StoreError, UsageError

MAX_BYTES = 1024 * 1024
PRIVATE = 0o600
LOCK_SECONDS = 5


class FileChangedError(UsageError):
    """Somebody else has written the file since it was read; nothing of theirs is overwritten."""


class Snapshot(NamedTuple):
    """What a file held when it was read, and which file that was."""

    path: Path
    """Where it is, without symbolic links."""
    data: bytes
    identity: tuple[int, int, int] | None
    """Device, inode and time of change; None where there was no file."""


def read_whole(path: Path) -> Snapshot:
    """The file at *path*, or behind the symbolic link there; empty where there is none.

    Raises UsageError for what is no file of ours to write: a directory, a FIFO, a huge one, one with several names.
    """
    fault = None
    try:
        # Not to block on a FIFO.
        real = Path(os.path.realpath(path))
        with open(real, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            status = os.fstat(file.fileno())
            fault = _fault(status)
            if fault is None:
                return Snapshot(real, file.read(MAX_BYTES), _identity(status))
    except FileNotFoundError:
        return Snapshot(real, b"", None)
    except OSError as error:
        fault = error.strerror or "cannot be read"
    raise UsageError(f"{path}: {fault}")


def refusal(path: Path) -> str | None:
    """Why the file at *path* is not ours to write, or None."""
    real = Path(os.path.realpath(path))
    if any(part.startswith("..") for part in real.parts):
        return "Kubernetes keeps this file; change the Secret behind it"
    if not real.parent.is_dir():
        return f"there is no folder {real.parent}"
    if os.statvfs(real.parent).f_flag & os.ST_RDONLY or not os.access(real.parent, os.W_OK):
        return f"the folder {real.parent} is read-only"
    if real.exists() and not os.access(real, os.W_OK):
        return "it is read-only"
    if os.path.ismount(real):
        return "it is mounted by itself, as by Docker; change what is mounted"
    return None


def replace_whole(old: Snapshot, data: bytes) -> Snapshot:
    """Puts *data* in the place of what was read, and reads it back from the disk. Keeps mode, owner and attributes.

    A new file can be read by its owner alone. Raises FileChangedError where the file is no longer the one that was
    read, StoreError where the system does not do it; the file is then what it was.
    """
    failure: OSError
    try:
        with _locked(old.path.parent) as folder:
            _swap(old, data)
            os.fsync(folder)
        written = read_whole(old.path)
    except OSError as error:
        failure = error
    else:
        if written.data != data:
            raise StoreError(f"{old.path}: what was written does not read back the same; look at the file")
        return written
    raise StoreError(f"{old.path}: could not be written ({failure.strerror}). It is whole, the old one or the new.")


def _swap(old: Snapshot, data: bytes) -> None:
    # One name, so that what a killed process left behind is found and removed by the next one.
    beside = old.path.with_name(f".{old.path.name}.rotation-new")
    with suppress(FileNotFoundError):
        os.unlink(beside)
    _check_unchanged(old)
    try:
        _write_beside(beside, old, data)
        _check_unchanged(old)
        os.rename(beside, old.path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def _check_unchanged(old: Snapshot) -> None:
    now = read_whole(old.path)
    if (now.data, now.identity) != (old.data, old.identity):
        raise FileChangedError(f"{old.path}: somebody wrote it meanwhile. Nothing was changed; run it again.")


def _write_beside(path: Path, old: Snapshot, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
    try:
        left = data
        while left:
            left = left[os.write(descriptor, left) :]
        if old.identity:
            _keep_attributes(old.path, descriptor)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _keep_attributes(path: Path, descriptor: int) -> None:
    status, mine = os.stat(path), os.fstat(descriptor)
    if (status.st_uid, status.st_gid) != (mine.st_uid, mine.st_gid):
        # Where we may not, the service that owns the file could not read it any more: the error ends it.
        os.fchown(descriptor, status.st_uid, status.st_gid)
    # The access list is among them. macOS has no such calls.
    for name in os.listxattr(path) if hasattr(os, "listxattr") else ():
        with suppress(OSError):
            os.setxattr(descriptor, name, os.getxattr(path, name))
    os.fchmod(descriptor, stat.S_IMODE(status.st_mode))


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_dev, status.st_ino, status.st_mtime_ns


def _fault(status: os.stat_result) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if status.st_size > MAX_BYTES:
        return f"has {status.st_size} bytes, more than any list of keys"
    if status.st_nlink > 1:
        return f"has {status.st_nlink} names (hard links), and a new file would have one; make it a file of its own"
    return None


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """The folder, opened, while no other process of ours writes in it. The lock goes with the process."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _lock(descriptor)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EWOULDBLOCK, errno.EINTR}:
                return None  # a file system without locks; the comparison before the rename stays
            if time.monotonic() > end:
                raise
        time.sleep(0.05)
