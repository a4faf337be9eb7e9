"""What a command writes becomes a file whole, and takes no other thing's place."""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import pytest

from rotation.model.failures import StoreError, UsageError
from rotation.world.outputs import Outputs, replaced
from tests.databases import open_database
from tests.lifecycle.shop import OLDER, Shop, old_token

PAGE = replaced("page", b"old")


def page(path: Path) -> AbstractContextManager[BinaryIO]:
    """The file at *path*, to write a page to."""
    return Outputs().take(path, "--html page", PAGE).whole()


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    """A reader finds the old text while the new one is written; afterwards the folder holds no other file."""
    path = tmp_path / "page.html"
    path.write_text("old")
    path.chmod(0o640)
    with page(path) as file:
        file.write("new, é".encode())
        file.flush()
        assert path.read_text() == "old"

    assert path.read_text("utf-8") == "new, é"
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["page.html"]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    """Whatever goes wrong on the way, the old file stays and nothing is left beside it."""
    path = tmp_path / "page.html"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), page(path) as file:
        file.write(bytes(1 // 0))

    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["page.html"]


def test_a_disk_that_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system does not finish the file, the error says so and the old file stays."""
    path = tmp_path / "page.html"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device"), page(path) as file:
        file.write(b"new")

    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["page.html"]


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    """The file behind a link is written, and the link stays."""
    real, link = tmp_path / "real.html", tmp_path / "page.html"
    link.symlink_to(real)
    with page(link) as file:
        file.write(b"new")

    assert link.is_symlink()
    assert real.read_text() == "new"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda path: path.mkdir(), "not a regular file", id="a folder"),
        pytest.param(os.mkfifo, "not a regular file", id="a pipe"),
        pytest.param(lambda path: path.symlink_to(path / "missing" / "page"), "symbolic links", id="a link to itself"),
        pytest.param(lambda path: path.symlink_to("missing/page"), "cannot be written", id="no folder"),
    ],
)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: object, words: str) -> None:
    """Before anything is counted."""
    path = tmp_path / "page.html"
    make(path)  # type: ignore[operator]

    with pytest.raises(UsageError, match=words), page(path):
        pytest.fail("it was opened")


def test_what_comes_meanwhile_is_not_replaced_either(tmp_path: Path) -> None:
    """A FIFO that somebody makes while the file is written stays, and the error says so."""
    path = tmp_path / "page.html"
    with pytest.raises(StoreError, match="not a regular file but a FIFO"), page(path):
        os.mkfifo(path)

    assert path.is_fifo()
    assert os.listdir(tmp_path) == ["page.html"]


def test_an_older_file_s_mode_is_never_wider_meanwhile(tmp_path: Path) -> None:
    """What is to replace a private file is private from its first byte on."""
    path = tmp_path / "page.html"
    path.touch(0o600)
    with page(path):
        [beside] = set(tmp_path.iterdir()) - {path}
        assert stat.S_IMODE(beside.stat().st_mode) == 0o600

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(("umask", "mode"), [(0, 0o644), (0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_a_new_output_is_writable_for_its_owner_alone(tmp_path: Path, umask: int, mode: int) -> None:
    """It holds no secret, and others may read it if the umask lets them; nobody else can write it."""
    before = os.umask(umask)
    try:
        with page(tmp_path / "page.html"):
            pass
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "page.html").stat().st_mode) == mode


def _device(path: Path) -> None:
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


def _link_to_a_device(path: Path) -> None:
    _device(path.with_name("device"))
    path.symlink_to("device")


STANDING: dict[str, tuple[Callable[[Path], object], str]] = {
    "a device": (_device, "a device"),
    "a link to a device": (_link_to_a_device, "a device"),
    "a FIFO": (os.mkfifo, "a FIFO"),
    "a socket": (_socket, "a socket"),
    "a directory": (os.mkdir, "a directory"),
    "standard output": (lambda path: path.symlink_to("/dev/stdout"), "what a process has open"),
}
"""What may stand where a command is to write, and what a refusal calls it."""
OUTPUTS = (
    ("report", "--html"),
    ("check", "--prometheus"),
    ("run", "--problems"),
    ("keys", "retire", OLDER.id, "--no-archive", "--certificate"),
    ("keys", "retire", OLDER.id, "--archive"),
)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_database("sqlite", tmp_path) as database:
        shop = Shop(tmp_path, database)
        shop.fill([old_token("older")])
        yield shop


@pytest.mark.database
@pytest.mark.parametrize("output", OUTPUTS, ids=" ".join)
@pytest.mark.parametrize(("make", "called"), STANDING.values(), ids=STANDING)
def test_no_output_replaces_what_is_no_file(
    shop: Shop, output: tuple[str, ...], make: Callable[[Path], object], called: str
) -> None:
    """Each option that names a file refuses it by path and kind, before anything is done; what stands there stays."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # a socket's path is short
    path = folder / "out"
    make(path)
    before, cells = os.lstat(path), shop.database.column()

    ran = shop.rotate(*output, str(path))
    now = os.lstat(path)
    shutil.rmtree(folder)

    assert ran.code == (3 if output[0] == "check" else 2)
    assert f"{path}: is not a regular file but {called}" in ran.err
    assert (now.st_mode, now.st_ino) == (before.st_mode, before.st_ino)
    assert shop.database.column() == cells
    assert not (shop.folder / "rotation-ledger.db").exists()


@pytest.mark.some(2)
@pytest.mark.database
@pytest.mark.parametrize("output", OUTPUTS, ids=" ".join)
def test_an_output_is_written_through_a_link(shop: Shop, output: tuple[str, ...]) -> None:
    """The link stays and the file behind it holds the output, new and then with the mode that it was given."""
    shop.rotate("run")
    link, real = shop.folder / "link", shop.folder / "elsewhere" / "out"
    real.parent.mkdir()
    link.symlink_to(real)
    first = shop.rotate(*output, str(link))

    assert first.code in (0, 1), first
    assert link.is_symlink()
    assert real.is_file()
    assert os.listdir(real.parent) == ["out"]


@pytest.mark.database
@pytest.mark.parametrize("output", OUTPUTS, ids=" ".join)
def test_standard_output_has_no_name(shop: Shop, output: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` is refused, and no file of that name is made."""
    monkeypatch.chdir(shop.folder)
    ran = shop.rotate(*output, "-")

    assert ran.code == (3 if output[0] == "check" else 2)
    assert "-: is no file" in ran.err
    assert not Path("-").exists()


WRITES = re.compile(
    r"os\.(rename|replace|link|truncate)\(|shutil\.(move|copy\w*)\((?!self)|\.write_(text|bytes)\(|write_to_textfile|mkstemp|"
    r"NamedTemporaryFile|open\([^)]*[\"'][rb]*[wax+]"
)


def test_no_other_code_replaces_a_file() -> None:
    """All output goes through one guard: no other code renames a file, or opens one to write to."""
    root = Path(__file__).parents[2]
    files = [path for folder in ("keyring_core", "rotation") for path in sorted((root / folder).rglob("*.py"))]
    found = [
        (str(path.relative_to(root)), line.strip())
        for path in files
        for line in path.read_text().splitlines()
        if WRITES.search(line)
    ]

    assert {file for file, _ in found} == {
        # What a stream behind the redactor is called with, and a closed stream's stand-in.
        "keyring_core/redaction/guarded_streams.py",
        "rotation/cli/main.py",
        # It takes the place of an older file, and holds what is written.
        "rotation/world/atomic_file.py",
        "rotation/world/outputs.py",
    }, found


def test_two_slashes_at_the_beginning_make_no_other_file(tmp_path: Path) -> None:
    """Two outputs of one command lead to one file, though it is not there yet and one path begins with `//`."""
    outputs = Outputs()
    outputs.take(tmp_path / "page.html", "--html page", PAGE)

    with pytest.raises(UsageError, match="--html page names this file, too"):
        outputs.take(Path(f"/{tmp_path}/page.html"), "--other page", PAGE)
