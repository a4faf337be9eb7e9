"""Hiding places of PostgreSQL."""

from __future__ import annotations

from tests.hiding.place import Place, parts, table

TEXT = "CAST(:cell AS text)"
UPDATED = "UPDATE creds SET token = :cell WHERE id = 1"
STASH = "CREATE TABLE stash (id integer PRIMARY KEY, body text)"
INSERTED = "INSERT INTO stash VALUES (1, :cell)"
FAR = "CREATE SCHEMA far"
MAY_CONNECT = ("GRANT USAGE ON SCHEMA public TO {role}", "GRANT SELECT, UPDATE ON creds TO {role}")

PLACES: dict[str, Place] = {
    "target": Place((UPDATED,), ("creds",), covered=True),
    "left-out": Place((UPDATED,), ("creds",), covered=True, entry={"where": "id > 1"}),
    "left-out-by-null": Place(
        (UPDATED, "UPDATE creds SET note = NULL WHERE id = 1"), ("creds",), covered=True, entry={"where": "note <> 'x'"}
    ),
    "target-bytea": Place(
        (UPDATED,),
        ("creds",),
        covered=True,
        as_bytes=True,
        creds="CREATE TABLE creds (id integer PRIMARY KEY, token bytea, note text)",
    ),
    "target-partition": Place(
        ("INSERT INTO creds VALUES (700, :cell, 'x')",),
        ("creds", "stash"),
        covered=True,
        creds="CREATE TABLE creds (id integer PRIMARY KEY, token text, note text) PARTITION BY RANGE (id); "
        "CREATE TABLE near PARTITION OF creds FOR VALUES FROM (0) TO (500); CREATE SCHEMA far; "
        "CREATE TABLE far.stash PARTITION OF creds FOR VALUES FROM (500) TO (900)",
    ),
    "target-child": Place(
        (
            FAR,
            "CREATE TABLE far.stash (extra text) INHERITS (creds)",
            "INSERT INTO far.stash (id, token) VALUES (77, :cell)",
        ),
        ("creds", "stash"),
        covered=True,
    ),
    "other-column": Place(("ALTER TABLE creds ADD stash text", "UPDATE creds SET stash = :cell WHERE id = 2")),
    "table": table("body text"),
    "blob": table("body bytea", as_bytes=True),
    "row-key": Place(("CREATE TABLE stash (body text PRIMARY KEY, seen int)", "INSERT INTO stash VALUES (:cell, 1)")),
    "no-key": Place(("CREATE TABLE stash (body text)", "INSERT INTO stash VALUES (:cell)")),
    "varchar": table("body varchar(400)"),
    "char": table("body char(400)", TEXT),
    "citext": Place(
        (
            "CREATE EXTENSION citext",
            "CREATE TABLE stash (id int PRIMARY KEY, body citext)",
            "INSERT INTO stash VALUES (1, CAST(:cell AS citext))",
        )
    ),
    "json": table("body json", "CAST(:cell AS json)"),
    "jsonb": table("body jsonb", "CAST(:cell AS jsonb)"),
    "jsonb-nested": table(
        "body jsonb", f"jsonb_build_object('a', jsonb_build_array(1, jsonb_build_object('token', {TEXT})))"
    ),
    "jsonb-key": table("body jsonb", f"jsonb_build_object({TEXT}, true)"),
    "jsonb-bare": table("body jsonb", f"to_jsonb({TEXT})"),
    "xml": table("body xml", "CAST(:cell AS xml)"),
    "hstore": Place(
        (
            "CREATE EXTENSION hstore",
            "CREATE TABLE stash (id int PRIMARY KEY, body hstore)",
            f"INSERT INTO stash VALUES (1, hstore('token', {TEXT}))",
        )
    ),
    "text-array": table("body text[]", f"ARRAY['a', NULL, {TEXT}]"),
    "varchar-2d": table("body varchar(400)[][]", f"ARRAY[ARRAY['a', 'b'], ARRAY['c', {TEXT}]]"),
    "array-from-zero": table("body text[]", f"CAST('[-3:-2]={{x,y}}' AS text[]) || {TEXT}"),
    "bytea-array": table("body bytea[]", "ARRAY[CAST('x' AS bytea), :cell]", as_bytes=True),
    "jsonb-array": table("body jsonb[]", f"ARRAY[jsonb_build_object('token', {TEXT})]"),
    "json-array": table("body json[]", "ARRAY[CAST(:cell AS json)]"),
    "composite": Place(
        (
            "CREATE TYPE login AS (name text, secret text)",
            "CREATE TABLE stash (id int, body login)",
            f"INSERT INTO stash VALUES (1, ROW('a', {TEXT})::login)",
        )
    ),
    "composite-bytea": Place(
        (
            "CREATE TYPE login AS (name text, secret bytea)",
            "CREATE TABLE stash (id int, body login)",
            "INSERT INTO stash VALUES (1, ROW('a', :cell)::login)",
        ),
        as_bytes=True,
    ),
    "composite-array": Place(
        (
            "CREATE TYPE login AS (name text, secret text)",
            "CREATE TABLE stash (id int, body login[])",
            f"INSERT INTO stash VALUES (1, ARRAY[ROW('a', {TEXT})::login])",
        )
    ),
    "composite-nested": Place(
        (
            "CREATE TYPE login AS (name text, secrets text[])",
            "CREATE TYPE account AS (id int, login login)",
            "CREATE TABLE stash (id int, body account)",
            f"INSERT INTO stash VALUES (1, ROW(7, ROW('a', ARRAY[{TEXT}])::login)::account)",
        )
    ),
    "row-type-of-table": Place(
        ("CREATE TABLE stash (id int, body creds)", f"INSERT INTO stash VALUES (1, ROW(1, {TEXT}, 'x')::creds)")
    ),
    "domain": Place(
        (
            "CREATE DOMAIN secret AS text CHECK (length(VALUE) > 3)",
            "CREATE TABLE stash (id int PRIMARY KEY, body secret)",
            INSERTED,
        )
    ),
    "domain-bytea": Place(
        ("CREATE DOMAIN secret AS bytea", "CREATE TABLE stash (id int PRIMARY KEY, body secret)", INSERTED),
        as_bytes=True,
    ),
    "domain-of-domain": Place(
        (
            "CREATE DOMAIN one AS varchar(900)",
            "CREATE DOMAIN two AS one",
            "CREATE TABLE stash (id int PRIMARY KEY, body two)",
            INSERTED,
        )
    ),
    "domain-array": Place(
        (
            "CREATE DOMAIN secrets AS text[]",
            "CREATE TABLE stash (id int PRIMARY KEY, body secrets)",
            f"INSERT INTO stash VALUES (1, ARRAY[{TEXT}])",
        )
    ),
    "array-of-domain": Place(
        (
            "CREATE DOMAIN secret AS text",
            "CREATE TABLE stash (id int PRIMARY KEY, body secret[])",
            f"INSERT INTO stash VALUES (1, ARRAY[{TEXT}]::secret[])",
        )
    ),
    "text-range": Place(
        (
            "CREATE TYPE textrange AS RANGE (subtype = text)",
            "CREATE TABLE stash (id int PRIMARY KEY, body textrange)",
            f"INSERT INTO stash VALUES (1, textrange({TEXT}, NULL))",
        )
    ),
    "number-array": Place(
        (
            "CREATE TABLE stash (id int PRIMARY KEY, body smallint[])",
            "INSERT INTO stash SELECT 1, array_agg(get_byte(cell, place)) "
            "FROM (SELECT CAST(:cell AS bytea) AS cell) c, generate_series(0, octet_length(cell) - 1) place",
        ),
        as_bytes=True,
    ),
    "tsvector": table("body tsvector", f"array_to_tsvector(ARRAY[{TEXT}])"),
    "generated": parts("text GENERATED ALWAYS AS (head || tail) STORED"),
    "unlogged": Place(("CREATE UNLOGGED TABLE stash (id int PRIMARY KEY, body text)", INSERTED)),
    "materialized-view": Place(
        (
            "CREATE TABLE base (id int, body text)",
            "INSERT INTO base VALUES (1, :cell)",
            "CREATE MATERIALIZED VIEW stash AS SELECT * FROM base",
            "TRUNCATE base",
        )
    ),
    "large-object": Place(("SELECT lo_from_bytea(0, :cell)",), ("large object", "pg_largeobject"), as_bytes=True),
    "foreign-file": Place(
        (
            "CREATE TABLE base AS SELECT CAST(:cell AS text) AS body",
            "DO $$ BEGIN EXECUTE format('COPY base TO %L', current_setting('data_directory') || '/{main}.csv'); END $$",
            "DROP TABLE base",
            "CREATE EXTENSION file_fdw",
            "CREATE SERVER files FOREIGN DATA WRAPPER file_fdw",
            "DO $$ BEGIN EXECUTE format('CREATE FOREIGN TABLE stash (body text) SERVER files OPTIONS (filename %L)', "
            "current_setting('data_directory') || '/{main}.csv'); END $$",
        )
    ),
    "foreign-server": Place(
        (
            "CREATE EXTENSION postgres_fdw",
            "DO $$ BEGIN EXECUTE format('CREATE SERVER remote FOREIGN DATA WRAPPER postgres_fdw "
            "OPTIONS (host %L, port %L, dbname %L)', "
            "'127.0.0.1', current_setting('port'), '{more}'); END $$",
            "CREATE USER MAPPING FOR PUBLIC SERVER remote OPTIONS (user 'postgres')",
            "CREATE FOREIGN TABLE stash (id int, body text) SERVER remote OPTIONS (table_name 'base')",
            "INSERT INTO stash VALUES (1, :cell)",
        ),
        ("stash", "base"),
        more=("CREATE TABLE base (id int, body text)",),
    ),
    "schema": Place(
        (FAR, "CREATE TABLE far.stash (id int PRIMARY KEY, body text)", "INSERT INTO far.stash VALUES (1, :cell)")
    ),
    "schema-same-name": Place(
        (FAR, "CREATE TABLE far.creds (id int PRIMARY KEY, token text)", "INSERT INTO far.creds VALUES (1, :cell)"),
        ("far.creds",),
    ),
    "schema-odd-name": Place(
        (
            'CREATE SCHEMA "Far.""a%way"',
            'CREATE TABLE "Far.""a%way".stash (id int, body text)',
            'INSERT INTO "Far.""a%way".stash VALUES (1, :cell)',
        )
    ),
    "schema-pg-like": Place(
        (
            "CREATE SCHEMA pgfoo",
            "CREATE TABLE pgfoo.stash (id int, body text)",
            "INSERT INTO pgfoo.stash VALUES (1, :cell)",
        )
    ),
    "upper-case-twin": Place(
        ('CREATE TABLE "Creds" (id int PRIMARY KEY, "Token" text)', 'INSERT INTO "Creds" VALUES (1, :cell)'),
        ("Creds.Token",),
    ),
    "named-odd": table('"we""ird.bo dy%s" text', name='"st""a.sh %(id)s\'"', names=("stashids",)),
    "named-colon": table('"a\\:body" text', name='"stash\\:id"'),
    "named-reserved": table('"where" text', name='"order"', names=("order",)),
    "named-non-ascii": table('"Schlüssel🔑" text', name='"Bücher日本"', names=("bücher日本",)),
    "named-63-letters": table("body text", name="s" * 63, names=("s" * 63,)),
    "named-like-ctid": Place(
        ('CREATE TABLE stash (ident text, "Ctid" text, body text)', "INSERT INTO stash VALUES ('x', 'y', :cell)")
    ),
    "partition-elsewhere": Place(
        (
            FAR,
            "CREATE TABLE parted (id int, body text) PARTITION BY LIST (id)",
            "CREATE TABLE far.stash PARTITION OF parted FOR VALUES IN (1)",
            "INSERT INTO parted VALUES (1, :cell)",
        ),
        ("stash", "parted"),
    ),
    "partition-default": Place(
        (
            "CREATE TABLE parted (id int, body text) PARTITION BY LIST (id)",
            "CREATE TABLE stash PARTITION OF parted DEFAULT",
            "INSERT INTO parted VALUES (NULL, :cell)",
        ),
        ("stash", "parted"),
    ),
    "partition-levels": Place(
        (
            FAR,
            "CREATE TABLE parted (id int, at date, body text) PARTITION BY LIST (id)",
            "CREATE TABLE far.middle PARTITION OF parted FOR VALUES IN (1) PARTITION BY RANGE (at)",
            "CREATE TABLE stash PARTITION OF far.middle FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
            "INSERT INTO parted VALUES (1, '2020-05-05', :cell)",
        ),
        ("stash", "parted", "middle"),
    ),
    "partition-detached": Place(
        (
            "CREATE TABLE parted (id int, body text) PARTITION BY LIST (id)",
            "CREATE TABLE stash PARTITION OF parted FOR VALUES IN (1)",
            "INSERT INTO parted VALUES (1, :cell)",
            "ALTER TABLE parted DETACH PARTITION stash",
        )
    ),
    "child-own-column": Place(
        (
            FAR,
            "CREATE TABLE far.stash (extra text) INHERITS (creds)",
            "INSERT INTO far.stash (id, extra) VALUES (77, :cell)",
        )
    ),
    "child-of-keyless": Place(
        (
            "CREATE TABLE base (id int)",
            "CREATE TABLE stash (body text) INHERITS (base)",
            "INSERT INTO stash VALUES (1, :cell)",
        )
    ),
    "database": Place((), ("stash", "{more}"), more=(STASH, INSERTED)),
    "database-schema": Place(
        (),
        ("stash", "{more}"),
        more=(FAR, "CREATE TABLE far.stash (body text)", "INSERT INTO far.stash VALUES (:cell)"),
    ),
    "database-same-table": Place(
        (),
        ("{more}",),
        more=("CREATE TABLE creds (id int PRIMARY KEY, token text)", "INSERT INTO creds VALUES (1, :cell)"),
    ),
    "database-template": Place(
        ("ALTER DATABASE {more} IS_TEMPLATE true",),
        ("stash", "{more}"),
        more=(STASH, INSERTED),
        undo=("ALTER DATABASE {more} IS_TEMPLATE false",),
    ),
    "database-closed": Place(("ALTER DATABASE {more} ALLOW_CONNECTIONS false",), ("{more}",), more=(STASH, INSERTED)),
    "database-no-connect": Place(
        ("REVOKE CONNECT ON DATABASE {more} FROM PUBLIC",),
        ("{more}",),
        more=(STASH, INSERTED),
        role=True,
        lets_in=MAY_CONNECT,
    ),
    "no-select": Place((STASH, INSERTED), role=True, lets_in=MAY_CONNECT),
    "no-select-on-column": Place(
        (STASH, INSERTED, *MAY_CONNECT, "GRANT SELECT (id) ON stash TO {role}"), role=True, lets_in=MAY_CONNECT
    ),
    "no-select-on-target-column": Place(
        ("ALTER TABLE creds ADD stash text", "UPDATE creds SET stash = :cell"),
        ("stash", "creds"),
        role=True,
        lets_in=(
            "GRANT USAGE ON SCHEMA public TO {role}",
            "GRANT SELECT (id, token, note), UPDATE (token) ON creds TO {role}",
        ),
    ),
    "no-usage": Place(
        (
            FAR,
            "CREATE TABLE far.stash (body text)",
            "INSERT INTO far.stash VALUES (:cell)",
            "GRANT SELECT ON far.stash TO {role}",
        ),
        ("stash", "far"),
        role=True,
        lets_in=MAY_CONNECT,
    ),
    "row-security": Place(
        (
            STASH,
            INSERTED,
            "ALTER TABLE stash ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY none_of_it ON stash USING (false)",
            "GRANT SELECT ON stash TO {role}",
        ),
        role=True,
        lets_in=MAY_CONNECT,
    ),
    "target-row-security": Place(
        (UPDATED, "ALTER TABLE creds ENABLE ROW LEVEL SECURITY", "CREATE POLICY some_of_it ON creds USING (id > 1)"),
        ("creds",),
        covered=True,
        role=True,
        lets_in=MAY_CONNECT,
    ),
    "no-select-on-materialized-view": Place(
        (
            "CREATE TABLE base (body text)",
            "INSERT INTO base VALUES (:cell)",
            "CREATE MATERIALIZED VIEW stash AS SELECT * FROM base",
            "TRUNCATE base",
            "GRANT SELECT ON base TO {role}",
        ),
        role=True,
        lets_in=MAY_CONNECT,
    ),
    "large-object-of-others": Place(
        ("SELECT lo_from_bytea(0, :cell)",),
        ("large object", "pg_largeobject"),
        as_bytes=True,
        role=True,
        lets_in=MAY_CONNECT,
    ),
    "among-many-rows": Place(
        (
            STASH,
            "INSERT INTO stash SELECT n, 'x' FROM generate_series(1, 15000) n",
            "UPDATE stash SET body = :cell WHERE id = 7777",
        )
    ),
}
