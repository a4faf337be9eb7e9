"""Runs as an admin starts them, which are then killed, stopped and continued, disconnected, or asked to end."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from tests.chaos.oracle import PREVIOUS, PRIMARY
from tests.chaos.shapes import Shape
from tests.databases import Database
from tests.keys import key_text
from tests.processes import PROGRAM, ROOT, end_of
from tests.warm.client import Program

ENVIRON = {
    **os.environ,
    "ENCRYPTION_KEY": key_text(PRIMARY),
    "ENCRYPTION_PREVIOUS_KEYS": ",".join(key_text(label) for label in PREVIOUS),
    "PYTHONPATH": str(ROOT),
}
EXPECTED_CODES = {0, 1, 3, -signal.SIGKILL, -signal.SIGTERM}
"""Those of the program, and of a signal: SIGTERM ends Python while it is still importing; nothing is written then."""

LEAST = 4
"""So many rotators meet their fate, however fast the services are done."""

LATE = f"""
import random, time
from rotation.stores.store import Store

write = Store.write

def write_late(*given):
    time.sleep(random.random() * 0.1)
    return write(*given)

Store.write = write_late
{PROGRAM}
"""
"""A rotator that takes its time between a read and its write, so that services come in between."""


class Rotators:
    """Starts rotators on a database, ends each in a random way, and keeps their output."""

    def __init__(self, database: Database, dice: random.Random, folder: Path, shape: Shape) -> None:
        self.output = folder / "output"
        self.codes: list[int] = []
        self.faults: list[str] = []
        self._database, self._dice = database, dice
        self._name = "rotator"
        url = database.url
        if database.kind == "postgresql":
            url = sa.make_url(url).update_query_dict({"application_name": self._name}).render_as_string(False)
        self._target, self._commands = shape.target(url, folder), shape.commands
        self._fates: dict[str, Callable[[Program], None]] = {
            "kill": lambda process: process.send_signal(signal.SIGKILL),
            "stop": self._stop_and_continue,
            "term": lambda process: process.send_signal(signal.SIGTERM),
            "leave": lambda process: None,
        }
        if database.kind != "sqlite":
            self._fates |= {"cut": self._cut, "cut again": self._cut}

    def start(self, *options: str, command: Sequence[str] | None = None, late: bool = False) -> Program:
        """Starts a rotator in another process: with the first *command* of its shape, if none is given."""
        program = ["-c", LATE] if late else [f"{ROOT}/scripts/rotate.py"]
        argv = [sys.executable, *program, *(command or self._commands[0]), *options, *self._target]
        with self.output.open("ab") as output:
            return Program(argv, env=ENVIRON, stdout=output, stderr=output)

    def storm(self, goes_on: Callable[[], bool]) -> None:
        """Starts rotators while it *goes_on*, two at a time; each meets a random fate at a random time."""
        while goes_on() or len(self.codes) < LEAST:
            fates = [self._dice.choice(list(self._fates)) for _ in range(2)]
            started = [
                self.start(*self._options(), command=self._dice.choice(self._commands), late=late)
                for late in (True, False)
            ]
            for process, fate in zip(started, fates, strict=True):
                time.sleep(self._dice.uniform(0.0, 0.5))
                self._fates[fate](process)
            for process, fate in zip(started, fates, strict=True):
                self._end(process, fate)

    def _options(self) -> list[str]:
        rows = self._dice.choice([20, 100, 500, 2000])
        options = [f"--batch-size={rows}", *self._dice.choice([[], ["--json"]])]
        return [*options, f"--max-rate={self._dice.choice([2000, 8000])}"] if self._dice.random() < 0.7 else options

    def _end(self, process: Program, fate: str) -> None:
        try:
            end_of(process, f"a rotator whose fate was: {fate}", self.output)
        except AssertionError as error:
            process.kill()
            self.faults.append(str(error))
        self.codes.append(process.wait())
        if self.codes[-1] not in EXPECTED_CODES:
            self.faults.append(f"a rotator ended with {self.codes[-1]}; its fate was: {fate}")

    def _stop_and_continue(self, process: Program) -> None:
        """Repeats it, so that some stops come between a read and its write."""
        for _ in range(25):
            process.send_signal(signal.SIGSTOP)
            time.sleep(self._dice.uniform(0.01, 0.06))
            process.send_signal(signal.SIGCONT)
            time.sleep(self._dice.uniform(0.0, 0.01))

    def _cut(self, _process: Program) -> None:
        """Ends every connection of rotators."""
        try:
            with self._database.engine.connect() as connection:
                if self._database.kind == "postgresql":
                    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name"
                    connection.execute(sa.text(cut), {"name": self._name})
                    return
                # The services are connected to another database of the server.
                listing = (
                    "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()"
                )
                for thread in connection.scalars(sa.text(listing)).all():
                    connection.execute(sa.text(f"KILL {thread}"))
        except DBAPIError:
            return  # the connection has ended, or the server restarts
