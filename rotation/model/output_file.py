"""What may be replaced by a new file, and how the new one takes its place: a regular file, or none.

A symbolic link stays, and the file behind it is written, unless another user may have made the link; devices, FIFOs,
sockets and directories are refused. From then on no link is followed.
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
PRIVATE, LEGIBLE = 0o600, 0o644
"""Modes of a new file: one that may hold a key, and one that holds no secret (minus the umask)."""
LINKS = 40
# A folder of which others may only pass through can be opened by no other way. macOS has no such flag.
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


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
    """Where *path* leads; or why it must not be followed, in words. Raises OSError and ValueError."""
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
    """Where the symbolic link at *path* leads; None if there is none, and empty if it may be another user's trap.

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


def take_place(beside: str, name: str, folder: int) -> None:
    """Renames the new file *beside* to *name*, in *folder*. Raises OSError if that is no longer a regular file."""
    with suppress(FileNotFoundError), opened_regular(name, folder):
        pass
    os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)


def keep_attributes(name: str, folder: int, descriptor: int, *, owner_must_stay: bool) -> None:
    """Gives the new file, open as *descriptor*, the mode, owner and attributes of the file *name* in *folder*."""
    with opened_regular(name, folder) as old:
        status, mine = os.fstat(old), os.fstat(descriptor)
        if (status.st_uid, status.st_gid) != (mine.st_uid, mine.st_gid):
            try:
                os.fchown(descriptor, status.st_uid, status.st_gid)
            except OSError:
                # Otherwise the service that owns a key file could no longer read it.
                if owner_must_stay:
                    raise
        # They include the access control list. macOS has no such calls.
        for attribute in os.listxattr(old) if hasattr(os, "listxattr") else ():
            with suppress(OSError):
                os.setxattr(descriptor, attribute, os.getxattr(old, attribute))
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode))


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
