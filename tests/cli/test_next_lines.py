"""The commands that a command prints as next: they can be pasted, and lead to the end."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Cli, Ran
from tests.databases import Database, open_database
from tests.fakes import token
from tests.keys import key_text
from tests.warm.client import run

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
NEXT = re.compile(r"^ *(?:Next:|\d\.) .*?(keyring-rotate .*)$", re.MULTILINE)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A folder with a dotenv file, a rotation.toml and a database, in which commands are typed."""
    monkeypatch.chdir(tmp_path)
    Path("my.env").touch(0o600)
    with open_database("sqlite", tmp_path) as database:
        Path("my.env").write_text(f"ENCRYPTION_KEY={key_text('old')}\nDATABASE_URL='{database.url}'\n")
        Path("rotation.toml").write_text('[[target]]\nurl = "$DATABASE_URL"\ntable = "creds"\ncolumns = ["token"]\n')
        database.make_creds([token("old")])
        yield database


def following(ran: Ran) -> list[str]:
    """The commands of its Next lines."""
    return NEXT.findall(ran.out + ran.err)


def test_the_next_lines_are_a_whole_rotation(app: Database, cli: Cli) -> None:
    """Each Next line, typed as it stands, leads from the first look at the keys to a retired key."""
    typed = ["keyring-rotate keys list --env-file my.env"]
    while typed[-1] and len(typed) < 9:
        ran = cli(*shlex.split(typed[-1])[1:], environ={})
        [command] = following(ran) or [""]
        looks = command.startswith("keyring-rotate run") and "--dry-run" not in typed[-1]
        typed.append(f"{command} --dry-run --batch-size 7" if looks else command)

    listed = cli("keys", "list", "--env-file", "my.env", environ={}).out
    [retired] = re.findall(r"^(\w{8})  retired", listed, re.MULTILINE)
    assert typed == [
        "keyring-rotate keys list --env-file my.env",
        "keyring-rotate keys stage --env-file my.env",
        "keyring-rotate keys promote --env-file my.env",
        "keyring-rotate run --env-file my.env --dry-run --batch-size 7",
        "keyring-rotate run --env-file my.env --batch-size 7",
        f"keyring-rotate keys retire {retired} --archive {retired}.keys --env-file my.env",
        "",
    ]


def test_a_second_command_in_the_process_repeats_nothing_of_the_first(app: Database, cli: Cli) -> None:
    """Each has its own options: nothing outlives a command."""
    first = cli("keys", "list", "--env-file", "my.env", environ={})
    second = cli("keys", "list", environ={"ENCRYPTION_KEY": key_text("old"), "DATABASE_URL": str(app.url)})

    assert following(first) == ["keyring-rotate keys stage --env-file my.env"]
    assert following(second) == ["keyring-rotate keys stage"]


TARGET = ("--table", "creds", "--column", "token", "--where", "id < 9", "--env-file", "my.env")


def test_a_target_of_options_is_repeated(app: Database, cli: Cli) -> None:
    """Quoted for a shell, in the order in which it was typed; keys have no target."""
    Path("my.env").write_text(
        f"ENCRYPTION_KEY={key_text('new')}\nENCRYPTION_PREVIOUS_KEYS={key_text('old')}\nDATABASE_URL='{app.url}'\n"
    )
    app.insert("creds", [{"id": 2, "token": "hunter2"}])
    ran = cli("status", "--url", "$DATABASE_URL", *TARGET, environ={})
    checked = cli("check", "--json", "--url", "$DATABASE_URL", *TARGET, environ={})

    target = "--url '$DATABASE_URL' --table creds --column token --where 'id < 9' --env-file my.env"
    assert following(ran) == [f"keyring-rotate run {target}", f"keyring-rotate adopt {target}"]
    remedies = {finding["check"]: finding["remedy"] for finding in checked.document["findings"]}
    assert remedies["plaintext"] == f"keyring-rotate run --dry-run --problems problems.jsonl {target}"


def test_a_program_runs_the_commands_of_a_document(app: Database, cli: Cli) -> None:
    """A whole rotation, by the arguments in each document: nothing of a remedy's text is read."""
    given = ("--json", "--env-file", "my.env")
    [stage] = cli("keys", "stage", *given, environ={}).document["commands"]
    assert stage["when"].endswith("When all have it:")
    [run] = cli(*stage["arguments"], "--json", environ={}).document["commands"]
    listed = cli("keys", "list", *given, environ={}).document["keys"]
    old = next(key["id"] for key in listed if key["state"] == "previous")
    [refused] = cli("keys", "retire", old, "--no-archive", *given, environ={}).document["refused"]

    assert refused["remedy"] == "keyring-rotate run --env-file my.env"
    assert refused["commands"] == [run | {"when": ""}]
    [retire] = cli(*run["arguments"], "--json", environ={}).document["commands"]
    assert retire["when"].startswith(f"Nothing that was read needs {old}.")
    assert retire["arguments"] == ["keys", "retire", old, "--archive", f"{old}.keys", "--env-file", "my.env"]
    assert cli(*retire["arguments"], "--json", environ={}).document["complete"]


