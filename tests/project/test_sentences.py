"""Procedures are in short sentences: .ci/sentences.py counts their words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.project.documents import ROOT
from tests.warm.client import run

SCRIPT = ROOT / ".ci" / "sentences.py"


def counted(*pages: Path) -> subprocess.CompletedProcess[str]:
    """The script, run on *pages*."""
    return run([sys.executable, SCRIPT, *pages])


def test_no_page_of_procedures_has_long_sentences() -> None:
    """At most 16 words a sentence on average, on each page: the README, the tutorial and every how-to."""
    done = counted()

    assert done.returncode == 0, done.stdout
    assert "how-to/keys/vault.md" in done.stdout


def test_what_is_no_prose_does_not_count(tmp_path: Path) -> None:
    """Blocks, tables, headings and comments are left out, links count as their words, and each list item by itself."""
    path = tmp_path / "page.md"
    long = "word " * 50
    path.write_text(
        f"# {long}\n\n<!-- {long} -->\n```text\n{long}\n```\n| {long} |\n\nOne [two](https://example.org/a/b).\n"
        f"Three, `{long}`: four.\n\n- **Five.** Six seven\n- eight\n"
    )

    done = counted(path)

    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        f"  1.8  {path}",
        "         3  Three, CODE: four.",
        *done.stdout.splitlines()[2:],
    ]


def test_long_sentences_are_found(tmp_path: Path) -> None:
    """A page of 17 words a sentence is one too many, and its longest sentences are printed."""
    path = tmp_path / "page.md"
    path.write_text(f"{'word ' * 16}end.\n")

    done = counted(path)

    assert done.returncode == 1
    assert done.stdout.splitlines() == [f" 17.0  {path}  <- more than 16", f"        17  {'word ' * 16}end."]
