"""Finds known values in one pass of an Aho-Corasick automaton: the same answers as grams.py, from the
``ahocorasick-rs`` package where that is installed.
"""

from __future__ import annotations

import threading
from importlib import import_module
from typing import Any, NamedTuple

from keyring_core.forks import call_in_children
from keyring_core.redaction.encodings import Form
from keyring_core.redaction.qgrams import GramMatcher, windows
from keyring_core.redaction.spans import Span, runs

# An automaton is built when values have stopped coming: a build for each of them would be quadratic.
_CALM = 64
# Building takes some microseconds a pattern, and one log call waits for it.
_MOST_PATTERNS = 20_000


class _State(NamedTuple):
    """What a reader takes in one step: an automaton over *built*, its patterns' labels, and what came since."""

    automaton: Any
    labels: list[str]
    built: list[Form]
    recent: GramMatcher


class AutomatonMatcher:
    """Like GramMatcher, which it asks for the forms that came after its automaton was built.

    Reading takes no lock: a reader that finds the lock taken leaves the building to its owner.
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
        """Forgets *form*. Costs a new start where an automaton knows it."""
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

    def find(self, low: bytes) -> list[Span]:
        """Where forms occur in *low*, a folded text in UTF-8."""
        if self._waiting and self._patterns <= _MOST_PATTERNS:
            self._calls += 1
            if self._calls > _CALM:
                self.build()
        state = self._state
        spans = state.recent.find(low)
        if state.automaton is not None:
            found = state.automaton.find_matches_as_indexes(low, overlapping=True)
            if found:
                spans += runs((start, end, state.labels[pattern]) for pattern, start, end in found)
        return spans

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def build(self) -> None:
        """Moves every form into the automaton. `find` does it, unless they are too many for a log call to wait for."""
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
    """An AutomatonMatcher where ``ahocorasick-rs`` is installed, else a GramMatcher."""
    try:
        import_module("ahocorasick_rs")
    except ImportError:
        return GramMatcher()
    return AutomatonMatcher()
