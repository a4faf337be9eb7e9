"""Draws docs/run.svg, the picture in the README: what a terminal shows of a run, and of a key that is retired.

`python .ci/draw_run.py` makes the practice folder of `keyring-rotate demo --keep`, deletes the rows that are broken on
purpose, stages and promotes a key, and records what comes next on a pseudo-terminal. Key ids differ each time.
"""

from __future__ import annotations

import json
import os
import pty
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "run.svg"
WIDTH = 96
BROKEN = "DELETE FROM user_credentials WHERE id IN (812, 4077, 9001, 12345, 17017, 19998)"


def main() -> None:
    """Writes the picture."""
    with tempfile.TemporaryDirectory() as folder:
        practice = Path(folder) / "practice"
        _type(f"demo --keep {practice}", Path(folder))
        with closing(sqlite3.connect(practice / "app.db")) as connection, connection:
            connection.execute(BROKEN)
        oldest = json.loads(_type("keys list --json", practice))["keys"][-1]["id"]
        for command in ("keys stage", "keys promote"):
            _type(command, practice)
        screen = Console(record=True, width=WIDTH, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        for command in ("run", f"keys retire {oldest} --archive old.keys"):
            screen.print(Text(f"$ keyring-rotate {command}", "bold"))
            shown = _type(command, practice).replace(str(practice), "/srv/app").strip("\n")
            screen.print(Text.from_ansi(shown), "", sep="\n")
    # The reader's own font: rich's own template fetches one.
    lines = screen.export_svg(title="keyring-rotate", unique_id="run").splitlines()
    PICTURE.write_text("\n".join(_without_fonts(lines)) + "\n")
    print(f"wrote {PICTURE.relative_to(ROOT)}")


def _without_fonts(lines: list[str]) -> list[str]:
    """*lines* without the blocks of @font-face."""
    kept, inside = [], False
    for line in lines:
        inside = inside or line.strip().startswith("@font-face")
        if not inside:
            kept.append(line.replace("Fira Code", "ui-monospace").rstrip())
        inside = inside and line.strip() != "}"
    return kept


def _type(command: str, folder: Path) -> str:
    """What `keyring-rotate` *command* prints on a terminal."""
    main_end, terminal = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("ENCRYPTION_", "ROTATION_"))}
    environ |= {"TERM": "xterm-256color", "COLUMNS": str(WIDTH)}
    program = [str(Path(sys.executable).with_name("keyring-rotate")), *command.split()]
    process = subprocess.Popen(  # noqa: S603 - this program
        program, cwd=folder, env=environ, stdout=terminal, stderr=subprocess.DEVNULL, stdin=terminal
    )
    os.close(terminal)
    printed = b""
    while True:
        try:
            piece = os.read(main_end, 4096)
        except OSError:  # the program has closed its end
            break
        if not piece:
            break
        printed += piece
    process.wait()
    os.close(main_end)
    return printed.decode().replace("\r\n", "\n")


if __name__ == "__main__":
    main()
