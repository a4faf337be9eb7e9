"""tests/budget.py: a run prints what each folder of tests takes, and `.ci/run` fails where that is too much."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from tests import budget
from tests.processes import until
from tests.warm import client

pytest_plugins = ["pytester"]

CONFTEST = """
from pathlib import Path

from tests.budget import Costs
from tests.conftest import pytest_addoption, pytest_collection_modifyitems

def pytest_configure(config):
    config.pluginmanager.register(Costs(config, file=Path(__file__).with_name("budget.toml")), "costs")
"""
MODULE = """
import pytest
from tests.budget import round_of_reference

def test_{name}():
    assert [round_of_reference() for _ in range({rounds})]

@pytest.mark.long
def test_{name}_and_more():
    assert [round_of_reference() for _ in range({rounds})]
"""
LEFT = """
import os
from tests.budget import round_of_reference

def test_that_starts_it():
    pid = os.fork()
    if pid == 0:
        for _ in range(40):
            round_of_reference()
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    left.append(pid)

left = []

def test_slow():
    while left:
        os.waitpid(left.pop(), 0)
"""
FIRST = """
from tests.budget import round_of_reference

made = []

def test_slow():
    while len(made) < 40:
        made.append(round_of_reference())
"""
AGAIN = """
from tests.budget import round_of_reference

made = []

def test_slow():
    assert not made
    made.extend(round_of_reference() for _ in range(40))
"""
ENOUGH = "costly = []\n[plain]\nquick = 500\nslow = 500\n[long]\nquick = 500\nslow = 500\n"


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with a test of 2 rounds and one of 24, each in a folder, and twice the same with `--long`."""
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(budget, "SMALL", 0)
    pytester.makeconftest(CONFTEST)
    marks = ("applications", "costly", "long", "some", "uncounted")
    pytester.makeini("[pytest]\ntestpaths = tests\nmarkers =\n" + "".join(f"  {mark}\n" for mark in marks))
    for name, rounds in (("quick", 2), ("slow", 24)):
        file = pytester.path / "tests" / name / f"test_{name}.py"
        file.parent.mkdir(parents=True)
        file.write_text(MODULE.format(name=name, rounds=rounds))
    (pytester.path / "budget.toml").write_text(ENOUGH)
    return pytester


def run(project: pytest.Pytester, *argv: str) -> tuple[int, str]:
    """The exit code and the output."""
    result = project.runpytest_inprocess("-p", "no:cacheprovider", *argv)
    return int(result.ret), result.stdout.str()


def test_a_run_within_its_budget_passes_and_prints_it(project: pytest.Pytester) -> None:
    """A line for each folder, with the cases of a plain run and with the others, and one for all."""
    code, out = run(project, "--long")

    assert code == 0
    [line] = [line for line in out.splitlines() if line.startswith("slow")]
    name, *numbers = line.split()
    assert [name, numbers[0], numbers[3], numbers[4], numbers[7]] == ["slow", "1", "500", "1", "500"]
    assert float(numbers[2]) > 6
    assert [line.split()[1] for line in out.splitlines() if line.startswith("all ")] == ["2"]


@pytest.mark.parametrize("kind", budget.KINDS)
def test_a_folder_beyond_its_budget_fails(project: pytest.Pytester, kind: str) -> None:
    """By more than half; the folder is named, and no other."""
    (project.path / "budget.toml").write_text(
        ENOUGH.replace(f"[{kind}]\nquick = 500\nslow = 500", f"[{kind}]\nquick = 500\nslow = 5")
    )
    code, out = run(project, "--long")

    assert code == 1
    assert f"tests/slow, {kind} cases: " in out
    assert "rounds, and 8 are allowed" in out
    assert "tests/quick, " not in out


def test_all_together_have_a_limit_of_their_own(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though no folder goes beyond its own."""
    monkeypatch.setattr(budget, "OF_ALL", 0.01)
    code, out = run(project, "--long")

    assert code == 1
    assert [line.partition(":")[0] for line in out.splitlines() if "are allowed" in line] == [
        f"all tests, {kind} cases" for kind in budget.KINDS
    ]


def test_elsewhere_no_budget_is_judged(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of the tests takes less, and another machine may have a folder that is dear only there."""
    (project.path / "budget.toml").write_text("costly = []\n[plain]\n[long]\n")

    assert run(project)[0] == 0
    assert run(project, "--long", "tests/slow")[0] == 0
    monkeypatch.delenv("CI")
    assert run(project, "--long")[0] == 0


@pytest.mark.costly("three runs of pytest")
def test_a_dear_test_says_why(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes long is named, unless it is `long`, has a reason, or was there before the rule."""
    monkeypatch.setattr(budget, "MOST", 4)
    file, name = project.path / "tests" / "slow" / "test_slow.py", "tests/slow/test_slow.py::test_slow"

    code, out = run(project, "--long")
    assert code == 1
    assert [line.partition(": ")[0] for line in out.splitlines() if "costly(reason)" in line] == [name]

    (project.path / "budget.toml").write_text(ENOUGH.replace("[]", f'["{name}"]'))
    assert run(project, "--long")[0] == 0

    (project.path / "budget.toml").write_text(ENOUGH)
    file.write_text(file.read_text().replace("def test_slow()", '@pytest.mark.costly("why")\ndef test_slow()'))
    assert run(project, "--long")[0] == 0


@pytest.mark.parametrize(
    ("module", "is_dear"), [(LEFT, False), (FIRST, False), (AGAIN, True)], ids=["program", "first", "fails again"]
)
def test_what_a_first_run_pays_makes_no_test_dear(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, module: str, *, is_dear: bool
) -> None:
    """As imports, or a program that an earlier test left; a second run that fails is no excuse."""
    # Far from 40 rounds and from what a fork of a large process takes on a busy machine.
    monkeypatch.setattr(budget, "MOST", 8)
    (project.path / "tests" / "slow" / "test_slow.py").write_text(module)

    code, out = run(project, "--long")

    assert [code, "costly(reason)" in out] == [is_dear, is_dear], out
    assert sum(float(line.split()[3]) for line in out.splitlines() if line.startswith("slow")) > 20


def test_budgets_are_written(project: pytest.Pytester) -> None:
    """They are what this run took; the tests that need no reason stay."""
    slow = "tests/slow/test_slow.py::test_slow"
    (project.path / "budget.toml").write_text(ENOUGH.replace("[]", f'["{slow}"]'))
    run(project, "--long", "--write-budget")
    written = tomllib.loads((project.path / "budget.toml").read_text())

    assert written["costly"] == [slow]
    assert 6 < written["plain"]["slow"] < 80
    assert written["plain"].keys() == written["long"].keys() == {"quick", "slow"}


@pytest.mark.parametrize("started", [subprocess.run, client.run], ids=["a start", "a fork"])
def test_what_a_program_takes_is_counted(started: Callable[..., subprocess.CompletedProcess[Any]]) -> None:
    """Whether it starts for real or in a fork of the warm process."""
    client.folder()
    work = [sys.executable, "-c", "from tests.budget import round_of_reference as r\nfor _ in range(12): r()"]
    before = budget.used()
    assert started(work).returncode == 0

    # The warm process lets go of a fork a moment after its end.
    until(lambda: budget.used() - before > 6 * budget.round_of_reference(), "what the program took")
