"""deploy/install.sh: what it puts where, and with which mode."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.project.documents import ROOT
from tests.project.programs import run_program

SCRIPT = ROOT / "deploy" / "install.sh"
UNIT = (ROOT / "deploy" / "systemd" / "keyring@.service").read_text()
MODES = {
    "etc/keyring": 0o755,
    "etc/keyring/rotation.toml": 0o644,
    "etc/keyring/environment": 0o600,
    "etc/keyring/encryption_key": 0o600,
    "etc/keyring/encryption_previous_keys": 0o600,
    "etc/keyring/encryption_staged_key": 0o600,
    "etc/keyring/encryption_suspended_keys": 0o600,
    "etc/systemd/system/keyring@.service": 0o644,
    "etc/systemd/system/keyring@check.timer": 0o644,
    "etc/systemd/system/keyring@run.timer": 0o644,
    "var/lib/keyring": 0o755,
}
METRICS = "etc/systemd/system/keyring@check.service.d/metrics.conf"


def install(*arguments: str, umask: int = 0o077) -> subprocess.CompletedProcess[str]:
    """Runs the script, by default with the narrowest umask that a root has."""
    argv = ["sh", str(SCRIPT), *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=False, umask=umask)


def below(folder: Path) -> dict[str, int]:
    """The modes of files and folders of *folder*, but for those that hold nothing of this project."""
    found = {str(path.relative_to(folder)): path.stat().st_mode & 0o777 for path in folder.rglob("*")}
    return {name: mode for name, mode in found.items() if re.search("keyring", name)}


def test_shellcheck_has_nothing_to_say() -> None:
    """The script is one that any POSIX shell runs, with everything quoted."""
    done = run_program("shellcheck", str(SCRIPT))

    assert done.returncode == 0, done.stdout


def test_it_installs_what_a_service_needs(tmp_path: Path) -> None:
    """Files and folders have their modes whatever the umask is, and only root reads what holds secrets."""
    done = install("--prefix", str(tmp_path))

    assert (done.returncode, done.stderr) == (0, "")
    assert below(tmp_path) == MODES


def test_every_file_of_the_unit_is_installed(tmp_path: Path) -> None:
    """What the unit loads from /etc/keyring is what the script puts there."""
    named = set(re.findall(r"/(etc/keyring/[\w.]+)", UNIT))

    assert named == {name for name in MODES if name.startswith("etc/keyring/")}
    assert "StateDirectory=keyring" in UNIT


def test_metrics_are_a_word_of_their_own(tmp_path: Path) -> None:
    """The drop-in for the node exporter comes with --metrics alone."""
    install("--prefix", str(tmp_path), "--metrics")

    assert below(tmp_path)[METRICS] == 0o644


def test_what_the_admin_wrote_stays(tmp_path: Path) -> None:
    """A second time the units are those of today, and keys and settings those of the admin."""
    install("--prefix", str(tmp_path))
    key, unit = tmp_path / "etc/keyring/encryption_key", tmp_path / "etc/systemd/system/keyring@.service"
    key.write_text("the admin's")
    unit.write_text("an older version's")

    done = install("--prefix", str(tmp_path))

    assert done.returncode == 0
    assert key.read_text() == "the admin's"
    assert unit.read_text() == UNIT


def test_a_dry_run_prints_every_command_and_does_nothing() -> None:
    """User, files, program, ledger and systemd, in an order that works."""
    done = install("--dry-run")
    words = [shlex.split(line) for line in done.stdout.splitlines()]
    programs = list(dict.fromkeys(each[0] for each in words if not each[0].startswith("Next")))

    assert done.returncode == 0, done.stderr
    assert {"install", "/opt/keyring/bin/pip", "runuser", "systemctl"} <= set(programs)
    assert programs.index("install") < programs.index("/opt/keyring/bin/pip") < programs.index("systemctl")


def test_without_a_key_no_timer_starts() -> None:
    """A fresh installation says what to fill in, in place of a check that fails every night."""
    if Path("/etc/keyring").exists():
        pytest.skip("this machine has settings in /etc/keyring")
    done = install("--dry-run")

    assert "enable --now" not in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Next: fill in /etc/keyring/rotation.toml")


def test_an_unknown_option_is_refused() -> None:
    """Exit code 2, and where the options are listed."""
    done = install("--no-such-option")

    assert (done.returncode, done.stdout) == (2, "")
    assert "deploy/install.sh --help" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--prefix"], "--prefix needs a folder"),
        (["--prefix="], "--prefix needs a folder"),
        (["--wheel"], "--wheel needs a file"),
        (["--dry-run", "--wheel", "nosuch.whl"], "--wheel: there is no file nosuch.whl"),
        (["--dry-run", "--wheel=nosuch.whl"], "--wheel: there is no file nosuch.whl"),
    ],
)
def test_a_value_that_is_missing_is_refused(arguments: list[str], words: str) -> None:
    """In the script's words, not in the shell's, and before anything is done."""
    done = install(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"Error: {words}. deploy/install.sh --help lists the options.\n"


def test_a_value_may_follow_an_equals_sign(tmp_path: Path) -> None:
    """As with most programs; the last line says what comes next."""
    done = install(f"--prefix={tmp_path}", "--metrics")

    assert (done.returncode, METRICS in below(tmp_path)) == (0, True)
    assert done.stdout.splitlines()[-1].startswith("Next: let the package make the user")


def test_a_step_that_fails_ends_the_script(tmp_path: Path) -> None:
    """No timer starts for a program that could not be installed."""
    if Path("/etc/keyring").exists() or os.geteuid():
        pytest.skip("needs root, and a machine without /etc/keyring")
    script = (
        SCRIPT.read_text()
        .replace("opt=/opt/keyring", f"opt={tmp_path}/opt")
        .partition('\nif [ -z "$prefix" ]; then make_user')
    )
    steps = (
        'start_timers() { echo started; }\nmake_user() { :; }\nmake_files() { :; }\ndo_it() { [ "$1" != python3 ]; }\n'
    )
    copy = tmp_path / "install.sh"
    copy.write_text(script[0] + "\n" + steps + script[1] + script[2])

    done = subprocess.run(["sh", str(copy)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (1, "")
