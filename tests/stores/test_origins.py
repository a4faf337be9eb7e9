"""What a column is made of, by the texts and the dependencies that a catalog has."""

from __future__ import annotations

import pytest

from rotation.stores.mysql.catalog import _without_escapes
from rotation.stores.origins import Edge, Origin, Place, generated, generated_in, names_in, origin_of

TABLE = (None, "t")

CREATES = {
    "virtual": ("CREATE TABLE t (a, b AS (a))", {"b": ["a"]}),
    "always, stored, typed": (
        "CREATE TABLE t (a, b TEXT GENERATED ALWAYS AS (upper(a)) STORED)",
        {"b": ["a"]},
    ),
    "commas and brackets in texts": ("CREATE TABLE t (a, x, b AS (json_extract(a, '$.x,y)')), c)", {"b": ["a"]}),
    "a quote in a text": (
        "CREATE TABLE t (a, x, b AS (min(a, 'it''s x', '\\')), c AS (x))",
        {"b": ["a"], "c": ["x"]},
    ),
    "quoted names": (
        'CREATE TABLE "t(" ("a, b", `c``d`, [e f], "g""h" AS ("a, b" || `c``d` || [e f]))',
        {'g"h': ["a, b", "c`d", "e f"]},
    ),
    "comments": ("CREATE TABLE t (a, -- b AS (\n b /* , x AS ( */ AS (a), x)", {"b": ["a"]}),
    "a cast": (
        "CREATE TABLE t (a DEFAULT (CAST('x' AS TEXT)), text, b AS (a), CHECK (CAST(a AS TEXT) <> ''))",
        {"b": ["a"]},
    ),
    "another letter case": ("CREATE TABLE t (Token, b AS (TOKEN))", {"b": ["Token"]}),
    "two": ("CREATE TABLE t (a, x, b AS (a || x))", {"b": ["a", "x"]}),
    "none": ("CREATE TABLE t (a, b)", {}),
    "of nothing": ("CREATE TABLE t (a, b AS (1))", {}),
    "another kind of table": ("CREATE VIRTUAL TABLE t USING fts5(a, b)", {}),
}


@pytest.mark.parametrize(("create", "expected"), CREATES.values(), ids=CREATES)
def test_the_columns_in_a_create_table(create: str, expected: dict[str, list[str]]) -> None:
    """Names in any quotes are found; texts, comments and types are none."""
    columns = ["a", "b", "c", "x", "text", "Token", "a, b", "c`d", "e f", 'g"h']

    found: dict[str, list[str]] = {}
    for edge in generated(TABLE, generated_in(create), columns):
        found.setdefault(edge.made.column or "", []).append(edge.of.column or "")

    assert found == expected


@pytest.mark.parametrize(
    "expression",
    [
        r"json_unquote(json_extract(`doc`,_utf8mb4\'$.x\'))",
        r"concat(`doc`,_utf8mb4\':it\\\'s `x`\')",
        r"""concat(`doc`,':it\'s "x"')""",
        r"""concat("doc",':it\'s "x"')""",
        "concat(`doc`,'`x`')",
    ],
)
def test_the_columns_in_an_expression_of_mariadb_or_mysql(expression: str) -> None:
    """Both escape quotes in a text, and MySQL's catalog the quotes around it, too."""
    assert {"doc", "x"} & {*names_in(_without_escapes(expression))} == {"doc"}


def test_what_is_made_of_a_copy_is_made_of_its_source() -> None:
    """Views on the way are followed to the columns that an application writes; refreshes come in that order."""
    source, view, first, second = (
        Place(("s", name), column)
        for name, column in zip(("creds", "shown", "first", "second"), ("token", None, None, None), strict=True)
    )
    edges = [
        Edge(second, first._replace(column="t"), "refresh second"),
        Edge(second, Place(("s", "people"), "name"), "refresh second"),
        Edge(first, view._replace(column="t"), "refresh first"),
        Edge(view, source),
    ]

    assert origin_of(edges, second._replace(column="x")) == Origin(
        (source, Place(("s", "people"), "name")), ("refresh first", "refresh second")
    )
    assert origin_of(edges, source) is None


def test_columns_made_of_each_other_end() -> None:
    """No database allows it; a catalog that says so does not hold up a search."""
    edges = [Edge(Place(TABLE, "a"), Place(TABLE, "b")), Edge(Place(TABLE, "b"), Place(TABLE, "a"))]

    assert origin_of(edges, Place(TABLE, "a")) == Origin((), ())
