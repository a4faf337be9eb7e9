"""`check` on real databases: its exit codes, its ledger, and its messages if it cannot read."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import repeat
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from freezegun import freeze_time
from prometheus_client.parser import text_string_to_metric_families

from keyring_core import Key
from keyring_core.environment import ALLOW_WEAK_PREVIOUS
from rotation.checks.facts import Facts
from rotation.checks.use_cases import kept
from rotation.discovery.result import Discovery, Remark
from rotation.ledger.database import LedgerError
from rotation.ledger.ledger import Ledger
from rotation.model.failures import StoreError
from rotation.model.report import mark, pack, unpack
from rotation.stores.servers import known_silent
from tests.checks.worlds import census, target
from tests.conftest import Cli, Named
from tests.databases import Database, open_database
from tests.fakes import token
from tests.keys import key_text, make_key

pytestmark = pytest.mark.database

OK, WARNING, CRITICAL, UNKNOWN = range(4)
WEAK = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


def configure(folder: Path, database: Database, policy: str = "") -> tuple[str, ...]:
    """A rotation.toml for creds.token, and the options that name it."""
    path = folder / "rotation.toml"
    path.write_text(f'[[target]]\nurl = "{database.url}"\ntable = "creds"\ncolumns = ["token"]\n{policy}')
    return ("--config", str(path))


def ledger(folder: Path) -> Ledger:
    return Ledger.open(f"sqlite:///{folder / 'rotation-ledger.db'}")


@pytest.fixture
def app(database: Database) -> Database:
    """Three tokens under the new key."""
    database.make_creds([token("new")] * 3)
    return database


@pytest.fixture
def sqlite_app(tmp_path: Path) -> Iterator[Database]:
    with open_database("sqlite", tmp_path) as database:
        database.make_creds([token("new")] * 3)
        yield database


def test_all_is_well(cli: Cli, app: Database, tmp_path: Path) -> None:
    """Exit code 0; each previous key is said to be ready for retirement."""
    ran = cli("check", *configure(tmp_path, app))

    assert ran.code == OK
    assert ran.out.count("no token that was read needs it") == 2
    assert ran.out.splitlines()[-1] == "OK: 22 checks, nothing urgent"


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (token("new", token("old")), (WARNING, "another token inside")),
        ("hunter2", (CRITICAL, "plain text in 1 cell")),
        (token("old")[:60], (CRITICAL, "1 cell unreadable since the last check, 1 in all: 1 truncated")),
        (token("new", issued_at=4_000_000_000), (WARNING, "2096-10-02")),
    ],
    ids=["encrypted twice", "plain text", "unreadable", "future"],
)
def test_what_is_stored_decides(
    cli: Cli, database: Database, tmp_path: Path, cell: str, expected: tuple[int, str]
) -> None:
    """The exit code is that of a monitoring plugin, on every database, and no cell is shown."""
    database.make_creds([token("new"), cell])
    ran = cli("check", *configure(tmp_path, database))

    code, words = expected
    assert (ran.code, words in ran.out) == (code, True)
    assert "hunter2" not in ran.out + ran.err


def test_all_rows_are_compared_with_those_of_last_time(cli: Cli, database: Database, tmp_path: Path) -> None:
    """Not only the first hundred: of 150 known rows one is fixed, another row is new, and only that is CRITICAL."""
    database.make_creds([token("old")[:60]] * 150 + [token("new")])
    config = configure(tmp_path, database)
    first, second = cli("check", *config), cli("check", *config)
    database.execute("UPDATE creds SET token = :token WHERE id = 7", token=token("new"))
    database.execute("UPDATE creds SET token = 'gAAAAABroken' WHERE id = 151")
    # A census by hand hides no alarm: what it saw is still new to the check.
    cli("status", *config)
    third, fourth = cli("check", *config), cli("check", *config)

    assert [each.code for each in (first, second, third, fourth)] == [CRITICAL, WARNING, CRITICAL, WARNING]
    assert "150 cells unreadable since the last check, 150 in all: 150 truncated" in first.out
    assert "150 cells unreadable, as at the last check: 150 truncated" in second.out
    assert "1 cell unreadable since the last check, 150 in all: 150 truncated" in third.out
    assert "150 cells unreadable, as at the last check" in fourth.out


def test_a_sample_adds_to_the_rows_that_are_known() -> None:
    """Rows of the sample and rows known before: none of them is new when a later sample reads it again."""
    rows = [{"key": {"id": number}, "category": "truncated"} for number in range(300)]
    first, second, both = (pack(mark(row["key"]) for row in some) for some in (rows[:200], rows[100:], rows))
    before = census(sampled=True, problems=rows[:100], unreadable_rows=first)

    [census_kept] = kept(Facts(targets=(target(before=before, sampled=True, problems=[], unreadable_rows=second),)))

    assert census_kept.unreadable_marks == unpack(both)
    assert census_kept.problems == rows[:100]


def test_what_no_check_took_keeps_no_marks(cli: Cli, sqlite_app: Database, tmp_path: Path) -> None:
    """They are compared with nothing, and may be a megabyte."""
    sqlite_app.execute("UPDATE creds SET token = 'gAAAAABroken'")
    config = configure(tmp_path, sqlite_app)
    cli("status", *config)
    cli("check", *config)

    with ledger(tmp_path) as kept:
        marks = {census.checked: bool(census.unreadable_rows) for census in [*kept.censuses(checked=True)]}
    looks = sqlite3.connect(tmp_path / "rotation-ledger.db").execute("SELECT document FROM keyring_ledger_censuses")
    assert marks == {True: True}
    assert sorted('"unreadable_rows": ""' in document for (document,) in looks) == [False, True]


def test_a_hundred_dead_runs_hide_no_good_one(cli: Cli, sqlite_app: Database, tmp_path: Path, new: Key) -> None:
    """The check, its metrics and the page find the last run that finished, however many died since."""
    config = configure(tmp_path, sqlite_app)
    with freeze_time("2026-01-03 12:00"):
        cli("run", *config)
    with freeze_time("2026-02-28 12:00"), ledger(tmp_path) as kept:
        for _ in range(100):
            kept.begin_run("run", "default", new.id)
    with freeze_time("2026-03-01 12:00"):
        metrics, html = tmp_path / "keys.prom", tmp_path / "page.html"
        ran = cli("check", *config, "--prometheus", str(metrics))
        cli("report", *config, "--html", str(html))

    words = " ".join(ran.out.split())
    assert "no run came to its end for 57 days" in words
    assert "100 runs began since the last that came to its end, at 2026-01-03 12:00 UTC" in words
    families = {family.name: family for family in text_string_to_metric_families(metrics.read_text())}
    [ended] = families["keyring_last_run_timestamp_seconds"].samples
    assert ended.value == datetime(2026, 1, 3, 12, tzinfo=UTC).timestamp()
    assert "2026-01-03 12:00</time></th><td>run</td>" in html.read_text()


def test_the_ledger_keeps_census_and_check(cli: Cli, sqlite_app: Database, tmp_path: Path, new: Key) -> None:
    """Keys are dated, the census is kept, and the check is among the runs, with its verdict."""
    cli("check", *configure(tmp_path, sqlite_app))

    with ledger(tmp_path) as kept:
        [census] = kept.censuses()
        [run] = kept.runs()
        records = kept.keys()
    assert (census.name, census.counts.under, census.sampled) == ("creds", {new.id: 3}, False)
    assert (run.command, run.outcome, run.primary, run.counts["status"]) == ("check", "complete", new.id, "OK")
    assert [record.id for record in records if record.promoted_before] == [new.id]


def test_a_target_is_read_once(cli: Cli, sqlite_app: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One census serves all checks."""
    from rotation.job import runs

    seen: list[Any] = []
    real = runs.rotate_jobs
    monkeypatch.setattr(runs, "rotate_jobs", lambda *given, **more: seen.extend(given[0]) or real(*given, **more))
    cli("check", *configure(tmp_path, sqlite_app))

    assert [job.options.dry_run for job in seen] == [True]


