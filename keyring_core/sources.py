"""Reads key text from a variable, from the file that it names, or from the command that it names.

Of a key file it knows whether it changed since, and which other users can read it. It never waits for a writer.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
import warnings
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, TypeVar

from keyring_core.errors import KeyConfigError, KeyConfigWarning, printable, without_frames
from keyring_core.key_commands import run_key_command

K = TypeVar("K")

FORMS = ("", "_FILE", "_COMMAND")
"""The endings of a variable that holds keys, names their file, or the command that prints them."""

COMMAND_SECONDS = 30
"""The time that a start waits for a command."""

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")

MAX_FILE_BYTES = 1024 * 1024
_EMPTY_WAIT = 0.05
# Some file systems' clocks are so coarse that a second write within this time leaves the same stamp (as in git).
_UNSETTLED_SECONDS = 2
_CREDENTIALS = re.compile(r"\$(?:CREDENTIALS_DIRECTORY|\{CREDENTIALS_DIRECTORY\})(?=/)")
# A key, a list of keys, or most of a key, in place of a path.
_LIKE_A_KEY = re.compile(r"[A-Za-z0-9_+/-]{43}=|^[A-Za-z0-9_+-]{36,}={0,2}$")
# What breaks a key, such as a blank or a line break; a dot stays, since many paths have one, and no key.
_IN_NO_KEY = re.compile(r"[^A-Za-z0-9_+/=.-]")

_KINDS = {
    stat.S_ISDIR: "a directory",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
    stat.S_ISFIFO: "a FIFO",
    stat.S_ISSOCK: "a socket",
    stat.S_ISLNK: "a symbolic link",
}


class SourceKind(StrEnum):
    """The kinds of sources."""

    VARIABLE = "variable"
    FILE = "file"
    COMMAND = "command"


class Stamp(NamedTuple):
    """The identity of the file that a path led to when it was read."""

    path: Path
    identity: tuple[int, ...]
    """Device, inode, size, and the times at which content and inode changed."""
    settled: bool
    """True if every later change shows in `identity`."""

    def moved(self) -> bool:
        """True if the path leads to another file now, or to none."""
        # By the path, not by an open file: Kubernetes swaps a symlink.
        try:
            return _identity(os.stat(self.path)) != self.identity
        except OSError:
            return True


class KeyOrigin(NamedTuple):
    """The origin of a variable's text, which shows if that changed since. Holds no key."""

    kind: SourceKind
    stamp: Stamp | None = None

    def moved(self) -> bool:
        """True if the file changed since it was read."""
        return self.stamp is not None and self.stamp.moved()

    def may_differ(self) -> bool:
        """True if reading again may give another text. A variable does not count: it is read only once."""
        return self.kind is SourceKind.COMMAND or self.moved() or (self.stamp is not None and not self.stamp.settled)


class FoundText(NamedTuple):
    """Key text, the place it came from in words, and its source."""

    text: str | bytes
    where: str
    source: KeyOrigin

    def __repr__(self) -> str:
        return f"<FoundText {self.where}>"


def variable_in(text: str) -> str | None:
    """The variable that *text* names as `$NAME` or `${NAME}`; None if it is anything else."""
    found = _VARIABLE.fullmatch(text)
    return found and (found[1] or found[2])


@without_frames
def read_sources(names: Mapping[K, str], environ: Mapping[str, str], seconds: float) -> dict[K, FoundText]:
    """The text that each variable in *names* leads to, if it is set; of one moment, if files change meanwhile.

    *seconds* as for `read_named`. Raises KeyConfigError as `read_source` does.
    """
    found = {key: each for key, name in names.items() if (each := read_source(name, environ, seconds))}
    for _ in range(5):
        # A mix of files from before and after a promotion would lack a key.
        moved = [key for key, each in found.items() if each.source.moved()]
        if not moved:
            break
        found |= {key: again for key in moved if (again := read_source(names[key], environ, seconds))}
    return found


@without_frames
def read_source(
    name: str, environ: Mapping[str, str], seconds: float = COMMAND_SECONDS, *, comments: bool = True
) -> FoundText | None:
    """The text that the variable *name* holds, or that its `_FILE` or `_COMMAND` form leads to; None if none is set.

    *comments* and *seconds* as for `read_named`. Raises KeyConfigError if two forms are set, and as that does.
    """
    forms = [name + form for form in FORMS if name + form in environ]
    if len(forms) > 1:
        raise KeyConfigError(f"{' and '.join(forms)} are both set; keep one of them")
    if not forms:
        return None
    form, value = forms[0], environ[forms[0]]
    if form == name:
        return FoundText(value, name, KeyOrigin(SourceKind.VARIABLE))
    kind = SourceKind.FILE if form.endswith("_FILE") else SourceKind.COMMAND
    return read_named(kind, value, form, environ, seconds, comments=comments)


