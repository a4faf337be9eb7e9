"""The environment in, keys and settings out. The only file that knows the variables' names."""

from __future__ import annotations

import difflib
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from keyring_core.errors import KeyConfigError, KeyConfigWarning, WeakKeyError, without_frames
from keyring_core.key_commands import keep_from_commands
from keyring_core.key_text import split_key_list
from keyring_core.keys import Key, KeyState, check_told_apart
from keyring_core.sources import COMMAND_SECONDS, FORMS, FoundText, KeyOrigin, read_sources

PRIMARY = "ENCRYPTION_KEY"
PREVIOUS = "ENCRYPTION_PREVIOUS_KEYS"
STAGED = "ENCRYPTION_STAGED_KEY"
SUSPENDED = "ENCRYPTION_SUSPENDED_KEYS"
ALLOW_WEAK_PREVIOUS = "ENCRYPTION_ALLOW_WEAK_PREVIOUS"
RELOAD_SECONDS = "ENCRYPTION_RELOAD_SECONDS"
ROTATION_CONFIG = "ROTATION_CONFIG"
LEDGER_URL = "ROTATION_LEDGER_URL"
SERVICE = "ROTATION_SERVICE"


class KeyVariables(NamedTuple):
    """The names of the variables that hold the keys of one set; each has its forms, such as `ENCRYPTION_KEY_FILE`."""

    primary: str
    previous: str
    staged: str
    suspended: str

    @property
    @cache  # noqa: B019 - the names of a set are known as long as the process lives
    def states(self) -> Mapping[KeyState, str]:
        """The variable that holds the keys of each state."""
        order = (KeyState.PRIMARY, KeyState.STAGED, KeyState.PREVIOUS, KeyState.SUSPENDED)
        return MappingProxyType({state: getattr(self, state) for state in order})

    @property
    def every(self) -> tuple[str, ...]:
        """The names of all variables that loading these keys reads."""
        return (*(name + form for name in self for form in FORMS), ALLOW_WEAK_PREVIOUS, RELOAD_SECONDS)


KEY_VARIABLES = KeyVariables(PRIMARY, PREVIOUS, STAGED, SUSPENDED)
"""The variables that hold the keys that are in no key set."""
keep_from_commands(*KEY_VARIABLES, of_sets=True)

VARIABLES = (*KEY_VARIABLES.every, ROTATION_CONFIG, LEDGER_URL, SERVICE)
"""Every variable that this project reads, but for those of key sets."""

_OF_SETS = tuple(f"_{name}{form}" for name in KEY_VARIABLES for form in FORMS)
"""The endings of the variables of key sets."""
_SET_NAME = re.compile(r"[A-Za-z][\w.-]{0,49}", re.ASCII)
_sets: dict[str, str] = {}
"""The key set that each primary key's variable belongs to."""

MAX_PREVIOUS_KEYS = 1000
"""The most keys that a list of previous or of suspended keys may have."""
DEFAULT_RELOAD_SECONDS = 60.0
_LIKENESS = 0.75


class Settings(NamedTuple):
    """The keys that an environment names."""

    primary: Key
    previous: tuple[Key, ...]
    staged: Key | None
    suspended: tuple[Key, ...] = ()


class NamedKeys(NamedTuple):
    """The keys that one variable names, each with its place in words, and what they were read from."""

    keys: tuple[tuple[Key, str], ...]
    source: KeyOrigin


@without_frames
def variables_of(key_set: str) -> KeyVariables:
    """The variables of a key set, whose name they have in front: `BILLING_ENCRYPTION_KEY` for `billing`.

    Raises KeyConfigError for a name that is none, and for one whose variables are another set's.
    """
    if not isinstance(key_set, str) or not _SET_NAME.fullmatch(key_set):
        raise KeyConfigError(
            "the name of a key set is a letter and up to 49 letters, digits, dots, hyphens and underscores"
        )
    prefix = re.sub(r"[.-]", "_", key_set).upper()
    names = KeyVariables(*(f"{prefix}_{name}" for name in KEY_VARIABLES))
    other = _sets.setdefault(names.primary, key_set)
    if other != key_set:
        raise KeyConfigError(
            f"the key sets {other} and {key_set} would both read {names.primary}: use one of these names, or give one "
            "set another name"
        )
    return names


@without_frames
def load_settings(environ: Mapping[str, str], variables: KeyVariables = KEY_VARIABLES) -> Settings:
    """The keys that *environ* names in these *variables*, strictly parsed.

    What works but should be tidied up gives a KeyConfigWarning. Raises KeyConfigError for the rest: a primary that is
    missing (no other key ever takes its place), a malformed key, two keys that sign alike, two forms of one variable.
    """
    warn_of_misspelt_names(environ, variables)
    return settings_of(read_keys(environ, variables, COMMAND_SECONDS))


@without_frames
def read_keys(
    environ: Mapping[str, str],
    variables: KeyVariables,
    seconds: float,
    known: Mapping[KeyState, NamedKeys] = MappingProxyType({}),
) -> dict[KeyState, NamedKeys]:
    """The keys of each state that *variables* name; a command has *seconds*. The rest is *known*."""
    found = read_sources(variables.states, environ, seconds)
    if KeyState.PRIMARY not in found and KeyState.PRIMARY not in known:
        Key.parse(None, variables.primary)
    allow_weak = environ.get(ALLOW_WEAK_PREVIOUS) == "1"
    read = {
        state: NamedKeys(tuple(_keys_in(state, each, allow_weak=allow_weak)), each.source)
        for state, each in found.items()
    }
    return {**known, **read}


