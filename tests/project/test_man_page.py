"""The manual page, which is made from the commands."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from keyring_core import environment

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.database


@pytest.fixture(scope="module")
def script() -> Mapping[str, Any]:
    """What .ci/man_page.py defines."""
    return runpy.run_path(str(ROOT / ".ci" / "man_page.py"))


@pytest.mark.parametrize("columns", ["40", "200"])
def test_the_page_is_the_one_that_the_commands_make(
    script: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    """`python .ci/man_page.py` changes nothing, on a terminal of any width."""
    monkeypatch.setenv("COLUMNS", columns)

    assert script["PAGE"].read_text() == script["page"]()


def test_mandoc_finds_no_fault(script: Mapping[str, Any]) -> None:
    """Not even one of style."""
    mandoc = shutil.which("mandoc")
    if not mandoc and not os.environ.get("CI"):
        pytest.skip("mandoc is not installed")
    assert mandoc, "mandoc is not installed"

    ran = subprocess.run([mandoc, "-T", "lint", script["PAGE"]], capture_output=True, text=True, check=False)

    assert (ran.returncode, ran.stdout) == (0, "")


def test_every_variable_is_in_the_page(script: Mapping[str, Any]) -> None:
    """Those of the reload belong to services, and _FILE and _COMMAND are explained once."""
    explained = {name for names in script["ENVIRONMENT"] for name in names.split(", ")}
    names = {name for name in environment.VARIABLES if not name.endswith(("_FILE", "_COMMAND"))}

    assert names - explained == {environment.RELOAD_SECONDS}


def test_the_wheel_installs_the_page_and_the_completions() -> None:
    """Each file that it shares is there, under the name that man or the shell looks for."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    shared = settings["shared-data"]

    assert all((ROOT / path).is_file() for path in shared)
    assert {*shared} == {
        str(path.relative_to(ROOT)) for name in ("man", "completions") for path in (ROOT / "deploy" / name).iterdir()
    }
    assert {*shared.values()} == {
        "share/man/man1/keyring-rotate.1",
        "share/bash-completion/completions/keyring-rotate",
        "share/zsh/site-functions/_keyring-rotate",
        "share/fish/vendor_completions.d/keyring-rotate.fish",
    }
