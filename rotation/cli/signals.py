"""The signals of a command line: the first asks for a stop after the batch in progress, the second stops at once."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress

from rotation.context import Streams

SIGNALS = (signal.SIGINT, signal.SIGTERM)
STOPPING = b"Stopping after this batch. Press Ctrl-C again, or send a second signal, to stop at once.\n"


class Signals:
    """What is done about SIGINT and SIGTERM."""

    def __init__(self, streams: Streams) -> None:
        """From now on a signal sets *streams* to stopping."""
        self._streams, self._heard = streams, False
        for number in SIGNALS:
            signal.signal(number, lambda *_: self._handle())
        # Python runs a handler in the main thread only, once that has come back from what it waits for; and a server
        # may be silent for ever, and another thread may get the signal. So a thread hears of it, too.
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(target=self._listen, args=(reader,), daemon=True).start()

    @staticmethod
    def ignore() -> None:
        """Python restores the default handlers while it exits: a signal would then change the exit code."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def _handle(self) -> None:
        if self._heard:
            raise KeyboardInterrupt
        self._heard = self._streams.stopping = True
        # Not through the streams: the signal may have interrupted a write to one of them.
        with suppress(OSError):
            os.write(2, STOPPING)

    def _listen(self, reader: int) -> None:
        """Reads the number of each signal that arrives."""
        while numbers := os.read(reader, 64):
            if set(numbers) & set(SIGNALS):
                self._streams.stopping = True