def settings_of(named: Mapping[KeyState, NamedKeys]) -> Settings:
    """The settings that *named* keys make. Warns of a key that has two places; raises KeyConfigError as above."""
    return settings_in({state: named[state].keys if state in named else () for state in KeyState})


def settings_in(found: Mapping[KeyState, Sequence[tuple[Key, str]]]) -> Settings:
    """The settings that the keys *found* in each state make, each with its place in words; as `settings_of`."""
    places = dict(found[KeyState.PRIMARY])
    (primary,) = places
    staged, place = next(iter(found[KeyState.STAGED]), (None, ""))
    if staged == primary:
        warnings.warn(f"{place} is the primary key already; remove it", KeyConfigWarning, stacklevel=2)
        staged = None
    if staged is not None:
        places[staged] = place
    older: dict[KeyState, list[Key]] = {}
    # Who adds a previous key to the suspended ones has suspended it.
    for state in (KeyState.SUSPENDED, KeyState.PREVIOUS):
        for key, place in found[state]:
            if key in places:
                warnings.warn(f"{place}: the same key as {places[key]}, ignored", KeyConfigWarning, stacklevel=2)
            else:
                places[key] = place
                older.setdefault(state, []).append(key)
    check_told_apart(places)
    previous, suspended = (tuple(older.get(state, ())) for state in (KeyState.PREVIOUS, KeyState.SUSPENDED))
    return Settings(primary, previous, staged, suspended)


def is_key_variable(name: str) -> bool:
    """True for a variable that holds keys or names their place, of whatever key set."""
    return f"_{name}".endswith(_OF_SETS)


def key_files_in(environ: Mapping[str, str]) -> list[str]:
    """The files that *environ* names for keys, of whatever key set."""
    return [value for name, value in environ.items() if is_key_variable(name) and name.endswith("_FILE")]


def names_primary(environ: Mapping[str, str], variables: KeyVariables = KEY_VARIABLES) -> bool:
    """True if any form of the primary key's variable holds more than blanks."""
    return any(environ.get(variables.primary + form, "").strip() for form in FORMS)


@without_frames
def reload_seconds(environ: Mapping[str, str]) -> float:
    """The seconds between two looks for changed keys; 0 is never. Raises KeyConfigError if it is no such number."""
    text = environ.get(RELOAD_SECONDS, "").strip()
    if not text:
        return DEFAULT_RELOAD_SECONDS
    with suppress(ValueError):
        if 0 <= (seconds := float(text)) < math.inf:
            return seconds
    raise KeyConfigError(
        f"{RELOAD_SECONDS}: not a number of seconds; 0 is never, {DEFAULT_RELOAD_SECONDS:g} the default"
    )


@without_frames
def warn_of_misspelt_names(environ: Mapping[str, str], variables: KeyVariables = KEY_VARIABLES) -> None:
    """Gives a KeyConfigWarning for each name that is nearly one of VARIABLES, or of *variables*."""
    prefix = variables.primary.removesuffix(PRIMARY)
    for name in environ:
        if name in VARIABLES or name.endswith(_OF_SETS):
            continue
        meant = _meant_by(name)
        if prefix and name.upper().startswith(prefix):
            own = _meant_by(name[len(prefix) :])
            # The other settings are for all sets.
            meant = f"{prefix}{own}" if f"_{own}" in _OF_SETS else meant
        if meant:
            message = f"{name} is not a variable of this project; did you mean {meant}?"
            warnings.warn(message, KeyConfigWarning, stacklevel=2)


def _meant_by(name: str) -> str | None:
    """The variable that *name* probably means; None for another program's."""
    first, _, rest = name.upper().partition("_")
    # The first word decides, and its initial: DECRYPTION_KEY and APP_ENCRYPTION_KEY belong to other programs.
    word = next(iter(difflib.get_close_matches(first, ("ENCRYPTION", "ROTATION"), n=1, cutoff=0.8)), "")
    if not word or word[0] != first[0]:
        return None
    if "KEY" in rest:
        return next(iter(difflib.get_close_matches(f"{word}_{rest}", VARIABLES, n=1, cutoff=_LIKENESS)), None)
    # Without the common first word, which alone would make ENCRYPTION_MODE look much like ENCRYPTION_KEY.
    rests = [known.partition("_")[2] for known in VARIABLES if known.startswith(word)]
    return next((f"{word}_{each}" for each in difflib.get_close_matches(rest, rests, n=1, cutoff=_LIKENESS)), None)


def _keys_in(state: KeyState, found: FoundText, *, allow_weak: bool) -> Iterator[tuple[Key, str]]:
    """The keys of *state* that were found, each with its place in words."""
    if state.is_superseded:
        items = split_key_list(found.text, found.where)
        if len(items) > MAX_PREVIOUS_KEYS:
            raise KeyConfigError(f"{found.where}: {len(items)} keys; at most {MAX_PREVIOUS_KEYS}. Retire some.")
        for text, place in items:
            yield _previous_key(text, place, allow_weak=allow_weak), place
    # A deployment template that has nothing to stage leaves the variable empty.
    elif state is KeyState.PRIMARY or found.text.strip():
        yield Key.parse(found.text, found.where), found.where


def _previous_key(text: str, place: str, *, allow_weak: bool) -> Key:
    try:
        return Key.parse(text, place, allow_weak=allow_weak)
    except WeakKeyError as error:
        refusal = str(error)
    switch = f"{ALLOW_WEAK_PREVIOUS}=1 admits it, to rotate away from it"
    raise WeakKeyError(f"{refusal}\nIf data is stored under it, {switch}.")