@without_frames
def read_named(  # noqa: PLR0913 - what to read, and how
    kind: SourceKind, value: str, form: str, environ: Mapping[str, str], seconds: float, *, comments: bool = True
) -> FoundText:
    """The text of the file or command that *value* of the setting *form* names.

    Without *comments* the text is taken as it is, but for one line break at its end: a passphrase may hold a `#`.
    A command has *seconds*. Raises KeyConfigError if it yields nothing.
    """
    if kind is SourceKind.FILE:
        if not value.strip():
            raise KeyConfigError(f"{form}: empty; name a file, or unset it")
        path = key_path(value, environ, form)
        content, stamp = _read_key_file(path, form)
        if not content:
            # A writer may have just emptied it, to write it again. An empty list of keys would be accepted.
            time.sleep(_EMPTY_WAIT)
            content, stamp = _read_key_file(path, form)
        # The form of a variable does not say which file it names.
        where = form if str(stamp.path) in form else f"{form} ({printable(str(stamp.path))})"
        return FoundText(_cleaned(content, comments=comments), where, KeyOrigin(SourceKind.FILE, stamp))
    printed = run_key_command(value, form, environ, seconds)
    return FoundText(_cleaned(printed, comments=comments), form, KeyOrigin(SourceKind.COMMAND))


def _cleaned(data: bytes, *, comments: bool) -> bytes:
    if not comments:
        return data.removesuffix(b"\n").removesuffix(b"\r")
    lines = (line.partition(b"#")[0].strip() for line in data.splitlines())
    return b"\n".join(line for line in lines if line)


def key_path(value: str, environ: Mapping[str, str], form: str) -> Path:
    """The path in *value* of the variable *form*; a leading `$CREDENTIALS_DIRECTORY/` is replaced by systemd's.

    Raises KeyConfigError if that is not set, and for a key in place of a path, which it does not show.
    """
    if _LIKE_A_KEY.search(_IN_NO_KEY.sub("", value)):
        raise KeyConfigError(f"{form}: holds a key, but the path of a file is expected; {form[:-5]} takes a key")
    if not _CREDENTIALS.match(value):
        return Path(value)
    if folder := environ.get("CREDENTIALS_DIRECTORY"):
        return Path(_CREDENTIALS.sub(lambda _: folder, value, count=1))
    raise KeyConfigError(
        f"{form} ({printable(value)}): systemd gives the unit no credentials; LoadCredential= in its file does"
    )


def is_missing(path: Path) -> bool:
    """True if nothing is there. A file that this user may not look at is not missing: reading it gives the reason."""
    try:
        os.stat(path)
    except (OSError, ValueError) as error:
        return isinstance(error, FileNotFoundError | NotADirectoryError | ValueError)
    return False


def irregularity(status: os.stat_result) -> str | None:
    """The kind of file, in words, if it is not a regular one; otherwise None."""
    named = next((words for is_one, words in _KINDS.items() if is_one(status.st_mode)), "something else")
    return None if stat.S_ISREG(status.st_mode) else f"is not a regular file but {named}"


def read_regular(path: Path, kind: str, flags: int = 0) -> tuple[bytes, os.stat_result]:
    """The regular file at *path* and its status, in bounded time and memory; *kind* is what it is expected to hold.

    *flags* are more flags to open it with. Raises OSError, whose strerror says what is wrong.
    """
    try:
        # Do not wait for a FIFO's writer: open it at once, then refuse it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    except ValueError:
        descriptor = -1
    if descriptor < 0:
        raise OSError(errno.EINVAL, "not a file name")
    try:
        status = os.fstat(descriptor)
        if fault := irregularity(status):
            raise OSError(errno.EINVAL, fault)
        with open(descriptor, "rb", closefd=False) as file:
            # One byte more: some file systems report no size.
            data = file.read(MAX_FILE_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > MAX_FILE_BYTES:
        raise OSError(errno.EFBIG, f"has {max(status.st_size, len(data))} bytes, more than any {kind}")
    return data, status


def _read_key_file(path: Path, form: str) -> tuple[bytes, Stamp]:
    """The content of the file at *path*, which the variable *form* names. Warns if other users can read it.

    Raises KeyConfigError, with path and fault, unless it is a regular file of reasonable size.
    """
    where, fault = f"{form} ({printable(str(path))})", None
    try:
        data, status = read_regular(path, "list of keys")
    except OSError as error:
        fault = error.strerror or "cannot be read"
    if fault:
        hint = " No $ is expanded but $CREDENTIALS_DIRECTORY." if "$" in str(path) else ""
        raise KeyConfigError(f"{where}: {fault}. A key file holds one key a line; # starts a comment.{hint}")
    if readers := _who_else(status, os.geteuid()):
        mode = stat.filemode(status.st_mode)
        warnings.warn(f"{where}: {readers} ({mode}); chmod 600", KeyConfigWarning, stacklevel=2)
    age = time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns)
    return data, Stamp(path, _identity(status), settled=age > _UNSETTLED_SECONDS * 10**9)


def _who_else(status: os.stat_result, user: int) -> str | None:
    """The other users who can read or write the file without need, in words, or None."""
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
