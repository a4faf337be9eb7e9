"""Parts of rotation.toml in, values out; a part that does not fit is refused by its place, in plain words.

No message quotes a value: it may be a secret that stands in the wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from rotation.configuration.policy import decode_span

T = TypeVar("T")

_TYPES = {
    "array": "a list",
    "str": "a text in quotes",
    "int": "a number",
    "bool": "true or false, without quotes",
    "object": "a table",
}
_MESSAGE = re.compile(r"\A(.*?)(?: - at `(?:key in )?\$\.?(\w*)(.*)`)?\Z", re.DOTALL)
"""msgspec's words, the setting, and the place in its value."""


class SettingError(ValueError):
    """A part of rotation.toml does not fit."""

    def __init__(self, place: str, words: str) -> None:
        super().__init__(f"{place}: {words}" if place else words)
        self.place = place
        """Such as `[[target]] 2`; empty at the top of the file."""


def convert(value: Any, kind: type[T], place: str, section: str) -> T:
    """*value*, which stands at *place*, as a *kind*, which has the settings of that *section*. Raises SettingError."""
    try:
        return msgspec.convert(value, kind, dec_hook=decode_span)
    except msgspec.ValidationError as error:
        message = str(error)
    raise SettingError(place, _plain(message, section))


def unknown(name: str, known: Iterable[str]) -> str:
    """The words for a setting called *name*, which is none of *known*."""
    known = list(known)
    return f"unknown setting `{name}`; {nearest(name, known) or 'there are ' + ', '.join(known)}"


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean ...?` with the one of *known* that is most like *name*; empty if none is."""
    import difflib  # noqa: PLC0415 - most files have no fault

    near = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else ""


def _plain(message: str, section: str) -> str:
    """The *message* of msgspec in the words of those who write rotation.toml."""
    from rotation.configuration.settings import SECTIONS  # noqa: PLC0415 - as above

    settings = SECTIONS[section]
    [(words, name, inner)] = _MESSAGE.findall(message)
    if found := re.fullmatch(r"Object contains unknown field `(.*)`", words, re.DOTALL):
        return unknown(found[1], settings)
    if found := re.fullmatch(r"Object missing required field `(.*)`", words):
        return f"`{found[1]}` is missing; add {found[1]} = {settings[found[1]].example}"
    if not (found := re.match(r"Expected `(\w+)", words)):
        # From a check of our own.
        return f"`{name}`: {words}" if name else words
    wanted = f"must be {_TYPES.get(found[1], found[1])}"
    if name and not section and name in SECTIONS:
        return f"`{name}` is written as {settings[name].example}, on a line of its own, above its settings"
    if not name:
        return wanted
    number = re.fullmatch(r"\[(\d+)\]", inner)
    part = f"part {int(number[1]) + 1} of " if number else "a value of " if inner else ""
    return f"{part}`{name}` {wanted}, such as {'in ' if inner else ''}{settings[name].example}"
