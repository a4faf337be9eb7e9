"""Completion in real shells, without a key and without a database."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.warm.client import programs

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "deploy" / "completions"
CASES = [
    pytest.param(["ru"], ["run"], id="command"),
    pytest.param(["keys", "re"], ["resume", "retire", "restore"], id="command of a group"),
    pytest.param(["--env-file", ".env", "keys", "st"], ["stage"], id="behind an option"),
    pytest.param(["run", "--full"], ["--full-speed"], id="option"),
    pytest.param(["check", "--format", "n"], ["nagios"], id="choice"),
    pytest.param(["init", "--app", "su"], ["superagi", "superset"], id="application"),
    pytest.param(["keys", "derive", "pb"], ["pbkdf2-sha256"], id="kind"),
    pytest.param(["report", "--keys", "re"], ["redash"], id="key set"),
    pytest.param(["--config", "other.toml", "report", "--keys", ""], ["elsewhere"], id="key set of another file"),
    pytest.param(["help", "keys", "st"], ["stage"], id="help"),
]


def shell(name: str) -> str:
    """The path of a shell. Skips if it is not installed, and fails in CI, which installs it."""
    found = shutil.which(name)
    if not found and not os.environ.get("CI"):
        pytest.skip(f"{name} is not installed")
    assert found, f"{name} is not installed"
    return found


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    """A home with the program on its path, in a folder with a rotation.toml; no key, and no variable of the project."""
    (tmp_path / "rotation.toml").write_text('[keys.redash]\nprimary = { secret = "$REDASH", derive = "sha256" }\n')
    (tmp_path / "other.toml").write_text('[keys.elsewhere]\nprimary = { secret = "$X", derive = "sha256" }\n')
    path = f"{programs()}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "TERM": "dumb"}


def run(words: list[str], environment: Mapping[str, str]) -> list[str]:
    """The lines that a shell prints on stdout. Nothing may stand on stderr."""
    ran = subprocess.run(
        words, env=environment, cwd=environment["HOME"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout.splitlines()


def quoted(words: list[str]) -> str:
    return " ".join(f"'{word}'" for word in words)


@pytest.mark.parametrize(("words", "expected"), CASES)
def test_bash_completes(environment: Mapping[str, str], words: list[str], expected: list[str]) -> None:
    """The file that the wheel installs is sourced, and what fits is offered."""
    script = (
        f"source '{SCRIPTS / 'keyring-rotate.bash'}'\n"
        f"COMP_WORDS=(keyring-rotate {quoted(words)}) COMP_CWORD={len(words)}\n"
        "_keyring_rotate_completion keyring-rotate\n"
        '[ ${#COMPREPLY[@]} = 0 ] || printf "%s\\n" "${COMPREPLY[@]}"\n'
    )

    assert run([shell("bash"), "--norc", "-c", script], environment) == expected


@pytest.mark.parametrize(("words", "expected"), CASES)
def test_fish_completes(environment: Mapping[str, str], words: list[str], expected: list[str]) -> None:
    """The same, and what each command does stands beside its name."""
    line = " ".join(["keyring-rotate", *words])
    script = f"source '{SCRIPTS / 'keyring-rotate.fish'}'; complete -C '{line}'"

    offered = run([shell("fish"), "--no-config", "-c", script], environment)

    assert sorted(each.partition("\t")[0] for each in offered) == sorted(expected)


def test_zsh_loads_its_function(environment: Mapping[str, str]) -> None:
    """The file is found on the path of functions, and completes the program."""
    script = (
        f"fpath=('{SCRIPTS}' $fpath); autoload -Uz compinit; compinit -u -D\n"
        "echo ${_comps[keyring-rotate]}\n"
        f"eval \"$(sed '$d' '{SCRIPTS / '_keyring-rotate'}')\"\n"
        "echo ${_comps[keyring-rotate]}; whence -w _keyring_rotate_completion\n"
    )

    lines = run([shell("zsh"), "-fc", script], environment)

    assert lines == ["_keyring-rotate", "_keyring_rotate_completion", "_keyring_rotate_completion: function"]


def asked(form: str, words: list[str]) -> dict[str, str]:
    """The variables with which a shell's function asks the program."""
    return {
        "_KEYRING_ROTATE_COMPLETE": f"{form}_complete",
        "COMP_WORDS": " ".join(["keyring-rotate", *words]),
        "COMP_CWORD": str(len(words)),
    }


@pytest.mark.some(3)
@pytest.mark.parametrize(("words", "expected"), CASES)
def test_zsh_gets_its_answer(environment: Mapping[str, str], words: list[str], expected: list[str]) -> None:
    """The three lines for each answer that its function reads: type, value, description."""
    lines = run(["keyring-rotate"], {**environment, **asked("zsh", words)})

    assert [line for line in lines[1::3] if line] == expected


@pytest.mark.parametrize(
    "words", [["--env-file", ""], ["run", "--problems", ""], ["keys", "retire", "x", "--archive", ""]]
)
def test_a_path_is_completed_by_the_shell(environment: Mapping[str, str], words: list[str]) -> None:
    """The answer says that a file is wanted."""
    assert run(["keyring-rotate"], {**environment, **asked("bash", words)}) == ["file,"]


def test_completion_needs_no_database_library(environment: Mapping[str, str]) -> None:
    """A key press waits for it."""
    code = (
        "import sys, atexit\n"
        "from rotation.cli.main import entry\n"
        "atexit.register(lambda: print(sorted({'sqlalchemy', 'psycopg', 'msgspec'} & set(sys.modules))))\n"
        "entry()"
    )

    assert run([sys.executable, "-c", code], {**environment, **asked("bash", ["ru"])}) == ["plain,run", "[]"]


def test_a_broken_config_breaks_no_line(environment: Mapping[str, str]) -> None:
    """What is wrong with rotation.toml is not said in the middle of what the user types."""
    Path(environment["HOME"], "rotation.toml").write_text("[keys\n")
    assert run(["keyring-rotate"], {**environment, **asked("bash", ["report", "--keys", ""])}) == [""]
