"""Programs that are installed beside this Python, such as those of the extra `dev`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.databases import IN_CI


def program(name: str) -> str:
    """The path of a program. Skips if it is not installed; fails in CI."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    give_up: Callable[[str], Any] = pytest.fail if IN_CI else pytest.skip
    return found or give_up(f"{name} is not installed; the extra dev has it")


def run_program(name: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a program, and returns what it printed."""
    return subprocess.run([program(name), *arguments], capture_output=True, text=True, check=False, **options)
