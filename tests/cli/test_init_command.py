"""`init`, and `keys list --format`, as somebody types them who has nothing yet."""

from __future__ import annotations

import re
import stat
import tomllib
from pathlib import Path

import pytest

from keyring_core import Key
from rotation.applications.presets import load_preset, preset_names
from tests.conftest import Cli
from tests.keys import key_text


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with nothing in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_newcomer_gets_a_file_and_the_steps(cli: Cli, empty_folder: Path) -> None:
    """One command writes rotation.toml and the dotenv file, says what to fill in, and how it goes on."""
    ran = cli("init", "--app", "redash", "--env-file", "redash.env")

    assert ran.code == 0
    assert tomllib.loads((empty_folder / "rotation.toml").read_text()) == {
        "app": [{"name": "redash", "url": "$REDASH_DATABASE_URL"}]
    }
    assert "1. Make a new secret.\n     openssl rand" in ran.out
    assert "\n     keyring-rotate run --dry-run --env-file redash.env\n" in ran.out
    assert "With a wrong key: " in ran.out


def test_the_dotenv_file_is_for_its_owner_and_empty(cli: Cli, empty_folder: Path) -> None:
    """Mode 600, every variable of the preset with a comment, and no key is made."""
    cli("init", "--app", "airflow", "--env-file", "airflow.env")
    path = empty_folder / "airflow.env"
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert lines == ["AIRFLOW_DATABASE_URL=", "AIRFLOW_KEY=", "AIRFLOW_STAGED_KEY=", "AIRFLOW_PREVIOUS_KEYS="]


def test_without_a_dotenv_file_the_variables_are_listed(cli: Cli) -> None:
    """A file is not made without being asked for; what has to be in it is said."""
    ran = cli("init", "--app", "plane")

    assert "  PLANE_SECRET_KEY: the new key or secret" in ran.out
    assert not Path("plane.env").exists()


def test_the_url_is_the_one_that_was_given(cli: Cli) -> None:
    """A variable's name or a plain url goes into the entry as it was typed."""
    cli("init", "--app", "galaxy", "--url", "$MY_DB", "--config", "my.toml")

    assert tomllib.loads(Path("my.toml").read_text())["app"] == [{"name": "galaxy", "url": "$MY_DB"}]


def test_a_password_does_not_go_into_the_file(cli: Cli) -> None:
    """A url that may hold one is refused, and not shown."""
    ran = cli("init", "--app", "galaxy", "--url", "postgresql://u:hunter2@h/db")

    assert (ran.code, ran.out) == (2, "")
    assert "--url '$NAME'" in ran.err
    assert "hunter2" not in ran.err
    assert not Path("rotation.toml").exists()


def test_without_a_name_all_applications_are_listed(cli: Cli) -> None:
    """Each with what it holds, and the command to go on."""
    ran = cli("init", "--app")

    assert ran.code == 0
    assert [line.split()[0] for line in ran.out.splitlines()[:-1]] == list(preset_names())
    assert ran.out.splitlines()[-1] == "Next: begin with yours, for example: keyring-rotate init --app airflow"
    assert cli("init", "--app", "-q").out.splitlines() == ran.out.splitlines()[:-1]


@pytest.mark.parametrize("options", [(), ("--json",), ("--append",), ("--new-key",)], ids=str)
def test_a_script_says_what_to_begin_with(cli: Cli, options: tuple[str, ...]) -> None:
    """Without a terminal nothing is asked: the two ways are shown, and nothing is written."""
    ran = cli("init", *options)

    assert ran.code == 2
    assert "init --url sqlite:///app.db\n" in ran.err
    assert "init --app redash" in ran.err
    assert not list(Path().iterdir())


def test_the_key_of_an_application_is_made_by_its_steps(cli: Cli) -> None:
    """--new-key is for a service of your own."""
    ran = cli("init", "--app", "redash", "--new-key")

    assert ran.code == 2
    assert not list(Path().iterdir())


def test_quiet_prints_no_steps(cli: Cli) -> None:
    """What was written and what to know of it stay."""
    ran = cli("init", "--app", "redash", "-q")

    assert ran.out.startswith("Written: rotation.toml\n")
    assert not re.search(r"^\d+\. ", ran.out, re.MULTILINE)


def test_an_unknown_name_is_refused(cli: Cli) -> None:
    """With the nearest one, and nothing is written."""
    ran = cli("init", "--app", "jupyter", "--env-file", "x.env")

    assert ran.code == 2
    assert "did you mean jupyterhub?" in ran.err
    assert not list(Path().iterdir())


