"""The command line: what an admin types, and what is said when it does not fit."""

from __future__ import annotations

import importlib
import json
import os
import sqlite3
import subprocess
import sys
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

import dask
import pytest
from cryptography.fernet import Fernet
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from keyring_core import Key
from keyring_core.redaction import Redactor
from rotation.__main__ import MODULES
from tests.conftest import Cli, Ran
from tests.keys import key_text, make_key
from tests.processes import without_installation
from tests.warm import client as warm

pytestmark = pytest.mark.database

ROOT = Path(__file__).parents[2]


@pytest.fixture
def app(tmp_path: Path, old: Key) -> Path:
    """An SQLite database with three tokens under the old key."""
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT)")
        tokens = [(number, old.fernet.encrypt(b"secret").decode()) for number in (1, 2, 3)]
        connection.executemany("INSERT INTO creds VALUES (?, ?)", tokens)
    return path


def target(path: Path) -> tuple[str, ...]:
    return ("--url", f"sqlite:///{path}", "--table", "creds", "--column", "token")


def is_refused(ran: Ran, *words: str) -> bool:
    """Exit code 2, every word on stderr in one or two lines, no traceback, nothing on stdout."""
    assert all(word in ran.err for word in words), ran.err
    assert len(ran.err.splitlines()) <= 2, ran.err
    return ran.code == 2 and "Traceback" not in ran.err and ran.out == ""


@pytest.mark.parametrize(
    "value", [pytest.param(None, id="unset"), pytest.param("", id="empty"), pytest.param("  ", id="blanks")]
)
@pytest.mark.parametrize("command", ["run", "status"])
def test_without_a_primary_key_nothing_starts(
    cli: Cli, app: Path, environ: dict[str, str], command: str, value: str | None
) -> None:
    """C01: without ENCRYPTION_KEY the command names it, shows how to make one, and touches nothing."""
    untouched = app.read_bytes()
    environ = {name: text for name, text in environ.items() if name != "ENCRYPTION_KEY"}
    if value is not None:
        environ["ENCRYPTION_KEY"] = value

    ran = cli(command, *target(app), environ=environ)

    assert is_refused(ran, "ENCRYPTION_KEY", "Fernet.generate_key()")
    assert app.read_bytes() == untouched


def test_two_forms_of_one_variable_are_refused(cli: Cli, app: Path, environ: dict[str, str], tmp_path: Path) -> None:
    """C02: a variable and its _FILE form at once are an error that names both."""
    ran = cli("status", *target(app), environ=environ | {"ENCRYPTION_KEY_FILE": str(tmp_path / "key")})

    assert is_refused(ran, "ENCRYPTION_KEY and ENCRYPTION_KEY_FILE")


def test_a_key_file_that_cannot_be_read_is_named(cli: Cli, app: Path, tmp_path: Path) -> None:
    """C03: a key file that is missing is named, with the fault."""
    ran = cli("status", *target(app), environ={"ENCRYPTION_KEY_FILE": str(tmp_path / "missing")})

    assert is_refused(ran, "ENCRYPTION_KEY_FILE", "missing", "No such file")


def test_a_key_file_that_others_can_read_gives_a_warning(cli: Cli, app: Path, tmp_path: Path) -> None:
    """C04: a key file that every user can read works, and the warning shows its mode."""
    key = tmp_path / "key"
    key.write_text(key_text("old"))
    key.chmod(0o644)

    ran = cli("status", *target(app), environ={"ENCRYPTION_KEY_FILE": str(key)})

    assert ran.code == 0
    assert "-rw-r--r--" in ran.err


@pytest.mark.parametrize(
    ("url", "word"),
    [
        pytest.param("", "go together", id="missing"),
        pytest.param("oracle://u:hunter2hunter2@h/db", "unsupported database; supported: ", id="unknown scheme"),
        pytest.param("postgresql://u:hunter2hunter2@h:port/db", "the port as a number", id="port not a number"),
        pytest.param("hunter2hunter2", "not of the form", id="no url"),
        pytest.param("sqlite:////nowhere/app.db", "no SQLite file", id="no file"),
    ],
)
def test_a_database_url_that_cannot_work_is_refused(cli: Cli, url: str, word: str) -> None:
    """C05: a url that cannot work is refused, its password is not shown, and the redactor leaves the words alone."""
    ran = cli("status", "--url", url, "--table", "creds", "--column", "token")

    assert is_refused(ran, word)
    assert "hunter2h" not in ran.err
    assert Redactor().redact(ran.err) == ran.err


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ((), (None, "adaptive")),
        (("--full-speed",), (None, "full")),
        (("--gentle",), (None, "gentle")),
        (("--full-speed", "--batch-size", "7"), (7, "full")),
    ],
    ids=["adaptive", "full speed", "gentle", "own size"],
)
def test_a_run_is_polite_unless_told_otherwise(
    cli: Cli, app: Path, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...], expected: tuple[int | None, str]
) -> None:
    """By default a run makes way for those who write; an option fixes its pace, and a given size counts."""
    from rotation.job import runs

    seen = []
    real = runs.rotate_jobs
    monkeypatch.setattr(runs, "rotate_jobs", lambda *given, **more: seen.append(given[0][0]) or real(*given, **more))

    ran = cli("run", *target(app), *argv)

    assert ran.code == 0
    assert (seen[0].options.batch_size, seen[0].options.speed) == expected


