"""A file is written whole or not at all, and stays whose it was."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from rotation.model.failures import StoreError, UsageError
from rotation.world import atomic_file
from rotation.world.atomic_file import FileChangedError, read_whole, replace_whole, write_refusal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_bytes(b"old")
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("bits", [0o600, 0o640, 0o644, 0o400])
def test_the_mode_stays(path: Path, bits: int) -> None:
    """Wide or narrow, whatever the umask is."""
    path.chmod(bits)
    replace_whole(read_whole(path), b"new")

    assert (path.read_bytes(), mode(path)) == (b"new", bits)


def test_the_owner_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root it is restored; without the right to, nothing is written, since its service could not read it."""
    asked: list[tuple[int, int]] = []

    class Others:
        """A system on which another user owns the file."""

        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

        @staticmethod
        def fstat(descriptor: int) -> os.stat_result:
            found = list(os.fstat(descriptor))
            found[4] = 4242 if os.path.samestat(os.fstat(descriptor), path.stat()) else found[4]
            return os.stat_result(found)

        @staticmethod
        def fchown(_: int, owner: int, group: int) -> None:
            asked.append((owner, group))
            raise PermissionError(errno.EPERM, "Operation not permitted")

    old = read_whole(path)
    monkeypatch.setattr(atomic_file, "os", Others())

    with pytest.raises(StoreError, match="Operation not permitted"):
        replace_whole(old, b"new")
    assert asked == [(4242, path.stat().st_gid)]
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["keys"]


def test_a_new_file_is_private(tmp_path: Path) -> None:
    """Only its owner can read it, whatever the umask is."""
    before = os.umask(0)
    try:
        replace_whole(read_whole(tmp_path / "keys"), b"new")
    finally:
        os.umask(before)

    assert mode(tmp_path / "keys") == 0o600


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="a system without such attributes")
def test_attributes_stay(path: Path) -> None:
    """Extended attributes of the file, such as an access control list."""
    os.setxattr(path, "user.note", b"kept")
    replace_whole(read_whole(path), b"new")

    assert os.getxattr(path, "user.note") == b"kept"


def test_a_symbolic_link_stays_and_its_target_is_written(path: Path, tmp_path: Path) -> None:
    """The link stays; the file behind it holds the key."""
    link = tmp_path / "link"
    link.symlink_to("keys")
    written = replace_whole(read_whole(link), b"new")

    assert link.is_symlink()
    assert (written.path, path.read_bytes()) == (path, b"new")


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda path: path.write_bytes(b"theirs"), id="written"),
        pytest.param(lambda path: path.unlink(), id="removed"),
        pytest.param(lambda path: (path.rename(path.with_name("x")), path.write_bytes(b"old")), id="replaced-alike"),
        pytest.param(lambda path: os.utime(path, ns=(1, 1)), id="touched"),
    ],
)
def test_a_concurrent_edit_is_noticed(path: Path, edit: Callable[[Path], object]) -> None:
    """The other process's version stays; this one is discarded, and leaves no file behind."""
    old = read_whole(path)
    edit(path)
    theirs = path.read_bytes() if path.exists() else None

    with pytest.raises(FileChangedError, match="somebody wrote it meanwhile"):
        replace_whole(old, b"new")
    assert (path.read_bytes() if path.exists() else None) == theirs
    assert not list(path.parent.glob(".*"))


