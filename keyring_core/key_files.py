"""Key files: what one holds, whether it changed since, and who else can read it. Never waits for a writer."""

from __future__ import annotations

import os
import re
import stat
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from keyring_core.errors import KeyConfigError, KeyConfigWarning

MAX_FILE_BYTES = 1024 * 1024
_EMPTY_WAIT = 0.05
# A file system's clock may tick so seldom that a second write within this time leaves the same stamp (as in git).
_UNSETTLED_SECONDS = 2
_CREDENTIALS = re.compile(r"\$(?:CREDENTIALS_DIRECTORY|\{CREDENTIALS_DIRECTORY\})(?=/)")
# A key, a list of keys, or the greater part of one, where a path belongs.
_LIKE_A_KEY = re.compile(r"[A-Za-z0-9_+/-]{43}=|^[A-Za-z0-9_+-]{36,}={0,2}$")


class Stamp(NamedTuple):
    """Which file a path led to when it was read."""

    path: Path
    identity: tuple[int, ...]
    """Device, inode, size, and the times at which content and inode changed."""
    settled: bool
    """Whether every later change shows in `identity`."""

    def moved(self) -> bool:
        """Whether the path leads to something else now."""
        # The path and not a kept handle: Kubernetes swaps a symlink.
        try:
            return _identity(os.stat(self.path)) != self.identity
        except OSError:
            return True


class KeyFile(NamedTuple):
    """A file's content, and which file it was."""

    content: bytes
    stamp: Stamp


def key_path(value: str, environ: Mapping[str, str], form: str) -> Path:
    """The path that the variable *form* names by *value*; `$CREDENTIALS_DIRECTORY/` at its start is systemd's.

    Raises KeyConfigError where that is not set, and for a key in place of a path, which it does not show.
    """
    if _LIKE_A_KEY.search(value.strip()):
        raise KeyConfigError(f"{form}: holds a key, where the path of a file is expected; {form[:-5]} takes a key")
    if not _CREDENTIALS.match(value):
        return Path(value)
    if folder := environ.get("CREDENTIALS_DIRECTORY"):
        return Path(_CREDENTIALS.sub(lambda _: folder, value, count=1))
    raise KeyConfigError(f"{form} ({value}): systemd gives the unit no credentials; LoadCredential= in its file does")


def read_key_file(path: Path, form: str) -> KeyFile:
    """The file at *path*, which the variable *form* names. Gives a warning where others can read it.

    Raises KeyConfigError, with path and fault, for all but a regular file of reasonable size.
    """
    file = _read(path, form)
    if not file.content:
        # Its writer may have emptied it a moment ago to write it anew, and a list without keys would be believed.
        time.sleep(_EMPTY_WAIT)
        file = _read(path, form)
    return file


def _read(path: Path, form: str) -> KeyFile:
    where = f"{form} ({path})"
    data = b""
    fault: str | None
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            fault = _file_fault(status)
            if fault is None:
                data = file.read(MAX_FILE_BYTES)
    except OSError as error:
        fault = error.strerror or "cannot be read"
    except ValueError:
        fault = "not a file name"
    if fault:
        hint = " No $ is expanded but $CREDENTIALS_DIRECTORY." if "$" in str(path) else ""
        raise KeyConfigError(f"{where}: {fault}. A key file holds one key a line; # starts a comment.{hint}")
    if readers := _who_else(status, os.geteuid()):
        mode = stat.filemode(status.st_mode)
        warnings.warn(f"{where}: {readers} ({mode}); chmod 600", KeyConfigWarning, stacklevel=2)
    age = time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns)
    return KeyFile(data, Stamp(path, _identity(status), settled=age > _UNSETTLED_SECONDS * 10**9))


def _open_at_once(path: str, flags: int) -> int:
    # Not to block on a FIFO: opened without waiting, and refused for what it is.
    return os.open(path, flags | os.O_NONBLOCK)


def _file_fault(status: os.stat_result) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if status.st_size > MAX_FILE_BYTES:
        return f"has {status.st_size} bytes, more than any list of keys"
    return None


def _who_else(status: os.stat_result, user: int) -> str | None:
    """Who can read or write the file and has no need to, in words."""
    if status.st_mode & stat.S_IWOTH:
        return "every user can write it"
    if status.st_mode & stat.S_IROTH:
        return "every user can read it"
    # A service reads a file of root or of a deploy user through its group; its own file it reads as the owner.
    if status.st_mode & stat.S_IRGRP and status.st_uid == user != 0:
        return "its whole group can read it"
    return None


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