def test_a_run_has_one_pace(cli: Cli, app: Path) -> None:
    """Two options for it contradict each other: exit code 2, and nothing is written."""
    ran = cli("run", *target(app), "--gentle", "--full-speed")

    assert (ran.code, "exclude each other" in ran.err) == (2, True)


@pytest.mark.parametrize("size", ["0", "-1", "many", "1000000000"])
def test_a_batch_size_that_makes_no_sense_is_refused(cli: Cli, app: Path, size: str) -> None:
    """C06: the option and its value are named."""
    ran = cli("run", *target(app), "--batch-size", size)

    assert is_refused(ran, "--batch-size", size)


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", "1e999", "fast"])
def test_a_rate_that_makes_no_sense_is_refused(cli: Cli, app: Path, rate: str) -> None:
    """C06: also what Python would read as a number, and no clock can keep to."""
    ran = cli("run", *target(app), "--max-rate", rate)

    assert is_refused(ran, "--max-rate", rate)


def test_an_unknown_option_is_refused_with_the_near_one(cli: Cli, app: Path) -> None:
    """C07: a misspelt option is refused, and the right one is named."""
    ran = cli("run", *target(app), "--dryrun")

    assert is_refused(ran, "--dryrun", "--dry-run", "See keyring-rotate run --help")


def test_without_a_command_the_help_is_shown(cli: Cli) -> None:
    """Who types the name alone sees the commands; nothing was asked for, so it is no success."""
    ran = cli()

    assert (ran.code, ran.out) == (2, "")
    assert "demo" in ran.err


def test_a_misspelt_variable_is_told_even_where_the_key_is_missing(cli: Cli, app: Path) -> None:
    """C07: ENCRYPTION_KEYS for ENCRYPTION_KEY is reported beside the error that it causes."""
    ran = cli("status", *target(app), environ={"ENCRYPTION_KEYS": key_text("old")})

    assert is_refused(ran, "ENCRYPTION_KEYS is not a variable of this project; did you mean ENCRYPTION_KEY?")


@pytest.mark.parametrize("command", [("status",), ("run", "--dry-run")], ids=["status", "dry run"])
def test_looking_writes_nothing(cli: Cli, app: Path, command: tuple[str, ...]) -> None:
    """C08: status and a dry run work on a file that cannot be written, and leave it byte for byte."""
    app.chmod(0o444)
    untouched = app.read_bytes()

    ran = cli(*command, "--json", *target(app))

    assert ran.code == 1
    assert ran.document["dry_run"] is True
    assert ran.document["targets"][0]["to_rotate"] == 3
    assert app.read_bytes() == untouched


def test_no_option_takes_a_key() -> None:
    """C09: no option of any command is for a key, since everybody sees a command line. --new-key makes one."""
    from rotation.cli.main import cli as group

    names = {
        name
        for command in (*group.commands.values(), *group.commands["keys"].commands.values())
        for parameter in command.params
        for name in parameter.opts
    }

    assert names >= {"--config", "--env-file", "--json"}
    assert {name for name in names if "key" in name} == {"--key-column", "--keys", "--new-key", "--show-key", "key_id"}


def test_the_same_column_twice_counts_once(cli: Cli, app: Path) -> None:
    """C10: a column that is named twice is done once."""
    ran = cli("run", "--json", *target(app), "--column", "token")

    assert len(ran.document["targets"]) == 1


def test_a_config_without_targets_is_an_error(cli: Cli, tmp_path: Path) -> None:
    """C10: a rotation.toml without a target is refused, with what makes one."""
    config = tmp_path / "rotation.toml"
    config.write_text("")

    ran = cli("run", "--config", str(config))

    assert is_refused(ran, str(config), "names no target", "[[target]]")