@pytest.mark.parametrize(
    ("option", "value", "shown"),
    [
        pytest.param("--url", "mysql+pymysql://root:hunter2@127.0.0.1:1/app", "--url URL", id="password"),
        pytest.param("--url", "postgresql://127.0.0.1:1/app?sslkey=mine", "--url URL", id="what may be one"),
        pytest.param("--where", f"token <> '{token('old')}'", "--where WHERE", id="token"),
    ],
)
def test_a_value_that_may_be_secret_is_not_repeated(
    app: Database, cli: Cli, option: str, value: str, shown: str
) -> None:
    """A placeholder stands in its place."""
    options = {"--url": "$DATABASE_URL", "--table": "creds", "--column": "token", option: value}
    words = [word for pair in options.items() for word in pair]
    app.execute("UPDATE creds SET token = 'hunter2'")
    ran = cli("check", "--json", *words, "--env-file", "my.env", environ={})

    assert shown in ran.out
    assert value not in ran.out + ran.err


def test_the_page_names_plain_commands(app: Database, cli: Cli) -> None:
    """It is read later, and elsewhere: no path of this command stands in it."""
    cli("keys", "stage", "--env-file", "my.env", environ={})
    cli("keys", "promote", "--env-file", "my.env", environ={})
    cli("report", "--html", "page.html", "--env-file", "my.env", environ={})

    page = Path("page.html").read_text()
    assert "keyring-rotate run" in page
    assert "my.env" not in page


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("words", "path", "name"),
    [
        pytest.param([sys.executable, "-m", "rotation"], "", "{python} -m rotation", id="module"),
        pytest.param([sys.executable, "scripts/rotate.py"], "", "{python} scripts/rotate.py", id="script"),
        pytest.param(["rotate.py"], f"{ROOT}/scripts:{BIN}:/usr/bin:/bin", "rotate.py", id="script on PATH"),
        pytest.param(["keyring-rotate"], f"{BIN}:/usr/bin:/bin", "keyring-rotate", id="installed, on PATH"),
        pytest.param([f"{BIN}/keyring-rotate"], f"{BIN}:/usr/bin:/bin", "keyring-rotate", id="its path, on PATH"),
        pytest.param([f"{BIN}/keyring-rotate"], "/usr/bin:/bin", "{bin}/keyring-rotate", id="installed, by its path"),
    ],
)
def test_the_program_calls_itself_what_it_was_started_as(words: list[str], path: str, name: str) -> None:
    """By the name that leads to it from where it was typed."""
    command, environ = shlex.join([*words, "--version"]), {"PATH": path or "/usr/bin:/bin"}

    # A shell searches PATH as a person's does.
    done = subprocess.run(["/bin/sh", "-c", command], cwd=ROOT, env=environ, capture_output=True, text=True, check=True)

    assert done.stdout.startswith(f"{name.format(python=sys.executable, bin=BIN)}, version ")


def test_usage_and_errors_have_the_name_of_the_program() -> None:
    """As the version has it."""
    program, environ = f"{BIN}/keyring-rotate", {"PATH": "/usr/bin:/bin"}

    usage = run([program, "run", "--help"], env=environ).stdout
    error = run([program, "--no-such"], env=environ).stderr

    assert " ".join(usage.split()).startswith(f"Usage: {program} run [OPTIONS]")
    assert error.splitlines()[-1] == f"See {program} --help"


def test_an_option_that_counts_is_repeated_as_it_was_typed(app: Database, cli: Cli) -> None:
    """-vv takes no number."""
    cli("keys", "stage", "--env-file", "my.env", environ={})
    cli("keys", "promote", "--env-file", "my.env", environ={})

    [command] = following(cli("-vv", "run", "--dry-run", "--env-file", "my.env", environ={}))

    assert command == "keyring-rotate run --env-file my.env --verbose --verbose"


WITH_A_PLACEHOLDER = re.compile(r"keyring-rotate [\w -]*\b(FILE|NAME|KEY_ID|PATH)\b|--[a-z-]+ (FILE|NAME|PATH)\b")


def test_no_command_that_is_proposed_has_a_placeholder() -> None:
    """In no text of the program: pasted, `--archive FILE` writes the key into a file called FILE."""
    found = []
    for path in sorted((ROOT / "rotation").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            found += [(path.name, words) for words in _texts(node) if WITH_A_PLACEHOLDER.search(words)]

    assert found == []


def _texts(node: ast.AST) -> Iterator[str]:
    """The text of a literal, and the words of a call that makes a command, but for a value behind `metavar=`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    if isinstance(node, ast.Call):
        words = [word.value if isinstance(word, ast.Constant) else "..." for word in node.args]
        yield " ".join(map(str, words))
