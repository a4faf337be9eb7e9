"""Builds a release into dist/, or says why not: `python .ci/release.py`. Publishes nothing."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
URLS = ("Repository", "Changelog", "Documentation")


def reasons(pyproject: str, changelog: str, readme: str, uncommitted: str) -> list[str]:
    """What has to be done first, given the texts of three files and what `git status --porcelain` prints."""
    project = tomllib.loads(pyproject)["project"]
    version, urls = project["version"], project.get("urls", {})
    found = [f"pyproject.toml: [project.urls] lacks {name}." for name in URLS if name not in urls]
    if not re.search(rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        found.append(f'CHANGELOG.md: write "## {version} - YYYY-MM-DD" in place of "## Unreleased".')
    links = relative_links(readme)
    if links and "readme" not in project.get("dynamic", ()):
        found.append(
            f"README.md: a package index breaks its {len(links)} relative links. Let hatch-fancy-pypi-readme put the "
            "repository's address before them."
        )
    if uncommitted:
        found.append("git: commit or stash your changes.")
    return found


def relative_links(text: str) -> list[str]:
    """Links and pictures of a Markdown text that lead to files beside it."""
    return re.findall(r"\]\((?![a-z]+:|#)([^)\s]+)", text)


def main() -> None:
    """Prints every reason, exit code 1, or builds."""
    texts = [(ROOT / name).read_text() for name in ("pyproject.toml", "CHANGELOG.md", "README.md")]
    status = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607
    if found := reasons(texts[0], texts[1], texts[2], status.stdout):
        sys.exit("\n".join(["Not ready for a release:", *(f"- {reason}" for reason in found)]))
    sys.exit(subprocess.run([ROOT / ".ci" / "packages"], check=False).returncode)  # noqa: S603


if __name__ == "__main__":
    main()
