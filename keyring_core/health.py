"""What a health endpoint shows of the keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple, TypedDict

from keyring_core.keyring import Keyring
from keyring_core.sources import Kind, Source


class Loaded(NamedTuple):
    """A keyring, the sources of its keys, and how often to check them, in seconds; 0 is never."""

    keyring: Keyring
    sources: Mapping[str, Source]
    every: float
    variables: int
    """A fingerprint of this project's variables."""
    again: Callable[[float], Loaded]
    """Reads the same sources again, even if the variables changed; takes the seconds for each command."""

    def follows(self) -> bool:
        """Whether its sources are checked regularly."""
        return self.every > 0 and any(source.kind is not Kind.VARIABLE for source in self.sources.values())

    def may_differ(self) -> bool:
        """Whether reading again may give other keys."""
        return any(source.may_differ() for source in self.sources.values())


class KeyStatus(TypedDict):
    """One key, as a health endpoint shows it."""

    id: str
    state: str


class KeyringStatus(TypedDict):
    """The status of a keyring; times are UTC in ISO 8601."""

    primary: str | None
    keys: list[KeyStatus]
    sources: dict[str, str]
    """Each variable with the kind of its source: variable, file, command."""
    reload_seconds: float | None
    loaded: str | None
    """Since when these keys are in force."""
    checked: str | None
    """When the sources were last found to hold these keys."""
    error: str | None
    """Why the last attempt to read them failed; None after a success."""


def status_of(
    loaded: Loaded | None, since: datetime | None, checked: datetime | None, error: str | None
) -> KeyringStatus:
    """The status of *loaded*; without keys if that is None."""
    states = loaded.keyring.states.items() if loaded else ()
    return {
        "primary": loaded.keyring.primary.id if loaded else None,
        "keys": [{"id": key.id, "state": str(state)} for key, state in states],
        "sources": {name: str(source.kind) for name, source in loaded.sources.items()} if loaded else {},
        "reload_seconds": loaded.every if loaded else None,
        "loaded": since.isoformat(timespec="seconds") if since else None,
        "checked": checked.isoformat(timespec="seconds") if checked else None,
        "error": error,
    }