def test_a_file_that_is_there_stays(cli: Cli) -> None:
    """It is refused by name, and the entry to add is printed."""
    Path("rotation.toml").write_text("# mine\n")

    ran = cli("init", "--app", "galaxy", "--env-file", "galaxy.env")

    assert ran.code == 2
    assert "rotation.toml: is there already" in ran.err
    assert '[[app]]\nname = "galaxy"' in ran.err
    assert Path("rotation.toml").read_text() == "# mine\n"
    assert not Path("galaxy.env").exists()


def test_a_dotenv_file_that_is_there_stays(cli: Cli) -> None:
    """It may hold keys; rotation.toml is then not written either."""
    Path(".env").write_text("KEY=x\n")

    ran = cli("init", "--app", "galaxy", "--env-file", ".env")

    assert ran.code == 2
    assert Path(".env").read_text() == "KEY=x\n"
    assert not Path("rotation.toml").exists()


def test_append_adds_the_entry_behind_what_is_there(cli: Cli) -> None:
    """The file's own lines stay; the same application with the same url is added once."""
    cli("init", "--app", "galaxy")
    before = Path("rotation.toml").read_text()

    added = cli("init", "--app", "airflow", "--append")
    again = cli("init", "--app", "airflow", "--append")

    after = Path("rotation.toml").read_text()
    assert (added.code, again.code) == (0, 2)
    assert after.startswith(before.rstrip())
    assert [app["name"] for app in tomllib.loads(after)["app"]] == ["galaxy", "airflow"]


def test_append_refuses_a_file_that_is_broken(cli: Cli) -> None:
    """Nothing of it is quoted, and it stays as it is."""
    Path("rotation.toml").write_text("hunter2 = [")

    ran = cli("init", "--app", "airflow", "--append")

    assert ran.code == 2
    assert "not TOML" in ran.err
    assert "hunter2" not in ran.err
    assert Path("rotation.toml").read_text() == "hunter2 = ["


def test_json_is_one_document(cli: Cli) -> None:
    """What was written, and the steps with their commands; or the names."""
    ran = cli("init", "--app", "redash", "--json")

    assert ran.document["files"] == ["rotation.toml"]
    assert {"do", "run"} == set(ran.document["steps"][0])
    assert cli("init", "--app", "--json").document["apps"] == list(preset_names())


def test_keys_are_listed_as_the_application_reads_them(cli: Cli) -> None:
    """By ids; with --show-key the keys themselves."""
    environ = {"ENCRYPTION_KEY": key_text("new"), "ENCRYPTION_PREVIOUS_KEYS": key_text("old")}
    ids = [Key.parse(key_text(label)).id for label in ("new", "old")]

    named = cli("keys", "list", "--format", "jupyterhub", environ=environ)
    shown = cli("keys", "list", "--format", "jupyterhub", "--show-key", "--json", environ=environ)

    assert named.out.splitlines()[-1] == f"JUPYTERHUB_CRYPT_KEY=<{ids[0]}>;<{ids[1]}>"
    assert shown.document["lines"][-1] == f"JUPYTERHUB_CRYPT_KEY={key_text('new')};{key_text('old')}"


def test_a_url_that_is_written_out_is_asked_for_nowhere(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the dotenv file nor a step has a variable for it; a variable of one's own takes the preset's place."""
    monkeypatch.chdir(tmp_path)

    out = cli("init", "--app", "redash", "--url", "sqlite:///redash.db", "--env-file", "a.env").out
    assert "REDASH_DATABASE_URL" not in out + Path("a.env").read_text()
    assert 'url = "sqlite:///redash.db"' in Path("rotation.toml").read_text()

    out = cli("init", "--app", "airflow", "--url", "$META_DB", "--env-file", "b.env", "--append").out
    assert "the url of the database to `META_DB`" in out
    assert "\nMETA_DB=" in Path("b.env").read_text()


def test_a_secret_of_another_setting_is_not_printed(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostHog's older keys may be made of Django's SECRET_KEY, which does not belong into its list of keys."""
    monkeypatch.chdir(tmp_path)
    cli("init", "--app", "posthog", "--url", "sqlite:///posthog.db")
    environ = {"POSTHOG_SECRET_KEY": "django's own, of Django alone", "POSTHOG_SALT_KEY": "a salt"}
    environ |= {load_preset("posthog").keys["posthog"].primary.secret[1:]: "0123456789abcdefghijklmnopqrstuv"}

    listed = cli("keys", "list", "--format", "posthog", "--show-key", environ=environ)

    assert listed.out.splitlines()[-1].endswith("=0123456789abcdefghijklmnopqrstuv")
    assert "is made in another way than the primary key, and so is left out" in listed.err
