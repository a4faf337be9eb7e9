"""Reads key text from a variable, from the file that it names, or from the command that it names."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from keyring_core.errors import KeyConfigError
from keyring_core.key_commands import run_key_command
from keyring_core.key_files import Stamp, key_path, read_key_file

FORMS = ("", "_FILE", "_COMMAND")
"""The endings of a variable that holds keys, names their file, or the command that prints them."""

COMMAND_SECONDS = 30
"""How long a start waits for a command."""


class Kind(StrEnum):
    """The kinds of sources."""

    VARIABLE = "variable"
    FILE = "file"
    COMMAND = "command"


class Source(NamedTuple):
    """What a variable's text came from, and whether that changed since. Holds no key."""

    kind: Kind
    stamp: Stamp | None = None

    def moved(self) -> bool:
        """Whether the file changed since it was read."""
        return self.stamp is not None and self.stamp.moved()

    def may_differ(self) -> bool:
        """Whether reading again may give another text. A variable does not count: it is read only once."""
        return self.kind is Kind.COMMAND or (self.stamp is not None and (not self.stamp.settled or self.stamp.moved()))


class Found(NamedTuple):
    """Key text, the place it came from in words, and its source."""

    text: str | bytes
    where: str
    source: Source

    def __repr__(self) -> str:
        return f"<Found {self.where}>"


def read_source(name: str, environ: Mapping[str, str], seconds: float = COMMAND_SECONDS) -> Found | None:
    """What the variable *name* holds, or what its `_FILE` or `_COMMAND` form leads to; None if none is set.

    Raises KeyConfigError if two forms are set, or the file or command yields nothing; a command has *seconds*.
    """
    forms = [name + form for form in FORMS if name + form in environ]
    if len(forms) > 1:
        raise KeyConfigError(f"{' and '.join(forms)} are both set; keep one of them")
    if not forms:
        return None
    form, value = forms[0], environ[forms[0]]
    if form == name:
        return Found(value, name, Source(Kind.VARIABLE))
    if not value.strip():
        raise KeyConfigError(f"{form}: empty; name a {'file' if form.endswith('_FILE') else 'command'}, or unset it")
    if form.endswith("_FILE"):
        content, stamp = read_key_file(key_path(value, environ, form), form)
        return Found(_without_comments(content), f"{form} ({stamp.path})", Source(Kind.FILE, stamp))
    printed = run_key_command(value, form, environ, seconds)
    return Found(_without_comments(printed), form, Source(Kind.COMMAND))


def _without_comments(data: bytes) -> bytes:
    lines = (line.partition(b"#")[0].strip() for line in data.splitlines())
    return b"\n".join(line for line in lines if line)
