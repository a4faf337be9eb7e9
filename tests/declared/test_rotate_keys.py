"""`manage.py rotate_keys`, in a real project with two databases and history tables."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from keyring_core import Keyring
from tests.databases import Database, open_database
from tests.declared.django_project import COLUMNS, READ, Project, filled
from tests.keys import key_text, make_key

pytestmark = [pytest.mark.database, pytest.mark.uncounted]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_it_rotates_every_encrypted_field_of_every_database(kind: str, tmp_path: Path) -> None:
    """What the fields wrote under the old key, they read with the new one alone; a dry run writes nothing."""
    with ExitStack() as stack:
        databases = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            databases.append(stack.enter_context(open_database(kind, tmp_path / name)))
        _rotates_everything(filled(tmp_path / "app", [each.url for each in databases]), databases)


def _rotates_everything(project: Project, databases: list[Database]) -> None:
    before, stored = project.python(READ), _stored(databases)
    project.rotate_with()

    dry = project.manage("rotate_keys", "--dry-run")
    unchanged = _stored(databases)
    ran = project.manage("rotate_keys", "--json")
    again = project.manage("rotate_keys", "--settings", "project.settings")
    project.environ = {"ENCRYPTION_KEY": key_text("new")}

    assert dry.code == 1, dry.err
    assert dry.out.splitlines()[-1] == f"Next: {sys.executable} manage.py rotate_keys run"
    retire = f"keys retire {make_key('old').id} --archive {make_key('old').id}.keys"
    program = f"{sys.executable} manage.py rotate_keys --settings project.settings"
    assert again.out.splitlines()[-1].endswith(f": {program} {retire}")
    assert unchanged == stored
    assert ran.code == 0, ran.err
    assert {f"{each['name']}.{each['column']}" for each in ran.document["targets"]} == set(COLUMNS)
    assert len(ran.document["targets"]) == 2 * len(COLUMNS) - 1, "leads are in one database"
    assert again.code == 0
    assert "declared by the models" in again.out
    assert project.python(READ) == before
    assert before["leads"] == ["555"]
    assert before["taken_over"] == ["1234"]
    assert before["by_index"] == 1
    [(pin,)] = databases[0].rows("SELECT pin FROM shop_takenover")
    assert Keyring(make_key("new")).decrypt(pin) == "1234"
    assert before["there"] == ["over there"]


def test_status_and_check_say_what_keyring_rotate_says(project: Project) -> None:
    """The same texts, documents and exit codes, without a rotation.toml; with one, by its policy."""
    project.rotate_with()
    project.environ["ROTATION_LEDGER_URL"] = f"sqlite:///{project.folder}/ledger.db"

    status, check = project.manage("rotate_keys", "status", "--json"), project.manage("rotate_keys", "check", "--json")
    (project.folder / "rotation.toml").write_text('[policy.off]\nkey_files = "not here"\n')
    text = project.manage("rotate_keys", "check")

    assert (status.code, status.document["complete"]) == (1, False)
    assert sum(target["to_rotate"] for target in status.document["targets"]) == 16
    assert check.code in {0, 1}, check.out
    assert check.document["status"] in {"OK", "WARNING"}
    assert "not here" in text.out


FAULTS = {
    "no such option": (["--no-such-option"], {}, 2, "No such option"),
    "no such command": (["rotate"], {}, 2, "No such command"),
    "a command that is not there": (["keys", "list", "--keys", "none"], {}, 2, "none"),
    "no key": ([], {"ENCRYPTION_KEY": ""}, 2, "ENCRYPTION_KEY"),
}


def test_faults_of_usage_have_their_exit_code(project: Project) -> None:
    """2, and nothing was touched; without a traceback."""
    for words, environ, code, said in FAULTS.values():
        before = dict(project.environ)
        project.environ |= environ
        ran = project.manage("rotate_keys", *words)
        project.environ = before

        assert (ran.code, said in ran.err) == (code, True), ran.err
        assert "Traceback" not in ran.err


def test_a_program_of_the_project_can_call_it(project: Project) -> None:
    """`call_command` prints to the stream that it gets, and raises for an exit code that is not 0."""
    project.rotate_with()
    code = """
import io
from django.core.management import CommandError, call_command
out, codes = io.StringIO(), []
try:
    call_command("rotate_keys", "--", "--dry-run", stdout=out)
except CommandError as error:
    codes.append(error.returncode)
call_command("rotate_keys", stdout=out)
call_command("rotate_keys", "status", "--", "--json", stdout=out)
found = [codes, out.getvalue().splitlines()[-1]]
"""

    [codes, last] = project.python(code)

    assert codes == [1]
    assert json.loads(last)["complete"] is True


def _stored(databases: list[Database]) -> list[dict[Any, Any]]:
    """The cells of some columns, as they are stored."""
    [default, crm] = databases
    return [
        dict(default.rows('SELECT id, "Memo" FROM shop_account')),
        dict(default.rows("SELECT history_id, api_key FROM shop_historicalaccount")),
        dict(crm.rows("SELECT id, api_key FROM shop_account")),
        dict(crm.rows("SELECT id, phone FROM shop_lead")),
    ]


def test_the_missing_extra_has_a_name(project: Project) -> None:
    """Services install this package without what the job needs: no traceback then."""
    (project.folder / "click.py").write_text("raise ModuleNotFoundError(name='click')")

    ran = project.manage("rotate_keys", start=partial(subprocess.run, capture_output=True, text=True, check=False))

    assert (ran.code, ran.err) == (2, "Error: click is missing; install this project with its extra rotate\n")


def test_help_is_that_of_keyring_rotate(project: Project) -> None:
    """Of all commands, and of the one that is meant if none is named."""
    assert "Exit codes:" in project.manage("rotate_keys", "--help").out
    assert "--full-speed" in project.manage("rotate_keys", "--dry-run", "--help").out


@pytest.mark.long
def test_worker_processes_share_the_work(tmp_path: Path) -> None:
    """They get each url from the command, since no variable holds it."""
    with open_database("postgresql", tmp_path) as database:
        project = filled(tmp_path / "app", [database.url, database.url])
        [(cell,)] = database.rows("SELECT phone FROM shop_lead")
        with database.engine.begin() as connection:
            more = sa.text("INSERT INTO shop_lead (phone) SELECT :cell FROM generate_series(1, 6000)")
            connection.execute(more, {"cell": cell})
        project.rotate_with()

        ran = project.manage("rotate_keys", "--workers", "3", "--json")

        assert ran.code == 0, ran.err
        [leads] = [each for each in ran.document["targets"] if each["name"] == "shop_lead"]
        assert leads["rotated"] == 6001
