"""The place of the keys of one state, and edits of its file that keep every other byte. Pure: bytes in, bytes out."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from keyring_core import Key, KeyConfigError, KeyConfigWarning
from keyring_core.derivation import Derivation
from rotation.configuration.key_sources import KEY_ITSELF, LISTED, KeySource
from rotation.lifecycle.transitions import Edit
from rotation.model.failures import UsageError
from rotation.model.next_steps import Steps, retire_step

if TYPE_CHECKING:
    from keyring_core.row_keys import RowDerivation

_ITEM = re.compile(r"[^,\s]+")
_QUOTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)
_UNQUOTED = re.compile(r"[\w.~+/=:@%,-]*")


@dataclass(frozen=True)
class KeyLocation:
    """The place of the keys of one state, and the rule by which they are made of what is there."""

    variable: str
    """Its name in messages: a variable, or a setting of rotation.toml."""
    path: Path | None
    """The file, if this command may write it."""
    words: str
    """The place in words."""
    dotenv: bool
    source: KeySource
    derivation: Derivation | RowDerivation
    known: Mapping[Key, tuple[KeySource, str]] = field(repr=False)
    """The secret of each key that was read or made, and the source that it belongs to."""
    key_set: str | None
    """The key set that reads it; None: the environment."""
    is_set: bool
    """True if it is a variable that is set."""
    makes_text: bool
    """True if it is a variable of a dotenv file, or one that is not set."""

    @property
    def listed(self) -> bool:
        """True if several can stand there, separated by commas or lines; a passphrase may hold a comma."""
        return self.source.derive in LISTED

    def text(self, key: Key) -> str:
        """The text to write for *key*: its secret. Raises UsageError if the keys here are derived in another way."""
        source, text = self.known.get(key, (KEY_ITSELF, key.reveal()))
        if source.rule == self.source.rule:
            return text
        if key not in self.known:
            raise UsageError(
                f"{key.id} comes as a key, and here keys are made by {self.source.derive}: give it an entry of its own "
                f'in `previous` in rotation.toml, such as {{ file = "{key.id}.keys" }}'
            )
        raise UsageError(
            f"{key.id} is made by {source.derive}, and here keys are made by {self.source.derive}: a secret cannot "
            "move between them. Move the entry in rotation.toml instead: what is `staged` becomes `primary`, and what "
            "was `primary` the first of `previous`"
        )

    def keys(self, data: bytes) -> list[tuple[str, Key | None]]:
        """The items in *data*, each with its key; None for an item that is not a key."""
        value = (dotenv_value(data, self.variable) or "") if self.dotenv else file_text(data)
        items = [value] if value else []
        if self.listed:
            items = items_of(value) if self.dotenv else key_file_items(data)
        return [(item, self._key(item)) for item in items]

    def edit(self, data: bytes, change: Edit) -> bytes:
        """*data* with the change. Items without effect, such as a second copy of a key, are removed too.

        Raises UsageError if another secret is in the place of one.
        """
        items = self.keys(data)
        gone = [item for item, key in items if key and (key not in change.keys or key in change.added)]
        added = [self.text(key) for key in change.added]
        if self.listed:
            return edit_dotenv(data, self.variable, gone, added) if self.dotenv else edit_key_file(data, gone, added)
        others = [(item, key) for item, key in items if item not in gone]
        if others and added:
            [(_, other)] = others
            salted = (other.id,) if other and other.salt_column else ()
            first = retire_step(other.id, self.key_set, salted=salted) if other else "remove what is there"
            raise UsageError(f"{self.variable} holds another secret, and takes one.", Steps(first))
        new = next(iter((*added, *(item for item, _ in others))), "")
        return edit_dotenv_value(data, self.variable, new) if self.dotenv else edit_text_file(data, new)

    def _key(self, text: str) -> Key | None:
        with suppress(KeyConfigError), warnings.catch_warnings(action="ignore", category=KeyConfigWarning):
            return self.derivation.key(text, allow_weak=True)
        return None


def key_file_items(data: bytes) -> list[str]:
    """The keys of a key file, as text."""
    return [item for line in _text(data).splitlines() for item in _items(line)]


def items_of(value: str) -> list[str]:
    """The keys of a list, as text. Commas, blanks and line breaks separate them."""
    return _ITEM.findall(value)


def dotenv_variables(data: bytes) -> list[tuple[str, str]]:
    """Each assignment in a dotenv file, in order: a name and its value. A `$` in a value stays a `$`."""
    from dotenv.parser import parse_stream  # noqa: PLC0415 - most commands read none

    bindings = parse_stream(io.StringIO(_text(data), newline=""))
    return [(binding.key, binding.value or "") for binding in bindings if binding.key is not None]


def dotenv_value(data: bytes, name: str) -> str | None:
    """The value of the variable *name* in a dotenv file.

    Raises UsageError if the file sets it twice: programs differ in which of the two counts.
    """
    found = [value for each, value in dotenv_variables(data) if each == name]
    if len(found) > 1:
        raise UsageError(f"{name} stands {len(found)} times in the dotenv file; keep one of them")
    return found[0] if found else None


def file_text(data: bytes) -> str:
    """The text of a file that holds one secret: all of it, but for one line break at the end."""
    return _text(data).removesuffix("\n").removesuffix("\r")


def edit_text_file(data: bytes, text: str) -> bytes:
    """The file with *text* as its one secret, and with the end that it had: an application may not strip a new one."""
    old = file_text(data)
    return _bytes(text + (_text(data)[len(old) :] if old else "\n")) if text else b""


def edit_key_file(data: bytes, gone: Collection[str], added: Sequence[str]) -> bytes:
    """The key file without the items *gone*, and with *added* before the first that stays.

    One new key for the first old one replaces it in its line. A line that held only removed keys is removed.
    """
    lines = _text(data).splitlines(keepends=True)
    line_end = "\r\n" if "\r\n" in _text(data) else "\n"
    if gone and len(added) == 1 and list(gone) == key_file_items(data)[:1]:
        parts = [line.partition("#") for line in lines]
        swapped = [_ITEM.sub(lambda item: added[0] if item[0] in gone else item[0], keys) for keys, _, _ in parts]
        return _bytes("".join(new + mark + comment for new, (_, mark, comment) in zip(swapped, parts, strict=True)))
    first = next((number for number, line in enumerate(lines) if _items(line)), len(lines))
    if added and first == len(lines) and lines and not lines[-1].endswith(("\n", "\r")):
        lines[-1] += line_end
    kept = [_without(line, gone) for line in lines]
    return _bytes("".join([*kept[:first], *(item + line_end for item in added), *kept[first:]]))


def edit_dotenv(data: bytes, name: str, gone: Collection[str], added: Sequence[str]) -> bytes:
    """The dotenv file with *gone* removed from the variable *name*, and *added* before the first item that stays.

    Quotes, `export`, comments and other lines stay; a missing variable is appended.
    Raises UsageError if the file sets it twice.
    """
    before = dotenv_value(data, name)
    # Keys need no quotes. A value of several lines keeps its line ends, unless it has commas.
    separator = "\n" if before and "\n" in before.strip() and "," not in before else ","
    value = separator.join([*added, *(item for item in _ITEM.findall(before or "") if item not in gone)])
    return _with_assignment(data, name, value)


def edit_dotenv_value(data: bytes, name: str, value: str) -> bytes:
    """The dotenv file with *value* for the variable *name*; everything else stays, as with `edit_dotenv`.

    Raises UsageError if the value needs quotes, and stands in none in this file.
    """
    if not _UNQUOTED.fullmatch(value):
        # Programs differ in how they read quotes; one that reads this value in quotes reads it in quotes there, too.
        quoted = f"'{value}'"
        if quoted not in _text(data):
            raise UsageError(
                f"{name}: its secret has characters that mean something in a dotenv file, and stands in no single "
                "quotes there; put it into single quotes where it is now, if the application takes them, and run this "
                "again. Otherwise move it by hand"
            )
        value = quoted
    return _with_assignment(data, name, value)


def add_to_dotenv(data: bytes, name: str, value: str) -> bytes:
    """The dotenv file with the new variable *name* at its end, in single quotes if the value needs some.

    Raises UsageError if the variable is there already, or if programs differ in how they read such a value.
    """
    if dotenv_value(data, name) is not None:
        raise UsageError(f"{name} is in the dotenv file already; nothing was changed. Name that variable: ${name}")
    if re.search(r"['\\\n\r\0]", value):
        raise UsageError(
            f"{name}: programs differ in how they read a quote or a backslash; write it into the file by hand"
        )
    return _with_assignment(data, name, value if _UNQUOTED.fullmatch(value) else f"'{value}'")


def _with_assignment(data: bytes, name: str, value: str) -> bytes:
    from dotenv.parser import parse_stream  # noqa: PLC0415 - most commands read none

    text = _text(data)
    if dotenv_value(data, name) is None:
        line_end = "\r\n" if "\r\n" in text else "\n"
        gap = line_end if text and not text.endswith(("\n", "\r")) else ""
        return _bytes(f"{text}{gap}{name}={value}{line_end}")
    # The parser drops a byte order mark.
    parts = ["\ufeff"] if text.startswith("\ufeff") else []
    for binding in parse_stream(io.StringIO(text, newline="")):
        assignment = binding.original.string
        parts.append(_with_value(assignment, value) if binding.key == name else assignment)
    return _bytes("".join(parts))


def _with_value(assignment: str, value: str) -> str:
    """One assignment with another value: `export NAME = 'old'  # why` keeps all but `old`."""
    named, equals, rest = assignment.partition("=")
    if not equals:
        # `NAME` alone, without a value.
        body = assignment.rstrip("\r\n")
        return f"{body}={value}{assignment[len(body) :]}"
    bare = rest.lstrip(" \t")
    blanks = rest[: len(rest) - len(bare)]
    if quoted := _QUOTED.match(bare):
        mark = "" if value.startswith("'") else bare[0]
        return f"{named}={blanks}{mark}{value}{mark}{bare[quoted.end() :]}"
    if blanks and bare.startswith("#"):
        return f"{named}={value}{blanks}{bare}"
    line = bare.partition("\n")[0].rstrip("\r")
    end = re.search(r"\s+#.*|\s+$", line)
    return f"{named}={blanks}{value}{line[end.start() :] if end else ''}{bare[len(line) :]}"


def _items(line: str) -> list[str]:
    return _ITEM.findall(line.partition("#")[0])


def _without(line: str, gone: Collection[str]) -> str:
    items = _items(line)
    left = [item for item in items if item not in gone]
    if len(left) == len(items):
        return line
    keys, hash_sign, comment = line.partition("#")
    if not left:
        return hash_sign + comment
    return ",".join(left) + keys[len(keys.rstrip()) :] + hash_sign + comment


def _text(data: bytes) -> str:
    # Other lines that are not UTF-8 are written back byte for byte.
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
