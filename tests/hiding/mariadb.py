"""Hiding places of MariaDB."""

from __future__ import annotations

from tests.hiding.place import Place, parts, table

UPDATED = "UPDATE creds SET token = :cell WHERE id = 1"
STASH = "CREATE TABLE stash (id INTEGER PRIMARY KEY, body LONGTEXT)"
INSERTED = "INSERT INTO stash VALUES (1, :cell)"
MAY_CONNECT = ("GRANT SELECT, UPDATE ON {main}.creds TO {role}",)
OLD_ROWS = ("DELETE FROM stash",)
LABELLED = "EXECUTE IMMEDIATE CONCAT('CREATE TABLE stash (id INTEGER PRIMARY KEY, body {0}(''a'', ''', :cell, '''))')"

PLACES: dict[str, Place] = {
    "target": Place((UPDATED,), ("creds",), covered=True),
    "left-out": Place((UPDATED,), ("creds",), covered=True, entry={"where": "id > 1"}),
    "left-out-by-null": Place(
        (UPDATED, "UPDATE creds SET note = NULL WHERE id = 1"), ("creds",), covered=True, entry={"where": "note <> 'x'"}
    ),
    "target-history": Place(
        (
            UPDATED,
            "UPDATE creds SET token = (SELECT token FROM (SELECT token FROM creds WHERE id = 2) AS fresh) WHERE id = 1",
        ),
        ("creds",),
        creds="CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT, note TEXT) WITH SYSTEM VERSIONING",
        covered=True,
    ),
    "other-column": Place(("ALTER TABLE creds ADD stash TEXT", "UPDATE creds SET stash = :cell WHERE id = 2")),
    "table": table("body LONGTEXT"),
    "blob": table("body LONGBLOB", as_bytes=True),
    "row-key": Place(
        ("CREATE TABLE stash (body VARCHAR(500) PRIMARY KEY, seen INT)", "INSERT INTO stash VALUES (:cell, 1)")
    ),
    "no-key": Place(("CREATE TABLE stash (body TEXT)", "INSERT INTO stash VALUES (:cell)")),
    "enum": Place((LABELLED.format("ENUM"), "INSERT INTO stash VALUES (1, 2)")),
    "set": Place((LABELLED.format("SET"), "INSERT INTO stash VALUES (1, 3)")),
    "json": table("body JSON"),
    "tinytext": table("body TINYTEXT"),
    "mediumtext": table("body MEDIUMTEXT"),
    "char": table("body CHAR(255)"),
    "varbinary": table("body VARBINARY(500)", as_bytes=True),
    "binary": table("body BINARY(200)", as_bytes=True),
    "tinyblob": table("body TINYBLOB", as_bytes=True),
    "mediumblob": table("body MEDIUMBLOB", as_bytes=True),
    "invisible": Place(
        (
            "CREATE TABLE stash (id INT PRIMARY KEY, body TEXT INVISIBLE)",
            "INSERT INTO stash (id, body) VALUES (1, :cell)",
        )
    ),
    "generated-virtual": parts("VARCHAR(999) GENERATED ALWAYS AS (CONCAT(head, tail)) VIRTUAL"),
    "generated-stored": parts("VARCHAR(999) GENERATED ALWAYS AS (CONCAT(head, tail)) STORED"),
    "generated-invisible": parts("VARCHAR(999) GENERATED ALWAYS AS (CONCAT(head, tail)) VIRTUAL INVISIBLE"),
    "history": Place(
        ("CREATE TABLE stash (id INT PRIMARY KEY, body TEXT) WITH SYSTEM VERSIONING", INSERTED, "DELETE FROM stash"),
    ),
    "history-updated": Place(
        (
            "CREATE TABLE stash (id INT PRIMARY KEY, body TEXT) WITH SYSTEM VERSIONING",
            INSERTED,
            "UPDATE stash SET body = 'x'",
        ),
    ),
    "partitioned": Place(
        (
            "CREATE TABLE stash (id INT PRIMARY KEY, body TEXT) PARTITION BY RANGE (id) "
            "(PARTITION low VALUES LESS THAN (500), PARTITION high VALUES LESS THAN MAXVALUE)",
            "INSERT INTO stash VALUES (700, :cell)",
        )
    ),
    "compressed-column": table("body LONGTEXT COMPRESSED"),
    "compressed-blob": table("body BLOB COMPRESSED", as_bytes=True),
    "myisam": Place((f"{STASH} ENGINE = MyISAM", INSERTED)),
    "aria": Place((f"{STASH} ENGINE = Aria", INSERTED)),
    "memory": Place(("CREATE TABLE stash (id INT PRIMARY KEY, body VARCHAR(500)) ENGINE = MEMORY", INSERTED)),
    "csv-engine": Place(("CREATE TABLE stash (id INT NOT NULL, body VARCHAR(500) NOT NULL) ENGINE = CSV", INSERTED)),
    "upper-case": table("BODY TEXT", name="STASH_Room", names=("STASH_Room",)),
    "upper-case-twin": Place(
        ("CREATE TABLE CREDS (id INT PRIMARY KEY, token TEXT)", "INSERT INTO CREDS VALUES (1, :cell)"), ("CREDS.token",)
    ),
    "named-odd": table('`we``ird".bo dy%s` TEXT', name="`st``a.sh %(id)s'`", names=("stashids",)),
    "named-colon": table("`a\\:body` TEXT", name="`stash\\:id`"),
    "named-reserved": table("`where` TEXT", name="`order`", names=("order",)),
    "named-non-ascii": table("`Schlüssel` TEXT", name="`Bücher日本`", names=("bücher日本",)),
    "named-64-letters": table("body TEXT", name="s" * 64, names=("s" * 64,)),
    "latin-1": table("body TEXT CHARACTER SET latin1"),
    "utf-16": table("body TEXT CHARACTER SET utf16"),
    "utf-16-le": table("body TEXT CHARACTER SET utf16le"),
    "ucs-2": table("body VARCHAR(500) CHARACTER SET ucs2"),
    "utf-32": table("body TEXT CHARACTER SET utf32"),
    "gbk": table("body TEXT CHARACTER SET gbk"),
    "blob-of-utf-16": table("body BLOB", "CAST(CONVERT(:cell USING utf16) AS BINARY)"),
    "dynamic-columns": table("body BLOB", "COLUMN_CREATE('provider', 'github', 'token', :cell)"),
    "database": Place((), ("stash", "{more}"), more=(STASH, INSERTED)),
    "database-same-table": Place(
        (),
        ("{more}",),
        more=("CREATE TABLE creds (id INT PRIMARY KEY, token TEXT)", "INSERT INTO creds VALUES (1, :cell)"),
    ),
    "database-history": Place((), ("stash", "{more}"), more=(f"{STASH} WITH SYSTEM VERSIONING", INSERTED, *OLD_ROWS)),
    # Whoever has no privilege there cannot learn the name: that something may be hidden has to be said.
    "database-no-grant": Place(
        (), ("{more}", "database", "grant", "privilege"), more=(STASH, INSERTED), role=True, lets_in=MAY_CONNECT
    ),
    "no-grant": Place((STASH, INSERTED), ("stash", "{main}"), role=True, lets_in=MAY_CONNECT),
    "column-grant": Place(
        (STASH, INSERTED, "GRANT SELECT (id) ON {main}.stash TO {role}"),
        ("stash", "{main}"),
        role=True,
        lets_in=MAY_CONNECT,
    ),
    "insert-grant": Place(
        (STASH, INSERTED, "GRANT INSERT ON {main}.stash TO {role}"), ("stash", "{main}"), role=True, lets_in=MAY_CONNECT
    ),
    "among-many-rows": Place(
        (
            STASH,
            "INSERT INTO stash SELECT seq, 'x' FROM seq_1_to_15000",
            "UPDATE stash SET body = :cell WHERE id = 7777",
        )
    ),
}
