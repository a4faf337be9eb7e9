"""`discover` on real databases, through the command line."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from keyring_core import Key, Keyring
from keyring_core.blind_index import BlindIndex
from rotation.discovery import table_readers
from rotation.discovery.survey import Survey
from rotation.model.next_steps import shell_word
from tests.conftest import Cli
from tests.databases import Database, open_database
from tests.discovery.conftest import Discover, columns
from tests.keys import make_key
from tests.stores.tokens import make_token, make_tokens

pytestmark = pytest.mark.database


def entries(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The proposed targets, parsed."""
    return list(msgspec.toml.decode(document["targets"]).get("target", []))


def test_a_column_of_tokens_is_found_and_proposed(
    whole: Database, discover: Discover, cli: Cli, old: Key, new: Key
) -> None:
    """Its tokens count by key, and `status` accepts the printed entry; then no column is uncovered any more."""
    whole.make_creds([*make_tokens(3), make_token("x", "new"), make_token("y", "nobody"), None, "sk-live-4242", ""])

    ran = discover(whole)

    assert ran.code == 1, ran.err
    assert list(columns(ran.document)) == ["creds.token"]
    found = columns(ran.document)["creds.token"]
    assert (found["tokens"], found["embedded"], found["rows"], found["sampled"]) == (5, 0, 8, False)
    assert (found["under"], found["unknown"]) == ({old.id: 3, new.id: 1}, 1)
    (entry,) = entries(ran.document)
    assert (entry["table"], entry["columns"]) == ("creds", ["token"])
    Path("rotation.toml").write_text(ran.document["targets"])
    assert cli("status", "--json").document["targets"][0]["unreadable"] == 1
    again = discover(whole)
    assert (again.code, again.document["complete"], again.document["targets"]) == (0, True, "")
    assert columns(again.document)["creds.token"]["covered"] is True


LARGE = 10_000
"""So many rows are sampled with `small_windows`, also where PostgreSQL counts blocks."""
ODD = ['we"ird;--', "a%s", "100%", "select", "a:b", "MixedCase", "été 日本", "with blank", "back\\slash"]


def test_a_name_may_be_odd(whole: Database, discover: Discover, cli: Cli) -> None:
    """D19, D20: quotes, percent signs and colons in names are quoted for the database, and escaped in the entry."""
    for name in ODD:
        table = whole.quote(name).replace("%%", "%").replace(":", "\\:")
        whole.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, {table} TEXT, other TEXT)")
        whole.execute(f"INSERT INTO {table} VALUES (1, :token, 'x')", token=make_token("one"))

    ran = discover(whole)

    assert ran.code == 1, ran.err
    proposed = [(entry["table"], entry["columns"]) for entry in entries(ran.document)]
    assert sorted(proposed) == sorted((name, [name]) for name in ODD)
    Path("rotation.toml").write_text(ran.document["targets"])
    assert cli("run").code == 0
    assert discover(whole).code == 0


def test_bytes_hold_tokens_too(whole: Database, discover: Discover) -> None:
    """D08: a column of bytes is searched as one of text is."""
    whole.make_creds([make_token("one").encode(), b"\x00\xff\x80 no token"], "BYTEA" if _is_pg(whole) else "BLOB")

    found = columns(discover(whole).document)["creds.token"]

    assert (found["tokens"], found["rows"], found["proposed"]) == (1, 2, True)


