"""Finds known values in one pass of an Aho-Corasick automaton, with ``ahocorasick-rs``. Same answers as qgrams.py."""

from __future__ import annotations

import threading
from importlib import import_module
from typing import Any, NamedTuple

from keyring_core.forks import call_in_children
from keyring_core.redaction.encodings import Form
from keyring_core.redaction.folding import squeeze
from keyring_core.redaction.qgrams import GramMatcher, windows
from keyring_core.redaction.spans import Span, runs

# An automaton is built after so many calls without a new value: building one for each would be quadratic.
_CALM = 64
# Building takes some microseconds a pattern, and one log call waits for it.
_MOST_PATTERNS = 20_000


class _State(NamedTuple):
    """An automaton over the forms *built*, its patterns' labels, and a matcher of later forms. Read in one step."""

    automaton: Any
    labels: list[str]
    built: list[Form]
    recent: GramMatcher


class AutomatonMatcher:
    """Like GramMatcher, which it uses for forms that are newer than its automaton.

    Reading takes no lock: if the lock is taken, another thread builds.
    """

    __slots__ = ("__weakref__", "_calls", "_lock", "_patterns", "_state", "_waiting")

    def __init__(self) -> None:
        self._state = _State(None, [], [], GramMatcher())
        self._waiting: list[Form] = []
        self._calls = 0
        self._patterns = 0
        self._renew_lock()
        call_in_children(self._renew_lock)

    def __repr__(self) -> str:
        return "<AutomatonMatcher>"

    def add(self, form: Form) -> None:
        """Makes *form* known."""
        with self._lock:
            self._state.recent.add(form)
            self._waiting.append(form)
            self._patterns += form.windows
            self._calls = 0

    def discard(self, form: Form) -> None:
        """Forgets *form*. If the automaton knows it, all forms wait for a new one."""
        with self._lock:
            self._patterns -= form.windows if form in self._waiting or form in self._state.built else 0
            if form in self._waiting:
                self._waiting.remove(form)
                self._state.recent.discard(form)
            elif form in self._state.built:
                self._waiting = [known for known in (*self._state.built, *self._waiting) if known is not form]
                recent = GramMatcher()
                for known in self._waiting:
                    recent.add(known)
                self._state = _State(None, [], [], recent)

    def find(self, data: bytes) -> list[Span]:
        """The spans of forms in ``squeeze(data)``."""
        if self._waiting and self._patterns <= _MOST_PATTERNS:
            self._calls += 1
            if self._calls > _CALM:
                self.build()
        state = self._state
        spans = state.recent.find(data)
        if state.automaton is not None:
            found = state.automaton.find_matches_as_indexes(squeeze(data), overlapping=True)
            if found:
                spans += runs((start, end, state.labels[pattern]) for pattern, start, end in found)
        return spans

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def build(self) -> None:
        """Moves every form into the automaton. `find` calls it, unless there are too many for a log call."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._calls = 0
            forms = [*self._state.built, *self._waiting]
            patterns = sorted({(window, form.label) for form in forms for window in windows(form)})
            automaton = import_module("ahocorasick_rs").BytesAhoCorasick([window for window, _ in patterns])
            self._state = _State(automaton, [label for _, label in patterns], forms, GramMatcher())
            self._waiting = []
        finally:
            self._lock.release()


def fastest_matcher() -> GramMatcher | AutomatonMatcher:
    """An AutomatonMatcher if ``ahocorasick-rs`` is installed, otherwise a GramMatcher."""
    try:
        import_module("ahocorasick_rs")
    except ImportError:
        return GramMatcher()
    return AutomatonMatcher()
