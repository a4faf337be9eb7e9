"""Types a page as a newcomer does: saves its files, runs its commands, and compares what they print.

Unlike tests/project/play_page.py it types another port or database in place of the page's, and compares by the lines
that a page shows (`...` stands for anything), whether in a `console` block or as `text` after commands.
"""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.project.bash import Bash, commands_in
from tests.project.documents import ROOT, Block, commands_of, page_blocks
from tests.warm.client import programs

_KEY_ID = re.compile(r"\b(?=[a-f]*\d)[0-9a-f]{8}\b")


class Typist:
    """Types pages into a bash in *folder*. Use it with `with`: leaving it ends what still runs there.

    *changed* are texts of the page, with what is typed in their place. Unless *warm*, each program starts for real.
    """

    def __init__(
        self, folder: Path, environ: Mapping[str, str], changed: Mapping[str, str], *, warm: bool = True
    ) -> None:
        self.folder, self.output = folder, ""
        self._changed = dict(changed)
        # The page makes an environment of its own; here it is the one that the tests run in.
        (folder / ".venv").symlink_to(sys.prefix)
        path = f"{folder}/.venv/bin:/usr/local/bin:/usr/bin:/bin"
        path = f"{programs()}:{path}" if warm else path
        given = {"PATH": path, "HOME": str(folder), "LANG": "C.UTF-8", "COLUMNS": "200", "PYTHONPATH": str(ROOT)}
        self._bash = Bash(folder, {**given, **environ}, folder.parent)

    def __enter__(self) -> Typist:
        return self

    def __exit__(self, *_error: object) -> None:
        self._bash.close()

    def type(self, page: str) -> Iterator[Block]:
        """Saves, runs and compares each block of *page*, and yields it. Leaves out what is only to be parsed."""
        printed = ""
        for block in page_blocks(page):
            if block.file:
                path = self.folder / block.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self._here(block.text))
            elif block.language == "sh" and not block.compiled:
                printed = "".join(self.run(command) for command in commands_in(block.text))
            elif block.language == "console" and not block.compiled:
                for command, shown in commands_of(block.text):
                    self._compare(shown, self._run(command)[1])
            elif block.language == "text":
                self._compare(block.text, printed)
            yield block

    def run(self, command: str) -> str:
        """What *command* prints, on both streams. It has to end with exit code 0."""
        code, printed = self._run(command)
        assert code == 0, f"exit code {code}: {command}\n{self.output}"
        return printed

    def _run(self, command: str) -> tuple[int, str]:
        code, printed = self._bash.run(self._here(command))
        self.output += printed
        return code, printed

    def _here(self, text: str) -> str:
        for shown, real in self._changed.items():
            text = text.replace(shown, real)
        return text

    def _compare(self, shown: str, printed: str) -> None:
        """Finds each line that is *shown*, and learns which key has the id that the page shows."""
        printed = printed.replace('\\"', '"')
        for line in (line for line in shown.splitlines() if line.strip(" .")):
            new = [key for key in dict.fromkeys(_KEY_ID.findall(line)) if key not in self._changed]
            pattern = ".*".join(re.escape(part.strip()) for part in self._here(line).split("..."))
            for number, key in enumerate(new):
                pattern = pattern.replace(key, f"(?P<id{number}>[0-9a-f]{{8}})", 1).replace(key, f"(?P=id{number})")
            found = re.search(pattern, printed)
            assert found, f"the page shows:\n{shown}\nprinted was:\n{printed}"
            self._changed |= {key: found[f"id{number}"] for number, key in enumerate(new)}


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
