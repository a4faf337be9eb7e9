"""Why this process cannot write the file of a ledger, and who may."""

from __future__ import annotations

import os
import pwd
import sqlite3
import stat
from pathlib import Path

from keyring_core.environment import LEDGER_URL
from rotation.model.next_steps import shell_word

UNWRITABLE = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM})
"""The SQLite error codes that an owner or a mode may explain."""


def unwritable(path: Path) -> str | None:
    """The reason that this process cannot write the SQLite file at *path*, with a remedy; None if it can.

    The folder counts as well: SQLite makes a journal there.
    """
    for place in (path, path.parent):
        try:
            status = place.stat()
            if os.statvfs(place).f_flag & os.ST_RDONLY:
                return None
        except OSError:
            continue
        if not os.access(place, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            owner, me = _user_name(status.st_uid), _user_name(os.geteuid())
            if place == path:
                following = f"once as root: chown {shell_word(me)} {shell_word(str(place))}"
            else:
                following = f"name a ledger in a folder of {me}'s own in {LEDGER_URL}"
            mode = stat.filemode(status.st_mode)
            return (
                f"{place} belongs to {owner} ({mode}), and this user, {me}, cannot write it; "
                f"run this as {owner}, or {following}"
            )
    return None


def _user_name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