def test_a_column_that_no_target_covers_is_reported(cli: Cli, app: Database, tmp_path: Path) -> None:
    """A table that was forgotten, in the database of a target: its tokens would go with the old key."""
    app.execute("CREATE TABLE forgotten (id INTEGER PRIMARY KEY, secret TEXT)")
    app.insert("forgotten", [{"id": 1, "secret": token("old")}])
    ran = cli("check", *configure(tmp_path, app), "--json")

    found = {finding["check"]: finding["subject"] for finding in ran.document["findings"] if finding["status"] != "OK"}
    assert (ran.code, found) == (WARNING, {"uncovered_columns": "forgotten.secret"})


def test_a_target_that_is_lost_hides_no_other(cli: Cli, sqlite_app: Database, tmp_path: Path) -> None:
    """One table is gone: UNKNOWN, with what the other shows."""
    path = Path(configure(tmp_path, sqlite_app)[1])
    path.write_text(path.read_text() + path.read_text().replace("creds", "gone"))
    ran = cli("check", "--config", str(path), "--json")

    assert ran.code == UNKNOWN
    assert [target["name"] for target in ran.document["targets"]] == ["creds"]
    assert any(finding["subject"] == "gone.token" for finding in ran.document["findings"])


@pytest.mark.parametrize("url", ["postgresql://u:hunter2hunter2@127.0.0.1:1/x", "sqlite:////nowhere/ledger.db", "x"])
def test_a_ledger_that_is_lost_is_unknown(
    cli: Cli, sqlite_app: Database, tmp_path: Path, environ: dict[str, str], url: str
) -> None:
    """Dates cannot be had: UNKNOWN, never OK, and the census is taken all the same."""
    config = configure(tmp_path, sqlite_app)
    ran = cli("check", *config, "--json", environ=environ | {"ROTATION_LEDGER_URL": url})

    assert (ran.code, ran.document["status"]) == (UNKNOWN, "UNKNOWN")
    assert ran.document["targets"][0]["scanned"] == 3
    assert "hunter2h" not in ran.out + ran.err


