"""`init` on a terminal: what it asks, and what the answers lead to."""

from __future__ import annotations

import os
import stat
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest
from dotenv import dotenv_values

from keyring_core import Key, Keyring
from tests.databases import Database
from tests.keys import key_text, make_key
from tests.terminals import CTRL_C, CTRL_D, Talk, talk

pytestmark = pytest.mark.database

ROOT = Path(__file__).parents[2]
APPLICATION, DATABASE, FILE, MAKE = "known applications? Name", "Database, as a url", "File of the keys", "Make one?"


def init(folder: Path, answers: Sequence[tuple[str, str]], *options: str, **environ: str) -> Talk:
    """`init` in *folder*, on a terminal."""
    argv = [sys.executable, ROOT / "scripts/rotate.py", "init", *options]
    return talk(argv, answers, folder, {"PATH": os.environ["PATH"], "TERM": "xterm", **environ})


def config_of(folder: Path) -> dict[str, object]:
    """What rotation.toml says."""
    return tomllib.loads((folder / "rotation.toml").read_text())


def test_empty_answers_lead_to_a_key_and_a_file(tmp_path: Path, database: Database) -> None:
    """The database is that of DATABASE_URL, the keys are in .env, and a key is made, which only its owner can read."""
    folder = tmp_path / "new"
    folder.mkdir()
    database.make_creds([])

    ran = init(folder, [(APPLICATION, "\n"), (FILE, "\n"), (DATABASE, "\n"), (MAKE, "\n")], DATABASE_URL=database.url)

    assert ran.code == 0
    assert "[$DATABASE_URL]" in ran.shown
    assert "[.env]" in ran.shown
    assert config_of(folder) == {"env_file": ".env"}
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600
    assert Key.parse(dotenv_values(folder / ".env")["ENCRYPTION_KEY"] or "").id in ran.shown
    assert "from keyring_core import get_encryption_service" in ran.shown


def test_the_default_is_what_the_dotenv_file_says(tmp_path: Path) -> None:
    """A DATABASE_URL in ./.env is proposed, and the key that is there is kept."""
    (tmp_path / ".env").write_text(f"ENCRYPTION_KEY={key_text('old')}\nDATABASE_URL=sqlite:///app.db\n")
    (tmp_path / "app.db").touch()

    ran = init(tmp_path, [(APPLICATION, "\n"), (FILE, "\n"), (DATABASE, "\n")])

    assert ran.code == 0
    assert (tmp_path / ".env").read_text() == f"ENCRYPTION_KEY={key_text('old')}\nDATABASE_URL=sqlite:///app.db\n"


def test_each_answer_is_checked_when_it_is_given(tmp_path: Path) -> None:
    """A wrong one is asked for again, with the reason; only the right ones count."""
    (tmp_path / "app.db").touch()
    wrong_names = [(APPLICATION, "flask\n"), (APPLICATION, "\n")]
    wrong_files = [(FILE, "nowhere/.env\n"), (FILE, "/\n"), (FILE, "\n")]
    wrong_urls = [(DATABASE, f"{answer}\n") for answer in ("help", "app.db", "$NOWHERE", "sqlite:///nowhere.db")]

    ran = init(tmp_path, [*wrong_names, *wrong_files, *wrong_urls, (DATABASE, "sqlite:///app.db\n"), (MAKE, "\n")])

    shown = " ".join(ran.shown.split())
    assert ran.code == 0
    assert "did you mean fastmcp?" in shown
    assert "Only these need a name: for a service of your own, press Enter" in shown
    assert "there is no folder" in shown
    assert shown.count("the database: the url is not of the form dialect://") == 2
    assert "for an SQLite file: sqlite:///app.db" in shown
    assert "its url is $NOWHERE, and that variable is not set" in shown
    assert "the database: there is no SQLite file" in shown
    assert config_of(tmp_path) == {"env_file": ".env"}


def test_a_terminal_breaks_lines_between_words(tmp_path: Path) -> None:
    """Questions, refusals and the report fit into the terminal, unless a line has a command to be copied in it."""
    _make_tokens(tmp_path / "app.db")
    (tmp_path / ".env").write_text(f"ENCRYPTION_KEY={key_text('other')}\n")
    answers = [(APPLICATION, "flask\n"), (APPLICATION, "\n"), (FILE, "\n"), (DATABASE, "sqlite:///app.db\n")]

    of_service = init(tmp_path, answers, COLUMNS="60")
    of_application = init(tmp_path, [], "--app", "redash", "--config", "redash.toml", COLUMNS="60")

    assert (of_service.code, of_application.code) == (1, 0)
    for ran in (of_service, of_application):
        lines = [line for line in ran.shown.replace("sqlite:///app.db", "").splitlines() if "rotate.py" not in line]
        assert [line for line in lines if len(line) > 60] == []
    assert "put that into ENCRYPTION_PREVIOUS_KEYS" in " ".join(of_service.shown.split())


