"""Walks over an event: masks values of sensitive names; everything else keeps its identity and type."""

from __future__ import annotations

import copy
import re
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any

from keyring_core.redaction.sensitive_names import PLAIN, PLAIN_MODULES, Names
from keyring_core.redaction.spans import MASK_START, mask_of

_NAME = re.compile(r"[\w.:-]{1,256}")
_SEQUENCES = (list, tuple, set, frozenset, deque)


def _keep(value: Any) -> Any:
    return value


class Walk:
    """A walk over one event. *leaf* replaces values without a sensitive name: text, bytes, any object."""

    __slots__ = ("_leaf", "_left", "_names", "_path")

    def __init__(self, names: Names, leaf: Callable[[Any], Any] = _keep) -> None:
        self._names = names
        self._leaf = leaf
        self._left = 50_000
        self._path: set[int] = set()

    def value(self, value: Any, hidden: str | None = None, name: str = "") -> Any:
        """*value*, which has this *name*, or what is shown in its place. *hidden* is the label of a sensitive name."""
        kind = type(value)
        if kind in PLAIN:
            # A large number can be a secret's digits.
            return self._leaf(value) if kind is int and value > 9_999_999 else value
        if kind is not str and isinstance(value, Mapping):
            return self._guarded(self.mapping, value, hidden)
        if kind is not str and isinstance(value, _SEQUENCES):
            return self._guarded(self._sequence, value, hidden, name)
        if hidden is None:
            shown = self._leaf(value)
            if type(value) is str and shown is not value and mask_of("fernet-key") in shown:
                # A digest or a public key looks like one, and stays if the name before it says what it is, as in text.
                named = f"{name}: {value}"
                shown = value if self._leaf(named) == named else shown
            return shown
        if kind.__module__ in PLAIN_MODULES or (kind is str and (not value or value.startswith(MASK_START))):
            return value
        return mask_of(hidden)

    def _guarded(self, walk: Callable[..., Any], value: Any, *context: str | None) -> Any:
        """*walk* on *value*, unless it is circular, too deep or too large."""
        if id(value) in self._path:
            return "[circular]"
        self._left -= len(value)
        if len(self._path) >= 60 or self._left < 0:
            return f"[{type(value).__name__} not shown: nested too deep or too large]"
        self._path.add(id(value))
        try:
            return walk(value, *context)
        finally:
            self._path.discard(id(value))

    def mapping(self, mapping: Mapping[Any, Any], hidden: str | None = None) -> Mapping[Any, Any]:
        """*mapping* itself if nothing had to be masked, otherwise a copy in the same order."""
        changed: dict[Any, Any] | None = None
        label_of = self._names.label
        for key, item in mapping.items():
            name = key if type(key) is str else _text(key)
            shown = self.value(item, hidden or label_of(name), name)
            if shown is not item:
                if changed is None:
                    changed = dict(mapping.items())
                changed[key] = shown
        shown = self._with_keys(mapping if changed is None else changed)
        return mapping if shown is mapping else _mapping_like(mapping, shown)

    def _with_keys(self, mapping: Mapping[Any, Any]) -> Mapping[Any, Any]:
        """*mapping* with its keys masked: a key can be a secret too."""
        if self._leaf is _keep:
            return mapping
        keys = [key if type(key) in PLAIN else self._leaf(key) for key in mapping]
        if all(shown is key for shown, key in zip(keys, mapping, strict=True)):
            return mapping
        return dict(zip(keys, mapping.values(), strict=True))

    def _sequence(self, sequence: Any, hidden: str | None, name: str) -> Any:
        items = list(sequence)
        is_pair = len(items) == 2 and _is_pair(_text(items[0]), items[1])
        if is_pair and isinstance(items[0], str):
            name = items[0]
        # The labels of items after a sensitive name: ("authorization", "Basic ..."), ["--password", "..."].
        labels = [hidden] * len(items)
        for place, before in enumerate(map(_text, items[:-1]), 1):
            if before.startswith("--") or is_pair:
                labels[place] = hidden or self._names.label(before)
        shown = [self.value(item, label, name) for item, label in zip(items, labels, strict=True)]
        if all(new is old for new, old in zip(shown, items, strict=True)):
            return self._numbers(sequence, items)
        return _like(sequence, shown)

    def _numbers(self, sequence: Any, items: list[Any]) -> Any:
        """*sequence*; its masked text if its numbers are a secret's bytes."""
        if self._leaf is _keep or len(items) < 8 or not all(type(item) is int for item in items):
            return sequence
        text = ", ".join(map(str, items))
        masked = self._leaf(text)
        return sequence if masked == text else masked


def _text(key: Any) -> str:
    """A dict key or list item as a name; empty if it is no text."""
    if isinstance(key, str):
        return str.__str__(key)
    return key.decode("latin-1") if isinstance(key, bytes) else ""


def _is_pair(name: str, item: Any) -> bool:
    """True if *name* can be a name, not a sentence or path, and *item* its value, not another name."""
    if not _NAME.fullmatch(name):
        return False
    word = item.replace(".", "_") if isinstance(item, str) else ""
    return not (word.isidentifier() and word.islower() and not any(map(str.isdigit, word)))


def _like(original: Any, items: list[Any]) -> Any:
    """*items* in the type of *original*, if that type takes them."""
    make = getattr(original, "_make", type(original))  # of a named tuple
    try:
        return make(items)
    except Exception:  # an item became unhashable, or the type has its own constructor
        return items


def _mapping_like(original: Mapping[Any, Any], items: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """*items* in the type of *original*, if that type takes them as they are; otherwise a dict."""
    kind: Any = type(original)
    base = OrderedDict if isinstance(original, OrderedDict) else dict
    try:
        if not isinstance(original, dict):
            # Not a copy, which may share with *original* what holds the items.
            like = kind(items)
        elif kind.__setitem__ is base.__setitem__ and (like := copy.copy(original)) is not original:
            base.clear(like)
            base.update(like, items)
        else:  # a write may have an effect, such as a note that it was changed
            return items
        return like if type(like) is kind and dict(like) == items else items
    except Exception:
        return items
