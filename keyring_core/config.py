"""The keyring of this process: read from its environment on first use, and followed when keys change."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache

import structlog

from keyring_core.environment import (
    PRIMARY,
    VARIABLES,
    NamedKeys,
    Settings,
    load_settings,
    names_primary,
    read_keys,
    reload_seconds,
    settings_of,
    warn_of_misspelt_names,
)
from keyring_core.errors import KeyConfigError, without_frames
from keyring_core.keyring import Keyring
from keyring_core.reload import Loaded, Reloader
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
]

_NOT_SET = "NOT SET (required for credentials)"
_KEPT = (*VARIABLES, "CREDENTIALS_DIRECTORY")
"""The variables that reading the sources takes; the last one is systemd's."""

log = structlog.get_logger(__name__)


load_keyring = Keyring.from_env


def key_status(environ: Mapping[str, str]) -> str:
    """The primary key's status in words fit for a log; never the key. For a malformed key it says what is wrong."""
    if not names_primary(environ):
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


@without_frames
def _load(seconds: float) -> Loaded:
    """Loads the keys that this process's variables name now; each command has *seconds*."""
    warn_of_misspelt_names(os.environ)
    environ = {name: value for name in _KEPT if (value := os.environ.get(name)) is not None}
    named = read_keys(environ, seconds)
    # The next look at a file uses these, even if the process removed its variables. No key is kept as text.
    held = {name: keys for name, keys in named.items() if keys.source.kind is SourceKind.VARIABLE}
    others = {name: value for name, value in environ.items() if name not in held}
    every, fingerprint = reload_seconds(environ), _fingerprint(environ)

    def loaded(named: Mapping[str, NamedKeys]) -> Loaded:
        return Loaded(
            Keyring(*settings_of(named)),
            {name: keys.source for name, keys in named.items()},
            every,
            fingerprint,
            again=lambda seconds: loaded(read_keys(others, seconds, held)),
        )

    return loaded(named)


def _fingerprint(environ: Mapping[str, str]) -> int:
    """Changes with the variables of this project, and shows nothing of what they hold."""
    return hash(tuple(environ.get(name) for name in VARIABLES))


get_keyring = Reloader(_load)
"""The process's keyring, read on first use. It follows keys that come from files or commands."""


@cache
def key_set(name: str) -> Reloader:
    """The keyring of the key set *name*, as `get_keyring` is the one of `ENCRYPTION_KEY`; read on first use.

    Its variables have the name in front, in capitals: the set `billing` has `BILLING_ENCRYPTION_KEY`,
    `BILLING_ENCRYPTION_PREVIOUS_KEYS` and `BILLING_ENCRYPTION_STAGED_KEY`, in all forms. Raises KeyConfigError for a
    name that is none.
    """
    raise NotImplementedError(name)


reload_keyring = get_keyring.reload
keyring_status = get_keyring.status


def present_reloader() -> Reloader:
    """`get_keyring`; or, if the process changed its variables since that was read, one that begins with these.

    Raises KeyConfigError if they name no keyring.
    """
    get_keyring()
    if get_keyring.was_read_from(_fingerprint(os.environ)):
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
