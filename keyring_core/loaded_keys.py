"""The keys that this process has loaded, and the secrets they were made of, for the code that masks them.

Loading a key imports no matcher.
"""

from __future__ import annotations

import os
import threading
from collections import Counter, deque
from typing import Protocol
from weakref import WeakSet

# Held while a key or a value is registered, never while something is logged.
writing = threading.RLock()
# A thread that holds the lock during a fork does not exist in the child, and could not release it there.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=writing.acquire, after_in_parent=writing.release, after_in_child=writing.release)


class Subscriber(Protocol):
    """Something that masks keys."""

    def add_key(self, raw: bytes, label: str) -> None:
        """Masks the 32-byte key *raw* from now on."""

    def add(self, value: str | bytes, label: str) -> None:
        """Masks *value* from now on."""

    def discard(self, value: str | bytes) -> None:
        """Forgets *value*, unless it is loaded."""


_keys: dict[bytes, str] = {}
_held: Counter[bytes] = Counter()
"""The ones of them that are masked for a while only, and how many hold each."""
_released = deque[bytes]()
_secrets: dict[str | bytes, str] = {}
_subscribers: WeakSet[Subscriber] = WeakSet()


def protect_key(raw: bytes, key_id: str) -> None:
    """Masks the 32-byte key *raw* in every log of this process, until the process ends, as ``key <key_id>``.

    Without a subscriber, such as a program that logs through no redactor, this costs a dict entry.
    """
    with writing:
        # From now on it stays.
        _held.pop(raw, None)
        if raw not in _keys:
            _mask(raw, key_id)


def hold_key(raw: bytes, key_id: str) -> None:
    """Masks the 32-byte key *raw* as `protect_key` does, until it is released as often as it was held.

    For a key of one row among very many: a masked key takes some 40 KB.
    """
    with writing:
        while _released:
            former = _released.popleft()
            if former in _held:
                _held[former] -= 1
                if not _held[former]:
                    del _held[former]
                    _keys.pop(former, None)
                    for subscriber in _subscribers:
                        subscriber.discard(former)
        if raw in _held:
            _held[raw] += 1
        elif raw not in _keys:
            _held[raw] = 1
            _mask(raw, key_id)


def release_key(raw: bytes) -> None:
    """Ends one `hold_key` of *raw*; it is masked until the next key is held. Any thread may call it at any moment."""
    # Python may call this in the middle of anything, so it takes no lock and changes no matcher.
    _released.append(raw)


def _mask(raw: bytes, key_id: str) -> None:
    _keys[raw] = label = f"key {key_id}"
    for subscriber in _subscribers:
        subscriber.add_key(raw, label)


def protect_secret(value: str | bytes, label: str) -> None:
    """Masks *value*, which keys are made of, in every log of this process, until the process ends, as *label*."""
    with writing:
        if value in _secrets:
            return
        _secrets[value] = label
        for subscriber in _subscribers:
            subscriber.add(value, label)


def subscribe(subscriber: Subscriber) -> None:
    """Gives *subscriber* each loaded key and secret now, and each later one when it is loaded."""
    with writing:
        for raw, label in _keys.items():
            subscriber.add_key(raw, label)
        for value, label in _secrets.items():
            subscriber.add(value, label)
        _subscribers.add(subscriber)


def is_loaded(value: object) -> bool:
    """True if *value* is the 32 bytes of a loaded key, or a secret that one was made of."""
    return value in _keys or value in _secrets