DISCOVER = "rotation.discovery.discover.discover"
AUDIT = Discovery(full=False, unseen=[Remark("app.db", "audit", "no right to read it")])
FAILURES: Mapping[str, tuple[str, object, str]] = {
    "a search": (DISCOVER, StoreError("the database went away"), "uncovered_columns: the database went away"),
    "a table in it": (DISCOVER, AUDIT, "uncovered_columns: audit cannot be looked at: no right to read it"),
    "a ledger that is read": (
        "rotation.ledger.ledger.Ledger.censuses",
        LedgerError("a row in it is corrupt"),
        "ledger (ledger): a row in it is corrupt",
    ),
    # Its dates are known all the same.
    "a ledger that is written": (
        "rotation.ledger.ledger.Ledger.begin_run",
        LedgerError("the ledger is read-only"),
        "ROTATION UNKNOWN - ledger (ledger): the ledger is read-only",
    ),
    "the check itself": (
        "rotation.checks.use_cases.load_keys",
        RuntimeError("hunter2"),
        "ROTATION UNKNOWN - check: the check failed (RuntimeError); see the log (next: fix that, then: keyring-rotate",
    ),
}
"""Per name what is replaced, what that raises or returns, and what the check says."""


@pytest.mark.costly("a check for each failure")
def test_what_fails_is_unknown(
    cli: Cli, sqlite_app: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: Named
) -> None:
    """What could not be looked at is named, and is neither OK nor a WARNING."""
    config = configure(tmp_path, sqlite_app)
    cli("check", *config)
    for name, (place, result, words) in FAILURES.items():
        with named(name), monkeypatch.context() as patch:
            patch.setattr(place, Mock(side_effect=repeat(result)))
            ran = cli("check", *config, "--format", "nagios")

            assert (ran.code, words in ran.out) == (UNKNOWN, True), ran.out
            assert "hunter2" not in ran.out


