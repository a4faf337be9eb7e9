"""Runs commands that print a key: without a shell, within a time limit. Their output is never shown."""

from __future__ import annotations

import os
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from keyring_core.errors import KeyConfigError, printable, without_frames
from keyring_core.redaction import get_redactor, redacting
from keyring_core.signals import as_before

MAX_OUTPUT_BYTES = 1024 * 1024
MAX_SHOWN_BYTES = 64 * 1024
"""A longer error text is not shown: a cut could leave a piece of a secret that is not recognised."""
MAX_SHOWN = 500
BY_HAND = "Run it by hand and see that it prints the key, alone."


_holding_keys: set[str] = set()
_endings: set[str] = set()


def keep_from_commands(*names: str, of_sets: bool = False) -> None:
    """Key commands do not get the variables *names*, which hold keys, or secrets that keys are made of.

    With *of_sets* nor those of any key set, which have its name in front: the set may be named after the command runs.
    """
    _holding_keys.update(names)
    _endings.update(f"_{name}" for name in names if of_sets)


class _Ended(NamedTuple):
    """The end of a command; *code* is None if it was killed here."""

    code: int | None
    output: bytes
    complaint: bytes


@without_frames
def run_key_command(command: str, form: str, environ: Mapping[str, str], seconds: float) -> bytes:
    """The output of *command*, the value of the variable *form*.

    It gets the variables of the process and of *environ*, except those that hold keys.

    Raises KeyConfigError if it fails, prints nothing, or takes longer than *seconds*; the message shows its stderr,
    redacted, and nothing of its stdout.
    """
    if not command.strip():
        raise KeyConfigError(f"{form}: empty; name a command, or unset it")
    endings = tuple(_endings)
    try:
        with as_before():
            process = subprocess.Popen(  # noqa: S603 - the operator's own command
                shlex.split(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={
                    name: value
                    for name, value in {**os.environ, **environ}.items()
                    if name not in _holding_keys and not name.endswith(endings)
                },
                # A process group, to kill it as a whole; and no terminal to wait for.
                start_new_session=True,
            )
    except OSError as error:
        fault = f"could not be started: {error.strerror}"
    except ValueError:
        fault = "has quotes that do not close, or a NUL character"
    else:
        ended = _wait_for(process, seconds)
        if ended.code == 0 and ended.output.strip() and len(ended.output) <= MAX_OUTPUT_BYTES:
            return ended.output
        fault = f"{_fault(ended, seconds)}{_said(ended)}"
    raise KeyConfigError(f"{form}: the command {fault}. {BY_HAND}")


def _wait_for(process: subprocess.Popen[bytes], seconds: float) -> _Ended:
    """Reads until *process* ends, its time is over, or it printed too much; then kills what is left of it."""
    assert process.stdout is not None  # noqa: S101 - for the type checker
    assert process.stderr is not None  # noqa: S101
    deadline = time.monotonic() + seconds
    output, complaint = bytearray(), bytearray()
    with process.stdout as stdout, process.stderr as stderr, selectors.DefaultSelector() as pipes:
        pipes.register(stdout, selectors.EVENT_READ, output)
        pipes.register(stderr, selectors.EVENT_READ, complaint)
        try:
            while (left := deadline - time.monotonic()) > 0 and len(output) <= MAX_OUTPUT_BYTES:
                # Checked before the pipes: all output is in them once it has ended. They may never reach their end,
                # since a process that it left behind can hold them open.
                has_ended = process.poll() is not None
                ready = pipes.select(0 if has_ended else min(left, 0.05 if pipes.get_map() else 0.002))
                for key, _ in ready:
                    _read_some(pipes, key)
                if has_ended and not ready:
                    break
        finally:
            code = process.returncode
            if code is None or pipes.get_map():
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                # A process of another user survives the signal: do not wait for it.
                with suppress(subprocess.TimeoutExpired):
                    process.wait(1)
    return _Ended(code, bytes(output), bytes(complaint))


def _read_some(pipes: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    """Reads the available data of one pipe, or drops the pipe at its end."""
    data = os.read(key.fd, 64 * 1024)
    if not data:
        pipes.unregister(key.fileobj)
    elif len(key.data) <= MAX_OUTPUT_BYTES:
        key.data.extend(data)


def _fault(ended: _Ended, seconds: float) -> str:
    if len(ended.output) > MAX_OUTPUT_BYTES:
        return "printed more than any list of keys"
    if ended.code is None:
        return f"gave no answer within {seconds:g} seconds"
    if ended.code < 0:
        return f"was ended by signal {-ended.code}"
    return f"failed with exit code {ended.code}" if ended.code else "printed nothing"


def _said(ended: _Ended) -> str:
    """The command's stderr, fit for a message: redacted, one line, no control characters, bounded."""
    text = ended.complaint.decode("utf-8", "backslashreplace")
    if not text.strip():
        return ""
    if len(ended.complaint) > MAX_SHOWN_BYTES or len(ended.output) > MAX_SHOWN_BYTES:
        return " and said more than can be shown"
    # A script with `set -x` writes the key to stderr as well.
    with redacting(*ended.output.split(), label="output"):
        text = get_redactor().redact(text)
    line = printable(" | ".join(stripped for part in text.splitlines() if (stripped := part.strip())).rstrip("."))
    # The end of the text usually says what stopped the program.
    return f" and said: {line if len(line) <= MAX_SHOWN else '... ' + line[-MAX_SHOWN:]}"
