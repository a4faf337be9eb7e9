"""A command on a terminal of its own, and somebody who answers its questions."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

QUIET = 0.2
"""Seconds without output before something is typed: nobody presses Ctrl-C before the question is all there."""
CTRL_C, CTRL_D = "\x03", "\x04"


@dataclass
class Talk:
    """What a command came to, and all that its terminal showed."""

    code: int
    shown: str


def talk(
    argv: Sequence[str | Path],
    answers: Sequence[tuple[str, str]],
    folder: Path,
    environ: Mapping[str, str],
    seconds: float = 30,
) -> Talk:
    """Runs *argv* in *folder*; when the terminal shows the first half of a pair of *answers*, types the second."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            env=dict(environ),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            # Its own terminal: Ctrl-C there is a signal.
            preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no thread holds a lock
        )
    finally:
        os.close(theirs)
    shown, seen, left, end = "", 0, list(answers), time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            if select.select([ours], [], [], QUIET)[0]:
                try:
                    shown += os.read(ours, 4096).decode(errors="replace")
                except OSError:
                    # Linux says so when the last process has closed the terminal.
                    break
            elif left and left[0][0] in _plain(shown[seen:]):
                seen = len(shown)
                os.write(ours, left.pop(0)[1].encode())
        assert not left, f"never asked: {left[0][0]}\n{shown}"
        assert time.monotonic() < end, f"it has not ended:\n{shown}"
        return Talk(process.wait(max(1, end - time.monotonic())), _plain(shown))
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).replace("\r", "")
