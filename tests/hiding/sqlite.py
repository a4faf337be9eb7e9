"""Hiding places of SQLite."""

from __future__ import annotations

import base64
from collections.abc import Callable

from tests.hiding.place import Place, parts, table

UPDATED = "UPDATE creds SET token = :cell WHERE id = 1"

SPELLED: dict[str, Callable[[str], str]] = {
    "embedded": str,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
}
"""How a target of each other format spells a token."""

PLACES: dict[str, Place] = {
    "target": Place((UPDATED,), ("creds",), covered=True),
    **{
        f"target-{name}": Place((UPDATED,), ("creds",), covered=True, spelled=spelled, entry={"format": name})
        for name, spelled in SPELLED.items()
    },
    "left-out-embedded": Place((UPDATED,), ("creds",), covered=True, entry={"where": "id > 1", "format": "embedded"}),
    "left-out": Place((UPDATED,), ("creds",), covered=True, entry={"where": "id > 1"}),
    "left-out-by-null": Place((UPDATED,), ("creds",), covered=True, entry={"where": "note <> 'note 2'"}),
    "other-column": Place(("ALTER TABLE creds ADD stash TEXT", "UPDATE creds SET stash = :cell WHERE id = 2")),
    "note-column": Place(("UPDATE creds SET note = :cell WHERE id = 2",), ("creds.note",)),
    "table": table("body TEXT"),
    "blob": table("body BLOB", as_bytes=True),
    "row-key": Place(
        ("CREATE TABLE stash (body TEXT PRIMARY KEY, seen INTEGER)", "INSERT INTO stash VALUES (:cell, 1)")
    ),
    "no-key": Place(("CREATE TABLE stash (body TEXT)", "INSERT INTO stash VALUES (:cell)")),
    "target-null-key": Place(
        ("INSERT INTO creds VALUES (NULL, :cell, 'x')",),
        ("creds",),
        covered=True,
        creds="CREATE TABLE creds (id TEXT PRIMARY KEY, token TEXT, note TEXT)",
    ),
    "null-key": Place(
        ("CREATE TABLE stash (id TEXT PRIMARY KEY, body TEXT)", "INSERT INTO stash VALUES (NULL, :cell)")
    ),
    "integer-column": table("body INTEGER"),
    "numeric-column": table("body NUMERIC"),
    "boolean-column": table("body BOOLEAN"),
    "date-column": table("body DATETIME"),
    "json-column": table("body JSON"),
    "untyped-column": table("body"),
    "untyped-blob": table("body", as_bytes=True),
    "real-blob": table("body REAL", as_bytes=True),
    "strict-any": Place(
        ("CREATE TABLE stash (id INTEGER PRIMARY KEY, body ANY) STRICT", "INSERT INTO stash VALUES (1, :cell)")
    ),
    "strict-blob": Place(
        ("CREATE TABLE stash (id INTEGER PRIMARY KEY, body BLOB) STRICT", "INSERT INTO stash VALUES (1, :cell)"),
        as_bytes=True,
    ),
    "without-rowid": Place(
        (
            "CREATE TABLE stash (a TEXT, b TEXT, body TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID",
            "INSERT INTO stash VALUES ('x', 'y', :cell)",
        )
    ),
    "own-rowid": Place(
        (
            "CREATE TABLE stash (rowid TEXT, body TEXT)",
            "INSERT INTO stash VALUES ('same', 'x'), ('same', 'y'), (NULL, 'z'), (NULL, :cell), ('same', 'w')",
        )
    ),
    "own-oid": Place(
        ("CREATE TABLE stash (oid INTEGER, body TEXT)", "INSERT INTO stash VALUES (7, 'x'), (7, :cell), (7, 'y')")
    ),
    "own-three-names": Place(
        (
            "CREATE TABLE stash (rowid TEXT, oid TEXT, _rowid_ TEXT, body TEXT)",
            "INSERT INTO stash VALUES (NULL, NULL, NULL, 'x'), (NULL, NULL, NULL, :cell)",
        )
    ),
    "in-own-rowid": Place(("CREATE TABLE stash (rowid TEXT, body TEXT)", "INSERT INTO stash VALUES (:cell, 'x')")),
    "fts5": Place(("CREATE VIRTUAL TABLE stash USING fts5(title, body)", "INSERT INTO stash VALUES ('a', :cell)")),
    "rtree-auxiliary": Place(
        (
            "CREATE VIRTUAL TABLE stash USING rtree(id, low, high, +body TEXT)",
            "INSERT INTO stash VALUES (1, 0, 1, :cell)",
        )
    ),
    "not-utf-8": table("body TEXT", "CAST(x'fffe20' || CAST(:cell AS BLOB) || x'20ff' AS TEXT)"),
    "after-zero-byte": table("body TEXT", "'note' || char(0) || :cell"),
    "generated-virtual": parts("TEXT GENERATED ALWAYS AS (head || tail) VIRTUAL"),
    "generated-stored": parts("TEXT GENERATED ALWAYS AS (head || tail) STORED"),
    "expression-index": Place(
        (
            "CREATE TABLE stash (id INTEGER PRIMARY KEY, body TEXT)",
            "CREATE INDEX by_body ON stash (lower(body))",
            "INSERT INTO stash VALUES (1, :cell)",
        )
    ),
    "audit-trigger": Place(
        (
            UPDATED,
            "CREATE TABLE stash (at TEXT, old_value TEXT)",
            "CREATE TRIGGER audit BEFORE UPDATE ON creds BEGIN INSERT INTO stash VALUES (1, OLD.token); END",
            "UPDATE creds SET token = (SELECT token FROM creds WHERE id = 2) WHERE id = 1",
        )
    ),
    "wal": Place(
        (
            "PRAGMA journal_mode = WAL",
            "CREATE TABLE stash (id INTEGER PRIMARY KEY, body TEXT)",
            "INSERT INTO stash VALUES (1, :cell)",
        )
    ),
    "named-sqlitefoo": table("body TEXT", name="sqlitefoo", names=("sqlitefoo",)),
    "named-alembic": table("body TEXT", name="alembic_version", names=("alembic_version",)),
    "named-quotes": table("body TEXT", name='"we""ird.st ash\'"', names=("weird.stash",)),
    "named-percent": table('"9%s %(body)s" TEXT', name='"50%(id)s stash"'),
    "named-colon": table('"a\\:body" TEXT', name='"stash\\:id"'),
    "named-newline": table('"two\nlines" TEXT', name='"stash\nof\ttwo"', names=("stashoftwo", r"stash\nof\ttwo")),
    "named-reserved": table('"where" TEXT', name='"order"', names=("order",)),
    "named-non-ascii": table('"Schlüssel🔑" TEXT', name='"Bücher日本"', names=("bücher日本",)),
    "named-long": table("body TEXT", name="s" * 200, names=("s" * 60,)),
    "named-like-target": Place(
        ('CREATE TABLE "creds " (id INTEGER PRIMARY KEY, token TEXT)', 'INSERT INTO "creds " VALUES (1, :cell)'),
        ("creds .token",),
    ),
    "many-columns": Place(
        (
            f"CREATE TABLE stash (id INTEGER PRIMARY KEY, {', '.join(f'c{n} TEXT' for n in range(300))})",
            "INSERT INTO stash (id, c299) VALUES (1, :cell)",
        )
    ),
    "among-many-rows": Place(
        (
            "CREATE TABLE stash (id INTEGER PRIMARY KEY, body TEXT)",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 15000) "
            "INSERT INTO stash SELECT i, 'x' FROM n",
            "UPDATE stash SET body = :cell WHERE id = 7777",
        )
    ),
    "negative-key": Place(
        ("CREATE TABLE stash (id INTEGER PRIMARY KEY, body TEXT)", "INSERT INTO stash VALUES (-7, :cell), (7, 'x')")
    ),
    "mixed-key-types": Place(
        (
            "CREATE TABLE stash (id PRIMARY KEY, body TEXT)",
            "INSERT INTO stash VALUES (1, 'x'), ('1', 'y'), (2.5, 'z'), (x'31', :cell)",
        )
    ),
}
