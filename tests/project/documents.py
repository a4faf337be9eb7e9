"""Plays what a document shows: its commands, typed once more, and what they print now."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from rotation.cli.main import main

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```console\n(\$ rotate\.py .*?)```", re.DOTALL)


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
