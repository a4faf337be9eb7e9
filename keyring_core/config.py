"""The keyring of this process: read from its environment on first use, and followed when keys change."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial

import structlog

from keyring_core.environment import (
    KEY_VARIABLES,
    PRIMARY,
    KeyVariables,
    NamedKeys,
    Settings,
    load_settings,
    names_primary,
    read_keys,
    reload_seconds,
    settings_of,
    variables_of,
    warn_of_misspelt_names,
)
from keyring_core.errors import KeyConfigError, without_frames
from keyring_core.keyring import Keyring
from keyring_core.keys import KeyState
from keyring_core.reload import KeyringStatus, Loaded, Reloader
from keyring_core.sources import SourceKind

__all__ = [
    "Settings",
    "get_keyring",
    "key_set",
    "key_status",
    "keyring_status",
    "load_keyring",
    "load_settings",
    "log_key_status",
    "present_reloader",
    "reload_keyring",
    "reload_seconds",
    "statuses",
]

_NOT_SET = "NOT SET (required for credentials)"

log = structlog.get_logger(__name__)


load_keyring = Keyring.from_env


def key_status(environ: Mapping[str, str], keys: str | None = None) -> str:
    """The primary key's status in words fit for a log; never the key. For a malformed key it says what is wrong.

    *keys* names a key set, see `key_set`. Raises KeyConfigError for a name that is none.
    """
    variables = KEY_VARIABLES if keys is None else variables_of(keys)
    if not names_primary(environ, variables):
        return _NOT_SET
    try:
        return f"configured (key id {load_settings(environ, variables).primary.id})"
    except KeyConfigError as error:
        return f"MALFORMED ({' '.join(str(error).splitlines())})"


def log_key_status(environ: Mapping[str, str] = os.environ, keys: str | None = None) -> None:
    """Logs the start-up line, of the key set *keys* if it is named: configured or not, never the value."""
    status = key_status(environ, keys)
    report = log.info if status.startswith("configured") else log.warning
    report(f"{PRIMARY if keys is None else variables_of(keys).primary} {status}")


@without_frames
def _load(seconds: float, variables: KeyVariables = KEY_VARIABLES) -> Loaded:
    """Loads the keys that this process's *variables* name now; each command has *seconds*."""
    warn_of_misspelt_names(os.environ, variables)
    # The last one is systemd's.
    kept = (*variables.every, "CREDENTIALS_DIRECTORY")
    environ = {name: value for name in kept if (value := os.environ.get(name)) is not None}
    names, named = variables.states, read_keys(environ, variables, seconds)
    # The next look at a file uses these, even if the process removed its variables. No key is kept as text.
    held = {state: keys for state, keys in named.items() if keys.source.kind is SourceKind.VARIABLE}
    others = {name: value for name, value in environ.items() if name not in {names[state] for state in held}}
    every, fingerprint = reload_seconds(environ), _fingerprint(environ, variables)

    def loaded(named: Mapping[KeyState, NamedKeys]) -> Loaded:
        return Loaded(
            Keyring(*settings_of(named)),
            {names[state]: keys.source for state, keys in named.items()},
            every,
            fingerprint,
            again=lambda seconds: loaded(read_keys(others, variables, seconds, held)),
        )

    return loaded(named)


def _fingerprint(environ: Mapping[str, str], variables: KeyVariables) -> int:
    """Changes with the variables that decide about the keys, and shows nothing of what they hold."""
    return hash(tuple(environ.get(name) for name in variables.every))


get_keyring = Reloader(_load)
"""The process's keyring, read on first use. It follows keys that come from files or commands."""


_key_sets: dict[str, Reloader] = {}


@without_frames
def key_set(name: str) -> Reloader:
    """The keyring of the key set *name*, for models with keys of their own: to it what `get_keyring` is to all others.

    Its variables have the name in front, in capitals, with `_` for dots and hyphens: the set `billing` has
    `BILLING_ENCRYPTION_KEY`, `BILLING_ENCRYPTION_PREVIOUS_KEYS`, `BILLING_ENCRYPTION_STAGED_KEY` and
    `BILLING_ENCRYPTION_SUSPENDED_KEYS`, in all forms. They are read when its keyring is first asked for. Raises
    KeyConfigError for a name that is none, and if another set has these variables.

    Examples:
        >>> billing = key_set("billing")()
        >>> billing.decrypt(billing.encrypt("4242"))
        '4242'
        >>> key_set("billing").status()["primary"] == key_set("billing")().primary.id
        True
    """
    variables = variables_of(name)
    # One for each name, also if threads ask at once.
    return _key_sets.get(name) or _key_sets.setdefault(name, Reloader(partial(_load, variables=variables)))


reload_keyring = get_keyring.reload
keyring_status = get_keyring.status


def statuses() -> list[KeyringStatus]:
    """The status of `get_keyring`, and of each key set that was used."""
    # A model may name a set whose keys this process lacks: asking for them could run a command in vain each time.
    return [each.status() for each in (get_keyring, *_key_sets.values()) if each is get_keyring or each.is_loaded]


def present_reloader() -> Reloader:
    """`get_keyring`; or, if the process changed its variables since that was read, one that begins with these.

    Raises KeyConfigError if they name no keyring.
    """
    get_keyring()
    if get_keyring.was_read_from(_fingerprint(os.environ, KEY_VARIABLES)):
        return get_keyring
    # Not a reload: users of `get_keyring` did not ask for these keys.
    own = Reloader(_load)
    own()
    return own


def __getattr__(name: str) -> str | None:
    """`config.ENCRYPTION_KEY` as it stands in the environment now: read on access, so importing reads nothing."""
    if name != PRIMARY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if not names_primary(os.environ):
        log.warning(f"{PRIMARY} {_NOT_SET}")
    return os.environ.get(PRIMARY)
