"""Which tests a plain run leaves to `--long`, and which any run leaves out that has not the option or server for them.

A case that was asked for by its name runs: with no other beside it, each case has its turn and is one of some.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from zlib import crc32

import pytest

SERVERS = ("postgresql", "mariadb")
DATABASES = ("sqlite", *SERVERS)
TURNS = {"sqlite": 8}
"""Turns of a kind that has more than one: a case on a server takes the machine two to three times as long."""


def left_out(items: list[pytest.Item], config: pytest.Config, *, long: bool) -> dict[pytest.Item, str]:
    """The tests that a run with or without `--long` leaves out, each with the option or variable that it takes."""
    needed = {item: option for item in items if (option := _missing_option(item, config, long=long))}
    if not long and not config.getoption("keyword"):
        for beyond in (_out_of_turn, _beyond_some):
            needed |= dict.fromkeys(beyond([item for item in items if item not in needed]), "long")
    return needed


def is_elsewhere(item: pytest.Item) -> bool:
    """Whether *item* has a kind of database that its test is not about."""
    only_on, kind = item.get_closest_marker("only_on"), database_of(item)
    return only_on is not None and kind is not None and kind not in only_on.args


def _missing_option(item: pytest.Item, config: pytest.Config, *, long: bool) -> str | None:
    """The option or variable without which *item* is left out. A light application runs with the long tests, too."""
    if (world := item.get_closest_marker("world")) and not os.environ.get(world.args[0]):
        return str(world.args[0])
    if application := item.get_closest_marker("applications"):
        given = config.getoption("applications") or (application.kwargs["ci"] and long)
        return None if given else "long" if application.kwargs["ci"] else "applications"
    return "long" if item.get_closest_marker("long") and not long else None


def _out_of_turn(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    """Of each case that is there for several kinds of databases, all but one."""
    kinds: dict[str, dict[str, pytest.Item]] = {}
    for item in items:
        if kind := database_of(item):
            kinds.setdefault(_name_on_any_database(item), {})[kind] = item
    for name, cases in kinds.items():
        if len(cases) > 1:
            turn = in_turn(name, sorted(_that_are_there(cases)))
            yield from (item for kind, item in cases.items() if kind != turn)


def _that_are_there(kinds: Iterable[str]) -> set[str]:
    """PostgreSQL can be had from pip, and SQLite comes with Python."""
    from tests.databases import mariadb_refusal

    return {kind for kind in kinds if kind != "mariadb" or mariadb_refusal() is None}


def in_turn(name: str, kinds: Sequence[str]) -> str:
    """The one of *kinds* that the case *name* takes: the same in each run, as a failure must come again."""
    turns = [kind for kind in kinds for _ in range(TURNS.get(kind, 1))]
    return turns[crc32(name.encode()) % len(turns)]


def _name_on_any_database(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    # Not from the rest of the item's name: with pytest-xdist its group stands there, too.
    case = callspec.id.split("-") if callspec else ()
    return "-".join([item.nodeid.partition("[")[0], *(part for part in case if part not in DATABASES)])


def database_of(item: pytest.Item) -> str | None:
    """The kind of database that is a parameter of *item*, by whatever name."""
    callspec = getattr(item, "callspec", None)
    given = callspec.params.values() if callspec else ()
    return next((kind for kind in DATABASES if any(isinstance(each, str) and each == kind for each in given)), None)


def _beyond_some(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    """Of each test marked `some`, the cases beyond that number. Those that run have as many databases as can be."""
    tests: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("some"):
            tests.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for cases in tests.values():
        of_kind: Counter[str | None] = Counter()
        ranked = []
        for item in sorted(cases, key=lambda item: crc32(item.nodeid.encode())):
            ranked.append((of_kind[database_of(item)], item))
            of_kind[database_of(item)] += 1
        ranked.sort(key=lambda each: each[0])
        some = cases[0].get_closest_marker("some")
        assert some
        yield from (item for _, item in ranked[some.args[0] :])