def test_an_ascii_terminal_ends_no_run(tmp_path: Path, old: Key, environ: dict[str, str]) -> None:
    """C11: under LANG=C, without a terminal, a table of any name is rotated and named."""
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as connection:
        connection.execute('CREATE TABLE "schlüssel" (id INTEGER PRIMARY KEY, token TEXT)')
        connection.execute('INSERT INTO "schlüssel" VALUES (1, ?)', [old.fernet.encrypt(b"x").decode()])
    argv = ["run", "--url", f"sqlite:///{path}", "--table", "schlüssel", "--column", "token"]

    ran = subprocess.run(
        [sys.executable, ROOT / "scripts/rotate.py", *argv],
        env=environ | {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PATH": os.environ["PATH"]},
        capture_output=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert rb"schl\xfcssel.token" in ran.stdout
    assert b"Traceback" not in ran.stderr


def test_an_env_file_is_a_dotenv_file(cli: Cli, app: Path, tmp_path: Path) -> None:
    """C12: export, quotes and comments are dotenv's, its values win over the environment, and $ stays $."""
    env = tmp_path / ".env"
    env.write_text(f"# keys\nexport ENCRYPTION_KEY=\"{key_text('old')}\" # the old one\nDB='sqlite:///{app}'\n")

    ran = cli("status", "--json", "--env-file", str(env), "--url", "$DB", "--table", "creds", "--column", "token",
              environ={"ENCRYPTION_KEY": key_text("new")})  # fmt: skip

    assert ran.code == 0
    assert ran.document["targets"][0]["current"] == 3


def test_an_env_file_in_utf_16_is_refused(cli: Cli, tmp_path: Path) -> None:
    """C12: its variables would not be found, without a reason."""
    env = tmp_path / ".env"
    env.write_bytes(f"ENCRYPTION_KEY={key_text('old')}\n".encode("utf-16"))

    assert is_refused(cli("keys", "list", "--env-file", str(env)), f"--env-file {env}: has NUL characters")


def test_an_env_file_may_hold_bytes_that_are_no_utf_8(cli: Cli, tmp_path: Path) -> None:
    """C12: a comment in Latin-1 is no error, and stays when a key is staged."""
    env = tmp_path / ".env"
    env.write_bytes(f"# Schl\xfcssel\nENCRYPTION_KEY={key_text('old')}\n".encode("latin-1"))

    assert cli("keys", "stage", "--env-file", str(env)).code == 0
    assert env.read_bytes().startswith(b"# Schl\xfcssel\n")


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        pytest.param("none", "there is no such file", id="missing"),
        pytest.param(".", "is not a regular file", id="directory"),
        pytest.param("fifo", "is not a regular file", id="fifo"),
        pytest.param("x" * 300, "File name too long", id="no-name-of-a-file"),
    ],
)
def test_an_env_file_that_cannot_be_read_is_refused(cli: Cli, tmp_path: Path, name: str, fault: str) -> None:
    """C12: it is named with its fault; a FIFO is not waited for."""
    os.mkfifo(tmp_path / "fifo")
    ran = cli("keys", "list", "--env-file", str(tmp_path / name))

    assert is_refused(ran, "--env-file", fault)


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(("--table", "creds"), id="table alone"),
        pytest.param(("--url", "sqlite:///x", "--column", "c"), id="no table"),
        pytest.param(("--where", "id > 1"), id="where alone"),
    ],
)
def test_half_a_target_is_refused(cli: Cli, argv: tuple[str, ...]) -> None:
    """--url, --table and --column go together."""
    assert is_refused(cli("status", *argv), "--url, --table and --column go together")


@pytest.mark.parametrize("file", [None, "/nowhere/ca.pem"])
def test_a_cluster_that_needs_certificates_is_refused_without(cli: Cli, app: Path, file: str | None) -> None:
    """If Dask's own settings name none, or one that does not exist, the command does not wait."""
    # Its defaults are read first: undoing a setting that was made before them would take them away.
    importlib.import_module("distributed")
    with dask.config.set({"distributed.comm.tls.ca-file": file}):
        ran = cli("run", "--dask", "tls://127.0.0.1:1", *target(app))

    assert is_refused(ran, "Dask has no certificates that it can read")


def test_config_and_target_options_exclude_each_other(cli: Cli, app: Path) -> None:
    """Two ways to name targets at once are refused."""
    assert is_refused(cli("status", "--config", "rotation.toml", *target(app)), "exclude each other")


