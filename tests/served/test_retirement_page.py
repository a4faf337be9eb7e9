"""docs/how-to/try-a-retirement.md, typed beside a server that forks: its workers are those that still read."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dotenv
import pytest

from rotation.ledger.ledger import Ledger
from tests.processes import ROOT, end_of
from tests.project.documents import Block, commands_of, page_blocks
from tests.project.play_page import Player
from tests.served.servers import HOUR, SERVERS, STILL, Server, comes, started, those_that_answer

pytestmark = [pytest.mark.database, pytest.mark.long, pytest.mark.timeout(600)]

PAGE = (ROOT / "docs" / "how-to" / "try-a-retirement.md").read_text()
WORKER = "python worker.py"
SEEN = (
    ("keyring-rotate keys list", ("yes",), False),
    ("keyring-rotate check", ("WARNING  key_reads", "WARNING: 22 checks, 1 warning"), True),
    ("keyring-rotate keys retire", ("Refused to retire",), True),
    ("keyring-rotate keys suspend", ("Suspended", "it will be refused from now on"), True),
    ("keyring-rotate check", ("WARNING  suspended_keys", "refused"), True),
    ("keyring-rotate keys resume", ("Resumed", "refused"), True),
    ("keyring-rotate run", ("Complete",), False),
    ("keyring-rotate keys retire", ("Retired",), False),
)
"""The page's commands, the words that each has to print, and whether it names the workers."""


class Beside(Player):
    """The page's folder, with a server in place of its worker; with new keys it is started again."""

    def __init__(self, server: Server, folder: Path, undo: ExitStack) -> None:
        (folder / "app").mkdir()
        super().__init__(folder / "app", folder, undo)
        self._server = server
        self._runs = undo.enter_context(ExitStack())
        self.workers: tuple[int, ...] = ()
        (self.folder / "token").symlink_to("job.token")

    def _succeed(self, command: str) -> None:
        if command.startswith(WORKER):
            self._read()
            command = f"true{command.removeprefix(WORKER)}"
        super()._succeed(command)

    def _read(self) -> None:
        """Starts the server with the keys of today; each worker reads once, and the ledger knows."""
        self._runs.close()
        url = f"sqlite:///{self.folder}/rotation-ledger.db"
        environ = {
            **{name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}},
            **{name: value or "" for name, value in dotenv.dotenv_values(self.folder / ".env").items()},
            "PYTHONPATH": str(ROOT),
            "ROTATION_LEDGER_URL": url,
            "ROTATION_SERVICE": "default",
            "SERVED_FOLDER": str(self.folder),
            "BEAT_SECONDS": "0.1",
        }
        process, visits = self._runs.enter_context(started(self._server, environ, self.folder))
        log = self.folder / "log"

        def end() -> None:
            process.send_signal(self._server.end)
            end_of(process, self._server.name, log, still=STILL)

        self._runs.callback(end)
        self.workers = those_that_answer(self._server, visits, process, log)
        assert len(self.workers) == self._server.workers
        visits.rest()
        with Ledger.open(url) as ledger:

            def known() -> bool:
                read = {each.instance for each in ledger.reads() if each.opened or each.refused}
                return read >= self.names() and {each.instance for each in ledger.instances(HOUR)} >= self.names()

            assert comes(known), f"not each of {self.names()} is in the ledger with its reads"

    def names(self) -> set[str]:
        """The names of the workers in the ledger."""
        return {f"{socket.gethostname()}:{pid}" for pid in self.workers}

    def commands(self, block: Block) -> Iterator[tuple[str, str]]:
        """Each command of the block, as the page has it, and what it prints now."""
        for command in block.setup:
            self._succeed(command)
        for command, shown in commands_of(block.text) if block.language == "console" else ():
            yield command, self._typed(command, shown)


@pytest.mark.parametrize("name", ["gunicorn sync", "gunicorn sync --preload", "uwsgi"])
def test_the_page_s_commands_see_the_workers_of_a_server(name: str, tmp_path: Path) -> None:
    """They name each of them, the key stays while one reads with it, and goes after that."""
    with ExitStack() as undo:
        page = Beside(SERVERS[name], tmp_path, undo)
        typed = [(*each, page.names()) for block in page_blocks(PAGE) for each in page.commands(block)]

    assert len(typed) == len(SEEN)
    for (command, printed, workers), (begin, words, names_them) in zip(typed, SEEN, strict=True):
        assert command.startswith(begin)
        assert [word for word in words if word not in printed] == [], printed
        assert [worker for worker in workers if names_them and worker not in printed] == [], printed
        assert "no service announces" not in printed
