"""Replaces a file: a reader, or a crash, finds the old file or the new one. Key files first, then any file.

A symbolic link stays, and the file behind it is written, unless another user may have made the link; devices, FIFOs,
sockets and directories are refused. From then on no link is followed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from keyring_core.sources import irregularity, read_regular
from rotation.model.failures import StoreError, UsageError
from rotation.model.next_steps import shell_word

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
"""Flags for a new file: never through a link, and never an existing file."""
PRIVATE, LEGIBLE = 0o600, 0o644
"""Modes of a new file: one that may hold a key, and one that holds no secret (minus the umask)."""
LINKS = 40
# A folder of which others may only pass through can be opened by no other way. macOS has no such flag.
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
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
    """The file at *path*, or behind the symbolic link there; empty if it is missing.

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
            return Snapshot(real, data, (status.st_dev, status.st_ino, status.st_mtime_ns))
        fault = f"has {status.st_nlink} names (hard links), and a new file would have one; make it a file of its own"
    raise UsageError(f"{path}: {fault}")


def legible_to_others(path: Path) -> str | None:
    """A warning about the file at *path*, which is to hold a key, if others than its owner can read or write it."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return None
    if not mode & (stat.S_IRWXG | stat.S_IRWXO):
        return None
    shown, file = stat.filemode(mode), shell_word(str(path))
    return f"{path}: other users can read or change it ({shown}), and keys go there; chmod 600 {file}"


def write_refusal(path: Path) -> str | None:
    """The reason not to write the file at *path*, or None."""
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
    # A fixed name, so that the next process removes what a killed one left behind.
    beside = f".{old.path.name}.rotation-new"
    try:
        with opened_folder(old.path.parent, always_flushed=True) as folder:
            _lock(folder)
            with suppress(FileNotFoundError):
                os.unlink(beside, dir_fd=folder)
            _check_unchanged(old)
            with new_file(beside, folder, PRIVATE) as new:
                left = data
                while left:
                    left = left[os.write(new.descriptor, left) :]
                new.take_place(old.path.name, lambda: _check_unchanged(old), owner_must_stay=True)
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


def _check_unchanged(old: Snapshot) -> None:
    now = read_whole(old.path)
    if (now.data, now.identity) != (old.data, old.identity):
        raise FileChangedError(f"{old.path}: somebody wrote it meanwhile. Nothing was changed; run it again.")


def _lock(folder: int) -> None:
    """Locks *folder* against other runs of this program; the lock ends with the descriptor."""
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EWOULDBLOCK, errno.EINTR}:
                return None  # a file system without locks; the comparison before the rename stays
            if time.monotonic() > end:
                raise
        time.sleep(0.05)


def destination(path: Path, called: str = "") -> Path:
    """The file to write for *path*: the one behind symbolic links, which stay.

    Raises UsageError, which names the fault, for a directory, a device, a FIFO, a socket, a process's open file such as
    /dev/stdout, and a link that another user may have planted. *called* is what the message calls the path.
    """
    real: Path | str = "is no file; nothing is written to standard output in its place"
    try:
        real = behind_links(path) if path != Path("-") else real
        fault = real if isinstance(real, str) else irregularity(os.lstat(real))
    except FileNotFoundError:
        # There is no file yet.
        fault = None
    except OSError as error:
        fault = f"cannot be written: {error.strerror}"
    except ValueError:
        fault = "not a file name"
    if fault or isinstance(real, str):
        raise UsageError(f"{called or path}: {fault}")
    return real


def behind_links(path: Path) -> Path | str:
    """The file at the end of *path*; or the reason not to follow it, in words. Raises OSError and ValueError."""
    real, left, links = Path("/"), [*reversed(path.absolute().parts)], 0
    while left:
        here = real / left.pop()
        if here.name == "..":
            real = real.parent
            continue
        if here.parts[1:2] == ("proc",):
            return "is not a regular file but what a process has open"
        target = _target(here)
        if target is None:
            real = here
            continue
        links += 1
        if links > LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if not target:
            return f"leads through {here}, a symbolic link that another user may have made; name the file behind it"
        left += reversed(Path(target).parts)
    return real


def _target(path: Path) -> str | None:
    """The target of the symbolic link at *path*; None if there is no link, empty if it may be another user's trap.

    The kernel's own rule (fs.protected_symlinks), for every folder that others can write, and not only a sticky one.
    """
    try:
        link = os.lstat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISLNK(link.st_mode):
        return None
    folder, target, now = os.lstat(path.parent), os.readlink(path), os.lstat(path)
    swapped = (link.st_ino, link.st_ctime_ns) != (now.st_ino, now.st_ctime_ns)
    is_shared = folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return "" if swapped or (is_shared and link.st_uid not in {os.geteuid(), 0, folder.st_uid}) else target


def is_same(one: Path, other: Path) -> bool:
    """True if both lead to one file: by their names without links, and by device and inode."""
    # A file that is not there has no inode, and a path of rotation.toml may be none.
    with suppress(OSError, ValueError):
        # Two slashes at the beginning, which Python keeps apart, are one.
        names = {"/" + os.path.realpath(path).lstrip("/") for path in (one, other)}
        return len(names) == 1 or os.path.samefile(one, other)
    return False


class NewFile(NamedTuple):
    """A new file, open to write to, beside the one whose place it is to take."""

    name: str
    folder: int
    descriptor: int

    def take_place(self, name: str, check: Callable[[], object], *, owner_must_stay: bool) -> None:
        """Flushes the file, and renames it to *name*. It gets the mode, owner and attributes of the older file there.

        *check* looks at the older file last, and raises if that must not be replaced: it is no regular file, or not the
        one that was read. Raises OSError, too.
        """
        with suppress(FileNotFoundError), opened_regular(name, self.folder) as old:
            status, mine = os.fstat(old), os.fstat(self.descriptor)
            if (status.st_uid, status.st_gid) != (mine.st_uid, mine.st_gid):
                try:
                    os.fchown(self.descriptor, status.st_uid, status.st_gid)
                except OSError:
                    # Otherwise the service that owns a key file could no longer read it.
                    if owner_must_stay:
                        raise
            # They include the access control list. macOS has no such calls.
            for attribute in os.listxattr(old) if hasattr(os, "listxattr") else ():
                with suppress(OSError):
                    os.setxattr(self.descriptor, attribute, os.getxattr(old, attribute))
            os.fchmod(self.descriptor, stat.S_IMODE(status.st_mode))
        os.fsync(self.descriptor)
        check()
        os.rename(self.name, name, src_dir_fd=self.folder, dst_dir_fd=self.folder)


@contextmanager
def new_file(name: str, folder: int, mode: int) -> Iterator[NewFile]:
    """A new file *name* in *folder*. In the end it is removed, unless it took another's place. Raises OSError."""
    descriptor = os.open(name, NEW, mode, dir_fd=folder)
    try:
        yield NewFile(name, folder, descriptor)
    finally:
        os.close(descriptor)
        with suppress(OSError):
            os.unlink(name, dir_fd=folder)


@contextmanager
def opened_regular(name: str, folder: int) -> Iterator[int]:
    """The file *name* in *folder* as a descriptor, to read. Raises OSError if it is no regular file."""
    if fault := irregularity(os.stat(name, dir_fd=folder, follow_symlinks=False)):
        raise OSError(errno.EINVAL, fault)
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def opened_folder(folder: Path, *, always_flushed: bool = False) -> Iterator[int]:
    """The folder as a descriptor, to work in. Unless it is *always_flushed*, one that cannot be listed will do.

    Follows no link: since `destination` found none, one that is met came there meanwhile.
    """
    descriptor = os.open(folder.anchor, _FOLDER)
    try:
        for part in folder.parts[1:]:
            descriptor = _moved(descriptor, part, _FOLDER)
        try:
            descriptor = _moved(descriptor, ".", os.O_RDONLY | os.O_CLOEXEC)
        except PermissionError:
            # It can be worked in, and neither locked nor flushed.
            if always_flushed:
                raise
        yield descriptor
    finally:
        os.close(descriptor)


def _moved(folder: int, name: str, flags: int) -> int:
    """The folder *name* in *folder*, which is closed."""
    inside = os.open(name, flags, dir_fd=folder)
    os.close(folder)
    return inside