def test_a_rotated_database_opens_with_the_new_key_alone(cli: Cli, app: Path) -> None:
    """A run rotates, says so, and exits 0; stock Fernet opens the result with the new key."""
    ran = cli("run", *target(app))

    assert ran.code == 0
    assert "Rotated 3 tokens. Complete" in ran.out
    with sqlite3.connect(app) as connection:
        tokens = [row[0] for row in connection.execute("SELECT token FROM creds")]
    assert [Fernet(key_text("new")).decrypt(token) for token in tokens] == [b"secret"] * 3


def test_an_error_is_one_json_document_too(cli: Cli, tmp_path: Path) -> None:
    """With --json an error is a document on stdout, and words on stderr."""
    ran = cli("status", "--json", "--config", str(tmp_path / "none.toml"))

    assert ran.code == 2
    assert ran.document["complete"] is False
    assert "none.toml" in ran.document["error"]
    assert "none.toml" in ran.err


def test_keys_generate_prints_a_key_alone(cli: Cli) -> None:
    """One new key is printed by keys generate, with nothing around it."""
    first, second = cli("keys", "generate"), cli("keys", "generate")

    assert Key.parse(first.out).reveal() + "\n" == first.out
    assert first.out != second.out


def test_keys_generate_prints_its_key_in_a_real_process() -> None:
    """The redactor of stdout, which masks every key, lets the requested one through."""
    ran = warm.run([sys.executable, "-m", "rotation", "keys", "generate", "--json"], cwd=ROOT)

    made = json.loads(ran.stdout)
    assert Key.parse(made["key"]).id == made["id"]


def test_keys_list_shows_ids_and_states(cli: Cli, new: Key, old: Key, older: Key) -> None:
    """Every key is listed by its id, never by its text."""
    ran = cli("keys", "list")

    listed, following = ran.out.split("Next:\n")
    assert listed == f"{new.id}  primary\n{old.id}  previous\n{older.id}  previous\n"
    assert following == (
        "  1. keyring-rotate run\n"
        f"  2. when nothing needs {older.id}: keyring-rotate keys retire {older.id} --archive {older.id}.keys\n"
    )
    assert cli("keys", "list", "--json").document == {
        "keys": [
            {"id": new.id, "state": "primary"},
            {"id": old.id, "state": "previous"},
            {"id": older.id, "state": "previous"},
        ]
    }


