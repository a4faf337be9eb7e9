"""Tests that need no more than one server: on SQLite always, on PostgreSQL and MariaDB by turns."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.conftest import DATABASES, SERVERS, server_in_turn

pytest_plugins = ["pytester"]

CONFTEST = "from tests.conftest import pytest_addoption, pytest_collection_modifyitems, pytest_terminal_summary\n"
MODULE = f"""
import pytest

@pytest.fixture(params={DATABASES})
def whole(request):
    pass

@pytest.mark.by_turns
@pytest.mark.parametrize("number", range(20))
def test_without_a_branch(whole, number):
    pass

@pytest.mark.by_turns
@pytest.mark.parametrize("name", ["of postgresql", "of mariadb"])
@pytest.mark.parametrize("kind", {DATABASES})
def test_given_the_kind(kind, name):
    pass

def test_with_a_branch(whole):
    pass
"""
CASE = re.compile(rf"test_it\.py::(\w+)\[({'|'.join(DATABASES)})(.*)\] PASSED")


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with these tests, and with the hooks of this one."""
    pytester.makeconftest(CONFTEST)
    pytester.makeini("[pytest]\nmarkers =\n  applications\n  by_turns\n  database\n  long\n  uncounted\n")
    pytester.makepyfile(test_it=MODULE)
    return pytester


def run(project: pytest.Pytester, *argv: str) -> tuple[dict[str, set[str]], list[str]]:
    """The kinds of database that each case ran on, and every line of the output."""
    result = project.runpytest_inprocess("-v", "-p", "no:cacheprovider", *argv)
    ran: dict[str, set[str]] = {}
    for case in filter(None, map(CASE.match, result.outlines)):
        ran.setdefault(case[1] + case[3], set()).add(case[2])
    return ran, result.outlines


def test_a_case_takes_sqlite_and_one_server(project: pytest.Pytester) -> None:
    """Whatever gives a test its kind of database; the summary says how many cases were left out."""
    ran, lines = run(project)

    assert ran.pop("test_with_a_branch") == set(DATABASES)
    assert {test.partition("-")[0] for test in ran} == {"test_without_a_branch", "test_given_the_kind"}
    assert {frozenset(kinds) for kinds in ran.values()} == {frozenset({"sqlite", server}) for server in SERVERS}
    assert "22 tests left out; --long runs them" in lines


def test_long_takes_all(project: pytest.Pytester) -> None:
    """With `--long`, each case runs on each kind of database."""
    ran, lines = run(project, "--long")

    assert len(ran) == 23
    assert all(kinds == set(DATABASES) for kinds in ran.values())
    assert not any("left out" in line for line in lines)


@pytest.mark.parametrize("server", SERVERS)
def test_a_case_by_its_name_runs(project: pytest.Pytester, server: str) -> None:
    """A case that is named with its server runs, whose turn it may be."""
    ran, _ = run(project, f"test_it.py::test_without_a_branch[{server}-7]")

    assert ran == {"test_without_a_branch-7": {server}}


def test_each_server_has_its_share() -> None:
    """Many names come to half of them on each server, and the same name to the same server in each run."""
    turns = Counter(server_in_turn(f"tests/test_it.py::test_it-{number}", SERVERS) for number in range(400))

    assert all(turns[server] > 150 for server in SERVERS)
    assert server_in_turn("tests/test_it.py::test_it", SERVERS) == "mariadb"
