"""The process of a command: who started it and how, its streams, and the request to stop it."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TextIO

from keyring_core.errors import printable, printable_lines
from rotation.model.failures import CONTINUE, StoppedError
from rotation.model.next_steps import PROGRAM, shell_word

CHECK_SECONDS = 0.1
"""Seconds between two looks of a wait for a requested stop."""
GRACE_SECONDS = 5.0
"""Seconds that workers may still take for their batch after a stop was requested."""
STOPPED = f"stopped on request. {CONTINUE}"
LONGEST = 100
"""Characters of an operator's name, at most."""


class Stopping:
    """A flag: a stop was requested."""

    stopping: bool = False
    """No Event: a signal handler may run while this same thread holds the Event's lock."""

    def wait(self, seconds: float) -> None:
        """Sleeps. Raises StoppedError as soon as a stop is requested."""
        end = time.monotonic() + seconds
        while not self.stopping and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, CHECK_SECONDS))
        if self.stopping:
            raise StoppedError(STOPPED)


@dataclass
class Streams(Stopping):
    """The output streams, and whether a stop was requested."""

    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)
    key_stream: TextIO = field(default_factory=lambda: sys.stdout)
    """The stream for a key that the user asked to see: stdout, without the redactor."""
    log_format: str | None = None
    """The form of log lines, as configure_logging calls it; None: the program around this has the log."""

    def warn(self, text: str) -> None:
        """Prints *text*, of one line or several, on stderr, and ignores a stderr that cannot be written."""
        with suppress(OSError):
            print(printable_lines(text), file=self.stderr, flush=True)


def operator(given: str | None, environ: Mapping[str, str]) -> str | None:
    """The name that was *given*; otherwise that of the user who called sudo, otherwise of the process's user.

    None if that user has no name, as in many containers. It is a note for the record: nothing proves that it is true.
    """
    name = given or environ.get("SUDO_USER") or ""
    if not name:
        with suppress(KeyError):
            name = pwd.getpwuid(os.geteuid()).pw_name
    return printable(name.strip())[:LONGEST] or None


def program_name(argv: Sequence[str], typed: Sequence[str]) -> str:
    """The words that start the program *argv* again; *typed* is the interpreter's own command line.

    Its bare name if that is found on PATH, otherwise its path as it was typed; of a module and of a source file the
    interpreter in front of it, too.
    """
    started = argv[0] if argv else ""
    if started in {"", "-", "-c"}:
        return PROGRAM
    name = os.path.basename(started)
    found = shutil.which(name)
    if found and os.path.exists(started) and os.path.samefile(found, started):
        return shell_word(name)
    if name.endswith(".py"):
        return " ".join(map(shell_word, typed[: len(typed) - len(argv) + 1]))
    return shell_word(started)


def this_program() -> str:
    """The words that start this process again."""
    return program_name(sys.argv, sys.orig_argv)


def program_elsewhere(program: str) -> str:
    """The words that start *program* again in another folder."""
    words = shlex.split(program)
    return shlex.join(os.path.abspath(word) if os.sep in word and os.path.exists(word) else word for word in words)


def unwatched(_: object) -> None:
    """The watcher of what nobody watches."""
