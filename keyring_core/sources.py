"""Reads key text from a variable, from the file that it names, or from the command that it names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from keyring_core.errors import KeyConfigError, without_frames
from keyring_core.key_commands import run_key_command
from keyring_core.key_files import Stamp, key_path, read_key_file
from keyring_core.names import printable

FORMS = ("", "_FILE", "_COMMAND")
"""The endings of a variable that holds keys, names their file, or the command that prints them."""

COMMAND_SECONDS = 30
"""The time that a start waits for a command."""

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


class SourceKind(StrEnum):
    """The kinds of sources."""

    VARIABLE = "variable"
    FILE = "file"
    COMMAND = "command"


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
        content, stamp = read_key_file(key_path(value, environ, form), form)
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
