"""Documents and their blocks: what stands in them, and what their commands print now.

A page is tested without a line of Python: tests/project/test_blocks.py plays the blocks of every page from top to
bottom, in an empty folder, and fails at the first that does not do what the page shows. By language:

- `console`: each `$ command` (continued by `> `) runs in one bash for the whole page, so `cd`, `export` and variables
  stay. The output has to be the one shown; dates, times and durations may differ, and key ids, if each is the same all
  over the page. A command without output has to end with exit code 0, and may print.
- `sh`: each command runs in that bash and ends with exit code 0.
- `python`: runs in one namespace for the whole page, with a fresh ENCRYPTION_KEY.
- `toml`: rotation.toml's own parser takes it. `yaml`, `json`: parsed; objects of Kubernetes by its schemas.
- `ini`: a systemd unit, if it begins with a section; otherwise a dotenv file, whose variables exist.
- `sql`: runs on SQLite's `app.db`, or on a new database of the server that its first line names (`-- PostgreSQL`).
- `text`: output, or anything that no program reads. Not looked at. Any other language fails, and so does none.

The bash finds `keyring-rotate` and `python` of this environment. In place of vault, aws, kubectl and others it finds
the scripts of tests/project/stand_ins: a program that no page has used yet needs a new one. They take exactly what the
pages type, by the number of arguments and their text, and fail at any other flag. `make-database` is one of them: it
makes app.db with tokens under the primary key.

A page calls its folder /srv/app; that is replaced by the real one wherever it stands in a command, a file or output.

Comments in the line before a block, which readers do not see, say more; several may follow each other:

    <!-- file: .env -->          the block is also written to this file (mode 600); Python in it is only compiled
    <!-- setup: make-database -->   bash (before `sql`: SQL) that runs first, unseen
    <!-- test: compile -->       only parsed: `bash -n`, Python's compiler, tomllib

To try a page while you write it, and to have the output of its console blocks written into it:

    python -m tests.project.play_page docs/how-to/keys/vault.md
    python -m tests.project.play_page --write docs/how-to/keys/vault.md

A page that another test plays wholly stands in the table PLAYED of test_blocks.py with the file of that test.
"""

from __future__ import annotations

import io
import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rotation.cli.main import main

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```console\n(\$ keyring-rotate .*?)```", re.DOTALL)
FENCED = re.compile(
    r"(?P<notes>(?:^ *<!--.*?-->\n)*)^(?P<indent> *)```(?P<head>.*)\n(?P<text>(?:.*\n)*?)(?P=indent)```$", re.M
)
NOTE = re.compile(r"<!-- (file|setup|test): (.*?) -->", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    line: int
    """The number of the line that it begins in."""
    file: str | None = None
    setup: list[str] = field(default_factory=list)
    compiled: bool = False
    """Whether it is only to be parsed."""
    indent: str = ""

    def fenced(self, text: str) -> str:
        """The block with another *text*, as it stands in the page."""
        lines = [f"```{self.language}", *text.splitlines(), "```"]
        return "".join(f"{self.indent}{line}".rstrip() + "\n" for line in lines)


def page_blocks(page: str) -> Iterator[Block]:
    """Every fenced block of *page*, with what the comments before it say."""
    for found in FENCED.finditer(page):
        notes = NOTE.findall(found["notes"])
        yield Block(
            found["head"].strip(),
            textwrap.dedent(found["text"]),
            page.count("\n", 0, found.start("head")) + 1,
            next((value for kind, value in notes if kind == "file"), None),
            [value for kind, value in notes if kind == "setup"],
            compiled=("test", "compile") in notes,
            indent=found["indent"],
        )


def commands_of(console: str) -> list[tuple[str, str]]:
    """Each command of a console block with the output that the block shows."""
    commands: list[tuple[str, str]] = []
    for line in console.splitlines():
        command, shown = commands[-1] if commands else ("", "")
        if line.startswith("$ "):
            commands.append((line[2:], ""))
        elif line.startswith("> ") and not shown:
            commands[-1] = (f"{command}\n{line[2:]}", "")
        else:
            assert commands, f"a console block begins with `$ `, not with {line!r}"
            commands[-1] = (command, f"{shown}{line}\n")
    return commands


def blocks(text: str) -> list[str]:
    """Each command of *text* with its output."""
    return BLOCK.findall(text)


def toml(text: str) -> str:
    """The first TOML that *text* shows."""
    return re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[0]


def play(block: str, names: Mapping[str, str]) -> str:
    """*block* with what its command prints now; *names* are what the document calls things, with what they are here."""
    command = block.splitlines()[0]
    argv = [names.get(word, word) for word in shlex.split(command.removeprefix("$ "))[1:]]
    out = io.StringIO()
    main(argv, {}, out, io.StringIO())
    printed = out.getvalue()
    for shown, real in names.items():
        printed = printed.replace(real, shown)
    return "".join(f"{line.rstrip()}\n" for line in (command, *printed.splitlines()))
