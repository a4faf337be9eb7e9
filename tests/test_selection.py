"""What a plain run leaves to `--long`: further databases of a case, and further cases of the same lines."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.conftest import Named
from tests.selection import DATABASES, SERVERS, in_turn

pytest_plugins = ["pytester"]

CONFTEST = "from tests.conftest import pytest_addoption, pytest_collection_modifyitems, pytest_terminal_summary\n"
MODULE = f"""
import pytest

@pytest.fixture(params={DATABASES})
def whole(request):
    pass

@pytest.mark.parametrize("number", range(20))
def test_of_many_cases(whole, number):
    pass

@pytest.mark.parametrize("name", ["of postgresql", "of mariadb"])
@pytest.mark.parametrize("kind", {DATABASES})
def test_given_the_kind(kind, name):
    pass

@pytest.mark.only_on("postgresql", "mariadb")
def test_of_servers(whole):
    pass

@pytest.mark.some(4)
@pytest.mark.parametrize("number", range(9))
def test_with_other_data(whole, number):
    pass
"""
CASE = re.compile(rf"test_it\.py::(\w+)\[({'|'.join(DATABASES)})(.*)\] PASSED")


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with these tests, and with the hooks of this one."""
    pytester.makeconftest(CONFTEST)
    marks = ("applications", "database", "long", "only_on", "some", "uncounted")
    pytester.makeini("[pytest]\nmarkers =\n" + "".join(f"  {mark}\n" for mark in marks))
    pytester.makepyfile(test_it=MODULE)
    return pytester


def run(project: pytest.Pytester, *argv: str) -> tuple[dict[str, set[str]], list[str]]:
    """The kinds of database that each case ran on, and every line of the output."""
    result = project.runpytest_inprocess("-v", "-p", "no:cacheprovider", *argv)
    ran: dict[str, set[str]] = {}
    for case in filter(None, map(CASE.match, result.outlines)):
        ran.setdefault(case[1] + case[3], set()).add(case[2])
    return ran, result.outlines


def test_a_case_takes_one_database(project: pytest.Pytester) -> None:
    """Whatever gives a test its kind of database; the summary says how many cases were left out."""
    ran, lines = run(project)

    assert next(iter(ran.pop("test_of_servers"))) in SERVERS
    alone = [kinds for test, kinds in ran.items() if not test.startswith("test_with_other_data")]
    assert len(alone) == 22
    assert {frozenset(kinds) for kinds in alone} == {frozenset({kind}) for kind in DATABASES}
    assert "68 tests left out; --long runs them" in lines


def test_some_cases_of_the_same_lines_run(project: pytest.Pytester) -> None:
    """As many as the mark says, the same in each run, and on as many kinds of databases as can be."""
    (first, _), (second, _) = run(project), run(project)
    some = {test: kinds for test, kinds in first.items() if test.startswith("test_with_other_data")}

    assert first == second
    assert len(some) == 4
    assert set().union(*some.values()) == set(DATABASES)


def test_long_takes_all(project: pytest.Pytester) -> None:
    """With `--long`, each case runs on each kind of database that it is about."""
    ran, lines = run(project, "--long")

    assert ran.pop("test_of_servers") == set(SERVERS)
    assert len(ran) == 31
    assert all(kinds == set(DATABASES) for kinds in ran.values())
    assert not any("left out" in line for line in lines)


@pytest.mark.parametrize("argv", [["test_it.py::{}"], ["-k", "{}"]], ids=["named", "by a keyword"])
def test_a_case_that_is_asked_for_runs(project: pytest.Pytester, argv: list[str], named: Named) -> None:
    """Whose turn it may be, and whether it is one of some or not."""
    for test in ("test_of_many_cases", "test_with_other_data"):
        for kind in DATABASES:
            with named(test, kind):
                ran, _ = run(project, *(word.format(f"{test}[{kind}-7]") for word in argv))

                assert ran == {f"{test}-7": {kind}}


def test_each_database_has_its_share() -> None:
    """Of many names, four fifths come to SQLite and a tenth to each server, and each to the same in every run."""
    turns = Counter(in_turn(f"tests/test_it.py::test_it-{number}", DATABASES) for number in range(600))

    assert turns["sqlite"] > 450
    assert all(turns[kind] > 40 for kind in SERVERS)
    assert in_turn("tests/test_it.py::test_it", DATABASES) == "mariadb"