def test_the_url_may_be_in_the_file_of_the_keys(tmp_path: Path) -> None:
    """So that file is asked for first, and its DATABASE_URL is proposed."""
    (tmp_path / "app.db").touch()
    (tmp_path / "my.env").write_text(f"ENCRYPTION_KEY={key_text('old')}\nDATABASE_URL=sqlite:///app.db\n")

    ran = init(tmp_path, [(APPLICATION, "\n"), (FILE, "my.env\n"), (DATABASE, "\n")])

    assert ran.code == 0
    assert "[$DATABASE_URL]" in ran.shown


def test_what_an_option_says_is_not_asked(tmp_path: Path) -> None:
    """With all of them there is no question."""
    (tmp_path / "app.db").touch()

    ran = init(tmp_path, [], "--url", "sqlite:///app.db", "--env-file", "my.env", "--new-key")

    assert ran.code == 0
    assert config_of(tmp_path) == {"env_file": "my.env"}


def test_no_key_is_made_beside_tokens(tmp_path: Path) -> None:
    """If tokens are there, so is their key: nothing is asked about a new one, and the file waits for theirs."""
    database = tmp_path / "app.db"
    _make_tokens(database)

    ran = init(tmp_path, [(APPLICATION, "\n"), (FILE, "\n"), (DATABASE, "sqlite:///app.db\n")])

    assert ran.code == 1
    assert MAKE not in ran.shown
    assert "Put the key that the service uses today into ENCRYPTION_KEY in .env." in " ".join(ran.shown.split())
    assert "ENCRYPTION_KEY" not in dotenv_values(tmp_path / ".env")
    assert config_of(tmp_path)["env_file"] == ".env"


def test_a_password_goes_into_the_dotenv_file(tmp_path: Path) -> None:
    """With the answer yes: mode 600, and rotation.toml names the variable. A url with a quote is refused at once."""
    (tmp_path / "app.db").touch()
    url = "postgresql://postgres@127.0.0.1:5432/postgres?application_name=it's+mine"

    refused = init(tmp_path, [(APPLICATION, "\n"), (FILE, "\n"), (DATABASE, f"{url}\n")])
    url = url.replace("'", "")
    ran = init(
        tmp_path, [(APPLICATION, "\n"), (FILE, "\n"), (DATABASE, f"{url}\n"), ("may hold a", "\n"), (MAKE, "n\n")]
    )

    assert (refused.code, ran.code) == (2, 1)
    assert dotenv_values(tmp_path / ".env")["DATABASE_URL"] == url
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert "postgres@" not in (tmp_path / "rotation.toml").read_text()
    assert "$DATABASE_URL" in (tmp_path / "rotation.toml").read_text()


def test_a_password_that_may_not_go_there_stays_out_of_all_files(tmp_path: Path) -> None:
    """With the answer no nothing is written, and so it is if the variable is taken."""
    url, taken = "postgresql://u:hunter2@127.0.0.1/db", "OTHER=1\nDATABASE_URL=sqlite:///app.db\n"

    declined = init(tmp_path, [(APPLICATION, "\n"), (FILE, "\n"), (DATABASE, f"{url}\n"), ("may hold a", "n\n")])
    (tmp_path / ".env").write_text(taken)
    refused = init(tmp_path, [(FILE, "\n")], "--url", url)

    assert (declined.code, refused.code) == (2, 2)
    assert "DATABASE_URL is in the dotenv file already" in " ".join(refused.shown.split())
    assert (tmp_path / ".env").read_text() == taken
    assert "--url '$DATABASE_URL'" in " ".join(declined.shown.split())
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_an_application_can_be_named(tmp_path: Path) -> None:
    """The first question leads to the entry of a preset."""
    ran = init(tmp_path, [(APPLICATION, "redash\n")])

    assert ran.code == 0
    assert config_of(tmp_path) == {"app": [{"name": "redash", "url": "$REDASH_DATABASE_URL"}]}


@pytest.mark.parametrize("key", [CTRL_C, CTRL_D], ids=["Ctrl-C", "Ctrl-D"])
def test_a_question_can_be_left(tmp_path: Path, key: str) -> None:
    """Once is enough; nothing is written."""
    ran = init(tmp_path, [(APPLICATION, "\n"), (FILE, "\n"), (DATABASE, key)])

    assert ran.code == 3
    assert "Nothing was written." in ran.shown
    assert "Traceback" not in ran.shown
    assert not list(tmp_path.iterdir())


def test_a_program_that_reads_json_is_asked_nothing(tmp_path: Path) -> None:
    """On a terminal, too."""
    (tmp_path / "app.db").touch()

    ran = init(tmp_path, [], "--url", "sqlite:///app.db", "--json")

    assert ran.code == 1
    assert '"new_key": null' in ran.shown


def _make_tokens(path: Path) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT)")
        connection.execute("INSERT INTO creds VALUES (1, ?)", [Keyring(make_key("lost")).encrypt("x" * 30)])