def test_tokens_in_longer_text_are_proposed_as_such(whole: Database, discover: Discover, old: Key) -> None:
    """D33: for a token in JSON, in a sentence or in quotes the entry has the format `embedded`."""
    token = make_token("one")
    texts = [f'{{"a": "{token}", "b": 1}}', f"see {token} there", f'"{token}"', f"b'{token}'"]
    kind = "LONGTEXT" if whole.kind == "mariadb" else "TEXT"
    whole.make_creds([*texts, "x" * 200_000 + f" {token} " + "y" * 200_000, "gAAAA is how a token begins"], kind)
    whole.execute(f"CREATE TABLE docs (id INTEGER PRIMARY KEY, doc {'JSONB' if _is_pg(whole) else 'JSON'})")
    whole.insert("docs", [{"id": 1, "doc": texts[0]}])

    ran = discover(whole)

    assert ran.code == 1
    assert ("creds", ["token"], "embedded") in [
        (entry["table"], entry["columns"], entry["format"]) for entry in entries(ran.document)
    ]
    found = columns(ran.document)
    assert (found["creds.token"]["tokens"], found["creds.token"]["embedded"]) == (0, 5)
    assert (found["creds.token"]["under"], found["creds.token"]["unknown"]) == ({old.id: 5}, 0)
    assert (found["docs.doc"]["embedded"], found["docs.doc"]["kinds"]) == (1, {"token-in-text": 1})


def test_a_token_that_was_encoded_again_is_named_and_proposed(whole: Database, discover: Discover, old: Key) -> None:
    """Alone and in text, in base64 and hex; one in a token and another cipher's are named for what they are."""
    names = ("base64", "base64_in_text", "hex", "hex_in_text", "awx", "nested", "mixed", "twice", "bare")
    whole.execute(f"CREATE TABLE cells (id INTEGER PRIMARY KEY, {', '.join(f'{name} TEXT' for name in names)})")
    for row in range(4):
        token = make_token(f"secret {row}")
        again, digits = base64.b64encode(token.encode()).decode(), token.encode().hex()
        other = base64.b64encode(make_token("x", "nobody").encode()).decode()
        cells = {
            "base64": again,
            "base64_in_text": f'{{"__encrypted_data__": "{again}"}}',
            "hex": digits,
            "hex_in_text": f"hex:{digits}",
            "awx": f"$encrypted$UTF8$AESCBC${other}",
            "nested": make_token(token, "new"),
            "mixed": f"enc:fernet:{token}" if row else again,
            "twice": base64.b64encode(again.encode()).decode(),
            "bare": token,
        }
        whole.insert("cells", [{"id": row, **cells}])

    ran = discover(whole)
    text = discover(whole, as_json=False).out

    found = {label.removeprefix("cells."): column for label, column in columns(ran.document).items()}
    assert {name: column["kinds"] for name, column in found.items()} == {
        "base64": {"encoded-token": 4},
        "base64_in_text": {"encoded-token": 4},
        "hex": {"encoded-token": 4},
        "hex_in_text": {"encoded-token": 4},
        "awx": {"foreign-cipher": 4},
        "nested": {"nested": 4},
        "mixed": {"token-in-text": 3, "encoded-token": 1},
        "twice": {"encoded-token": 4},
        "bare": {"token": 4},
    }
    assert all(column["under"][old.id] == 4 for name, column in found.items() if name != "awx")
    assert [(entry["columns"], entry.get("format")) for entry in entries(ran.document)] == [
        (["base64", "base64_in_text"], "base64"),
        (["hex", "hex_in_text"], "hex"),
        (["nested", "bare"], None),
        (["mixed"], "embedded"),
    ]
    assert '# "mixed": this format leaves 1 cell of encoded-token\n' in ran.document["targets"]
    assert "cells.mixed: cells by what they hold: 3 token-in-text, 1 encoded-token (base64)\n" in text
    assert "Next: cells.awx: no key here opens what another cipher wrote" in text
    assert "Next: cells.twice: no format fits how these tokens are encoded" in text


