"""The columns that a database makes another column of: a generated column, or one of a materialized view. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

TableKey = tuple[str | None, str]
"""A table by its schema and name, as a TableEntry has them."""

SQL = re.compile(
    r"""--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'"""
    r"""|"(?P<double>(?:[^"]|"")*)"|`(?P<back>(?:[^`]|``)*)`|\[(?P<bracket>[^\]]*)\]|(?P<word>[^\W\d][\w$]*)|(?P<mark>\S)""",
    re.DOTALL,
)
"""The parts of an expression: comments and texts, names in quotes, words, and everything else letter by letter."""
QUOTES = {"double": '"', "back": "`", "bracket": "]"}


class Place(NamedTuple):
    """A column by its names."""

    table: TableKey
    column: str | None
    """None: each column of it."""


class Edge(NamedTuple):
    """A column that the database makes of another one."""

    made: Place
    of: Place
    refresh: str | None = None
    """The words on how it is made again; None: with each write of its row, or read."""


class Origin(NamedTuple):
    """All that a column is made of in the end."""

    of: tuple[Place, ...]
    """Columns that an application writes."""
    refresh: tuple[str, ...]
    """The words on how it is made again, in order; none: with each write of its row."""


def origin_of(edges: Collection[Edge], made: Place) -> Origin | None:
    """The columns that *made* is made of, also by way of others; None if an application writes it itself."""
    of, refresh = dict[Place, None](), dict[str, None]()
    seen = set[Place]()

    def follow(place: Place) -> None:
        if place in seen:
            return
        seen.add(place)
        found = [edge for edge in edges if edge.made in {place, place._replace(column=None)}]
        if not found:
            of[place] = None
        for edge in found:
            follow(edge.of)
        # Behind the ones that it is made of.
        refresh.update(dict.fromkeys(edge.refresh for edge in found if edge.refresh))

    follow(made)
    return None if made in of else Origin(tuple(of), tuple(refresh))


def generated(table: TableKey, expressions: Iterable[tuple[str, str]], columns: Collection[str]) -> Iterator[Edge]:
    """The edges of generated columns: of each its name and its expression. *columns*: of the table."""
    by_name = {name.lower(): name for name in columns}
    for made, expression in expressions:
        for name in dict.fromkeys(filter(None, (by_name.get(each.lower()) for each in names_in(expression)))):
            yield Edge(Place(table, made), Place(table, name))


def names_in(expression: str) -> Iterator[str]:
    """What may be a name of a column in an *expression* of SQL: no text in it, but the names of its functions, too."""
    yield from (name for name, _ in parts_of(expression) if name is not None)


def parts_of(text: str) -> Iterator[tuple[str | None, str]]:
    """The parts of SQL, without comments and texts: of each the name that it may be, and how it is written."""
    for found in SQL.finditer(text):
        kind = found.lastgroup
        if kind in QUOTES:
            quote = QUOTES[kind]
            yield found[kind].replace(quote * 2, quote), found[0]
        elif kind:
            yield (found[0] if kind == "word" else None), found[0]


def generated_in(create: str) -> Iterator[tuple[str, str]]:
    """The generated columns of a CREATE TABLE as SQLite keeps it: of each the name, and what stands behind AS."""
    for (name, _), *rest in _definitions(create):
        words = [written for _, written in rest]
        # In a CAST a type stands behind it.
        ends = (place for place, pair in enumerate(pairwise(words)) if (pair[0].upper(), pair[1]) == ("AS", "("))
        if name is not None and (end := next(ends, None)) is not None:
            yield name, " ".join(words[end + 1 :])


def _definitions(create: str) -> Iterator[list[tuple[str | None, str]]]:
    """What stands between the commas of the outermost brackets."""
    depth, definition = 0, list[tuple[str | None, str]]()
    for name, written in parts_of(create):
        depth += (written == "(") - (written == ")")
        if (depth == 1 and written in {"(", ","}) or depth == 0:
            if definition:
                yield definition
            definition = []
        else:
            definition.append((name, written))
