"""What must never be printed: the values a redactor knows, and the keys that every redactor knows."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from weakref import WeakSet

from keyring_core.redaction.aho_corasick import fastest_matcher
from keyring_core.redaction.encodings import Form, forms_of, forms_of_key
from keyring_core.redaction.shapes import LANDMARKS
from keyring_core.redaction.spans import Span

# Held while something is registered, never while something is logged.
_writing = threading.RLock()
# A thread that loads keys in the moment of a fork is not there in the child to give the lock back.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_writing.acquire, after_in_parent=_writing.release, after_in_child=_writing.release)


class Registry:
    """The values that one redactor masks, each under every form in which it may be printed."""

    __slots__ = ("__weakref__", "_forms", "_matcher")

    def __init__(self) -> None:
        self._forms: dict[str | bytes, list[Form]] = {}
        self._matcher = fastest_matcher()
        for landmark in LANDMARKS:
            self._matcher.add(landmark)
        with _writing:
            for raw, label in _keys.items():
                self.add_key(raw, label)
            _registries.add(self)

    def __repr__(self) -> str:
        return f"<Registry of {len(self._forms)} values>"

    def __len__(self) -> int:
        return len(self._forms)

    def add(self, value: str | bytes, label: str) -> None:
        """Masks *value* from now on. A value that is known already keeps its first label."""
        self._add(value, label, forms_of)

    def add_key(self, raw: bytes, label: str) -> None:
        """Masks the 32-byte key *raw* from now on, in parts also where it was a value before."""
        with _writing:
            self._forms.pop(raw, None)
            self._add(raw, label, forms_of_key)

    def _add(self, value: str | bytes, label: str, forms: Callable[..., list[Form]]) -> None:
        with _writing:
            if value in self._forms:
                return
            known = self._forms[value] = forms(value, label)
            for form in known:
                self._matcher.add(form)

    def discard(self, value: str | bytes) -> None:
        """Forgets *value*; unknown values are ignored. Loaded keys stay until the process ends."""
        with _writing:
            if value in _keys:
                return
            for form in self._forms.pop(value, ()):
                self._matcher.discard(form)

    def find(self, low: bytes) -> list[Span]:
        """Where known values stand in *low*, a folded text in UTF-8."""
        return self._matcher.find(low)


_keys: dict[bytes, str] = {}
_registries: WeakSet[Registry] = WeakSet()


def protect_key(raw: bytes, key_id: str) -> None:
    """Masks the 32-byte key *raw* in every log of this process, until the process ends, as ``key <key_id>``.

    The forms are worked out when a redactor exists to use them: a program that logs through none pays a dict entry.
    """
    with _writing:
        if raw in _keys:
            return
        _keys[raw] = label = f"key {key_id}"
        for registry in _registries:
            registry.add_key(raw, label)
