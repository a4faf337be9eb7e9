"""PgBouncer in each of its modes: what it cannot serve is named, and no connection stays in a template database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from keyring_core import Keyring
from rotation.discovery.discover import DatabaseSearch
from rotation.discovery.result import Discovery
from rotation.fleet import announce
from tests.conftest import Cli
from tests.databases import Database
from tests.lifecycle.shop import OLD, OLDER, Shop, old_token
from tests.processes import until
from tests.stores.pgbouncer import pooled

pytestmark = [
    pytest.mark.database,
    pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning"),
    pytest.mark.parametrize("database", ["postgresql"], indirect=True),
]

STATEMENT = "the pooler is in statement mode, in which there are no transactions; it needs transaction or session mode"
OF_CREDS = ("--table", "creds", "--column", "token")
RETIRE = ("keys", "retire", OLDER.id, "--no-archive", "--no-wait", "--json")


def elsewhere(database: Database) -> Sequence[str]:
    """The databases, other than its own, in which the job's user has a session."""
    query = "SELECT DISTINCT datname FROM pg_stat_activity WHERE usename = :user AND datname <> :user ORDER BY 1"
    return [name for (name,) in database.rows(query, user=sa.make_url(database.url).username)]


@pytest.mark.usefixtures("announcing")
def test_statement_mode_is_named_at_once(
    database: Database, cli: Cli, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a target, a search, the ledger and a service, by its engine or by the url; nothing is tried twice."""
    waits: list[float] = []
    monkeypatch.setattr("rotation.context.Streams.wait", lambda self, seconds: waits.append(seconds))
    database.make_creds([old_token("older")])
    with pooled(database, mode="statement") as behind:
        commands = (
            cli("run", "--url", behind.url, *OF_CREDS),
            cli("status", "--url", behind.url, *OF_CREDS),
            cli("discover", "--url", behind.url),
            cli("ledger", "init", environ=environ | {"ROTATION_LEDGER_URL": behind.url}),
        )
        with capture_logs() as logs:
            assert not announce(sa.create_engine(behind.url), keyring=Keyring(OLD), instance="by its engine")
            monkeypatch.setenv("ROTATION_LEDGER_URL", behind.url)
            assert not announce(keyring=Keyring(OLD), instance="by the url")

    assert [(ran.code, STATEMENT in ran.err) for ran in commands] == [(3, True)] * 4, [ran.err for ran in commands]
    assert [STATEMENT in each["reason"] for each in logs if each["log_level"] == "warning"] == [True, True]
    assert not any(waits)


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"options": "-csearch_path=app"}, "the pooler takes no such options: look at what stands behind ? in the url"),
        ({"options": "-c hunter2=1"}, "the pooler takes no such options"),
        ({"options": "--hunter2"}, "the pooler takes no such options"),
        ({"dbname": "hunter2"}, "there is no such database"),
    ],
    ids=["a search path", "another option", "no option", "a database"],
)
def test_what_a_pooler_refuses_at_the_login_is_named_at_once(
    database: Database, cli: Cli, query: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the value, which may be a secret in the wrong place."""
    waits: list[float] = []
    monkeypatch.setattr("rotation.context.Streams.wait", lambda self, seconds: waits.append(seconds))
    with pooled(database, databases=database.engine.url.database) as behind:
        url = sa.make_url(behind.url)
        url = url.set(database=query["dbname"]) if "dbname" in query else url.update_query_dict(query)
        ran = cli("run", "--url", url.render_as_string(hide_password=False), *OF_CREDS)

    assert (ran.code, words in ran.err) == (3, True), ran.err
    assert ("hunter2" in ran.err) is ("dbname" in query), "only as the name of a database"
    assert not any(waits)


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_rotation_through_a_pooler_leaves_the_templates_alone(database: Database, tmp_path: Path, mode: str) -> None:
    """They are named as not searched in the proof; the pooler would stay connected, and nobody could make one more."""
    database.make_creds([old_token("older"), old_token("old")])
    with pooled(database, mode=mode) as behind:
        shop = Shop(tmp_path, behind)
        ran = shop.rotate("run", "--json")
        found = shop.rotate("discover", "--full", "--json")
        retired = shop.rotate(*RETIRE)
        left = elsewhere(database)

    assert (ran.code, ran.document["complete"], found.code, retired.code) == (0, True, 0, 0), ran.err + retired.out
    assert not {"template0", "template1"} & set(left)
    words = "other databases of the server (template1): a pooler would stay connected to a template"
    assert words in str(retired.document["certificate"]["not_looked_at"])
    assert words.partition(": ")[2] in str(found.document)


@pytest.mark.parametrize("speed", [(), ("--full-speed",)], ids=["gently", "at full speed"])
def test_a_search_leaves_each_other_database_at_once(
    database: Database, tmp_path: Path, speed: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a pooler template1 is searched, too: in it, and left before the search goes on."""
    database.make_creds([old_token("old")])
    shop = Shop(tmp_path, database)
    end, searched = DatabaseSearch.end, list[str]()

    def looked(self: DatabaseSearch) -> Discovery:
        searched.extend(self.discovery.databases)
        until(lambda: not elsewhere(database), "the end of the sessions in other databases")
        return end(self)

    monkeypatch.setattr(DatabaseSearch, "end", looked)
    ran = shop.rotate("discover", "--full", "--json", *speed)

    assert ran.code in {0, 1, 3}, ran.err
    assert any("database template1 on" in name for name in searched)
