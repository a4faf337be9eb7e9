"""The file of `--problems`."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from keyring_core import Keyring
from rotation.job.options import LocalOptions, RunOptions
from rotation.model.counts import KEPT_PROBLEMS
from rotation.model.failures import StoreError, UsageError
from tests.conftest import Cli
from tests.databases import Database, open_database
from tests.fakes import MemoryStore, run, token
from tests.outputs.taken import problems_file

EARLIER = '{"table": "creds", "column": "token", "key": {"id": 7}, "category": "plaintext", "detail": ""}\n'


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_problem_is_one_line(keyring: Keyring, tmp_path: Path) -> None:
    """The file lists all problems of the last pass once, even if the report keeps fewer."""
    cells = [token("old")] * (KEPT_PROBLEMS + 600) + ["hunter2"] * (KEPT_PROBLEMS + 500)
    with problems_file(tmp_path / "problems") as problems:
        report = run(MemoryStore(dict(enumerate(cells))), keyring, None, LocalOptions(problems=problems))

    lines = _lines(tmp_path / "problems")
    assert report.targets[0].passes == 2
    assert len(lines) == len({line["key"]["id"] for line in lines}) == KEPT_PROBLEMS + 500
    assert lines[0] == {
        "table": "creds",
        "column": "token",
        "key": {"id": KEPT_PROBLEMS + 600},
        "category": "plaintext",
        "detail": lines[0]["detail"],
    }
    assert "hunter2" not in (tmp_path / "problems").read_text()


def test_a_key_that_is_a_secret_is_masked(keyring: Keyring, tmp_path: Path) -> None:
    """A table's key may be a token, such as a session's: the file masks it as the screen does."""
    with problems_file(tmp_path / "problems") as problems:
        run(MemoryStore({token("new"): "hunter2"}), keyring, None, LocalOptions(problems=problems))

    [line] = _lines(tmp_path / "problems")
    assert (line["category"], line["key"]) == ("plaintext", {"id": "[REDACTED:fernet-token]"})


@pytest.mark.database
def test_each_target_has_its_lines(cli: Cli, tmp_path: Path) -> None:
    """Two columns of one table: the file of a second run replaces that of the first."""
    with open_database("sqlite", tmp_path) as database:
        database.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, a TEXT, b TEXT)")
        database.insert("creds", [{"id": n, "a": "hunter2", "b": token("old")[:50]} for n in (1, 2)])
        argv = ("run", "--url", database.url, "--table", "creds", "--column", "a", "--column", "b")
        for _ in range(2):
            ran = cli(*argv, "--problems", str(tmp_path / "problems"))

    found = [(line["column"], line["key"]["id"], line["category"]) for line in _lines(tmp_path / "problems")]
    assert ran.code == 1
    assert found == [("a", 1, "plaintext"), ("a", 2, "plaintext"), ("b", 1, "truncated"), ("b", 2, "truncated")]


@pytest.mark.database
@pytest.mark.parametrize("name", ["missing/problems", ".", "fifo"])
def test_a_file_that_cannot_be_written_is_refused_at_the_start(cli: Cli, tmp_path: Path, name: str) -> None:
    """R26: exit code 2, and no row is rotated."""
    os.mkfifo(tmp_path / "fifo")
    with open_database("sqlite", tmp_path) as database:
        database.make_creds([token("old")])
        before = database.column()
        ran = cli("run", *_target(database), "--problems", str(tmp_path / name))

        assert ran.code == 2
        assert "--problems" in ran.err
        assert database.column() == before


@pytest.mark.database
def test_a_disk_that_fills_up_later_stops_no_rotation(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R26: rows are rotated all the same; the report says that the list is incomplete, and the exit code is not 0."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "problems"
    path.write_text(EARLIER)
    monkeypatch.setattr(os, "fsync", full)
    with open_database("sqlite", tmp_path) as database:
        database.make_creds([token("old"), "hunter2"])
        ran = cli("run", *_target(database), "--problems", str(path), "--json")

        assert ran.code == 1
        assert ran.document["targets"][0]["rotated"] == 1
        assert "No space left on device" in ran.document["fault"]
        assert "the list there is incomplete" in ran.document["fault"]
        assert path.read_text() == EARLIER


@pytest.mark.parametrize("name", ["problems", "x" * 300], ids=["no folder to collect in", "too long"])
def test_a_list_that_cannot_begin_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """R26: if there is no folder for temporary files, or the name is too long, the message names the option."""
    if name == "problems":
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))

    with pytest.raises(UsageError, match=r"^--problems "):
        problems_file(tmp_path / name)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_a_full_disk_of_the_temporary_file_is_reported(
    keyring: Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R26: a write that failed fails again when the file is closed; the run still returns its report."""
    with Path("/dev/full").open("w+b") as full:
        monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: full)
        with problems_file(tmp_path / "problems") as problems:
            report = run(MemoryStore({1: token("old"), 2: "hunter2"}), keyring, None, LocalOptions(problems=problems))

    assert report.targets[0].counts.rotated == 1
    assert "the list there is incomplete" in str(problems.fault)


def test_a_fault_of_the_file_alone_is_exit_code_1(keyring: Keyring, tmp_path: Path) -> None:
    """R26: everything is rotated, but the list is incomplete."""
    with problems_file(tmp_path / "problems") as problems:
        problems.fault = "--problems: no space"
        report = run(MemoryStore({1: token("old")}), keyring, None, LocalOptions(problems=problems))

    assert (report.complete, report.exit_code) == (True, 1)


def test_an_interrupted_run_lists_its_last_complete_pass(keyring: Keyring, tmp_path: Path) -> None:
    """The file and the report describe the same pass; problems of the interrupted pass are dropped."""

    def fail_in_the_second_pass(store: MemoryStore) -> None:
        if store.reads == 8:
            raise StoreError("the connection was lost")

    store = MemoryStore({1: token("old"), 2: "hunter2"}, between=fail_in_the_second_pass)
    with problems_file(tmp_path / "problems") as problems:
        report = run(store, keyring, RunOptions(batch_size=1), LocalOptions(problems=problems))

    [target] = report.targets
    assert (report.exit_code, target.passes) == (3, 1)
    assert target.counts.categories.total() == len(_lines(tmp_path / "problems"))


def test_what_the_file_held_stays_until_a_pass_is_over(tmp_path: Path) -> None:
    """A run that is refused for another reason leaves the previous list unchanged."""
    path = tmp_path / "problems"
    path.write_text(EARLIER)

    with problems_file(path):
        pass

    assert path.read_text() == EARLIER


def test_a_reader_finds_a_complete_list_at_any_time(keyring: Keyring, tmp_path: Path) -> None:
    """During the second target, the file holds the list of the first one; at the end it holds both."""
    path, seen = tmp_path / "problems", []

    def count_lines(_: MemoryStore) -> None:
        seen.append(path.read_text().count("\n") if path.exists() else None)

    with problems_file(path) as problems:
        for _ in range(2):
            run(
                MemoryStore({1: "hunter2", 2: "hunter3"}, between=count_lines),
                keyring,
                None,
                LocalOptions(problems=problems),
            )

    assert {*seen} == {None, 2}
    assert len(_lines(path)) == 4
    assert os.listdir(tmp_path) == ["problems"]


def test_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    """Opening a FIFO would wait for a reader."""
    os.mkfifo(tmp_path / "fifo")

    with pytest.raises(UsageError, match="not a regular file"):
        problems_file(tmp_path / "fifo")


def _target(database: Database) -> list[str]:
    return ["--url", database.url, "--table", "creds", "--column", "token"]