@pytest.mark.parametrize("whole", ["sqlite"], indirect=True)
def test_cells_that_are_too_large_are_not_all_there_are(whole: Database, discover: Discover) -> None:
    """The first lines of the screen say that some cells were not searched."""
    whole.make_creds(["x" * 2_000_000, None])

    assert "Read 2 rows: all there are, but not 1 large cell.\n" in discover(whole, as_json=False).out


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample is made of a quarter of the usual rows, so that a quarter of them make a large table."""
    monkeypatch.setattr(table_readers, "WINDOW_ROWS", table_readers.WINDOW_ROWS // 4)


@pytest.mark.usefixtures("small_windows")
def test_one_token_in_thousands_of_rows(whole: Database, discover: Discover) -> None:
    """A sample may miss it, and says that it is a sample; --full finds it."""
    rows = LARGE
    whole.make_creds([None] * rows)
    whole.execute("UPDATE creds SET token = 'sk-live-4242'")
    places = (rows // 2 - 77, rows // 3 + 7, rows // 7, rows - 81)
    missed = any(not _sampled_with_a_token_at(whole, discover, place) for place in places)

    ran = discover(whole, "--full")

    assert missed, "four places, and a sample of half the table"
    assert (ran.code, columns(ran.document)["creds.token"]["tokens"]) == (1, 1)
    assert (ran.document["rows"], ran.document["sampled_tables"]) == (rows, 0)


def _sampled_with_a_token_at(whole: Database, discover: Discover, place: int) -> bool:
    token = make_token("rare")
    whole.execute("UPDATE creds SET token = 'sk-live-4242' WHERE token LIKE 'gAAAA%'")
    whole.execute("UPDATE creds SET token = :token WHERE id = :id", token=token, id=place)
    ran = discover(whole)
    assert ran.document["sampled_tables"] == 1
    assert 0 < ran.document["rows"] < LARGE
    assert ran.code == bool(ran.document["columns"])
    return bool(ran.document["columns"])


@pytest.mark.usefixtures("small_windows")
def test_a_sample_is_from_all_over_the_table(whole: Database, discover: Discover) -> None:
    """Tokens that stand at the end, or in the middle, of a large table are found without --full."""
    whole.make_creds([None] * 15_000)
    for first, last in ((14_250, 15_000), (7_500, 8_250), (0, 375)):
        whole.execute("UPDATE creds SET token = NULL WHERE token IS NOT NULL")
        token = make_token("late")
        whole.execute(
            "UPDATE creds SET token = :token WHERE id > :first AND id <= :last", token=token, first=first, last=last
        )

        ran = discover(whole)

        found = columns(ran.document)["creds.token"]
        assert found["sampled"]
        assert found["tokens"] > 25
        assert ran.document["rows"] < 7_500


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("whole", ["sqlite", "mariadb"], indirect=True)
def test_a_text_as_key_is_sampled_all_over(whole: Database, discover: Discover) -> None:
    """A sample follows keys of several columns, and keys that are texts."""
    without_rowid = " WITHOUT ROWID" if whole.kind == "sqlite" else ""
    whole.execute(
        f"CREATE TABLE creds (tenant INTEGER, id VARCHAR(40), token TEXT, PRIMARY KEY (tenant, id)){without_rowid}"
    )
    rows = [{"tenant": 1, "id": f"{number * 7919 % 1_000_003:032x}", "token": None} for number in range(4_000)]
    whole.insert("creds", [*rows, {"tenant": 2**31 - 1, "id": "last", "token": None}])
    token = make_token("x")
    whole.execute("UPDATE creds SET token = :token WHERE id > :id", token=token, id=f"{800_000:032x}")

    ran = discover(whole)

    assert ran.document["sampled_tables"] == 1
    assert columns(ran.document)["creds.token"]["tokens"] > 125


def test_a_table_without_a_key_is_named_with_the_hint(whole: Database, discover: Discover) -> None:
    """D10: no target can name its rows, so the hint says what to do. A unique key is enough, and is proposed."""
    whole.execute("CREATE TABLE keyless (token TEXT)", "CREATE TABLE uniq (n INTEGER NOT NULL, token TEXT)")
    whole.execute("CREATE UNIQUE INDEX u ON uniq (n)")
    whole.insert("keyless", [{"token": token} for token in make_tokens(3)])
    whole.insert("uniq", [{"n": 7, "token": make_token("one")}])

    ran = discover(whole)
    full = discover(whole, "--full")

    assert ran.code == 1
    found = columns(ran.document)
    assert "keyless has no primary key" in found["keyless.token"]["hint"]
    assert (found["keyless.token"]["tokens"], found["keyless.token"]["proposed"]) == (3, False)
    assert [(entry["table"], entry["key_columns"]) for entry in entries(ran.document)] == [("uniq", ["n"])]
    assert columns(full.document)["keyless.token"]["tokens"] == 3


@pytest.mark.usefixtures("small_windows")
def test_a_large_table_without_a_key_is_sampled(whole: Database, discover: Discover) -> None:
    """Without a key to follow, each row has the same chance; --full reads all of them."""
    whole.execute("CREATE TABLE keyless (token TEXT)")
    token = make_token("one")
    whole.insert("keyless", [{"token": token if number % 2 else None} for number in range(7_500)])
    if whole.kind == "mariadb":
        whole.execute("ANALYZE TABLE keyless")

    ran, full = discover(whole), discover(whole, "--full")

    assert ran.document["sampled_tables"] == 1
    assert 250 < columns(ran.document)["keyless.token"]["tokens"] < 3_500
    assert columns(full.document)["keyless.token"]["tokens"] == 3_750


def test_nothing_is_nothing(whole: Database, discover: Discover) -> None:
    """D34: an empty database, an empty table, and one of NULLs hold no tokens; exit 0."""
    empty = discover(whole)
    whole.make_creds([None, None])
    whole.execute("CREATE TABLE vacant (id INTEGER PRIMARY KEY, token TEXT)")

    ran = discover(whole)

    assert (empty.code, empty.document["columns"]) == (0, [])
    assert (ran.code, ran.document["columns"], ran.document["rows"]) == (0, [], 2)


def test_huge_cells_are_searched_within_bounds(whole: Database, discover: Discover) -> None:
    """D34: a sample does not search a cell of more than a megabyte, and says so; --full finds a token in it."""
    kind = "LONGTEXT" if whole.kind == "mariadb" else "TEXT"
    whole.make_creds([None], kind)
    whole.execute("UPDATE creds SET token = :text", text="x" * 3_000_000 + f" {make_token('late')} ")
    large = make_token("y" * 150_000)
    whole.insert("creds", [{"id": 2, "token": large}])

    ran, full = discover(whole), discover(whole, "--full")

    found = columns(ran.document)["creds.token"]
    assert (found["tokens"], found["large"], found["embedded"], found["proposed"]) == (1, 1, 0, True)
    assert columns(full.document)["creds.token"]["embedded"] == 1


def test_a_view_is_passed_over(whole: Database, discover: Discover) -> None:
    """D22: what a view shows is in a table, too."""
    whole.make_creds(make_tokens(1))
    whole.execute("CREATE VIEW shown AS SELECT token FROM creds")

    assert list(columns(discover(whole).document)) == ["creds.token"]


@pytest.mark.parametrize("whole", ["postgresql", "mariadb"], indirect=True)
def test_other_schemas_are_searched(whole: Database, discover: Discover, cli: Cli) -> None:
    """D21: every schema that is not the system's; its tables are named as targets name them; --schema chooses."""
    more = "more" if _is_pg(whole) else f"{sa.make_url(whole.url).database}_more"
    if _is_pg(whole):
        whole.execute("CREATE SCHEMA more")
    whole.execute(f"CREATE TABLE {more}.creds (id INTEGER PRIMARY KEY, token TEXT)")
    whole.insert(f"{more}.creds", [{"id": 1, "token": make_token("one")}])
    whole.make_creds([None])

    ran = discover(whole)
    chosen = discover(whole, "--schema", more)
    other = discover(whole, "--schema", "elsewhere")

    (entry,) = entries(ran.document)
    assert entry["table"] == f"{more}.creds"
    assert (chosen.document["rows"], other.document["rows"]) == (1, 0)
    Path("rotation.toml").write_text(ran.document["targets"])
    assert cli("run").code == 0
    assert discover(whole).code == 0


