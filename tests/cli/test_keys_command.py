"""`keys derive` prints the key of an application's secret, from wherever the secret is, and nothing else of it."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import pytest
from cryptography.fernet import Fernet

from keyring_core import Derivation, Key
from keyring_core.derivation import KINDS
from keyring_core.redaction import Redactor
from rotation.cli import secret_input
from tests.conftest import Cli, Ran
from tests.keyring_core.test_errors import leaks
from tests.processes import PROGRAM, end_of, until
from tests.warm.client import Program, run

pytestmark = pytest.mark.database

ROOT = Path(__file__).parents[2]
SECRET = "Tr0ub4dor&3 quux, a test secret"
KEY = Derivation("sha256").key(SECRET).reveal()


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Iterator[IO[bytes]]:
    """What the command finds on stdin."""
    with TemporaryFile() as content:
        monkeypatch.setattr(sys, "stdin", content)
        yield content


def is_refused(ran: Ran, *words: str) -> bool:
    """Exit code 2, every word on stderr, nothing on stdout, and nothing of the secret."""
    assert all(word in ran.err for word in words), ran.err
    assert not leaks(ran.err, SECRET, "a secret", "secret, ")
    return ran.code == 2 and ran.out == ""


@pytest.mark.parametrize("newline", [b"", b"\n", b"\r\n"], ids=["none", "newline", "CRLF"])
def test_the_secret_comes_from_stdin(cli: Cli, stdin: IO[bytes], newline: bytes) -> None:
    """The key stands alone on stdout; the one newline that `echo` writes is not part of the secret."""
    stdin.write(SECRET.encode() + newline)
    stdin.seek(0)

    assert cli("keys", "derive", "sha256") == Ran(0, f"{KEY}\n", "")


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A pipe that stays open and sends nothing, in place of stdin."""
    reader, writer = os.pipe()
    with open(reader, "rb") as silent, open(writer, "wb"):
        monkeypatch.setattr(sys, "stdin", silent)
        yield reader


