"""A command on a terminal of its own, and somebody who answers its questions."""

from __future__ import annotations

import os
import pty
import re
import select
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.warm.client import Program

CTRL_C, CTRL_D = "\x03", "\x04"
LOOK = 0.02
"""Seconds between two looks at whether a program waits."""
LIMIT = 300.0
"""Seconds without a character from a program that has hung."""


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
) -> Talk:
    """Runs *argv* in *folder*; when the terminal shows the first half of a pair of *answers*, types the second.

    It types when the program waits: nobody presses Ctrl-C before the question is all there.
    """
    ours, theirs = pty.openpty()
    try:
        # Its own terminal: Ctrl-C there is a signal.
        process = Program(argv, cwd=folder, env=environ, stdin=theirs, stdout=theirs, stderr=theirs, terminal=True)
    finally:
        os.close(theirs)
    shown, seen, left, last = "", 0, list(answers), time.monotonic()
    before: int | None = None
    try:
        while True:
            if select.select([ours], [], [], LOOK)[0]:
                try:
                    shown += os.read(ours, 4096).decode(errors="replace")
                except OSError:
                    # Linux says so when the last process has closed the terminal.
                    break
                last = time.monotonic()
                continue
            assert time.monotonic() - last < LIMIT, f"it says nothing more:\n{shown}"
            worked = _work(process.pid)
            waits = worked is not None and worked == before
            if waits and left and left[0][0] in _plain(shown[seen:]):
                seen = len(shown)
                os.write(ours, left.pop(0)[1].encode())
            before = worked
        assert not left, f"never asked: {left[0][0]}\n{shown}"
        return Talk(process.wait(), _plain(shown))
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _work(pid: int) -> int | None:
    """The processor time of a process that sleeps, in ticks; None while it runs, or waits for a processor."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        # Elsewhere than on Linux its silence has to do.
        return 0
    return int(fields[10]) + int(fields[11]) if state == "S" else None


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).replace("\r", "")
