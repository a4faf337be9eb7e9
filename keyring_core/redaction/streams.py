"""stdout and stderr that mask what is printed to them."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any, TextIO, cast

from keyring_core.forks import call_in_children
from keyring_core.redaction.deferred import show_masked
from keyring_core.redaction.redactor import Redactor


class GuardedStream:
    """Replaces a text stream: masks whole lines, and on a flush the unfinished line."""

    def __init__(self, stream: TextIO, redactor: Redactor) -> None:
        self.unguarded = stream
        self._redactor = redactor
        self._pending = ""
        self._pending_bytes = b""
        self._renew_lock()
        call_in_children(self._renew_lock)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)

    def __repr__(self) -> str:
        return f"<GuardedStream of {getattr(self.unguarded, 'name', '?')}>"

    def write(self, text: str) -> int:
        """Writes the complete lines and keeps the rest: two writes must not split a secret."""
        with self._lock:
            whole, newline, rest = (self._pending + text).rpartition("\n")
            if _may_go_on(whole):
                self._pending += text
                return len(text)
            self._pending = rest
            if newline:
                self.unguarded.write(self._redact(whole + newline))
        return len(text)

    def write_bytes(self, data: bytes) -> int:
        """The same for bytes, which may not be text: without a secret they are written unchanged."""
        with self._lock:
            whole, newline, self._pending_bytes = (self._pending_bytes + data).rpartition(b"\n")
            if newline:
                self.unguarded.buffer.write(self._masked(whole + newline))
        return len(data)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes *lines* as one text."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Writes the unfinished line too: first the bytes, which do not go through the text layer."""
        with self._lock:
            data, self._pending_bytes = self._pending_bytes, b""
            if data:
                self.unguarded.buffer.write(self._masked(data))
            pending, self._pending = self._pending, ""
            if pending:
                self.unguarded.write(self._redact(pending))
            self.unguarded.flush()

    @property
    def buffer(self) -> Any:
        """The binary side, masked too."""
        return GuardedBytes(self, self.unguarded.buffer)

    def _masked(self, data: bytes) -> bytes:
        text = data.decode("utf-8", "surrogateescape")
        return self._redact(text).encode("utf-8", "surrogateescape")

    def _redact(self, text: str) -> str:
        # The text may come from the exception that is being handled.
        return show_masked(None, self._redactor.redact, text)

    def _renew_lock(self) -> None:
        self._lock = threading.RLock()


class GuardedBytes:
    """The binary side of a guarded stream."""

    def __init__(self, text: GuardedStream, unguarded: Any) -> None:
        self._text = text
        self._unguarded = unguarded

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unguarded, name)

    def write(self, data: bytes) -> int:
        """Writes *data*."""
        return self._text.write_bytes(bytes(data))

    def writelines(self, lines: Iterable[bytes]) -> None:
        """Writes *lines* as one."""
        self.write(b"".join(lines))

    def flush(self) -> None:
        """Flushes the text stream."""
        self._text.flush()


def _may_go_on(lines: str) -> bool:
    """Whether the last of *lines* ends in a bytes literal, which pprint goes on with in the next line."""
    return lines.endswith(("'", '"')) and "\\x" in lines[lines.rfind("\n") + 1 :]


def unguarded(stream: TextIO) -> TextIO:
    """The stream behind *stream* if that is guarded, otherwise *stream*."""
    return cast(TextIO, getattr(stream, "unguarded", stream))
