"""The JSON documents of run and status, and the exit codes, as other programs rely on them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli
from tests.databases import Database, open_database
from tests.fakes import ISSUED_AT, token
from tests.keys import key_text, make_key

pytestmark = pytest.mark.database

FIELDS: dict[str, type] = {
    "name": str,
    "column": str,
    "scanned": int,
    "current": int,
    "to_rotate": int,
    "rotated": int,
    "empty": int,
    "plaintext": int,
    "unreadable": int,
    "unsettled": int,
    "under": dict,
    "oldest": dict,
    "youngest": dict,
    "ages": dict,
    "seconds": float,
    "problems": list,
}
CELLS = [token("new"), token("old"), token("old"), "", "hunter2", token("old")[:60], None]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Database]:
    with open_database("sqlite", tmp_path) as database:
        database.make_creds(CELLS)
        yield database


@pytest.mark.parametrize(
    ("argv", "dry_run"),
    [(("run",), False), (("run", "--dry-run"), True), (("status",), True)],
    ids=["run", "dry-run", "status"],
)
def test_a_report_is_one_document_with_the_promised_fields(
    cli: Cli, app: Database, argv: tuple[str, ...], dry_run: bool
) -> None:
    """The fields, their types and their sums; run and dry run differ in dry_run, and in the field with the tokens."""
    new, old = make_key("new"), make_key("old")
    document = cli(*argv, *_target(app), "--json").document

    assert (document["complete"], document["dry_run"], document["primary"]) == (False, dry_run, new.id)
    assert document["keys"][:2] == [{"id": new.id, "state": "primary"}, {"id": old.id, "state": "previous"}]
    [target] = document["targets"]
    assert {name: type(target[name]) for name in FIELDS} == FIELDS
    assert (target["name"], target["column"]) == ("creds", "token")
    assert target["under"] == ({new.id: 1, old.id: 2} if dry_run else {new.id: 3})
    times = dict.fromkeys(target["under"], ISSUED_AT)
    assert (target["oldest"], target["youngest"], target["ages"]) == (times, times, {"2020-09": 3})
    assert _counts(target) == (6, 1, *((2, 0) if dry_run else (0, 2)), 1, 1, 1, 0)
    assert target["scanned"] == sum(_counts(target)[1:])
    assert [(problem["key"], problem["category"]) for problem in target["problems"]] == [
        ({"id": 5}, "plaintext"),
        ({"id": 6}, "truncated"),
    ]


@pytest.mark.parametrize("command", ["run", "status"])
def test_exit_code_0_is_complete(cli: Cli, app: Database, command: str) -> None:
    """Nothing is left."""
    app.execute("DELETE FROM creds WHERE id > 4")
    cli("run", *_target(app))
    ran = cli(command, *_target(app), "--json")

    assert (ran.code, ran.document["complete"]) == (0, True)


@pytest.mark.parametrize("command", ["run", "status"])
def test_exit_code_1_is_something_left(cli: Cli, app: Database, command: str) -> None:
    """It finished, and cells are left that need action."""
    ran = cli(command, *_target(app), "--json")

    assert (ran.code, ran.document["complete"]) == (1, False)


@pytest.mark.parametrize("command", ["run", "status"])
def test_exit_code_2_is_usage_and_nothing_touched(cli: Cli, app: Database, command: str) -> None:
    """The second column is not there, so the first one is not rotated either."""
    before = app.column()
    ran = cli(command, *_target(app), "--column", "tokens", "--json")

    assert (ran.code, ran.document["complete"]) == (2, False)
    assert "tokens" in ran.document["error"]
    assert app.column() == before


@pytest.mark.parametrize("command", ["run", "status"])
def test_exit_code_3_is_a_database_that_fails(cli: Cli, tmp_path: Path, command: str) -> None:
    """R24, R30: a check that cannot read is never an "all is well"."""
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no database at all" * 100)
    target = ["--url", f"sqlite:///{broken}", "--table", "creds", "--column", "token"]
    ran = cli(command, *target, "--json")

    assert (ran.code, ran.document["complete"]) == (3, False)
    assert "not an SQLite database" in ran.document["error"]


@pytest.mark.parametrize("url", ["postgresql://nobody@127.0.0.1:9/app", "mysql://nobody@127.0.0.1:9/app"])
def test_a_server_that_cannot_be_reached_is_exit_code_3(cli: Cli, url: str) -> None:
    """R30: loudly, and in one document."""
    ran = cli("status", "--url", url, "--table", "creds", "--column", "token", "--json")

    assert (ran.code, ran.document["complete"]) == (3, False)


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(("run", "--batch-size", "0"), id="value"),
        pytest.param(("status", "--nosuch"), id="option"),
        pytest.param(("keys", "generate", "extra"), id="argument"),
        pytest.param(("keys", "retire"), id="missing argument"),
        pytest.param(("nosuch",), id="command"),
        pytest.param(("status", "--url", "sqlite:///app.db"), id="half a target"),
    ],
)
def test_a_command_line_that_does_not_fit_is_one_document_too(cli: Cli, argv: tuple[str, ...]) -> None:
    """A mistyped option is reported in the document, too, although no command has read it."""
    ran = cli(*argv, "--json")

    assert (ran.code, ran.document["complete"]) == (2, False)
    assert ran.document["error"] in " ".join(ran.err.split())


def test_a_run_that_is_stopped_at_once_is_one_document_too(
    cli: Cli, app: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second signal ends a run at once, and its document says so."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rotation.job.runs.rotate_jobs", interrupt)

    ran = cli("run", *_target(app), "--json")

    assert (ran.code, ran.document["complete"]) == (3, False)
    assert "Run the command again to continue." in ran.document["error"]


def test_a_mistake_of_ours_is_no_end_of_a_run(cli: Cli, app: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own exit code for it would be 1, which says that the run finished: it is 3, and shows no message."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("hunter2hunter2")

    monkeypatch.setattr("rotation.job.runs.rotate_jobs", fail)

    ran = cli("run", *_target(app), "--json")

    assert (ran.code, ran.document["complete"]) == (3, False)
    assert "RuntimeError" in ran.document["error"]
    assert "hunter2h" not in ran.out + ran.err


def _counts(target: dict[str, Any]) -> tuple[int, ...]:
    names = ("scanned", "current", "to_rotate", "rotated", "empty", "plaintext", "unreadable", "unsettled")
    return tuple(target[name] for name in names)


def _target(database: Database) -> list[str]:
    return ["--url", database.url, "--table", "creds", "--column", "token"]


@pytest.mark.parametrize(
    ("cell", "keeps"),
    [
        pytest.param("hunter2", False, id="plaintext"),
        pytest.param("correct horse battery staple " * 3, True, id="long plaintext"),
        pytest.param(b64encode(sha256(b"a").digest()).decode(), False, id="short ciphertext"),
        pytest.param(f"enc:{token('old')}", True, id="in text"),
        pytest.param(token("nobody"), True, id="no key opens it"),
        pytest.param(token("old")[:60], True, id="truncated"),
    ],
)
def test_older_keys_stay_for_what_may_need_them(cli: Cli, app: Database, cell: str, keeps: bool) -> None:
    """A plaintext that has no room for a token needs no key, and the last line of a run asks for none."""
    app.execute("DELETE FROM creds")
    app.insert("creds", [{"id": 1, "token": cell}])

    ran = cli("run", *_target(app))

    assert (ran.code, "look at these rows" in ran.out) == (1, True)
    assert ("keep every older key" in ran.out) is keeps


def test_a_staged_key_comes_first(cli: Cli, app: Database, environ: dict[str, str]) -> None:
    """A run before the promotion moves tokens to the key that is about to go, and its report says what comes first."""
    staged = environ | {"ENCRYPTION_STAGED_KEY": key_text("next")}
    first = f"{make_key('next').id} is staged. When every service has it"
    seen, ran = cli("status", *_target(app), environ=staged), cli("run", *_target(app), environ=staged)
    app.execute("DELETE FROM creds WHERE id NOT IN (1, 2)")
    complete = cli("run", *_target(app), environ=staged)

    assert f"1. {first}: keyring-rotate keys promote\n  2. or before that: keyring-rotate run" in seen.out
    assert f"Rotated 2 tokens.\n{first}:\nNext: keyring-rotate keys promote\n" in ran.out
    assert complete.code == 0
    assert complete.out.endswith(f"{first}:\nNext: keyring-rotate keys promote\n")
