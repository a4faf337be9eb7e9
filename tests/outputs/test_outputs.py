"""No output of any command takes the place of a file that keys hang on, or of a file that is somebody else's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from rotation.cli.main import cli as commands
from rotation.ledger.ledger import Ledger
from rotation.ledger.queries import Uses
from tests.conftest import Cli, Named
from tests.keys import key_text
from tests.outputs.estate import (
    AWAITED,
    ID,
    PRECIOUS,
    READING,
    UNRELATED,
    WRITING,
    Estate,
    is_in_place,
    spellings,
)

pytestmark = [pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning")]


@pytest.fixture
def estate(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Estate:
    monkeypatch.chdir(tmp_path)
    return Estate(tmp_path, cli)


def _path_options(command: click.Command, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(command, click.Group):
        for word, sub in command.commands.items():
            yield from _path_options(sub, f"{name} {word}".strip())
        return
    for parameter in command.params:
        if isinstance(parameter.type, click.Path | click.File):
            yield name, parameter.opts[0]


def test_every_option_that_takes_a_path_is_known_here() -> None:
    """A new one has to say whether it names a file to read or one to write, and is then in all of these tests."""
    found = {*_path_options(commands)}
    reading = {(command, option) for command, option in found - {*WRITING} if {option, f"{command} {option}"} & READING}

    assert {*WRITING} <= found
    assert found == {*WRITING} | reading


BY_CONTENT = ("older.json", "retired.keys")
REPLACED = [output for output in WRITING if output[0] not in {"init", "demo", "ledger keygen"}]
"""The outputs that may be written again."""


def _refused(estate: Estate, output: tuple[str, str], path: str) -> str:
    """Checks that this is refused and changes nothing; returns the error."""
    before = estate.files()
    ran = estate.write(output, path)
    after = estate.files()
    estate.restore(before)

    assert ran.code == (3 if output[0] == "check" else 2), ran
    assert str(Path(path)) in ran.err
    assert "name another file" in ran.err or output not in REPLACED, ran.err
    assert "Traceback" not in ran.err
    assert after == before
    return ran.err


def test_no_output_takes_the_place_of_what_keys_hang_on(estate: Estate, named: Named, *, long_form: bool) -> None:
    """Refused by its name, another spelling, and both kinds of links, whether it is there yet or not; nothing changes.

    Without --long each output and file meet in one spelling, and all spellings in turn.
    """
    for row, name in enumerate([*PRECIOUS, *AWAITED]):
        ways = spellings(estate.folder, name)
        for column, output in enumerate(WRITING):
            if is_in_place(output, name):
                continue
            turn = (row + column) % len(ways)
            for way, path in [*ways.items()] if long_form else [[*ways.items()][turn]]:
                with named(*output, name, way):
                    words = _refused(estate, output, path)
                    # The others are known by what they are, and not by what is in them.
                    assert "is no " not in words or name in BY_CONTENT or output not in REPLACED


def test_a_file_of_somebody_else_stays(estate: Estate, named: Named) -> None:
    """A text, a picture, a script, a database, a page, lists and metrics of another program: refused, not replaced."""
    for name in [*UNRELATED, "strange.db"]:
        for output in WRITING:
            with named(*output, name):
                _refused(estate, output, name)


def test_a_file_of_its_own_is_replaced_and_an_empty_one(estate: Estate, named: Named) -> None:
    """What the command wrote there before, and a file that `touch` made."""
    for output in REPLACED:
        with named(*output):
            estate.put("out", b"")
            for _ in range(2):
                estate.put("previous.key", key_text("old").encode())
                before = (estate.folder / "out").stat().st_ino
                ran = estate.write(output, "out")
                after = (estate.folder / "out").stat()

                assert ran.code in ({0, 1, 2} if output[0] == "check" else {0, 1}), ran
                assert after.st_size
                # An archive that holds the key already stays as it is.
                assert after.st_ino != before or output[1] == "--archive"


def test_two_outputs_of_a_command_are_two_files(estate: Estate, named: Named) -> None:
    """One would be lost to the other: of `init` the new key. A run would pause for the list that it has written."""
    (estate.folder / "link").symlink_to("out")
    for command, first, second in (
        (f"keys retire {ID}", "--certificate", "--archive"),
        ("init --url sqlite:///app.db --new-key", "--config", "--env-file"),
        ("init --app redash", "--config", "--env-file"),
        ("run --dry-run", "--pause-file", "--problems"),
    ):
        with named(command):
            before = estate.files()
            ran = estate.run(command, first, "out", second, "link")

            assert ran.code == 2
            assert "name another file" in ran.err
            assert estate.files() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes links of another user")
def test_no_output_is_written_through_a_link_of_another_user(estate: Estate, named: Named) -> None:
    """In a folder that others can write, sticky or not, every option refuses it by path, and nothing changes."""
    for mode in (0o1777, 0o777):
        folder = estate.folder / f"shared-{mode:o}"
        folder.mkdir()
        (folder / "link").symlink_to(estate.folder / "elsewhere")
        os.lchown(folder / "link", 4242, 4242)
        folder.chmod(mode)
        for output in WRITING:
            with named(f"{mode:o}", *output):
                before = estate.files()
                ran = estate.write(output, f"{folder.name}/link")
                after = estate.files()
                estate.restore(before)

                assert ran.code == (3 if output[0] == "check" else 2), ran
                assert "a symbolic link that another user may have made" in ran.err
                assert after == before


def test_no_ledger_is_made_where_keys_are_kept(estate: Estate, named: Named) -> None:
    """An empty key file, as a promotion leaves one, or one that is not there yet, would pass for a new database.

    A census goes on without a ledger, as without any that fails.
    """
    for name in ("previous.key", "redash-staged", ".env", "rotation.toml", "sub/../redash-staged"):
        for words in (("ledger init", "--url", f"sqlite:///{name}"), ("status",)):
            with named(name, *words):
                before = estate.files()
                setting = {} if "--url" in words else {"ROTATION_LEDGER_URL": f"sqlite:///{name}"}
                ran = estate.run(*words, environ=setting)

                assert ran.code == (2 if "--url" in words else 1)
                assert estate.files() == before
                assert "; name a file of its own" in ran.err


def test_a_ledger_that_cannot_be_read_weakens_nothing_else(estate: Estate, named: Named) -> None:
    """The archives that it knows are then protected by what is in them, and every other file as ever."""
    estate.put("rotation-ledger.db", b"no database at all")
    for name in (*PRECIOUS, "redash-staged", "app.db-wal"):
        for output in REPLACED:
            # Nothing is in that one.
            if name != "emptied.keys" and not is_in_place(output, name):
                with named(*output, name):
                    _refused(estate, output, name)


def test_a_file_that_comes_meanwhile_stays(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody puts a file there while the tokens are counted: it is not replaced, and the error says so."""
    count = Ledger.uses

    def come(ledger: Ledger, service: str, primary: str) -> Uses:
        estate.put("page.html", UNRELATED["page.html"])
        return count(ledger, service, primary)

    (estate.folder / "page.html").unlink()
    monkeypatch.setattr(Ledger, "uses", come)
    ran = estate.write(("report", "--html"), "page.html")

    assert ran.code == 3
    assert "--html page.html: could not be written: is no page of this program" in ran.err
    assert (estate.folder / "page.html").read_bytes() == UNRELATED["page.html"]
