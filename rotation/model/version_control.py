"""Which files git ignores."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path


def not_ignored(folder: Path, patterns: Mapping[str, str]) -> list[str]:
    """Those *patterns* for a .gitignore that git does not follow in *folder* yet: all of them outside of a work tree.

    Each is given with the name of a file that it is for.
    """
    git = shutil.which("git")
    return [
        pattern for pattern, name in patterns.items() if git is None or not _is_ignored(git, folder.resolve(), name)
    ]


def _is_ignored(git: str, folder: Path, name: str) -> bool:
    # Exit code 0: it is ignored; 1: it is not; 128: this is no work tree.
    command = [git, "-C", str(folder), "check-ignore", "--quiet", "--", name]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603 - no shell
