"""A hiding place: the statements that put one value there, and the names by which it has to be reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Place:
    """Where one value stands.

    Statements may hold `:cell`, the value, and `{main}`, `{more}`, `{role}`, the random names of the row's databases
    and of its restricted user.
    """

    make: tuple[str, ...]
    """In the targets' database, by its owner."""
    names: tuple[str, ...] = ("stash",)
    """Any of these names the place."""
    as_bytes: bool = False
    """Whether the value is handed over as bytes."""
    covered: bool = False
    """Whether a target names the column, so that `discover` has nothing to add."""
    creds: str | None = None
    """The targets' table, if it is not the usual one."""
    spelled: Callable[[str], str] = str
    """How the target's cells spell a token."""
    entry: Mapping[str, str] = field(default_factory=dict)
    """More settings of the target's entry."""
    more: tuple[str, ...] = ()
    """In the second database of the server, before `make`."""
    role: bool = False
    """Whether the commands connect as the restricted user."""
    lets_in: tuple[str, ...] = ()
    """What this user may do with the targets."""
    undo: tuple[str, ...] = ()
    """What has to be undone before the databases can be dropped."""


def table(definition: str, value: str = ":cell", name: str = "stash", **more: object) -> Place:
    """A table of its own: `id` and *definition*, with one row that holds *value* in its second column."""
    create = f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, {definition})"
    return Place((create, f"INSERT INTO {name} VALUES (1, {value})"), **more)  # type: ignore[arg-type]


def parts(definition: str, **more: object) -> Place:
    """A table in which only a generated column, *definition*, holds the whole value; two others hold a half each."""
    create = f"CREATE TABLE stash (id INTEGER PRIMARY KEY, head VARCHAR(500), tail VARCHAR(500), body {definition})"
    halves = "substr(:cell, 1, 50), substr(:cell, 51)"
    return Place((create, f"INSERT INTO stash (id, head, tail) VALUES (1, {halves})"), **more)  # type: ignore[arg-type]
