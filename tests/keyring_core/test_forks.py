"""What an object does in a forked child, as long as it lives."""

from __future__ import annotations

import gc
import weakref

import pytest

from keyring_core.encryption_service import Lazy
from keyring_core.reload import Reloader


@pytest.mark.parametrize("make", [lambda: Lazy(object), lambda: Reloader(pytest.fail)], ids=["Lazy", "Reloader"])
def test_being_ready_for_a_fork_keeps_nothing_alive(make):
    """What a process makes and drops, with its keys, is gone, though nobody can take back what a fork is to do."""
    alive = weakref.ref(make())

    gc.collect()

    assert alive() is None
