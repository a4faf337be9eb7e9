"""The values that a redactor masks: its own, and every key that this process has loaded."""

from __future__ import annotations

from collections.abc import Callable

from keyring_core.loaded_keys import is_loaded, subscribe, writing
from keyring_core.redaction.encodings import Form, forms_of, forms_of_key
from keyring_core.redaction.qgrams import GramMatcher
from keyring_core.redaction.shapes import LANDMARKS


class Registry:
    """The values that one redactor masks, each under every form in which it may be printed."""

    __slots__ = ("__weakref__", "_forms", "_matcher", "candidates")

    def __init__(self) -> None:
        self._forms: dict[str | bytes, list[Form]] = {}
        self._matcher = GramMatcher()
        # The values, and the landmarks of shapes, that may occur in a text in UTF-8.
        self.candidates = self._matcher.candidates
        for landmark in LANDMARKS:
            self._matcher.add(landmark)
        subscribe(self)

    def __repr__(self) -> str:
        return f"<Registry of {len(self._forms)} values>"

    def __len__(self) -> int:
        return len(self._forms)

    def add(self, value: str | bytes, label: str) -> None:
        """Masks *value* from now on. A value that is known already keeps its first label."""
        self._add(value, label, forms_of)

    def add_key(self, raw: bytes, label: str) -> None:
        """Masks the 32-byte key *raw*, and parts of it, from now on; also if it was a value before."""
        with writing:
            self._forms.pop(raw, None)
            self._add(raw, label, forms_of_key)

    def _add(self, value: str | bytes, label: str, forms: Callable[..., list[Form]]) -> None:
        with writing:
            if value in self._forms:
                return
            known = self._forms[value] = forms(value, label)
            for form in known:
                self._matcher.add(form)

    def discard(self, value: str | bytes) -> None:
        """Forgets *value*; unknown values are ignored. Loaded keys stay until the process ends."""
        with writing:
            if is_loaded(value):
                return
            for form in self._forms.pop(value, ()):
                self._matcher.discard(form)
