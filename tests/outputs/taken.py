"""Outputs of a command that knows of no other file: for tests of what is written."""

from __future__ import annotations

from pathlib import Path

from rotation.checks.verdict import Verdict
from rotation.job.problems_file import PROBLEMS, ProblemsFile
from rotation.output.prometheus import METRICS, write
from rotation.world.outputs import Outputs


def problems_file(path: Path) -> ProblemsFile:
    """The file of `--problems`."""
    return ProblemsFile(Outputs().take(path, f"--problems {path}", PROBLEMS))


def write_metrics(path: Path, verdict: Verdict) -> str | None:
    """Writes the file of `--prometheus`, and returns why that failed."""
    return write(Outputs().take(path, f"--prometheus {path}", METRICS), verdict)
