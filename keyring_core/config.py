"""The environment in, settings and a keyring out. The only file that knows the variables' names."""

from __future__ import annotations

import difflib
import math
import os
import warnings
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import structlog

from keyring_core.errors import KeyConfigError, KeyConfigWarning, WeakKeyError
from keyring_core.health import Loaded
from keyring_core.key_text import split_key_list
from keyring_core.keyring import Keyring
from keyring_core.keys import Key, check_told_apart
from keyring_core.reload import Reloader
from keyring_core.sources import COMMAND_SECONDS, Found, read_source

PRIMARY = "ENCRYPTION_KEY"
PREVIOUS = "ENCRYPTION_PREVIOUS_KEYS"
STAGED = "ENCRYPTION_STAGED_KEY"
ALLOW_WEAK_PREVIOUS = "ENCRYPTION_ALLOW_WEAK_PREVIOUS"
RELOAD_SECONDS = "ENCRYPTION_RELOAD_SECONDS"
ROTATION_CONFIG = "ROTATION_CONFIG"
LEDGER_URL = "ROTATION_LEDGER_URL"
SERVICE = "ROTATION_SERVICE"

KEY_VARIABLES = (PRIMARY, PREVIOUS, STAGED)
"""The variables that hold keys; each has its forms, such as `ENCRYPTION_KEY_FILE`."""

_FORMS = ("", "_FILE", "_COMMAND")
_FIRST_WORDS = ("ENCRYPTION", "ROTATION")
_NOT_SET = "NOT SET (required for credentials)"

VARIABLES = (
    *(name + form for name in KEY_VARIABLES for form in _FORMS),
    ALLOW_WEAK_PREVIOUS,
    RELOAD_SECONDS,
    ROTATION_CONFIG,
    LEDGER_URL,
    SERVICE,
)
"""Every variable that this project reads."""

_KEPT = (*VARIABLES, "CREDENTIALS_DIRECTORY")
"""What a look at the sources needs; the last one is systemd's."""

MAX_PREVIOUS_KEYS = 1000
DEFAULT_RELOAD_SECONDS = 60.0
_LOOKS = 5

log = structlog.get_logger(__name__)


class Settings(NamedTuple):
    """The keys that an environment names."""

    primary: Key
    previous: tuple[Key, ...]
    staged: Key | None


def load_settings(environ: Mapping[str, str]) -> Settings:
    """The keys that *environ* names, strictly parsed.

    What works but should be tidied up gives a KeyConfigWarning. Raises KeyConfigError for the rest: a primary that is
    missing (no other key ever takes its place), a malformed key, two keys that sign alike, two forms of one variable.
    """
    _warn_of_misspelt_names(environ)
    return _settings(_read(environ, COMMAND_SECONDS), environ)


def load_keyring(environ: Mapping[str, str]) -> Keyring:
    """The keyring that *environ* names; warnings and errors as for `load_settings`."""
    return Keyring(*load_settings(environ))


def reload_seconds(environ: Mapping[str, str]) -> float:
    """How often to look whether keys changed, in seconds; 0 is never. Raises KeyConfigError for what is no number."""
    text = environ.get(RELOAD_SECONDS, "").strip()
    if not text:
        return DEFAULT_RELOAD_SECONDS
    with suppress(ValueError):
        if 0 <= (seconds := float(text)) < math.inf:
            return seconds
    raise KeyConfigError(
        f"{RELOAD_SECONDS}: not a number of seconds; 0 is never, {DEFAULT_RELOAD_SECONDS:g} the default"
    )


def key_status(environ: Mapping[str, str]) -> str:
    """The primary key's status in words fit for a log; never the key. A malformed key is told by its fault."""
    if not _names_primary(environ):
        return _NOT_SET
    try:
        return f"configured (key id {load_settings(environ).primary.id})"
    except KeyConfigError as error:
        return f"MALFORMED ({' '.join(str(error).splitlines())})"


def log_key_status(environ: Mapping[str, str] = os.environ) -> None:
    """Logs the start-up line: configured or not, never the value."""
    status = key_status(environ)
    report = log.info if status.startswith("configured") else log.warning
    report(f"{PRIMARY} {status}")


def _names_primary(environ: Mapping[str, str]) -> bool:
    """Whether any form of the primary key's variable holds more than blanks."""
    return any(environ.get(PRIMARY + form, "").strip() for form in _FORMS)


def _read(environ: Mapping[str, str], seconds: float) -> dict[str, Found]:
    """What each variable that is set leads to; a command has *seconds*."""
    every = {name: read_source(name, environ, seconds) for name in (PRIMARY, STAGED, PREVIOUS)}
    found = {name: each for name, each in every.items() if each}
    for _ in range(_LOOKS):
        # All of one moment: half of the files from before a promotion and half from after it would lack a key.
        moved = [name for name, each in found.items() if each.source.moved()]
        if not moved:
            break
        found |= {name: again for name in moved if (again := read_source(name, environ, seconds))}
    return found


