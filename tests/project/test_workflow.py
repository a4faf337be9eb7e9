"""The workflow of GitHub Actions: valid, on every Python that is promised, and without a right to publish."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

from tests.project.documents import ROOT
from tests.project.programs import run_program

PATH = ROOT / ".github" / "workflows" / "ci.yml"
TEXT = PATH.read_text()
WORKFLOW: dict[str, Any] = yaml.safe_load(TEXT)
JOBS: dict[str, Any] = WORKFLOW["jobs"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def check(path: Path) -> int:
    """The exit code of a check of *path* against GitHub's own schema."""
    return run_program("check-jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)).returncode


def test_github_takes_the_workflow(tmp_path: Path) -> None:
    """GitHub's schema has nothing to say; it would have of a misspelt key."""
    (tmp_path / "wrong.yml").write_text(TEXT.replace("runs-on:", "run-on:"))

    assert (check(PATH), check(tmp_path / "wrong.yml")) == (0, 1)


def test_every_python_of_the_metadata_is_tested() -> None:
    """No Python is promised on which the tests need not pass."""
    promised = set(re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"])))
    tried = set(JOBS["tests"]["strategy"]["matrix"]["python"])
    may_fail = set(re.findall(r"3\.\d+", JOBS["tests"]["continue-on-error"]))

    assert promised == tried - may_fail
    assert PROJECT["requires-python"] == ">=" + min(promised, key=lambda python: int(python.partition(".")[2]))


def test_actions_are_pinned() -> None:
    """Each action stands at a commit, which nobody can move, and its release beside it: one release of each action."""
    used = re.findall(r"uses: (.*)", TEXT)

    assert used
    assert all(re.fullmatch(r"[\w/.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each) for each in used)
    assert len(set(used)) == len({each.partition("@")[0] for each in used})


def test_nothing_can_be_published() -> None:
    """The workflow reads the repository, keeps no login in the checkout, and knows no secret."""
    checkouts = [step for job in JOBS.values() for step in job["steps"] if "checkout" in step.get("uses", "")]

    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in JOBS.values())
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    assert not re.search(r"secrets\.|twine upload|docker push|pull_request_target", TEXT)


def test_the_databases_are_where_the_tests_look() -> None:
    """The tests read each variable, and each names a port that a service opens."""
    job, reads = JOBS["tests"], (ROOT / "tests" / "databases.py").read_text()
    opened = {port.partition(":")[0] for service in job["services"].values() for port in service["ports"]}

    assert {re.findall(r":(\d+)/", url)[0] for url in job["env"].values()} == opened
    assert all(f'"{name}"' in reads for name in job["env"])


def test_every_script_is_there() -> None:
    """What the steps start in .ci exists, and is not written down here a second time."""
    started = set(re.findall(r"\.ci/\w+", TEXT))

    assert started == {".ci/run", ".ci/packages", ".ci/audit"}
    assert all((ROOT / name).exists() or (ROOT / f"{name}.py").exists() for name in started)


def test_the_version_stands_where_the_checklist_looks() -> None:
    """The release's first command changes every place: the version is in no other file that a user types from."""
    listed = re.findall(r"sed -i \S+ (.*)$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)[0].split()
    files = {path.relative_to(ROOT) for name in listed for path in ROOT.glob(name)}
    places = [ROOT / "README.md", ROOT / "mkdocs.yml", PATH, *(ROOT / "deploy").rglob("*"), *ROOT.glob("*ompose.yaml")]
    version = f"keyring-rotate:{PROJECT['version']}"

    found = {path.relative_to(ROOT) for path in places if path.is_file() and version in path.read_text()}

    assert found
    assert found <= files
    assert all(PROJECT["version"] in (ROOT / path).read_text() for path in files)
