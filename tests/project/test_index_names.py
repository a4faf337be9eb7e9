"""A name that this project does not own on a package index is in no text that says what to install."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.project.documents import ROOT

# "Do not install" is allowed; an extra of its own in pyproject.toml is no index's package.
NAMED = re.compile(
    r"""\b(pip|pip3|pipx|poetry|conda|uv|uvx|uv\ pip|uv\ tool)\ (install|add|run)\b[^\n`]*?
    (?<![/.\w-])(keyring[-_](core|rotate)\b(?!\.\w)|rotation\b(?!\.toml))""",
    re.VERBOSE,
)
PULLED = re.compile(r"\bdocker (pull|run)\b[^\n]*\b(docker\.io|ghcr\.io|quay\.io)\b")
LEFT_OUT = {"tests/project/test_index_names.py"}
"""This file alone."""


def test_no_text_names_a_package_or_an_image_of_an_index() -> None:
    """What an index has under this name is another project's: documents, messages and files install a checkout."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    found = []
    for name in set(listed.stdout.split("\0")) - LEFT_OUT - {""}:
        if (ROOT / name).is_file():
            text = (ROOT / name).read_text(errors="replace")
            found += [f"{name}: {match[0]}" for match in [*NAMED.finditer(text), *PULLED.finditer(text)]]

    assert not found, "\n".join(["", *found])


@pytest.mark.parametrize(
    "text",
    [
        "pip install keyring-core",
        "pip install -U 'keyring-core[rotate]'",
        "pipx install keyring_core",
        "uv add keyring-core",
        "uv tool install keyring-rotate",
    ],
)
def test_such_a_command_would_be_found(text: str) -> None:
    """Each of these installs what somebody else has put there."""
    assert NAMED.search(text)


@pytest.mark.parametrize(
    "text",
    [
        "pip install '.[rotate]'",
        "pip install '/path/to/keyring-core[rotate]'",
        "pip install dist/keyring_core-0.1.0-py3-none-any.whl",
        "pip install -e . && keyring-core",
    ],
)
def test_a_checkout_or_a_file_is_fine(text: str) -> None:
    """Each of these installs what is on this machine."""
    assert not NAMED.search(text.partition("&&")[0])