def test_a_checkout_needs_no_installation(app: Path, environ: dict[str, str], tmp_path: Path) -> None:
    """A retirement's certificate, the page and --version say so in place of the version, and none of them fails."""
    (tmp_path / "site").mkdir()
    environ |= without_installation(tmp_path / "site")
    entry = f'[[target]]\nurl = "sqlite:///{app}"\ntable = "creds"\ncolumns = ["token"]\n'
    (tmp_path / "rotation.toml").write_text(entry)

    def rotate(*argv: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-S", str(ROOT / "scripts/rotate.py"), *argv]
        return subprocess.run(words, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)

    shown, ran = rotate("--version"), rotate("run")
    retired = rotate("keys", "retire", make_key("old").id, "--no-archive", "--certificate", "proof.json")
    reported = rotate("report", "--html", "page.html")

    words = "(a checkout that is not installed)"
    assert (shown.returncode, shown.stdout) == (
        0,
        f"{sys.executable} -S {ROOT / 'scripts/rotate.py'}, version {words}\n",
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads((tmp_path / "proof.json").read_text())["tool"] == f"keyring-core {words}", retired.stderr
    assert words in (tmp_path / "page.html").read_text(), reported.stderr


def test_the_version_is_that_of_the_installation(cli: Cli) -> None:
    """As pip knows it."""
    ran = cli("--version")

    assert (ran.code, ran.out) == (0, f"keyring-rotate, version {version('keyring-core')}\n")


def test_help_imports_no_database_library() -> None:
    """--help answers without loading SQLAlchemy or msgspec."""
    code = (
        "import sys; from rotation.cli.main import main\n"
        "code = main(['--help'], {}, sys.stdout)\n"
        "print(code, sorted({'sqlalchemy', 'msgspec', 'psycopg'} & set(sys.modules)))"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert ran.stdout.splitlines()[-1] == "0 []"


def test_rich_is_imported_only_for_what_is_drawn() -> None:
    """At a start structlog would import it; --help does without it, and it can still be imported later."""
    code = (
        "import atexit, sys; sys.argv[1:] = ['--help']\n"
        "atexit.register(lambda: print('rich' in sys.modules, __import__('rich').__name__))\n"
        "from rotation.__main__ import start; start()"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert ran.stdout.splitlines()[-1] == "False rich"


@pytest.mark.parametrize("missing", [["click"], ["msgspec"], ["rich", "sqlalchemy"]], ids=" ".join)
def test_a_missing_package_is_named_before_anything_starts(missing: list[str]) -> None:
    """Beside Flask, which brings click, the rest of the extra may lack: one sentence, exit code 2, no traceback."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({missing!r})); sys.argv[1:] = ['status']\n"
        "from rotation.__main__ import start; start()"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)

    verb = "is" if len(missing) == 1 else "are"
    said = f"Error: {', '.join(missing)} {verb} missing; in a checkout of this project: pip install '.[rotate]'\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", said)


def test_every_package_of_the_extra_is_looked_for() -> None:
    """And what the services need, too: each by the names of its modules."""
    named = [Requirement(line) for line in requires("keyring-core") or []]
    needed = [each.name for each in named if each.marker is None or each.marker.evaluate({"extra": "rotate"})]
    owners = packages_distributions()
    found = [owners[module][0] for module in MODULES]

    assert sorted(map(canonicalize_name, found)) == sorted(map(canonicalize_name, needed))


def test_a_missing_driver_is_named_by_its_extra(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    """A driver is needed for its databases alone, and so is not looked for at the start."""
    monkeypatch.setitem(sys.modules, "pymysql", None)

    ran = cli("status", "--url", "mysql+pymysql://u@127.0.0.1/db", "--table", "creds", "--column", "token")

    assert is_refused(ran, "the driver is not installed")
    assert "pip install '.[rotate,mysql]'" in ran.err


@pytest.mark.parametrize("argv", [("run", "--pause-file"), ("status", "--env-file"), ("init", "--config")])
def test_an_empty_path_is_no_folder(cli: Cli, app: Path, argv: tuple[str, ...]) -> None:
    """A variable that is not set, in quotes: the current folder is always there, and a run would pause for ever."""
    ran = cli(*argv, "", *(target(app) if argv[0] == "run" else ()), environ={"ENCRYPTION_KEY": key_text("old")})

    assert is_refused(ran, argv[1], "it is empty; name a file, or leave the option out")


@pytest.mark.parametrize(
    "argv",
    [
        ("status", "--config", "LONG"),
        ("check", "--config", "LONG"),
        ("keys", "stage", "--config", "LONG"),
        ("ledger", "init", "--config", "LONG"),
        ("init", "--append", "--config", "LONG"),
        ("init", "--url", "sqlite:///app.db", "--env-file", "LONG"),
        ("keys", "stage"),
        ("init", "--url", "sqlite:///%00"),
        ("status", "--url", "sqlite:///%00", "--table", "creds", "--column", "token"),
    ],
)
def test_a_file_that_may_not_be_looked_at_is_named(
    cli: Cli, app: Path, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...]
) -> None:
    """As one in a folder that this user may not enter: no traceback, and no word of a report or of batches."""
    monkeypatch.chdir(app.parent)
    argv = tuple("long." * 99 if word == "LONG" else word for word in argv)
    ran = cli(*argv, environ={"ENCRYPTION_KEY": key_text("old"), "ENCRYPTION_STAGED_KEY_FILE": "long." * 99})

    assert ran.code == (3 if argv[0] == "check" else 2)
    assert "File name too long" in ran.out + ran.err or "%00" in " ".join(argv)
    assert not [word for word in ("Traceback", "report", "batches") if word in ran.out + ran.err]
    assert [path.name for path in app.parent.iterdir()] == ["app.db"]


def test_a_folder_without_a_configuration_leads_to_init(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    """The command that writes one is named, with the path that was given."""
    monkeypatch.chdir(tmp_path)

    assert is_refused(cli("run"), "To write one: keyring-rotate init\n")
    assert is_refused(cli("run", "--config", "a.toml"), "To write one: keyring-rotate init --config a.toml\n")


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_reader_that_goes_away_leaves_no_traceback(
    app: Path, environ: dict[str, str], options: tuple[str, ...], unbuffered: str
) -> None:
    """R26: a closed pipe on stdout ends quietly, the rows are done, and the exit code says so."""
    argv = [sys.executable, str(ROOT / "scripts/rotate.py"), "run", *target(app), *options]
    environ |= {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": unbuffered}
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer) as gone, (app.parent / "log").open("w+") as log:
        code = warm.Program(argv, env=environ, stdout=gone, stderr=log).wait()
        log.seek(0)

        assert "Traceback" not in log.read()
    assert code == 0
    with sqlite3.connect(app) as connection:
        tokens = [row[0] for row in connection.execute("SELECT token FROM creds")]
    assert [Fernet(key_text("new")).decrypt(token) for token in tokens] == [b"secret"] * 3