@pytest.mark.usefixtures("silence")
def test_a_silent_stdin_is_given_up(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to type."""
    monkeypatch.setattr(secret_input, "STDIN_SECONDS", 0.1)

    assert is_refused(cli("keys", "derive", "sha256"), "the secret is read", "< FILE", "--help")


def test_a_stop_ends_the_wait_for_stdin(silence: int, tmp_path: Path) -> None:
    """One signal is enough, and stderr says what is waited for."""
    code = f"from rotation.cli import secret_input; secret_input.SAID_SECONDS = 0; {PROGRAM}"
    argv = [sys.executable, "-c", code, "keys", "derive", "sha256"]
    log = tmp_path / "log"
    with log.open("wb") as stderr, Program(argv, stdin=silence, stderr=stderr) as process:
        until(lambda: "Reading the secret from standard input" in log.read_text(), "the words", process, log)
        process.send_signal(signal.SIGINT)
        ended = end_of(process, "the command", log)

    assert ended == 3


def test_only_one_newline_is_dropped(cli: Cli, stdin: IO[bytes]) -> None:
    """Everything else, blanks too, is the secret, as the application reads it."""
    stdin.write(f" {SECRET} \n\n".encode())
    stdin.seek(0)

    assert cli("keys", "derive", "sha256").out.strip() == Derivation("sha256").key(f" {SECRET} \n").reveal()


def test_the_secret_comes_from_a_variable(cli: Cli, tmp_path: Path) -> None:
    """Of the environment, or of the dotenv file."""
    env_file = tmp_path / ".env"
    env_file.write_text(f"OTHER='{SECRET}'\n")

    assert cli("keys", "derive", "sha256", "--variable", "APP", environ={"APP": SECRET}).out == f"{KEY}\n"
    assert cli("keys", "derive", "sha256", "--variable", "OTHER", "--env-file", str(env_file)).out == f"{KEY}\n"


def test_the_secret_comes_from_a_file_or_a_command(cli: Cli, tmp_path: Path) -> None:
    """Without the newline at the end; the command runs without a shell and has the variables."""
    file, program = tmp_path / "secret", "printenv APP"
    file.write_text(f"{SECRET}\n")

    assert cli("keys", "derive", "sha256", "--file", str(file)).out == f"{KEY}\n"
    assert cli("keys", "derive", "sha256", "--command", program, environ={"APP": SECRET}).out == f"{KEY}\n"


def test_json_has_the_id_too(cli: Cli) -> None:
    """The document has the id by which reports name the key."""
    ran = cli("keys", "derive", "sha256", "--variable", "APP", "--json", environ={"APP": SECRET})

    assert ran.document == {"id": Key.parse(KEY).id, "key": KEY}


def test_the_parameters_count(cli: Cli) -> None:
    """Salt, info and iterations are those of the options; a salt that is secret comes from a variable."""
    environ = {"APP": SECRET, "SALT_KEY": "a salt that nobody knows"}
    expected = hashlib.pbkdf2_hmac("sha256", SECRET.encode(), environ["SALT_KEY"].encode(), 7)
    derive = ("keys", "derive", "pbkdf2-sha256", "--variable", "APP", "--iterations", "7")
    by_hex = (*derive, "--salt", environ["SALT_KEY"].encode().hex(), "--salt-hex")
    hkdf = ("keys", "derive", "hkdf-sha256", "--variable", "APP", "--salt", "s", "--info", "i")

    ran = cli(*derive, "--salt-variable", "SALT_KEY", environ=environ)

    assert cli(*derive, "--salt", environ["SALT_KEY"], environ=environ).out == ran.out
    assert cli(*by_hex, environ=environ).out == ran.out
    assert Key.parse(ran.out) == Key(expected)
    assert cli(*hkdf, environ=environ).out.strip() == Derivation("hkdf-sha256", "s", "i").key(SECRET).reveal()
    assert environ["SALT_KEY"] not in Redactor().redact(f"{environ['SALT_KEY']}")


@pytest.mark.parametrize("kind", [None, "pbkdf2", SECRET])
def test_without_a_kind_the_kinds_are_listed(cli: Cli, kind: str | None) -> None:
    """Each with its rule and who uses it; what was typed in its place is not repeated."""
    ran = cli("keys", "derive", *([kind] if kind else []))

    assert is_refused(ran, *(f"\n  {name} " for name in KINDS), *KINDS.values())


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--variable", "APP", "--file", "f"), "exclude each other"),
        (("--variable", "MISSING"), "--variable MISSING: this variable is not set"),
        (("--variable", SECRET), "takes the name of a variable"),
        (("--file", "/nowhere/secret"), "--file (/nowhere/secret): No such file"),
        (("--file", "/"), "is not a regular file but a directory"),
        (("--command", "false"), "--command: the command failed with exit code 1"),
        (("--command", " "), "--command: empty; name a command"),
        (("--variable", "APP", "--salt", "s"), "it takes no salt"),
        (("--variable", "APP", "--salt", "s", "--salt-variable", "APP"), "exclude each other"),
        (("--variable", "APP", "--salt-variable", "MISSING"), "--salt-variable MISSING: this variable is not set"),
        (("--variable", "APP", "--salt", "xyz", "--salt-hex"), "--salt-hex: the salt has other characters"),
        (("--variable", "APP", "--iterations", "many"), "--iterations"),
        (("--secret", "x"), "No such option"),
    ],
)
def test_what_does_not_fit_is_refused(cli: Cli, argv: tuple[str, ...], words: str) -> None:
    """The option, the fault and the next step; exit code 2."""
    assert is_refused(cli("keys", "derive", "sha256", *argv, environ={"APP": SECRET}), words)


@pytest.mark.parametrize(
    ("kind", "words"),
    [("hex", "APP: 31 characters, expected 64"), ("text32", "APP: 31 bytes, expected 32"), ("raw", "keys derive")],
)
def test_a_secret_of_another_kind_is_refused(cli: Cli, kind: str, words: str) -> None:
    """The message names the variable, and shows nothing of the secret."""
    assert is_refused(cli("keys", "derive", kind, "--variable", "APP", environ={"APP": SECRET}), words)


def test_a_key_that_anybody_can_guess_is_printed_on_demand_only(cli: Cli) -> None:
    """Whose default it is, and the option that prints it, to rotate away from it."""
    derive, environ = ("keys", "derive", "sha256", "--variable", "APP"), {"APP": "test_key"}

    ran, told = cli(*derive, environ=environ), cli(*derive, "--allow-weak", environ=environ)

    assert is_refused(ran, "cognee's default", "--allow-weak")
    assert "Warning: APP: a public example key (cognee's default)" in told.err
    assert Fernet(told.out.strip())


def test_an_empty_stdin_is_an_empty_secret(cli: Cli, stdin: IO[bytes]) -> None:
    """A pipe whose first command failed does not make a key."""
    assert is_refused(cli("keys", "derive", "sha256"), "stdin: an empty secret")


def start(*argv: str, **more: object) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-m", "rotation", "keys", "derive", *argv], cwd=ROOT, **more)


def test_a_real_process_prints_the_key_and_nothing_else() -> None:
    """The redactor of stdout lets the requested key through; stderr is empty."""
    ran = start("sha256", "--json", input=SECRET)

    assert (json.loads(ran.stdout)["key"], ran.stderr, ran.returncode) == (KEY, "", 0)


def test_help_and_errors_of_a_real_process_show_no_secret() -> None:
    """Neither --help nor a refusal shows what stood in the environment or on stdin."""
    environ = {**os.environ, "APP": SECRET, "SALT_KEY": SECRET}

    shown = start("--help", input=SECRET, env=environ), start("hex", "--variable", "APP", env=environ)

    assert [ran.returncode for ran in shown] == [0, 2]
    for ran in shown:
        assert not leaks(ran.stdout + ran.stderr, SECRET, "a secret", "secret, ")


def test_a_terminal_is_asked_and_shows_nothing(tmp_path: Path) -> None:
    """The question is on stderr, the answer is not echoed, and the key is on stdout alone."""
    terminal, end = pty.openpty()
    argv, printed = [sys.executable, "-m", "rotation", "keys", "derive", "sha256"], tmp_path / "printed"
    with printed.open("w") as out:
        process = Program(argv, stdin=end, stdout=out, stderr=end, cwd=ROOT, terminal=True)
    os.close(end)
    # What is typed before would be echoed, and dropped.
    while termios.tcgetattr(terminal)[3] & termios.ECHO:
        time.sleep(0.01)
    os.write(terminal, SECRET.encode() + b"\n")
    code = process.wait(60)
    os.set_blocking(terminal, False)
    seen = os.read(terminal, 4096)
    os.close(terminal)

    assert (code, printed.read_text()) == (0, f"{KEY}\n")
    assert b"Secret:" in seen
    assert SECRET.encode() not in seen
