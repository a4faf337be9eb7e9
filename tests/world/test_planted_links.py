"""A link that another user makes at the place of an output, or on the way to it, is not followed, whenever it comes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from rotation.context import Context
from rotation.ledger.database import LedgerPlace
from rotation.model.failures import StoreError, UsageError
from rotation.world.atomic_file import destination, read_whole, replace_whole
from rotation.world.outputs import Outputs, replaced
from tests.conftest import Named
from tests.processes import in_a_fork

STRANGER, ANOTHER = 4242, 4243

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes links of another user")


def link(path: Path, target: Path, owner: int = STRANGER) -> None:
    """Makes a link of another user; without root, of this one."""
    path.symlink_to(target)
    if os.geteuid() == 0:
        os.lchown(path, owner, owner)


@as_root
def test_a_link_of_another_user_in_a_shared_folder_is_refused(tmp_path: Path, named: Named) -> None:
    """At the file's place and at a folder's on the way, sticky or not; one of root or of the folder's owner is not."""
    real = tmp_path / "real" / "out"
    real.parent.mkdir()
    for mode, owner_of_folder, owner, refused in (
        (0o1777, 0, STRANGER, True),
        (0o777, 0, STRANGER, True),
        (0o775, 0, STRANGER, True),
        (0o1777, ANOTHER, STRANGER, True),
        (0o1777, ANOTHER, ANOTHER, False),
        (0o1777, ANOTHER, 0, False),
        (0o755, 0, STRANGER, False),
    ):
        for on_the_way in (False, True):
            with named(f"{mode:o} {owner_of_folder} {owner} {on_the_way}"):
                folder = tmp_path / f"{mode:o}-{owner_of_folder}-{owner}-{on_the_way}"
                folder.mkdir()
                link(folder / "link", real.parent if on_the_way else real, owner)
                folder.chmod(mode)
                os.chown(folder, owner_of_folder, -1)
                path = folder / "link" / "out" if on_the_way else folder / "link"

                if refused:
                    with pytest.raises(UsageError, match=r"--html x: leads through .*link, a symbolic link"):
                        destination(path, "--html x")
                else:
                    assert destination(path) == real


@as_root
def test_no_ledger_is_made_behind_a_link_of_another_user(tmp_path: Path) -> None:
    """SQLite would follow it, and make a database wherever it leads."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    link(folder / "ledger.db", tmp_path / "elsewhere.db")
    place = LedgerPlace(f"sqlite:///{folder}/ledger.db", "ROTATION_LEDGER_URL")

    with pytest.raises(UsageError, match="the ledger of ROTATION_LEDGER_URL: leads through"):
        Context({}).check_ledger(place)


def test_links_are_followed_as_the_system_follows_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative ones, absolute ones, chains, `..` behind a link, and one that leads to no file yet."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "to-b").symlink_to("a/b")
    (tmp_path / "chain").symlink_to(tmp_path / "to-b")
    (tmp_path / "out").symlink_to("chain/../new")
    monkeypatch.chdir(tmp_path)

    for path in ("to-b/x", "chain/../x", "out", "a/./b//x", "missing/../x", "../x"):
        assert destination(Path(path)) == Path(os.path.realpath(path))


def write_page(path: Path) -> None:
    with Outputs().take(path, "--html", replaced("page", b"old")).whole() as file:
        file.write(b"new")


def write_keys(path: Path) -> None:
    replace_whole(read_whole(path), b"new")


def plant_a_link(path: Path, elsewhere: Path) -> None:
    """A link in the place of the file."""
    path.unlink(missing_ok=True)
    link(path, elsewhere / path.name)


def plant_a_folder(path: Path, elsewhere: Path) -> None:
    """A link in the place of the file's folder."""
    path.parent.rename(path.parent.with_name("moved"))
    link(path.parent, elsewhere)


CALLS = ("stat", "lstat", "open", "readlink", "rename", "fsync")


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("plant", [plant_a_link, plant_a_folder])
@pytest.mark.parametrize("write", [write_page, write_keys])
def test_a_link_that_comes_at_any_moment_is_not_followed(
    write: Callable[[Path], None],
    plant: Callable[[Path, Path], None],
    exists: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another user plants it before each call that a command makes to the system, in turn, and gains nothing."""
    moment = 0
    while True:
        shared, elsewhere = tmp_path / f"{moment}" / "shared", tmp_path / f"{moment}" / "elsewhere"
        path = shared / "sub" / "out"
        path.parent.mkdir(parents=True)
        elsewhere.mkdir()
        shared.chmod(0o777)
        path.parent.chmod(0o777)
        (elsewhere / "out").write_bytes(b"old, of an admin")
        if exists:
            path.write_bytes(b"old")
        left = [moment]

        with monkeypatch.context() as patched:

            def counted(call: Callable[..., Any], left: list[int] = left, path: Path = path) -> Callable[..., Any]:
                def counting(*args: Any, **kwargs: Any) -> Any:
                    left[0] -= 1
                    if left[0] == -1:
                        patched.undo()
                        plant(path, path.parents[2] / "elsewhere")
                    return call(*args, **kwargs)

                return counting

            for name in CALLS:
                patched.setattr(os, name, counted(getattr(os, name)))
            with suppress(UsageError, StoreError):
                write(path)

        assert os.listdir(elsewhere) == ["out"], moment
        assert (elsewhere / "out").read_bytes() == b"old, of an admin", moment
        if left[0] >= 0:
            break
        moment += 1
    assert moment > 10


@as_root
def test_a_folder_that_cannot_be_listed_takes_an_output_and_no_key() -> None:
    """An output need not be flushed at once. A key has to be, so that nothing is written there."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    os.chown(folder, STRANGER, STRANGER)
    folder.chmod(0o300)

    def written() -> bool:
        os.setgid(STRANGER)
        os.setuid(STRANGER)
        write_page(folder / "page")
        with pytest.raises(StoreError, match="Permission denied"):
            write_keys(folder / "keys")
        return True

    try:
        assert in_a_fork(written)
        assert os.listdir(folder) == ["page"]
    finally:
        shutil.rmtree(folder)
