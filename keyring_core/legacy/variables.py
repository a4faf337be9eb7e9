"""Reads the variables that the settings of a `Legacy` name as `$NAME`: one text each, or a list. Masks nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from keyring_core.derivation import protect
from keyring_core.errors import KeyConfigError
from keyring_core.key_commands import keep_from_commands
from keyring_core.key_text import split_key_list
from keyring_core.sources import FORMS, read_source, variable_in

Environ = Mapping[str, str | Sequence[str]]
"""Variables, or an application's settings, in which a list is several secrets."""


class VariableText(NamedTuple):
    """A text of a variable, and its place in words."""

    text: str | bytes
    where: str

    def __repr__(self) -> str:
        return f"<VariableText {self.where}>"


def check_variable_names(option: str, spellings: Iterable[object]) -> None:
    """Raises KeyConfigError if anything but names of variables is in *spellings*, the value of *option*.

    No key command gets these variables.
    """
    for spelling in spellings:
        if not isinstance(spelling, str) or not (name := variable_in(spelling)):
            if isinstance(spelling, str | bytes):
                protect(spelling, "secret")
            raise KeyConfigError(f'{option} is "$NAME" of a variable; a secret does not belong into code')
        keep_from_commands(name)


def read_variables(
    spellings: Iterable[str], environ: Environ, option: str, *, listed: bool = False
) -> list[VariableText]:
    """The texts in the variables that *spellings* name, in order. With *listed* a variable is a list of keys.

    Raises KeyConfigError for a variable that is not set or empty; *option* says what it is for.
    """
    found: list[VariableText] = []
    for spelling in spellings:
        texts = _texts(variable_in(spelling) or "", environ, listed=listed)
        for text, where in texts or [VariableText("", spelling)]:
            if not isinstance(text, str | bytes):
                raise KeyConfigError(f"{where}: the {option} is text, not {type(text).__name__}")
            if not text:
                raise KeyConfigError(f"{where}: not set, or empty; set the {option} that the cells were written under")
        found += texts
    return found


class _Texts(Mapping[str, str]):
    """The variables of *environ* that are texts. Looks up what it is asked for: to list Django's settings is slow."""

    def __init__(self, environ: Environ) -> None:
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        value = self._environ[name]
        if not isinstance(value, str):
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._environ if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _texts(name: str, environ: Environ, *, listed: bool) -> list[VariableText]:
    value = environ.get(name)
    if value is not None and not isinstance(value, str):
        if other := next((name + form for form in FORMS if form and name + form in environ), None):
            raise KeyConfigError(f"{name} and {other} are both set; keep one of them")
        items = [value] if isinstance(value, bytes) else value
        return [VariableText(each, f"{name}, item {number} of {len(items)}") for number, each in enumerate(items, 1)]
    found = read_source(name, _Texts(environ), comments=listed)
    if found is None:
        return []
    if listed:
        return [VariableText(text, place) for text, place in split_key_list(found.text, found.where)]
    return [VariableText(found.text, found.where)]