def test_a_ledger_that_does_not_answer_is_asked_nothing_more(
    cli: Cli, sqlite_app: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It went away after it was opened: each further question would wait for it again."""
    config = configure(tmp_path, sqlite_app)
    asked = Mock()
    monkeypatch.setattr(Ledger, "time", Mock(side_effect=LedgerError("it went away")))
    for name in ("settle", "see_keys", "begin_run", "certificates", "last_runs", "keep_censuses"):
        monkeypatch.setattr(Ledger, name, getattr(asked, name))
    ran = cli("check", *config)

    assert (ran.code, "it went away" in ran.out) == (UNKNOWN, True), ran.out
    assert asked.mock_calls == []


UNKNOWN_SHAPES: Mapping[str, Callable[[dict[str, Any]], object]] = {
    "a list": lambda _: [],
    "a text": lambda _: "counts",
    "nothing": lambda _: None,
    "a number of another version": lambda census: {**census, "half_rotated": 3},
    "a number that is a text": lambda census: {**census, "scanned": "three"},
    "numbers per key that are a list": lambda census: {**census, "under": ["9ace5031"]},
    "tokens per key that are texts": lambda census: {**census, "under": {"9ace5031": "three"}},
    "no name": lambda census: {name: value for name, value in census.items() if name != "target"},
    "rows that are a number": lambda census: {**census, "problems": 7},
    "marks that are none": lambda census: {**census, "unreadable_rows": "%"},
    "a time that is none": lambda census: {**census, "seen": "yesterday"},
    "missing tokens that are a list": lambda census: {**census, "unexplained": ["9ace5031"]},
}


@pytest.mark.long
def test_a_census_of_an_unknown_shape_is_a_finding_of_the_ledger(
    cli: Cli, sqlite_app: Database, tmp_path: Path, named: Named
) -> None:
    """As a newer version may have written it: the check `ledger` says so, and what to do; a retirement is refused."""
    config = configure(tmp_path, sqlite_app)
    cli("check", *config)
    with sqlite3.connect(tmp_path / "rotation-ledger.db") as connection:
        [(kept_document,)] = connection.execute("SELECT document FROM keyring_ledger_censuses").fetchall()
        for name, changed in UNKNOWN_SHAPES.items():
            text = json.dumps(changed(json.loads(kept_document)))
            connection.execute("UPDATE keyring_ledger_censuses SET document = ?", (text,))
            connection.commit()
            with named(name):
                ran = cli("check", *config, "--json")

                assert ran.code == UNKNOWN
                urgent = [finding for finding in ran.document["findings"] if finding["status"] == "UNKNOWN"]
                [about] = [finding for finding in urgent if finding["check"] == "ledger"]
                assert "a census in it has an unknown shape" in about["message"]
                assert about["remedy"].startswith("install that version here")
                assert cli("keys", "retire", make_key("old").id, "--no-archive", *config).code == UNKNOWN


def test_without_a_ledger_ages_are_unknown(
    cli: Cli, sqlite_app: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target from options has no ledger beside it: the check says how to name one."""
    monkeypatch.chdir(tmp_path)
    ran = cli("check", "--url", sqlite_app.url, "--table", "creds", "--column", "token")

    assert ran.code == UNKNOWN
    assert "name a ledger in ROTATION_LEDGER_URL" in ran.out
    assert not (tmp_path / "rotation-ledger.db").exists()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ENCRYPTION_KEY": WEAK}, (CRITICAL, "bytes repeat")),
        ({"ENCRYPTION_KEY": key_text("new"), "ENCRYPTION_PREVIOUS_KEYS": WEAK}, (CRITICAL, "bytes repeat")),
        (
            {"ENCRYPTION_KEY": key_text("new"), "ENCRYPTION_PREVIOUS_KEYS": WEAK, ALLOW_WEAK_PREVIOUS: "1"},
            (CRITICAL, "rotate away from it today"),
        ),
        ({}, (UNKNOWN, "ENCRYPTION_KEY")),
        ({"ENCRYPTION_KEY": "changed"}, (UNKNOWN, "7 characters")),
    ],
    ids=["weak primary", "weak previous", "weak previous, allowed", "no key", "malformed"],
)
def test_keys_that_do_not_load_or_are_weak_are_told(
    cli: Cli, sqlite_app: Database, tmp_path: Path, changes: dict[str, str], expected: tuple[int, str]
) -> None:
    """A weak key is CRITICAL; keys that do not load leave everything about tokens UNKNOWN; no key is shown."""
    ran = cli("check", *configure(tmp_path, sqlite_app), "--format", "nagios", environ=changes)

    code, words = expected
    assert (ran.code, words in ran.out) == (code, True)
    assert WEAK[:8] not in ran.out + ran.err


