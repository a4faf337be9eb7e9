"""Replaces a key file atomically: a reader, or a crash, finds the old file or the new one."""

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

from keyring_core.key_files import read_regular
from rotation.model.failures import StoreError, UsageError
from rotation.model.invocation import quoted
from rotation.model.output_file import NEW, PRIVATE, destination, keep_attributes, opened_folder, take_place

LOCK_SECONDS = 5


class FileChangedError(UsageError):
    """Another process has written the file since it was read; its changes are not overwritten."""


class Snapshot(NamedTuple):
    """The content of a file when it was read, and the identity of the file."""

    path: Path
    """Where it is, without symbolic links."""
    data: bytes
    identity: tuple[int, int, int] | None
    """Device, inode and time of change; None if there was no file."""


def read_whole(path: Path) -> Snapshot:
    """The file at *path*, or behind the symbolic link there; empty if there is none.

    Raises UsageError for a path that must not be replaced: a directory, a FIFO, a huge file, one with hard links.
    """
    real = destination(path)
    try:
        data, status = read_regular(real, "list of keys", os.O_NOFOLLOW)
    except FileNotFoundError:
        return Snapshot(real, b"", None)
    except OSError as error:
        fault = error.strerror or "cannot be read"
    else:
        if status.st_nlink <= 1:
            return Snapshot(real, data, _identity(status))
        fault = f"has {status.st_nlink} names (hard links), and a new file would have one; make it a file of its own"
    raise UsageError(f"{path}: {fault}")


def mode_for_others(path: Path) -> str | None:
    """The mode of the file at *path*, as `ls -l` shows it, if others than its owner can read or write it."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return None
    return stat.filemode(mode) if mode & (stat.S_IRWXG | stat.S_IRWXO) else None


def legible_to_others(path: Path, mode: str) -> str:
    """A warning about a file that is to hold a key and has that mode."""
    return f"{path}: other users can read or change it ({mode}), and keys go there; chmod 600 {quoted(str(path))}"


def refusal(path: Path) -> str | None:
    """Why the file at *path* must not be written, or None."""
    try:
        return _refusal(Path(os.path.realpath(path)))
    except OSError as error:
        return error.strerror or "cannot be looked at"


def _refusal(real: Path) -> str | None:
    if any(part.startswith("..") for part in real.parts):
        return "Kubernetes keeps this file; change the Secret behind it"
    if not real.parent.is_dir():
        return f"there is no folder {real.parent}"
    if not os.access(real.parent, os.W_OK):
        read_only = os.statvfs(real.parent).f_flag & os.ST_RDONLY
        return f"the folder {real.parent} {'is read-only' if read_only else 'is not writable for this user'}"
    if real.exists() and not os.access(real, os.W_OK):
        return "it is read-only"
    if os.path.ismount(real):
        return "it is mounted by itself, as by Docker; change what is mounted"
    return None


def replace_whole(old: Snapshot, data: bytes) -> Snapshot:
    """Puts *data* in the place of what was read, and reads it back from the disk. Keeps mode, owner and attributes.

    A new file can be read by its owner alone. Raises FileChangedError if the file is no longer the one that was
    read, StoreError if the system refuses; the file is then unchanged.
    """
    failure: OSError
    try:
        with _locked(old.path.parent) as folder:
            _swap(old, data, folder)
            os.fsync(folder)
        written = read_whole(old.path)
    except OSError as error:
        failure = error
    else:
        if written.data != data:
            raise StoreError(f"{old.path}: what was written does not read back the same; look at the file")
        return written
    raise StoreError(
        f"{old.path}: could not be written ({failure.strerror}). The file is intact, with either the old or the new "
        "content."
    )


def _swap(old: Snapshot, data: bytes, folder: int) -> None:
    # A fixed name, so that the next process removes what a killed one left behind.
    beside = f".{old.path.name}.rotation-new"
    with suppress(FileNotFoundError):
        os.unlink(beside, dir_fd=folder)
    _check_unchanged(old)
    try:
        _write_beside(beside, folder, old, data)
        _check_unchanged(old)
        take_place(beside, old.path.name, folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside, dir_fd=folder)
        raise


def _check_unchanged(old: Snapshot) -> None:
    now = read_whole(old.path)
    if (now.data, now.identity) != (old.data, old.identity):
        raise FileChangedError(f"{old.path}: somebody wrote it meanwhile. Nothing was changed; run it again.")


def _write_beside(name: str, folder: int, old: Snapshot, data: bytes) -> None:
    descriptor = os.open(name, NEW, PRIVATE, dir_fd=folder)
    try:
        left = data
        while left:
            left = left[os.write(descriptor, left) :]
        if old.identity:
            keep_attributes(old.path.name, folder, descriptor, owner_must_stay=True)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_dev, status.st_ino, status.st_mtime_ns


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """The folder, open and locked against other runs of this program. The lock ends with the process."""
    with opened_folder(folder, always_flushed=True) as descriptor:
        _lock(descriptor)
        yield descriptor


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
