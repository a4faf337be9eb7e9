"""A copy that the database makes of a target's column: it is covered by that, as long as no old token is in it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from keyring_core import Keyring
from rotation.discovery.discover import uncovered_token_columns
from rotation.discovery.survey import Survey
from rotation.model.target import Target
from tests.conftest import Ran
from tests.databases import KINDS, Database, open_database
from tests.discovery.conftest import columns
from tests.lifecycle.shop import OLD, OLDER, Shop, old_token, refusals

pytestmark = [pytest.mark.database, pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning")]

MYSQL = pytest.param("mysql", marks=pytest.mark.world("TEST_MYSQL_URL"))
EVERYWHERE = pytest.mark.parametrize("shop", [*KINDS, MYSQL], indirect=True)
POSTGRESQL = pytest.mark.parametrize("shop", ["postgresql"], indirect=True)
# PostgreSQL refuses a generated column of another one.
OF_A_COPY = pytest.param("of a copy", marks=pytest.mark.only_on("sqlite", "mariadb"))
WAYS = ("stored", "virtual", "in text", "of JSON", OF_A_COPY)


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """Tokens under the old and the older key."""
    monkeypatch.chdir(tmp_path)
    with open_database(request.param, tmp_path) as database:
        yield Shop(tmp_path, database)


def generated(database: Database, expression: str, *, stored: bool = True) -> str:
    """The definition of a generated column."""
    if database.kind == "postgresql" and not stored:
        [(version,)] = database.rows("SELECT CAST(current_setting('server_version_num') AS int)")
        if version < 180000:
            pytest.skip("PostgreSQL 18 has virtual columns")
    kind = "TEXT" if database.kind != "mariadb" else "VARCHAR(900)"
    return f"{kind} GENERATED ALWAYS AS ({expression}) {'STORED' if stored else 'VIRTUAL'}"


EXPRESSIONS = {
    "in text": {"mariadb": "concat('see ', token)", "": "'see ' || token"},
    "of JSON": {
        "mariadb": "json_unquote(json_extract(token, '$.a'))",
        "sqlite": "json_extract(token, '$.a, or what')",
        "": "token ->> 'a'",
    },
    "of a copy": {"mariadb": "`in, between`", "": '"in, between"'},
}


def make_copy(database: Database, way: str) -> None:
    """The table creds, in which the column `copy` repeats the tokens of `token`."""
    by_kind = EXPRESSIONS.get(way, {"": "token"})
    expression = by_kind.get(database.kind, by_kind[""])
    copies = [f"copy {generated(database, expression, stored=way != 'virtual')}"]
    if way == "of a copy":
        copies.insert(0, f"{expression} {generated(database, 'token')}")
    kind = "VARCHAR(900)" if database.kind == "mariadb" else "JSON" if way == "of JSON" else "TEXT"
    database.execute(f"CREATE TABLE creds (id INTEGER PRIMARY KEY, token {kind}, {', '.join(copies)})")
    cells = [old_token("older"), old_token("old")]
    name = "a, or what" if database.kind == "sqlite" else "a"
    cells = [json.dumps({name: cell}) for cell in cells] if way == "of JSON" else cells
    database.insert("creds", [{"id": number, "token": cell} for number, cell in enumerate(cells)])


def retire(shop: Shop) -> Ran:
    return shop.keys("retire", OLDER.id, "--no-archive", "--no-wait", "--json")


def next_steps(ran: Ran) -> list[str]:
    """What removes each reason of a refusal, in words."""
    return [refusal["remedy"] for refusal in json.loads(ran.out)["refused"]]


@pytest.mark.some(1)
@EVERYWHERE
@pytest.mark.parametrize("way", WAYS)
def test_a_generated_column_is_covered_by_its_source(shop: Shop, way: str) -> None:
    """Before the run both are refused and `run` is the remedy; then nothing keeps the key, and nobody warns."""
    make_copy(shop.database, way)
    if way == "of JSON":
        shop.config.write_text(f'{shop.config.read_text()}format = "embedded"\n')

    before = retire(shop)
    remedies = next_steps(before)
    ran, found, check = shop.rotate("run"), shop.rotate("discover", "--full", "--json"), shop.rotate("check")
    after = retire(shop)

    named = [reason for reason in refusals(before) if reason.startswith("creds.copy")]
    assert named == [f"creds.copy, a copy of creds.token: 1 token under {OLDER.id}"]
    assert "keyring-rotate run" in remedies[refusals(before).index(named[0])]
    copy = columns(found.document)["creds.copy"]
    assert (ran.code, found.code) == (0, 0)
    assert (copy["covered"], copy["made_of"], copy["copy_of"]) == (False, ["creds.token"], ["creds.token"])
    assert copy["proposed"] is False
    assert "creds.copy" not in check.out
    assert after.code == 0, after.out


@EVERYWHERE
def test_a_copy_of_what_no_target_names_leads_to_its_source(shop: Shop) -> None:
    """`discover` and the refusal name the source; once `init` made that a target, the copy keeps nothing."""
    make_copy(shop.database, "stored")
    config = shop.config.read_text()
    shop.database.execute("CREATE TABLE other (id INTEGER PRIMARY KEY, token TEXT)")
    shop.config.write_text(config.replace("creds", "other"))
    shop.write_env(f"{shop.env_file.read_text()}DATABASE_URL={shop.database.url}\n")

    ran, found = retire(shop), shop.rotate("discover")
    begun = shop.rotate("init", "--append", "--url", "$DATABASE_URL", "--json")

    advice = "it is made of creds.token: name that in a [[target]], then: keyring-rotate run"
    assert refusals(ran)[-1].startswith("creds.copy: holds tokens, and no target names it")
    assert advice in next_steps(ran)[-1]
    assert f"Next: creds.copy: {advice}" in found.out
    assert "creds.copy: made of creds.token\n" in found.out
    assert "creds.copy: cannot be a target" not in found.out
    assert [(each["table"], each["column"]) for each in begun.document["targets"]] == [("creds", "token")]
    assert not any("creds.copy" in need for need in begun.document["needs"])
    assert "# No entry: the database makes it of creds.token: an entry for that covers it.\n" in shop.config.read_text()
    assert shop.rotate("run").code == 0
    assert retire(shop).code == 0


@pytest.mark.parametrize("shop", KINDS, indirect=True)
def test_what_is_no_copy_of_a_column_with_tokens_can_be_ignored(shop: Shop) -> None:
    """Two halves that make a token: once that is under another key an [[ignore]] ends it, as the refusal says."""
    shop.fill([old_token("old")])
    join = "concat(head, tail)" if shop.database.kind == "mariadb" else "head || tail"
    whole = generated(shop.database, join)
    shop.database.execute(
        f"CREATE TABLE halves (id INTEGER PRIMARY KEY, head VARCHAR(500), tail VARCHAR(500), w {whole})"
    )

    def write(cell: str) -> None:
        shop.database.execute("DELETE FROM halves")
        shop.database.insert("halves", [{"id": 1, "head": cell[:50], "tail": cell[50:]}])

    write(old_token("older"))
    under_it = retire(shop)
    ignore = '\n[[ignore]]\ntable = "halves"\ncolumns = ["w"]\nreason = "made of halves"\n'
    config = shop.config.read_text()
    shop.config.write_text(config + ignore)
    ignored = retire(shop)
    write(old_token("old"))
    shop.config.write_text(config)
    under_another = retire(shop)
    shop.config.write_text(config + ignore)

    assert [reason.partition(":")[0] for reason in refusals(under_it)] == ["halves.w"]
    assert "rotation.toml ignores it" in refusals(ignored)[0]
    assert "in place of the [[ignore]]" not in next_steps(ignored)[0]
    assert refusals(under_another) == ["halves.w: holds tokens, and no target names it"]
    assert "if none of them needs a key of yours, say so in an [[ignore]]" in next_steps(under_another)[0]
    assert retire(shop).code == 0


@pytest.mark.parametrize("shop", ["sqlite"], indirect=True)
def test_a_copy_of_an_ignored_column_is_to_be_ignored_as_well(shop: Shop) -> None:
    """No target will name its source: the refusal does not ask for that."""
    make_copy(shop.database, "stored")
    shop.database.execute("UPDATE creds SET token = :cell", cell=old_token("old"))
    shop.database.execute("CREATE TABLE other (id INTEGER PRIMARY KEY, token TEXT)")
    ignore = "\n[[ignore]]\ntable = 'creds'\ncolumns = ['token', 'copy']\nreason = 'of nobody'\n"
    config = shop.config.read_text().replace("creds", "other")
    shop.config.write_text(config + ignore.replace(", 'copy'", ""))

    ran = retire(shop)
    shop.config.write_text(config + ignore)

    assert refusals(ran) == ["creds.copy: holds tokens, and no target names it"]
    assert "say so in an [[ignore]]" in next_steps(ran)[0]
    assert "creds.token" not in next_steps(ran)[0]
    assert retire(shop).code == 0


@EVERYWHERE
def test_a_copy_of_rows_that_a_where_leaves_out_leads_to_these_rows(shop: Shop) -> None:
    """A run of that target does not reach them."""
    make_copy(shop.database, "stored")
    shop.config.write_text(f'{shop.config.read_text()}where = "id > 0"\n')

    ran = retire(shop)

    assert [reason.partition(":")[0] for reason in refusals(ran)] == [
        "creds.token",
        "creds.copy, a copy of creds.token",
    ]
    assert all("name these rows in a [[target]] of their own, then: " in remedy for remedy in next_steps(ran))


@pytest.mark.parametrize("shop", ["mariadb"], indirect=True)
def test_a_copy_in_rows_of_the_past_names_their_history(shop: Shop) -> None:
    """A run does not rewrite them: the statement that drops them is among the steps."""
    make_copy(shop.database, "stored")
    shop.database.execute("ALTER TABLE creds ADD SYSTEM VERSIONING")
    assert shop.rotate("run").code == 0

    ran = retire(shop)

    assert f"creds.copy, a copy of creds.token: 1 token under {OLDER.id}" in refusals(ran)
    assert all("DELETE HISTORY FROM creds" in remedy for remedy in next_steps(ran))


VIEWS = (
    'CREATE SCHEMA "we""ird"',
    "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)",
    "CREATE VIEW shown AS SELECT id, token AS t FROM creds",
    'CREATE MATERIALIZED VIEW "we""ird"."First" AS SELECT id, t FROM shown',
    'CREATE MATERIALIZED VIEW second AS SELECT f.t, p.name FROM "we""ird"."First" f LEFT JOIN people p USING (id)',
    "CREATE MATERIALIZED VIEW rows AS SELECT row_to_json(c) AS doc FROM creds c",
)


def _refreshed(shop: Shop, remedies: Sequence[str]) -> list[str]:
    """Does as these *remedies* say; the statements, in order."""
    statements = [each for remedy in remedies for each in re.findall(r"as its owner \w+: (REFRESH .+)", remedy)]
    shop.database.execute(*statements)
    return statements


def _may_read(database: Database) -> list[str]:
    user = sa.make_url(database.url).username
    return [f'GRANT USAGE ON SCHEMA "we""ird" TO {user}', f'GRANT SELECT ON ALL TABLES IN SCHEMA "we""ird" TO {user}']


@POSTGRESQL
def test_a_materialized_view_has_to_be_refreshed(shop: Shop) -> None:
    """Each is named with its statements, in the order of their sources; once that is done, nothing keeps the key."""
    shop.fill([old_token("older"), old_token("old")])
    shop.database.execute(*VIEWS, *_may_read(shop.database))
    assert shop.rotate("run").code == 0

    ran, check, shown = retire(shop), shop.rotate("check"), shop.rotate("discover")
    first, second = 'REFRESH MATERIALIZED VIEW "we""ird"."First"', "REFRESH MATERIALIZED VIEW public.second"

    copies = ("rows.doc", "second.t", 'we"ird.First.t')
    assert refusals(ran) == [f"{name}, a copy of creds.token: 1 token under {OLDER.id}" for name in copies]
    assert "1 token under" in check.out
    assert "WARNING" not in check.out
    assert shown.code == 0
    assert "second.t: a copy of creds.token; as its owner postgres: REFRESH" in shown.out.replace("\n", " ")
    assert _refreshed(shop, next_steps(ran)) == ["REFRESH MATERIALIZED VIEW public.rows", first, second, first]
    assert retire(shop).code == 0


@POSTGRESQL
def test_a_materialized_view_without_data_keeps_no_key(shop: Shop) -> None:
    """It holds no row: the search names it, and the retirement goes on."""
    shop.fill([old_token("older")])
    shop.database.execute("CREATE MATERIALIZED VIEW shown AS SELECT * FROM creds WITH NO DATA")
    assert shop.rotate("run").code == 0

    ran = retire(shop)

    assert ran.code == 0
    assert "materialized view public.shown: it holds no row until it is refreshed" in ran.out


@POSTGRESQL
def test_a_materialized_view_of_a_partition_is_a_copy_of_the_whole(shop: Shop) -> None:
    """A target names the partitioned table."""
    shop.database.execute(
        "CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT) PARTITION BY RANGE (id)",
        "CREATE TABLE part PARTITION OF creds FOR VALUES FROM (0) TO (9)",
    )
    shop.database.insert("creds", [{"id": 1, "token": old_token("old")}])
    shop.database.execute("CREATE MATERIALIZED VIEW shown AS SELECT token FROM part")

    found = shop.rotate("discover", "--json")

    assert (found.code, columns(found.document)["shown.token"]["copy_of"]) == (0, ["part.token"])
    assert retire(shop).code == 0


@POSTGRESQL
def test_a_materialized_view_of_two_columns_names_the_one_without_a_target(shop: Shop) -> None:
    """To rotate the target's alone and refresh the view would not be enough."""
    shop.fill([old_token("old")])
    shop.database.execute("CREATE TABLE other (id INTEGER PRIMARY KEY, secret TEXT)")
    shop.database.insert("other", [{"id": 1, "secret": old_token("older")}])
    union = "SELECT token AS t FROM creds UNION SELECT secret FROM other"
    shop.database.execute(f"CREATE MATERIALIZED VIEW two AS {union}")

    steps = dict(zip(refusals(ran := retire(shop)), next_steps(ran), strict=True))

    name = f"two.t, a copy of creds.token: 1 token under {OLDER.id}"
    assert "it is made of other.secret: name that in a [[target]], then: " in steps[name]
    assert "once creds.token and other.secret are rotated, as its owner postgres: REFRESH " in steps[name]