def test_a_key_file_for_all_eyes_is_told(cli: Cli, sqlite_app: Database, tmp_path: Path) -> None:
    """The file of a variable, and the dotenv file that holds a key."""
    key, env = tmp_path / "key", tmp_path / "env"
    key.write_text(key_text("new"))
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    env.write_text(
        f"ENCRYPTION_STAGED_KEY={key_text('staged')}\nENCRYPTION_KEY_FILE=$CREDENTIALS_DIRECTORY/{key.name}\n"
    )
    key.chmod(0o604)
    env.chmod(0o602)
    ran = cli("check", *configure(tmp_path, sqlite_app), "--env-file", str(env), "--json", environ=environ)

    found = {finding["subject"]: finding["status"] for finding in ran.document["findings"]}
    assert found[str(key)] == "WARNING"
    assert found[str(env)] == "CRITICAL"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--formt", "nagios"], "--format"),
        (["--format", "xml"], "xml"),
        (["--sample", "0"], "--sample"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
        (["--env-file", "nowhere.env"], "nowhere.env"),
        (["--url", "sqlite:///x.db"], "go together"),
        (["--json", "--format", "nagios"], "exclude each other"),
        (["--env-file", "nowhere.env", "--format", "json"], "nowhere.env"),
        (["--sample", "0", "--format=json"], "--sample"),
        (["--env-file", "nowhere.env", "--json"], "nowhere.env"),
        (["--sample", "0", "--json"], "--sample"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_line_that_does_not_fit_is_unknown(cli: Cli, argv: list[str], words: str) -> None:
    """Exit code 2 would be taken for CRITICAL: it is 3, and one line says why; with JSON it is one document."""
    ran = cli("check", *argv)

    assert ran.code == UNKNOWN
    assert words in ran.out + ran.err
    assert "Traceback" not in ran.out + ran.err
    assert "UNKNOWN" in ran.out
    if argv[-1].endswith("json"):
        assert (ran.document["status"], ran.document["exit_code"]) == ("UNKNOWN", UNKNOWN)
        assert words in ran.document["error"]


def test_an_error_is_one_line_of_a_plugin(cli: Cli) -> None:
    """A bar in a name begins no performance data, and a newline no second line."""
    ran = cli("check", "--format", "nagios", "--env-file", "a|b\nc")

    assert ran.out.startswith("ROTATION UNKNOWN - check: --env-file a b\\nc: there is no such file")
    assert (ran.out.count("|"), ran.out.count("\n")) == (0, 1)


def test_a_check_that_could_not_be_made_is_of_its_service(cli: Cli, tmp_path: Path) -> None:
    """Otherwise its metrics would be those of another service on this machine, and Prometheus rejects both."""
    path = tmp_path / "keys.prom"
    argv = ("check", "--config", "nowhere.toml", "--json", "--prometheus", str(path))
    ran = cli(*argv, environ={"ROTATION_SERVICE": "billing"})

    assert ran.document["service"] == "billing"
    assert '\nkeyring_status{service="billing"} 3.0\n' in path.read_text()


def test_a_list_of_checks_shows_what_is_off(
    cli: Cli, sqlite_app: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All messages, and the reason; no target is read, and nothing has to be configured."""
    monkeypatch.chdir(tmp_path)
    bare = cli("check", "--list", environ={})
    config = configure(tmp_path, sqlite_app, '[policy.off]\nclock = "no NTP here"\n')
    Path(tmp_path / "app.db").unlink()
    ran, told = cli("check", "--list", *config), cli("check", "--list", "--json", *config)

    assert (bare.code, ran.code, told.code) == (OK, OK, OK)
    assert "clock  (off: no NTP here)" in ran.out
    assert {check["check"]: check["off"] for check in told.document["checks"]}["clock"] == "no NTP here"
    assert len(told.document["checks"]) == 22


def test_metrics_are_written_beside_the_output(cli: Cli, sqlite_app: Database, tmp_path: Path) -> None:
    """The file and the line are of one check; a file that cannot be written would go on to say that all is well."""
    path, config = tmp_path / "keys.prom", configure(tmp_path, sqlite_app)
    ran = cli("check", *config, "--prometheus", str(path), "--format", "nagios")
    lost = cli("check", *config, "--prometheus", "/nowhere/keys.prom", "--json")

    assert ran.out.startswith("ROTATION OK - ")
    assert "\nkeyring_status 0.0\n" in path.read_text()
    assert (lost.code, lost.document["status"]) == (UNKNOWN, "UNKNOWN")
    assert "/nowhere/keys.prom: cannot be written: No such file or directory" in lost.document["findings"][0]["message"]


def test_a_sample_looks_at_some_rows(cli: Cli, database: Database, tmp_path: Path) -> None:
    """A sample has about the requested size on every database and differs each time; a large one is the whole table."""
    database.make_creds([token("new")] * 2000)
    config = configure(tmp_path, database)
    sizes = [cli("check", *config, "--sample", "500", "--json").document["targets"][0]["scanned"] for _ in range(3)]
    whole = cli("check", *config, "--sample", "100000", "--json")

    assert all(350 < size < 650 for size in sizes)
    assert len(set(sizes)) > 1
    assert whole.document["targets"][0]["scanned"] == 2000


def test_a_sample_forgets_no_row_that_it_left_out(cli: Cli, sqlite_app: Database, tmp_path: Path) -> None:
    """An unreadable row that a sample left out stays known, so it is not new when a later sample reads it."""
    config = configure(tmp_path, sqlite_app)
    sqlite_app.execute("UPDATE creds SET token = 'gAAAAABroken'")
    cli("check", *config)
    for _ in range(5):
        cli("check", *config, "--sample", "1")
    with ledger(tmp_path) as kept:
        [census] = kept.censuses()

    assert census.sampled
    assert {problem["key"]["id"] for problem in census.problems} == {1, 2, 3}


def test_checks_that_overlap_do_not_disturb_each_other(cli: Cli, app: Database, tmp_path: Path) -> None:
    """Four at once: each comes to the same verdict, and the ledger holds four checks and one census."""
    config = configure(tmp_path, app)
    with ThreadPoolExecutor(4) as threads:
        codes = [*threads.map(lambda _: cli("check", *config, "--format", "nagios").code, range(4))]

    with ledger(tmp_path) as kept:
        assert [run.outcome for run in kept.runs()] == ["complete"] * 4
        assert len(kept.censuses()) == 1
    assert codes == [OK] * 4


def test_a_check_writes_to_no_target(cli: Cli, sqlite_app: Database, tmp_path: Path) -> None:
    """The database stays byte for byte what it was."""
    path = tmp_path / "app.db"
    sqlite_app.engine.dispose()
    before = path.read_bytes()
    cli("check", *configure(tmp_path, sqlite_app))

    assert path.read_bytes() == before
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (1,)
    connection.close()


def test_the_remedies_are_commands_that_exist(cli: Cli) -> None:
    """Each command in a remedy exists."""
    from rotation.cli.main import cli as group

    listed = cli("check", "--list", "--json", environ={}).document["checks"]
    named = {name for check in listed for name in re.findall(r"`keyring-rotate (\w+)", check["remedy"])}

    assert set() < named <= {*group.commands, "discover"}


def test_a_server_that_says_nothing_is_given_up(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A firewall that drops packets, or a server that hangs: UNKNOWN after seconds, not after minutes."""
    known_silent.forget()
    monkeypatch.setattr("rotation.stores.connection.CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"postgresql://u@127.0.0.1:{mute.getsockname()[1]}/app"
        began = time.monotonic()
        ran = cli("check", "--url", url, "--table", "creds", "--column", "token", "--json")
        took = time.monotonic() - began

    assert ran.code == UNKNOWN
    [fault] = [finding["message"] for finding in ran.document["findings"] if finding["check"] == "targets"]
    assert "the server does not answer" in fault
    assert took < 20


def test_targets_of_the_same_name_are_told_apart(cli: Cli, sqlite_app: Database, tmp_path: Path) -> None:
    """A table of one name in several databases: each finding, each series and each fault says which it is of."""
    sqlite_app.execute("UPDATE creds SET token = 'hunter2' WHERE id = 1")
    sqlite_app.engine.dispose()
    (tmp_path / "second.db").write_bytes((tmp_path / "app.db").read_bytes())
    config, metrics = configure(tmp_path, sqlite_app), tmp_path / "keys.prom"
    entry = Path(config[1]).read_text()
    names = ("app.db", "second.db", "gone.db", "lost.db")
    Path(config[1]).write_text("".join(entry.replace("app.db", name) for name in names))
    ran = cli("check", *config, "--json", "--prometheus", str(metrics))

    found = [(finding["check"], finding["subject"], finding["message"]) for finding in ran.document["findings"]]
    plain = {subject for check, subject, _ in found if check == "plaintext" and subject}
    assert plain == {f"creds.token in SQLite file {tmp_path / name}" for name in ("app.db", "second.db")}
    lost = [message for check, _, message in found if check == "targets"]
    assert ["gone.db" in lost[0], "lost.db" in lost[1]] == [True, True]
    series = [line.rpartition(" ")[0] for line in metrics.read_text().splitlines() if not line.startswith("#")]
    assert len(set(series)) == len(series)
    assert sum(line.startswith("keyring_target_up") for line in series) == 4