def _settings(found: Mapping[str, Found], environ: Mapping[str, str]) -> Settings:
    named = found.get(PRIMARY)
    primary = Key.parse(named.text, named.where) if named else Key.parse(None, PRIMARY)
    named = found.get(STAGED)
    # An empty variable is how a deployment template says "none".
    staged = Key.parse(named.text, named.where) if named and named.text.strip() else None
    if staged == primary:
        warnings.warn(f"{STAGED} is the primary key already; remove it", KeyConfigWarning, stacklevel=2)
        staged = None
    allow_weak = environ.get(ALLOW_WEAK_PREVIOUS) == "1"
    return Settings(primary, _previous_keys(found.get(PREVIOUS), primary, staged, allow_weak=allow_weak), staged)


def _previous_keys(found: Found | None, primary: Key, staged: Key | None, *, allow_weak: bool) -> tuple[Key, ...]:
    items = split_key_list(found.text, found.where) if found else []
    if len(items) > MAX_PREVIOUS_KEYS:
        raise KeyConfigError(f"{PREVIOUS}: {len(items)} keys; at most {MAX_PREVIOUS_KEYS}. Retire some.")
    places: dict[Key, str] = {primary: PRIMARY} | ({staged: STAGED} if staged else {})
    previous = []
    for text, place in items:
        key = _previous_key(text, place, allow_weak=allow_weak)
        if key in places:
            warnings.warn(f"{place}: the same key as {places[key]}, ignored", KeyConfigWarning, stacklevel=2)
        else:
            places[key] = place
            previous.append(key)
    check_told_apart(places)
    return tuple(previous)


def _previous_key(text: str, place: str, *, allow_weak: bool) -> Key:
    try:
        return Key.parse(text, place, allow_weak=allow_weak)
    except WeakKeyError as error:
        refusal = str(error)
    switch = f"{ALLOW_WEAK_PREVIOUS}=1 admits it, to rotate away from it"
    raise WeakKeyError(f"{refusal}\nWhere data is stored under it, {switch}.")


def _warn_of_misspelt_names(environ: Mapping[str, str]) -> None:
    for name in environ:
        if name not in VARIABLES and (meant := _meant_by(name)):
            warnings.warn(f"{name} is not a variable of ours; did you mean {meant}?", KeyConfigWarning, stacklevel=2)


def _meant_by(name: str) -> str | None:
    """The variable of ours that somebody meant who wrote *name*; None where it is somebody else's."""
    first, _, rest = name.upper().partition("_")
    # The whole first word, initial included: DECRYPTION_KEY and APP_ENCRYPTION_KEY are other programs' own.
    ours = [word for word in difflib.get_close_matches(first, _FIRST_WORDS, n=1, cutoff=0.8) if word[0] == first[0]]
    if not ours:
        return None
    meant = f"{ours[0]}_{rest}"
    if "KEY" in rest:
        return next(iter(difflib.get_close_matches(meant, VARIABLES, n=1, cutoff=0.75)), None)
    # Without the common first word, which alone would make ENCRYPTION_MODE look much like ENCRYPTION_KEY.
    rests = [known.partition("_")[2] for known in VARIABLES if known.startswith(ours[0])]
    near = difflib.get_close_matches(rest, rests, n=1, cutoff=0.75)
    return f"{ours[0]}_{near[0]}" if near else None


def _load(seconds: float) -> Loaded:
    """What this process's variables lead to as they are now."""
    _warn_of_misspelt_names(os.environ)
    # A copy: a variable that the process removes afterwards must not take its keys out of the next look at a file.
    return _follow({name: value for name in _KEPT if (value := os.environ.get(name)) is not None}, seconds)


def _follow(environ: Mapping[str, str], seconds: float) -> Loaded:
    found = _read(environ, seconds)
    sources = {name: each.source for name, each in found.items()}
    return Loaded(
        Keyring(*_settings(found, environ)),
        sources,
        reload_seconds(environ),
        _fingerprint(environ),
        # A closure, since its repr shows no key that a variable holds.
        again=lambda seconds: _follow(environ, seconds),
    )


def _fingerprint(environ: Mapping[str, str]) -> int:
    """Tells whether our variables changed, and nothing of what they hold."""
    return hash(tuple(environ.get(name) for name in VARIABLES))


get_keyring = Reloader(_load)
"""The process's keyring, read on first use; where its keys come from files or commands, it follows them."""
reload_keyring = get_keyring.reload
keyring_status = get_keyring.status


def present_reloader() -> Reloader:
    """`get_keyring`; where the process changed its variables since that was read, one that begins with these.

    Raises KeyConfigError where they name no keyring.
    """
    get_keyring()
    if get_keyring.was_read_from(_fingerprint(os.environ)):
        return get_keyring
    # Not a reload: whoever has the other keyring has not asked for these keys.
    own = Reloader(_load)
    own()
    return own


def __getattr__(name: str) -> str | None:
    """`config.ENCRYPTION_KEY` as it stands in the environment now: read when asked for, so importing reads nothing."""
    if name != PRIMARY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if not _names_primary(os.environ):
        log.warning(f"{PRIMARY} {_NOT_SET}")
    return os.environ.get(PRIMARY)