def test_an_edit_while_ours_is_written_is_noticed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked for once more right before the rename."""
    real = os.fsync

    def edit(descriptor: int) -> None:
        real(descriptor)
        path.write_bytes(b"theirs")

    old = read_whole(path)
    monkeypatch.setattr(os, "fsync", edit)

    with pytest.raises(FileChangedError):
        replace_whole(old, b"new")
    assert (path.read_bytes(), os.listdir(path.parent)) == (b"theirs", ["keys"])


def test_file_and_folder_are_flushed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content before the rename, the name behind it: so that neither power nor time can part them."""
    done: list[str] = []
    flush, rename = os.fsync, os.rename

    def note_flush(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        flush(descriptor)

    def note_rename(old: str, new: str, **folders: int) -> None:
        done.append("rename")
        rename(old, new, **folders)

    old = read_whole(path)
    monkeypatch.setattr(os, "fsync", note_flush)
    monkeypatch.setattr(os, "rename", note_rename)
    replace_whole(old, b"new")

    assert done == ["file", "rename", "folder"]


def test_a_link_in_the_new_file_s_place_is_never_followed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if another process puts it there between the removal and the creation."""
    (path.parent / "other").write_bytes(b"other")
    path.with_name(".keys.rotation-new").symlink_to("other")
    monkeypatch.setattr(os, "unlink", lambda _, **__: None)

    with pytest.raises(StoreError):
        replace_whole(read_whole(path), b"new")
    assert (path.read_bytes(), (path.parent / "other").read_bytes()) == (b"old", b"other")


def test_a_file_that_appears_is_not_overwritten(tmp_path: Path) -> None:
    """Where there was none when we looked."""
    old = read_whole(tmp_path / "keys")
    (tmp_path / "keys").write_bytes(b"theirs")

    with pytest.raises(FileChangedError):
        replace_whole(old, b"new")
    assert (tmp_path / "keys").read_bytes() == b"theirs"


def test_what_a_killed_process_left_is_removed(path: Path) -> None:
    """A link in its place is not followed."""
    beside = path.with_name(".keys.rotation-new")
    (path.parent / "other").write_bytes(b"other")
    beside.symlink_to("other")
    replace_whole(read_whole(path), b"new")

    assert path.read_bytes() == b"new"
    assert (path.parent / "other").read_bytes() == b"other"
    assert not beside.is_symlink()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_full_disk_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """The error says which; exit code 3."""

    def fail(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    old = read_whole(path)
    monkeypatch.setattr(os, "write", fail)

    with pytest.raises(StoreError, match=os.strerror(code)):
        replace_whole(old, b"new")
    assert (path.read_bytes(), os.listdir(path.parent)) == (b"old", ["keys"])


def test_two_of_ours_do_not_write_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second waits for the folder, and gives up in the end; a lock goes with its process."""
    import fcntl

    monkeypatch.setattr(atomic_file, "LOCK_SECONDS", 0.1)
    folder = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        with pytest.raises(StoreError, match="could not be written"):
            replace_whole(read_whole(path), b"new")
    finally:
        os.close(folder)

    assert replace_whole(read_whole(path), b"new").data == b"new"


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(_fifo, "not a regular file", id="fifo"),
        pytest.param(_folder, "directory|not a regular file", id="folder"),
        pytest.param(lambda path: path.write_bytes(b"x" * 1_100_000), "more than any list", id="huge"),
        pytest.param(lambda path: os.link(path, path.with_name("b")), "2 names", id="hard-link"),
    ],
)
def test_what_is_no_file_of_ours_is_refused(path: Path, spoil: Callable[[Path], object], words: str) -> None:
    """C03: by path and fault, and a FIFO without waiting."""
    spoil(path)

    with pytest.raises(UsageError, match=f"{path}: .*({words})"):
        read_whole(path)


def test_files_that_others_keep_are_not_ours(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes swaps a link among folders; a read-only folder or file; a folder that is not there."""
    (tmp_path / "..2026_01_03").mkdir()
    (tmp_path / "..2026_01_03" / "key").write_bytes(b"k")
    (tmp_path / "..data").symlink_to("..2026_01_03")
    (tmp_path / "key").symlink_to("..data/key")

    assert "Kubernetes" in str(write_refusal(tmp_path / "key"))
    assert "no folder" in str(write_refusal(tmp_path / "nowhere" / "key"))
    assert write_refusal(tmp_path / ("long." * 99)) == "File name too long"
    assert write_refusal(path) is None
    assert write_refusal(tmp_path / "new") is None
    # Root may write everything; others may not.
    monkeypatch.setattr(os, "access", lambda name, _: Path(name) != path)
    assert write_refusal(path) == "it is read-only"
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "folder" in str(write_refusal(path))