@POSTGRESQL
def test_a_token_of_a_lost_key_in_an_old_copy_counts(shop: Shop) -> None:
    """No key opens it, so it may be under any; its target has none such any more. A refresh ends that."""
    shop.fill([old_token("nobody")])
    shop.database.execute("CREATE MATERIALIZED VIEW shown AS SELECT * FROM creds")
    shop.database.execute("DELETE FROM creds")

    ran = retire(shop)

    assert refusals(ran)[0].startswith("shown.token, a copy of creds.token: 1 token that no key here opens")
    assert _refreshed(shop, next_steps(ran)) == ["REFRESH MATERIALIZED VIEW public.shown"]
    assert retire(shop).code == 0


@POSTGRESQL
def test_a_copy_is_still_a_column_without_a_target_for_a_program(shop: Shop) -> None:
    """The columns that need a key are the copies, too: one may be older than the last run."""
    shop.fill([old_token("older")])
    shop.database.execute("CREATE MATERIALIZED VIEW shown AS SELECT * FROM creds")
    target = Target(shop.database.url, "creds", "token", "creds")

    found = uncovered_token_columns([target], Keyring(OLD, [OLDER]), lambda url: Survey(url, sleep=time.sleep))

    assert [column.label for column in found if column.under[OLDER.id]] == ["shown.token"]
