"""A file that is written whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rotation.errors import StoreError, UsageError
from rotation.page.file import whole_file


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    """A reader finds the old text while the new one is written, and nothing else in the folder afterwards."""
    path = tmp_path / "page.html"
    path.write_text("old")
    path.chmod(0o640)
    with whole_file(path) as file:
        file.write("new, é")
        file.flush()
        assert path.read_text() == "old"

    assert path.read_text("utf-8") == "new, é"
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["page.html"]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    """Whatever goes wrong on the way, the old file stays and nothing is left beside it."""
    path = tmp_path / "page.html"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(path) as file:
        file.write(str(1 // 0))

    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["page.html"]


def test_a_disk_that_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system does not finish the file, the error says so and the old file stays."""
    path = tmp_path / "page.html"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device"), whole_file(path) as file:
        file.write("new")

    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["page.html"]


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    """The file behind a link is written, and the link stays."""
    real, link = tmp_path / "real.html", tmp_path / "page.html"
    link.symlink_to(real)
    with whole_file(link) as file:
        file.write("new")

    assert link.is_symlink()
    assert real.read_text() == "new"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda path: path.mkdir(), "not a regular file", id="a folder"),
        pytest.param(os.mkfifo, "not a regular file", id="a pipe"),
        pytest.param(lambda path: path.symlink_to(path / "missing" / "page"), "cannot be written", id="no folder"),
    ],
)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: object, words: str) -> None:
    """Before anything is counted."""
    path = tmp_path / "page.html"
    make(path)  # type: ignore[operator]

    with pytest.raises(UsageError, match=words), whole_file(path):
        pytest.fail("it was opened")
