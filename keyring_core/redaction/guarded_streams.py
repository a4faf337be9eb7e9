"""stdout and stderr that mask what is printed to them."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from keyring_core.forks import lock_of
from keyring_core.redaction.block_masks import MOST_MASKS, masks_in_force, show_masked
from keyring_core.redaction.qgrams import GramMatcher
from keyring_core.redaction.redactor import Redactor

# A line in which pprint goes on with a bytes literal.
_GONE_ON = re.compile(r" +b['\"]")


class GuardedStream:
    """Replaces a text stream: masks whole lines, and on a flush the unfinished line."""

    def __init__(self, stream: TextIO, redactor: Redactor) -> None:
        self.unguarded = stream
        self._redactor = redactor
        # Of a line that is written piece by piece, no write copies what is there already.
        self._pending = io.StringIO()
        self._pending_bytes = io.BytesIO()
        self._masks: tuple[GramMatcher, ...] = ()
        self._lock = lock_of(self, threading.RLock)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)

    def __repr__(self) -> str:
        return f"<GuardedStream of {getattr(self.unguarded, 'name', '?')}>"

    def write(self, text: str) -> int:
        """Writes the complete lines and keeps the rest: two writes must not split a secret."""
        with self._lock, self._keeping_masks():
            self._pending.write(text)
            if "\n" in text:
                whole, newline, rest = self._taken().rpartition("\n")
                held = _open_literal(whole + newline)
                self._pending.write(held + rest)
                if lines := (whole + newline).removesuffix(held):
                    self.unguarded.write(self._redact(lines))
        return len(text)

    def write_bytes(self, data: bytes) -> int:
        """The same for bytes, which may not be text: without a secret they are written unchanged."""
        with self._lock, self._keeping_masks():
            self._pending_bytes.write(data)
            if b"\n" in data:
                whole, newline, rest = self._taken_bytes().rpartition(b"\n")
                self._pending_bytes.write(rest)
                self.unguarded.buffer.write(self._masked(whole + newline))
        return len(data)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes *lines* as one text."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Writes the unfinished line too: first the bytes, which do not go through the text layer."""
        with self._lock, self._keeping_masks():
            self._write_unfinished()
            self.unguarded.flush()

    @property
    def buffer(self) -> Any:
        """The binary side, masked too."""
        return GuardedBytes(self, self.unguarded.buffer)

    @contextmanager
    def _keeping_masks(self) -> Iterator[None]:
        """Keeps the masks of all who wrote to the unfinished line, which may be written after their blocks."""
        present = masks_in_force()
        if len(self._masks) > MOST_MASKS:
            self._write_unfinished()
            self._masks = ()
        # Before the text: a child may be forked at any moment.
        self._masks = tuple(dict.fromkeys((*self._masks, *present)))
        yield
        if not (self._pending.tell() or self._pending_bytes.tell()):
            self._masks = ()

    def _write_unfinished(self) -> None:
        if data := self._taken_bytes():
            self.unguarded.buffer.write(self._masked(data))
        if pending := self._taken():
            self.unguarded.write(self._redact(pending))

    def _taken(self) -> str:
        pending, self._pending = self._pending, io.StringIO()
        return pending.getvalue()

    def _taken_bytes(self) -> bytes:
        pending, self._pending_bytes = self._pending_bytes, io.BytesIO()
        return pending.getvalue()

    def _masked(self, data: bytes) -> bytes:
        text = data.decode("utf-8", "surrogateescape")
        return self._redact(text).encode("utf-8", "surrogateescape")

    def _redact(self, text: str) -> str:
        return show_masked(None, self._redactor.redact, text, masks=self._masks)


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


def _open_literal(lines: str) -> str:
    """The last of *lines*, if they are a bytes literal that pprint may go on with in the next line."""
    start = lines.rfind("\n", 0, -1) + 1
    if not lines.endswith(("'\n", '"\n')) or "\\x" not in lines[start:]:
        return ""
    while start and _GONE_ON.match(lines, start):
        start = lines.rfind("\n", 0, start - 1) + 1
    return lines[start:] if len(lines) - start <= 4096 else ""  # a key takes a few hundred characters


def unguarded(stream: TextIO) -> TextIO:
    """The stream behind *stream* if that is guarded, otherwise *stream*."""
    return cast(TextIO, getattr(stream, "unguarded", stream))
