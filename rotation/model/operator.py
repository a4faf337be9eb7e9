"""The name of the user who runs a command, for the record. It is a note: nothing proves that it is true."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping

from keyring_core.errors import printable

LONGEST = 100
"""Characters of a name, at most."""


def operator(given: str | None, environ: Mapping[str, str]) -> str | None:
    """The name that was *given*; otherwise that of the user who called sudo, otherwise of the process's user.

    None if that user has no name, as in many containers.
    """
    name = given or environ.get("SUDO_USER") or _login()
    return printable(name.strip())[:LONGEST] or None


def _login() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""
