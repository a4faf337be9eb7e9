"""One bash that runs commands one after the other, so that variables and folders stay."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

END = "the-command-has-ended"


class Ended(NamedTuple):
    """A command that has run: its exit code, and all that it printed."""

    code: int
    output: str


class Bash:
    """A bash in *folder*; it runs what an admin types, without a terminal."""

    def __init__(self, folder: Path, environ: Mapping[str, str], scratch: Path) -> None:
        self._typed = scratch / "typed"
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-o", "pipefail"],
            cwd=folder,
            env=environ,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, command: str) -> Ended:
        """Runs *command* and waits until it ends; what it leaves in the background goes on."""
        assert self._process.stdin, self._process.stdout
        self._typed.write_text(f"{command}\n")
        self._process.stdin.write(f"source {shlex.quote(str(self._typed))} </dev/null; printf '\\n{END} %s\\n' $?\n")
        self._process.stdin.flush()
        output = ""
        for line in self._process.stdout or ():
            if line.startswith(END):
                # The line end before the mark is the mark's own.
                return Ended(int(line.split()[1]), output.removesuffix("\n"))
            output += line
        return Ended(self._process.wait(), output)

    def close(self) -> None:
        """Ends the bash and everything that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


def fault(script: str) -> str:
    """What `bash -n` says against *script*; empty if nothing."""
    return subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False).stderr


def commands_in(script: str) -> Iterator[str]:
    """Each command of *script*, with all its lines: a loop, a here-document, a line that a backslash continues."""
    command = ""
    for line in script.splitlines():
        command += f"{line}\n"
        if not line.endswith("\\") and not fault(command):
            if any(part.strip() and not part.strip().startswith("#") for part in command.splitlines()):
                yield command
            command = ""
    assert not command, f"the script ends within a command:\n{command}{fault(command)}"
