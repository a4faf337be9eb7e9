"""A ledger that another user made is named by owner and mode, with the command that helps."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotation.ledger.ledger import Ledger
from tests.conftest import Cli

NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", "--clear-groups")

pytestmark = [
    pytest.mark.database,
    pytest.mark.skipif(
        os.geteuid() != 0 or not Path("/usr/bin/setpriv").exists(), reason="only root makes such a file"
    ),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not below the test's own, which pytest closes to all others."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.some(1)
@pytest.mark.parametrize(("bits", "owner_of_folder"), [(0o644, NOBODY), (0o600, NOBODY), (0o666, 0)])
def test_a_ledger_that_root_made_is_named(folder: Path, bits: int, owner_of_folder: int) -> None:
    """File or folder: exit code 3, whose it is, which mode it has, and what to type; nothing is changed."""
    path = folder / "ledger.db"
    Ledger.open(f"sqlite:///{path}").close()
    path.chmod(bits)
    folder.chmod(0o755)
    os.chown(folder, owner_of_folder, -1)
    place = path if bits != 0o666 else folder
    before = path.read_bytes()

    ran = subprocess.run(
        [*AS_NOBODY, sys.executable, "-c", PROGRAM, f"sqlite:///{path}"], capture_output=True, text=True, check=False
    )

    mode = stat.filemode(place.stat().st_mode)
    assert ran.returncode == 3, ran.stderr
    assert f"{place} belongs to root ({mode}), and this user, nobody, cannot write it" in ran.stdout
    assert "run this as root, or " in ran.stdout
    assert (f"chown nobody {place}" if place == path else "in ROTATION_LEDGER_URL") in ran.stdout
    assert path.read_bytes() == before


def test_a_ledger_in_a_folder_that_is_closed_is_refused(folder: Path) -> None:
    """By the folder's name, with exit code 2 and no traceback."""
    folder.chmod(0o700)
    url = f"sqlite:///{folder}/in/ledger.db"
    argv = [*AS_NOBODY, sys.executable, "-m", "rotation", "ledger", "init", "--url", url]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert (ran.returncode, ran.stderr) == (2, f"Error: --url: {folder}/in: Permission denied\n")


PROGRAM = """
import sys
from rotation.ledger.database import LedgerError
from rotation.ledger.ledger import Ledger

try:
    with Ledger.open(sys.argv[1]) as ledger:
        ledger.mark("0d0d0d0d", "retired", "billing")
except LedgerError as error:
    print(error)
    sys.exit(3)
"""


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["FIFO", "device"])
def test_a_ledger_that_is_no_file_is_refused(cli: Cli, folder: Path, make: object) -> None:
    """By what stands there; SQLite would wait for a FIFO, and put a journal beside a device."""
    path = folder / "ledger.db"
    make(path)  # type: ignore[operator]
    ran = cli("ledger", "init", "--url", f"sqlite:///{path}")

    assert ran.code == 2
    assert f"{path}: is not a regular file but a" in ran.err
    assert os.listdir(folder) == ["ledger.db"]
