"""Urls of databases as an admin writes them: `$NAME`, passwords, and relative SQLite paths. Needs no SQLAlchemy.

A relative path counts from one folder, and is refused if it could mean two files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote

from keyring_core.sources import variable_in
from rotation.model.failures import UsageError

_SQLITE = re.compile(r"(?P<begin>sqlite(\+\w+)?:///(file:)?)(?P<path>[^/?:][^?]*)(?P<end>(\?.*)?)", re.DOTALL)
"""A url with a relative path, which `:memory:` is not."""


def url_of(file: Path) -> str:
    """The url of the SQLite database in *file*. Raises UsageError if no url can name it."""
    return f"sqlite:///{_quoted(file.absolute())}"


def from_folder(url: str, folder: Path) -> str:
    """*url* as it works in the current folder: a relative path counts from *folder*."""
    relative = _SQLITE.fullmatch(url)
    return url if relative is None or _is_here(folder) else _in_folder(relative, folder.absolute())


def located(url: str, folder: Path, whose: str) -> str:
    """Like `from_folder`. Raises UsageError, naming *whose* url it is, if a file in the current folder may be meant.

    Otherwise another database of that name would be read, or a new ledger begun beside the one that is there.
    """
    relative = _SQLITE.fullmatch(url)
    if relative is None or _is_here(folder):
        return url
    meant, here = _file(relative, folder.resolve()), _file(relative, Path.cwd())
    if not here.exists() or _are_same(meant, here):
        return _in_folder(relative, folder.absolute())
    rule = f"{whose}: a relative SQLite path counts from the folder of rotation.toml"
    write = f"write its full path into rotation.toml: {_in_folder(relative, Path.cwd())}"
    if meant.exists():
        raise UsageError(
            f"{rule}, so this is {meant}; but the current folder has {here}, too. Run this in {folder.resolve()}; "
            f"or, if the other file is meant, {write}"
        )
    raise UsageError(f"{rule}, and {meant} is not there. If {here} is meant, {write}")


def path_of(url: str) -> str | None:
    """The relative path in *url*; None without one."""
    relative = _SQLITE.fullmatch(url)
    return relative and str(Path(unquote(relative["path"])))


def for_folder(url: str, folder: Path) -> str:
    """*url*, whose relative path counts from the current folder, as a file in *folder* has to spell it."""
    relative = _SQLITE.fullmatch(url)
    if relative is None or _is_here(folder):
        return url
    path = os.path.relpath(_file(relative, Path.cwd()), folder.absolute())
    return f"{relative['begin']}{_quoted(Path(path))}{relative['end']}"


def _quoted(path: Path) -> str:
    # The bytes of a name may be no UTF-8, which urls are in.
    with suppress(UnicodeEncodeError):
        return quote(str(path))
    raise UsageError(f"{path}: no SQLite url can name a file there, since the name is not UTF-8; rename it")


def _file(relative: re.Match[str], folder: Path) -> Path:
    return folder / unquote(relative["path"])


def _in_folder(relative: re.Match[str], folder: Path) -> str:
    """The url of the file *relative* in *folder*."""
    return f"{relative['begin']}{_quoted(folder)}/{relative['path']}{relative['end']}"


def _is_here(folder: Path) -> bool:
    return _are_same(folder, Path.cwd())


def _are_same(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return one.samefile(other)
    return False


def may_hold_password(url: str) -> bool:
    """True if *url*, as it was written, may hold a password, and so is neither shown nor written to a file."""
    return re.search(r"[@?]", url) is not None and not url.startswith(("$", "sqlite"))


def holds_password(url: str) -> bool:
    """True if *url*, as it was written, holds a password: `://user:password@`, or one behind the `?`."""
    found = re.search(r"://[^@]*:.*@|[?&](password|passwd|sslpassword)=", url)
    return found is not None and not url.startswith("sqlite")


def find_url(url: str, environ: Mapping[str, str], whose: str, folder: Path) -> str:
    """Like `expand_url`, for a url of the rotation.toml in *folder*, where a relative path begins.

    Raises UsageError.
    """
    return located(expand_url(url, environ, whose), folder, whose)


def expand_url(url: str, environ: Mapping[str, str], whose: str) -> str:
    """*url*, or the value of the variable if it is `$NAME`. Raises UsageError, which says *whose* url it is."""
    name = variable_in(url)
    if name is None:
        if not url.strip():
            raise UsageError(f"{whose}: the url is empty")
        return url
    if not environ.get(name):
        raise UsageError(f"{whose}: its url is ${name}, and that variable is not set")
    return environ[name]