@pytest.mark.parametrize("whole", ["postgresql"], indirect=True)
def test_a_partitioned_table_is_searched_once(
    whole: Database, discover: Discover, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D32: its partitions are its rows; a table that inherits adds what is its own."""
    whole.execute(
        "CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT) PARTITION BY RANGE (id)",
        "CREATE TABLE low PARTITION OF creds FOR VALUES FROM (0) TO (3)",
        "CREATE TABLE high PARTITION OF creds FOR VALUES FROM (3) TO (100) PARTITION BY LIST (id)",
        "CREATE TABLE higher PARTITION OF high DEFAULT",
        "CREATE TABLE parent (id INTEGER PRIMARY KEY, token TEXT)",
        "CREATE TABLE child (own TEXT, PRIMARY KEY (id)) INHERITS (parent)",
    )
    tokens = make_tokens(6)
    whole.insert("creds", [{"id": number, "token": token} for number, token in enumerate(tokens)])
    whole.insert("parent", [{"id": 1, "token": tokens[0]}])
    whole.insert("child", [{"id": 2, "token": tokens[1], "own": tokens[2]}])

    asked, hold = [], Survey._hold
    monkeypatch.setattr(
        Survey, "_hold", lambda self, entry, parents: asked.append(entry.table) or hold(self, entry, parents)
    )

    # Without a schema the other databases of the server are searched, too, if this user may enter them.
    found = columns(discover(whole, "--full", "--schema", "public").document)

    assert asked == ["child", "creds", "parent"], "thousands of partitions cost nothing"
    assert {label: column["tokens"] for label, column in found.items()} == {
        "creds.token": 6,
        "parent.token": 2,
        "child.own": 1,
    }


@pytest.mark.mariadb_only
@pytest.mark.parametrize("whole", ["mariadb"], indirect=True)
def test_partitions_of_mariadb_are_one_table(whole: Database, discover: Discover) -> None:
    """D32: they are no tables of their own; of a table with a history a sample counts only current rows."""
    whole.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT) PARTITION BY HASH (id) PARTITIONS 3")
    whole.execute("CREATE TABLE remembers (id INTEGER PRIMARY KEY, token TEXT) WITH SYSTEM VERSIONING")
    for table in ("creds", "remembers"):
        whole.insert(table, [{"id": number, "token": token} for number, token in enumerate(make_tokens(5))])
    whole.execute("UPDATE remembers SET token = NULL WHERE id > 2")

    found = columns(discover(whole).document)

    assert {label: column["tokens"] for label, column in found.items()} == {"creds.token": 5, "remembers.token": 3}


@pytest.mark.parametrize("whole", ["sqlite"], indirect=True)
def test_any_column_of_sqlite_may_hold_a_token(whole: Database, discover: Discover) -> None:
    """D08, D14: a number's column, one without a type, a table WITHOUT ROWID, one that calls a column rowid."""
    whole.execute(
        "CREATE TABLE odd (id INTEGER PRIMARY KEY AUTOINCREMENT, n INTEGER, mixed INTEGER, any_thing)",
        "CREATE TABLE without (id TEXT PRIMARY KEY, token TEXT) WITHOUT ROWID",
        "CREATE TABLE named (rowid TEXT, _rowid_ TEXT, token TEXT)",
        "CREATE TABLE all_three (rowid TEXT PRIMARY KEY, _rowid_ TEXT, oid TEXT)",
    )
    token = make_token("one")
    whole.insert("odd", [{"id": 1, "n": token, "mixed": token, "any_thing": token.encode()}])
    whole.insert("odd", [{"id": 2, "mixed": 7}])
    whole.insert("without", [{"id": "a", "token": token}])
    whole.insert("named", [{"rowid": "x", "_rowid_": "y", "token": token}])
    whole.insert("all_three", [{"rowid": "x", "_rowid_": token, "oid": "z"}])

    ran = discover(whole)

    found = columns(ran.document)
    assert sorted(found) == ["all_three._rowid_", "named.token", "odd.any_thing", "odd.mixed", "odd.n", "without.token"]
    assert ran.document["databases"][0]["tables"] == 4, "SQLite's own sqlite_sequence is none of them"
    assert found["odd.n"]["hint"] is None
    assert "the column's type is INTEGER, not text or binary; it holds 1 number" in found["odd.mixed"]["hint"]
    assert {entry["table"] for entry in entries(ran.document)} == {"odd", "without", "all_three"}


@pytest.mark.parametrize("whole", ["postgresql"], indirect=True)
def test_any_type_of_postgresql_is_read_as_text(whole: Database, discover: Discover) -> None:
    """D33: arrays, JSON, XML and the like are searched; types that hold no text are not."""
    token = make_token("one")
    whole.execute(
        "CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
        "CREATE DOMAIN secret AS TEXT",
        "CREATE TABLE odd (id INTEGER PRIMARY KEY, a TEXT[], j JSON, x XML, d secret, c CHAR(300), "
        "b TEXT COLLATE blind, g TEXT GENERATED ALWAYS AS (d) STORED, u UUID, t TIMESTAMP, e INET)",
    )
    whole.execute(
        "INSERT INTO odd (id, a, j, x, d, c, b) VALUES (1, ARRAY[:t], to_json(CAST(:t AS text)), "
        "xmlparse(CONTENT CAST(:t AS text)), :t, :t, :t)",
        t=token,
    )

    ran = discover(whole)

    found = columns(ran.document)
    assert {label[4:]: (column["tokens"], column["embedded"]) for label, column in found.items()} == {
        "a": (0, 1),
        "j": (0, 1),
        "x": (1, 0),
        "d": (1, 0),
        "c": (1, 0),
        "b": (1, 0),
        "g": (1, 0),
    }
    assert "a generated column" in found["odd.g"]["hint"]
    proposed = [(entry["columns"], entry.get("format", "token")) for entry in entries(ran.document)]
    assert proposed == [(["j"], "embedded"), (["d", "c", "b"], "token")]


@pytest.mark.parametrize("whole", ["mariadb"], indirect=True)
def test_any_charset_of_mariadb_is_searched(whole: Database, discover: Discover) -> None:
    """D07: UTF-16, a binary column, and a collation that takes `g` for `G`."""
    whole.execute(
        "CREATE TABLE odd (id INTEGER PRIMARY KEY, u VARCHAR(300) CHARACTER SET utf16, v VARBINARY(300), "
        "e ENUM('a'), l VARCHAR(300) CHARACTER SET latin1, low VARCHAR(300))"
    )
    token = make_token("one")
    whole.execute("INSERT INTO odd VALUES (1, :t, :t, 'a', :t, :low)", t=token, low=token.lower())

    found = columns(discover(whole).document)

    assert {label: column["tokens"] for label, column in found.items()} == {"odd.u": 1, "odd.v": 1, "odd.l": 1}


@pytest.mark.parametrize("whole", ["postgresql"], indirect=True)
def test_a_table_that_may_not_be_read_is_named(whole: Database, discover: Discover, cli: Cli) -> None:
    """D31: a table that cannot be read is named, exit code 3; the other tables are searched."""
    role = f"r_{sa.make_url(whole.url).database}"
    whole.make_creds(make_tokens(1))
    whole.execute("CREATE TABLE hidden (id INTEGER PRIMARY KEY, token TEXT)", f"CREATE ROLE {role} LOGIN")
    whole.execute(f"GRANT SELECT ON creds TO {role}")
    _let_in(whole, role)
    url = sa.make_url(whole.url).set(username=role).render_as_string()
    try:
        ran = cli("discover", "--json", "--url", url)
    finally:
        whole.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")

    assert ran.code == 3
    assert list(columns(ran.document)) == ["creds.token"]
    (unseen,) = ran.document["unseen"]
    assert unseen["subject"] == "hidden"
    assert "the privilege for it is missing" in unseen["words"]


@pytest.mark.parametrize("whole", ["postgresql"], indirect=True)
def test_hidden_rows_are_remarked_on(whole: Database, discover: Discover, cli: Cli) -> None:
    """D30: with row security on, a remark says that rows may be hidden."""
    role = f"r_{sa.make_url(whole.url).database}"
    whole.make_creds(make_tokens(1))
    whole.execute(f"CREATE ROLE {role} LOGIN", f"GRANT SELECT ON creds TO {role}")
    _let_in(whole, role)
    whole.execute("ALTER TABLE creds ENABLE ROW LEVEL SECURITY")
    url = sa.make_url(whole.url).set(username=role).render_as_string()
    try:
        ran = cli("discover", "--json", "--url", url)
    finally:
        whole.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")

    assert (ran.code, ran.document["rows"]) == (0, 0)
    (remark,) = ran.document["remarks"]
    assert (remark["subject"], remark["words"][:18]) == ("creds", "row security is on")


@pytest.mark.usefixtures("small_windows")
def test_a_sample_ends_in_time(whole: Database, discover: Discover, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow database a sample is smaller, reports how many rows it read, and is not only of the first rows."""
    whole.make_creds([None] * LARGE)
    whole.execute("UPDATE creds SET token = :token WHERE id <= 38", token=make_token("first"))
    monkeypatch.setattr(table_readers, "SAMPLE_SECONDS", 0)

    ran = discover(whole)

    assert (ran.code, ran.document["sampled_tables"]) == (0, 1)
    assert 0 < ran.document["rows"] <= 250


@pytest.mark.parametrize("whole", ["mariadb"], indirect=True)
def test_a_key_that_cannot_be_followed_is_not_followed(whole: Database, discover: Discover) -> None:
    """D14: a FLOAT does not equal what was read of it, so its table is read as one without a key."""
    whole.execute("CREATE TABLE inexact (id FLOAT PRIMARY KEY, token TEXT)")
    whole.insert("inexact", [{"id": number + 0.1, "token": token} for number, token in enumerate(make_tokens(5))])

    found = columns(discover(whole, "--full").document)["inexact.token"]

    assert (found["tokens"], found["rows"]) == (5, 5)
    assert "which is inexact" in found["hint"]


@pytest.mark.parametrize("whole", ["postgresql"], indirect=True)
def test_a_table_that_vanishes_is_no_error(
    whole: Database, discover: Discover, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table is dropped after it was listed and before it is read."""
    whole.make_creds(make_tokens(1))
    whole.execute("CREATE TABLE dropped (id INTEGER PRIMARY KEY, token TEXT)")
    hold = Survey._hold

    def drop_before(self: Survey, entry: Any, parents: Any) -> Any:
        whole.execute("DROP TABLE IF EXISTS dropped")
        return hold(self, entry, parents)

    monkeypatch.setattr(Survey, "_hold", drop_before)

    ran = discover(whole)

    assert (ran.code, list(columns(ran.document))) == (1, ["creds.token"])


@pytest.mark.parametrize("whole", ["sqlite"], indirect=True)
def test_a_file_that_is_no_database_is_exit_code_3(whole: Database, discover: Discover) -> None:
    """A table that needs a missing module of SQLite is named, and the other tables are searched."""
    whole.make_creds(make_tokens(1))
    whole.execute(
        "PRAGMA writable_schema = 1",
        "INSERT INTO sqlite_master VALUES ('table', 'foreign_kind', 'foreign_kind', 0, "
        "'CREATE VIRTUAL TABLE foreign_kind USING nosuch(x)')",
    )
    whole.engine.dispose()

    ran = discover(whole)
    Path("app.db").write_text("no database, " * 100)
    broken = discover(whole)

    assert (ran.code, list(columns(ran.document))) == (3, ["creds.token"])
    assert [remark["subject"] for remark in ran.document["unseen"]] == ["foreign_kind"]
    assert broken.code == 3
    assert "not an SQLite database" in broken.document["error"]


def test_it_only_reads(whole: Database, discover: Discover, monkeypatch: pytest.MonkeyPatch) -> None:
    """C08: no statement but SELECTs, on a connection that cannot write."""
    whole.make_creds(make_tokens(200))
    before = whole.column()

    def look(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        assert connection.dialect.name != "sqlite" or statement.startswith(("SELECT", "WITH", "PRAGMA"))
        assert not statement.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE", "CREATE", "BEGIN"))

    sa.event.listen(sa.Engine, "after_cursor_execute", look)
    try:
        ran = discover(whole, "--full")
    finally:
        sa.event.remove(sa.Engine, "after_cursor_execute", look)

    assert ran.code == 1
    assert whole.column() == before


def test_a_screen_shows_names_numbers_and_the_next_step(whole: Database, discover: Discover) -> None:
    """The entries stand alone on their lines, and no cell is shown."""
    whole.make_creds(make_tokens(2))
    whole.execute("CREATE TABLE docs (id INTEGER PRIMARY KEY, doc TEXT)", "CREATE TABLE keyless (token TEXT)")
    whole.insert("docs", [{"id": 1, "doc": f"see {make_token('x')}"}])
    whole.insert("keyless", [{"token": make_token("x")}])

    ran = discover(whole, as_json=False)

    assert ran.code == 1
    assert "all there are" in ran.out
    assert "\n[[target]]\nurl = " in ran.out
    assert '\ntable = "creds"\ncolumns = ["token"]\n' in ran.out
    assert "docs.doc: cells by what they hold: 1 token-in-text" in ran.out
    assert "keyless.token: cannot be a target: table keyless has no primary key" in ran.out
    assert "\n  1. keyless.token: add a key to the table, which has none: " in ran.out
    assert (
        "\n  2. add its entry: keyring-rotate init --append --url '$DATABASE_URL'\n  3. keyring-rotate run\n" in ran.out
    )
    assert "Next: keyring-rotate status" in ran.out
    assert "pw@" not in ran.out


def _let_in(database: Database, role: str) -> None:
    """Without this grant only the database's own user may enter it."""
    database.execute(f"GRANT CONNECT ON DATABASE {sa.make_url(database.url).database} TO {role}")


def _is_pg(database: Database) -> bool:
    return database.kind == "postgresql"


def test_an_application_is_recognised_without_any_key(tmp_path: Path, cli: Cli) -> None:
    """An admin may have no key at hand: the application and the command to begin with are printed all the same."""
    with open_database("sqlite", tmp_path) as database:
        for table, others in (("data_sources", ", queue_name TEXT"), ("notification_destinations", "")):
            database.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, encrypted_options BLOB{others})")
            database.insert(table, [{"id": 1, "encrypted_options": make_token("one").encode()}])

        ran = cli("discover", "--url", database.url, environ={})
        refused = cli("discover", "--url", database.url, environ={"ENCRYPTION_KEY": "changeme"})

    assert ran.code == 1
    assert f"These tables are Redash's: keyring-rotate init --app redash --url {shell_word(database.url)}" in ran.out
    assert "no key is set" in ran.err
    assert (refused.code, "placeholder" in refused.err) == (2, True)


def test_values_of_a_blind_index_are_found_by_their_key(
    database: Database, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In any column of any table, by a search of every row; those that a target names as its `index` are a run's."""
    monkeypatch.chdir(tmp_path)
    index, old, new = BlindIndex("users.email"), make_key("old"), make_key("new")
    values = [index.of(Keyring(key), "ada@example.org") for key in (old, old, new, make_key("nobody"))]
    database.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, email_index TEXT, copy TEXT)")
    database.insert("users", [{"id": n, "email_index": value, "copy": value} for n, value in enumerate(values)])
    database.insert("users", [{"id": 9, "copy": f"see {values[0]}"}])
    entry = f'[[target]]\nurl = "{database.url}"\ntable = "users"\ncolumns = ["email"]\n'
    Path("rotation.toml").write_text(f'{entry}index = {{ column = "email_index", context = "users.email" }}\n')

    sample, full, screen = cli("discover", "--json"), cli("discover", "--json", "--full"), cli("discover", "--full")

    assert (sample.document["blind_indexes"], sample.document["columns"]) == ([], [])
    [found] = full.document["blind_indexes"]
    assert (full.code, found["column"], found["under"]) == (0, "users.copy", {old.id: 2, new.id: 1})
    assert f"users.copy: values of a blind index, 2 under {old.id}, 1 under {new.id}; no target names the" in screen.out
