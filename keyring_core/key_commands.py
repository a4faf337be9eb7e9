"""Commands that print a key: run without a shell and within a time limit; what they print is never shown."""

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

from keyring_core.errors import KeyConfigError
from keyring_core.redaction import get_redactor, redacting

MAX_OUTPUT_BYTES = 1024 * 1024
MAX_SHOWN_BYTES = 64 * 1024
"""A longer complaint is not shown at all: where it was cut, a piece of a secret could stand unrecognised."""
MAX_SHOWN = 500
BY_HAND = "Run it by hand and see that it prints the key, alone."


class _Ended(NamedTuple):
    """How a command ended; *code* is None where it was ended here."""

    code: int | None
    output: bytes
    complaint: bytes


def run_key_command(command: str, form: str, environ: Mapping[str, str], seconds: float) -> bytes:
    """What *command*, the value of the variable *form*, prints.

    Raises KeyConfigError where it fails, prints nothing, or takes longer than *seconds*; the message shows what it
    complained of on stderr, redacted, and nothing of what it printed.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - the operator's own command
            shlex.split(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **environ},
            # A group of its own, which can be ended as a whole; and no terminal that it could wait at.
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
    """Reads until *process* ends, its time is over, or it printed too much; afterwards nothing of it runs."""
    assert process.stdout is not None  # noqa: S101 - for the type checker
    assert process.stderr is not None  # noqa: S101
    deadline = time.monotonic() + seconds
    output, complaint = bytearray(), bytearray()
    with process.stdout as stdout, process.stderr as stderr, selectors.DefaultSelector() as pipes:
        pipes.register(stdout, selectors.EVENT_READ, output)
        pipes.register(stderr, selectors.EVENT_READ, complaint)
        try:
            while (left := deadline - time.monotonic()) > 0 and len(output) <= MAX_OUTPUT_BYTES:
                # Looked at before the pipes: what it printed is in them once it has ended. Their end may never come,
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
                _kill_group(process)
    return _Ended(code, bytes(output), bytes(complaint))


def _read_some(pipes: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    """Reads what is there from one pipe, or forgets the pipe at its end."""
    data = os.read(key.fd, 64 * 1024)
    if not data:
        pipes.unregister(key.fileobj)
    elif len(key.data) <= MAX_OUTPUT_BYTES:
        key.data.extend(data)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    # One that became another user does not die of it; nor do we wait for it.
    with suppress(subprocess.TimeoutExpired):
        process.wait(1)


def _fault(ended: _Ended, seconds: float) -> str:
    if len(ended.output) > MAX_OUTPUT_BYTES:
        return "printed more than any list of keys"
    if ended.code is None:
        return f"gave no answer within {seconds:g} seconds"
    if ended.code < 0:
        return f"was ended by signal {-ended.code}"
    return f"failed with exit code {ended.code}" if ended.code else "printed nothing"


def _said(ended: _Ended) -> str:
    """What the command complained of, fit for a message: redacted, one line, no control characters, bounded."""
    text = ended.complaint.decode("utf-8", "backslashreplace")
    if not text.strip():
        return ""
    if len(ended.complaint) > MAX_SHOWN_BYTES or len(ended.output) > MAX_SHOWN_BYTES:
        return " and said more than can be shown"
    # A script that traces itself complains with the key that it prints.
    with redacting(*ended.output.split(), label="output"):
        text = get_redactor().redact(text)
    line = " | ".join(stripped for part in text.splitlines() if (stripped := part.strip())).rstrip(".")
    line = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in line)
    # The end: that is where a program says what stopped it.
    return f" and said: {line if len(line) <= MAX_SHOWN else '... ' + line[-MAX_SHOWN:]}"
