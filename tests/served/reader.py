"""The part that the service has in common under each server: it opens an old token, and announces its keys."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from keyring_core import configure_logging, get_keyring
from rotation import fleet

fleet.SECONDS = float(os.environ["BEAT_SECONDS"])  # type: ignore[assignment]
FOLDER = Path(os.environ["SERVED_FOLDER"])
BUSY_SECONDS = 0.02


def keep() -> None:
    """Announces this process, as its service says at its start."""
    configure_logging()
    given: dict[str, Any] = {"end_on_sigterm": True} if "END_ON_SIGTERM" in os.environ else {}
    fleet.keep_announcing(**given)


def open_token() -> int:
    """Opens the old token, and returns the id of this process."""
    get_keyring().decrypt((FOLDER / "token").read_text())
    # Works for a moment, in no other thread or greenlet: the request that comes meanwhile is for another process.
    end = time.perf_counter() + BUSY_SECONDS
    while time.perf_counter() < end:
        pass
    return os.getpid()


def do_job() -> None:
    """Opens the old token, writes who did, and waits until it may end: the next job is for another process."""
    pid = open_token()
    with (FOLDER / "answers").open("a") as answers:
        answers.write(f"{pid}\n")
    while not (FOLDER / "released").exists():
        time.sleep(0.01)
