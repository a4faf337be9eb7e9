"""A section of rotation.toml is a type: each setting has its meaning, an example and its default beside it.

Decoding, its error messages, the JSON schema and the reference page are made of these types. No message quotes a value:
it may be a secret that stands in the wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin

import msgspec

from rotation.model.next_steps import Next

T = TypeVar("T")

NEEDED = "needed"
"""In place of a default, for a setting without one."""

_TYPES = {
    "array": "a list",
    "str": "a text in quotes",
    "int": "a number",
    "bool": "true or false, without quotes",
    "object": "a table",
}
_MESSAGE = re.compile(r"\A(.*?)(?: - at `(?:key in )?\$([\w.\[\]]*)`)?\Z", re.DOTALL)
"""msgspec's words, and the path to the value."""
_STEP = re.compile(r"\.(\w+)([^.]*)")
"""A setting, and the place in its value."""


class Section(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """A section of rotation.toml, or of a preset. Unknown settings are refused."""


class Setting(NamedTuple):
    """One setting of a section."""

    words: str
    """The meaning, in Markdown without links."""
    default: str
    """The default in words, in Markdown, or NEEDED."""
    example: str
    """A value, as it is written in TOML."""
    type: Any
    schema: Mapping[str, Any]
    """The part of its JSON schema beside the type."""


def said(words: str, example: str, default: str | None = None, **schema: Any) -> msgspec.Meta:
    """The annotation of a setting: its meaning, an example in TOML, and its default in words.

    Without *default*, the field's own default is shown. *schema* is added to the setting's JSON schema.
    """
    return msgspec.Meta(
        description=words, extra_json_schema=schema or None, extra={"example": example, "default": default}
    )


@cache
def section_settings(*kinds: type[Section]) -> dict[str, Setting]:
    """The settings of a section, by name; of several *kinds* that an entry may be, the first that has a setting."""
    found: dict[str, Setting] = {}
    for each in (field for kind in kinds for field in msgspec.structs.fields(kind)):
        kind, meta = get_args(each.type)
        default = meta.extra["default"] or (NEEDED if each.required else _shown(each.default))
        setting = Setting(meta.description, default, meta.extra["example"], kind, meta.extra_json_schema or {})
        found.setdefault(each.encode_name, setting)
    return found


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return "none" if default in {None, msgspec.NODEFAULT, ()} else f"`{default}`"


class SettingError(ValueError):
    """A part of rotation.toml does not fit."""

    def __init__(self, place: str, words: str, step: Next | None = None) -> None:
        super().__init__(f"{place}: {words}" if place else words)
        self.place = place
        """Such as `[[target]] 2`; empty at the top of the file."""
        self.step = step
        """*words* as a command behind words, if they end in one."""


def convert(value: Any, kind: type[T], place: str, *others: type[Section]) -> T:
    """*value*, which stands at *place*, as a *kind* of section. Raises SettingError.

    *others*: other kinds that it might have been meant to be, whose settings a message names, too.
    """
    try:
        # A type of our own is read by its `parse`.
        return msgspec.convert(value, kind, dec_hook=lambda own, text: own.parse(text))
    except msgspec.ValidationError as error:
        message = str(error)
    inner, words = _plain(message, (kind, *others))
    raise SettingError(f"{place}{inner}", words)


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The one of *known* that is most like *name*, in letters of any case; None if all are too different."""
    import difflib  # noqa: PLC0415 - most files have no fault

    names = {each.lower(): each for each in known}
    return next((names[near] for near in difflib.get_close_matches(name.lower(), names, n=1, cutoff=cutoff)), None)


def hint(name: str, known: Iterable[str], quote: str = "") -> str:
    """What may have been meant by *name*, which is none of *known*."""
    near = nearest(name, known)
    return f"did you mean {quote}{near}{quote}?" if near else f"there are {', '.join(known) or 'none'}"


def _values_of(kind: Any) -> list[str]:
    """The values of an enumeration, or of the literals in a type such as `Literal["leave"] | None`."""
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return [str(each) for each in kind]
    literals = [each for each in (kind, *get_args(kind)) if get_origin(each) is Literal]
    return [value for literal in literals for value in get_args(literal)]


def _plain(message: str, kinds: tuple[Any, ...]) -> tuple[str, str]:
    """The place within the section, and the *message* of msgspec in the words of those who write rotation.toml."""
    [(words, path)] = _MESSAGE.findall(message)
    settings, steps, place = section_settings(*kinds), _STEP.findall(path), ""
    # A fault in a table inside of the section is one of that table's settings.
    while steps and (len(steps) > 1 or words.startswith("Object ")):
        name, inner = steps.pop(0)
        place += f" {name}{_numbered(inner, ' {}')}"
        settings = section_settings(_section_in(settings[name].type))
    name, inner = steps[0] if steps else ("", "")
    if found := re.fullmatch(r"Object contains unknown field `(.*)`", words, re.DOTALL):
        words = f"unknown setting `{found[1]}`; {hint(found[1], settings, quote='`')}"
    elif found := re.fullmatch(r"Object missing required field `(.*)`", words):
        words = f"`{found[1]}` is missing; add {found[1]} = {settings[found[1]].example}"
    elif words.startswith("Invalid enum value"):
        words = f"`{name}` is one of {', '.join(_values_of(settings[name].type))}"
    elif found := re.match(r"Expected `([^`]+)`", words):
        wanted = [_TYPES.get(each, each) for each in found[1].split(" | ") if each != "null"]
        words = _wanted(f"must be {' or '.join(wanted)}", name, inner, settings)
    elif name:
        # From a check of our own.
        words = f"`{name}`: {words}"
    return place, words


def _wanted(words: str, name: str, inner: str, settings: Mapping[str, Setting]) -> str:
    """*words* on the type of the setting called *name*, or of a part of it at *inner*, with the setting's example."""
    if not name:
        return words
    example = settings[name].example
    if re.fullmatch(r"\[+[\w.]+\]+", example):
        return f"`{name}` is written as {example}, on a line of its own, above its settings"
    part = _numbered(inner, "part {} of ") or ("a value of " if inner else "")
    return f"{part}`{name}` {words}, such as {'in ' if inner else ''}{example}"


def _numbered(place: str, words: str) -> str:
    """*words* with the number of a part of a list, from 1; empty if *place*, as msgspec writes it, has no number."""
    number = re.fullmatch(r"\[(\d+)\]", place)
    return words.format(int(number[1]) + 1) if number else ""


def _section_in(kind: Any) -> Any:
    """The section that a value of type *kind* is, or has as its parts; None without one."""
    if isinstance(kind, type) and issubclass(kind, Section):
        return kind
    return next(filter(None, map(_section_in, get_args(kind))), None)
