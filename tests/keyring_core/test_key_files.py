"""Key files: what is read, what is refused, which others can read it, and whether it changed."""

from __future__ import annotations

import os
import re
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keyring_core import Key, KeyConfigError, KeyConfigWarning, sources
from keyring_core.errors import printable
from keyring_core.sources import MAX_FILE_BYTES, FoundText, _who_else, read_source
from tests.keyring_core.test_errors import leaks, shown_by
from tests.keys import key_text

KEY = key_text("source")


@pytest.fixture
def key_file(tmp_path):
    """Writes a file that its owner alone can read, and gives its path."""

    def write(content: str | bytes, mode: int = 0o600) -> Path:
        path = tmp_path / "key"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return path

    return write


def from_file(path: object) -> FoundText | None:
    return read_source("ENCRYPTION_KEY", {"ENCRYPTION_KEY_FILE": str(path)})


@contextmanager
def as_an_ordinary_user() -> Iterator[None]:
    """What is done in the block is done without root's rights."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize(
    "content",
    [
        KEY,
        f"{KEY}\n",
        f"{KEY}\r\n",
        f"\n\n  {KEY}  \n\n",
        f"# made in May\n{KEY} # the one of the web service\n",
        f"{KEY}\r\n# end\r\n",
        f"# für später\n{KEY}",
    ],
    ids=ascii,
)
def test_a_file_holds_a_key_and_comments(key_file, content):
    """C03: line ends of any kind, blank lines and comments do not count."""
    found = from_file(key_file(content))

    assert found.text == KEY.encode()
    assert found.where == f"ENCRYPTION_KEY_FILE ({key_file(content)})"


def test_a_file_holds_one_key_a_line(key_file):
    """Comments and blank lines between keys leave no empty item."""
    found = from_file(key_file(f"# newest\n{KEY}\n\n# oldest\n{key_text('2')}\n"))

    assert found.text.decode().splitlines() == [KEY, key_text("2")]


def test_a_file_without_a_key_is_named(key_file, named):
    """C03: what is no key is refused with the file's path, and nothing of its content."""
    cases = [
        (b"", "empty"),
        (b"# only a comment\n", "empty"),
        (b" \r\n", "empty"),
        (bytes(range(128, 256)) * 4, "non-ASCII bytes"),
        (b"\x7fELF" + bytes(40), "NUL"),
        (b"\xef\xbb\xbf" + KEY.encode(), "BOM"),
        (KEY.encode("utf-16"), "BOM"),
        (KEY.encode("utf-16-le"), "NUL"),
        (f"{KEY}\n{key_text('2')}".encode(), "several keys, but one key is expected"),
        (f"ENCRYPTION_KEY={KEY}".encode(), "after the padding"),
    ]

    for content, words in cases:
        with named(content):
            path = key_file(content)

            found = from_file(path)
            with pytest.raises(KeyConfigError, match=words) as caught:
                Key.parse(found.text, found.where)

            assert str(caught.value).startswith(f"ENCRYPTION_KEY_FILE ({printable(str(path))}): ")
            assert not leaks(shown_by(caught.value), content, "ENCRYPTION_KEY_FILE", "ENCRYPTION_KEY")
            assert not leaks(shown_by(caught.value), KEY)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "missing", "No such file"),
        (lambda folder: folder / "missing" / "key", "No such file"),
        (lambda folder: folder / "file" / "key", "Not a directory"),
        (lambda folder: folder, "directory"),
        (lambda folder: folder / ("x" * 300), "name too long"),
        (lambda folder: folder / "loop", "symbolic links"),
        (lambda folder: f"{folder}\0", "not a file name"),
        (lambda folder: "/dev/zero", "not a regular file"),
    ],
    ids=["missing", "missing folder", "file as folder", "folder", "long name", "loop", "NUL", "device"],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, make, words):
    """C03: the message names the variable, the path and the fault."""
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    path = make(tmp_path)

    with pytest.raises(KeyConfigError, match=words) as caught:
        from_file(path)

    assert str(caught.value).startswith(f"ENCRYPTION_KEY_FILE ({printable(str(path))}): ")


def test_a_file_of_another_user_is_named():
    """C03: a file without read permission is refused by name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "key"
        path.write_text(KEY)
        path.chmod(0o000)
        Path(folder).chmod(0o755)

        with as_an_ordinary_user(), pytest.raises(KeyConfigError, match=r"\(\S+/key\): Permission denied"):
            from_file(path)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="the platform has no /proc/self/mem")
def test_a_file_that_opens_and_cannot_be_read_is_named():
    """C03: a fault that shows only while reading, as of a broken disk or mount, is reported like any other."""
    with pytest.raises(KeyConfigError, match=r"ENCRYPTION_KEY_FILE \(/proc/self/mem\): Input/output error"):
        from_file("/proc/self/mem")


@pytest.mark.parametrize("writer", [False, True], ids=["without writer", "with writer"])
def test_a_fifo_is_refused_at_once(tmp_path, writer):
    """C03: reading never waits for somebody to write."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    held = os.open(path, os.O_RDWR) if writer else None
    errors = []

    def read() -> None:
        try:
            from_file(path)
        except KeyConfigError as error:
            errors.append(str(error))

    # A daemon, so that a hanging read fails this test and does not hold up the rest.
    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(timeout=600)
    if held is not None:
        os.close(held)

    assert not thread.is_alive()
    assert [f"ENCRYPTION_KEY_FILE ({path}): is not a regular file" in error for error in errors] == [True]


def test_a_large_file_is_refused_by_its_size(tmp_path):
    """C03: what is over 1 MB is not read; a sparse file of a terabyte costs nothing."""
    for size in (MAX_FILE_BYTES + 1, 2**40):
        path = tmp_path / "large"
        path.touch(0o600)
        os.truncate(path, size)

        with pytest.raises(KeyConfigError, match=f"has {size} bytes"):
            from_file(path)


def test_a_file_that_others_can_read_gives_a_warning(key_file):
    """C04: the warning names path and mode, and what to do."""
    path = key_file(KEY, mode=0o644)

    with pytest.warns(KeyConfigWarning) as caught:
        found = from_file(path)

    assert found.text == KEY.encode()
    assert [str(warning.message) for warning in caught] == [
        f"ENCRYPTION_KEY_FILE ({path}): every user can read it (-rw-r--r--); chmod 600"
    ]


ROOT, SERVICE, DEPLOYER = 0, 1000, 1001


def test_which_others_can_read_a_file(named):
    """C04: warns of all users, or of the group of the process's own file; not of the group that it reads through."""
    cases = [
        (0o600, SERVICE, SERVICE, None),
        (0o400, SERVICE, SERVICE, None),
        (0o640, SERVICE, SERVICE, "its whole group can read it"),
        (0o660, SERVICE, SERVICE, "its whole group can read it"),
        (0o604, SERVICE, SERVICE, "every user can read it"),
        (0o644, ROOT, SERVICE, "every user can read it"),
        (0o444, ROOT, ROOT, "every user can read it"),
        (0o602, SERVICE, SERVICE, "every user can write it"),
        (0o666, SERVICE, SERVICE, "every user can write it"),
        (0o640, DEPLOYER, SERVICE, None),
        (0o440, ROOT, SERVICE, None),
        (0o640, ROOT, ROOT, None),
    ]

    for mode, owner, user, words in cases:
        with named(mode, owner, user, words):
            status = os.stat_result([stat.S_IFREG | mode, 0, 0, 1, owner, 100, 44, 0, 0, 0])

            assert _who_else(status, user) == words


def test_a_file_for_its_owner_gives_no_warning(key_file):
    """C04: a file that its owner alone can read is silent."""
    assert from_file(key_file(KEY, mode=0o600)).text == KEY.encode()


def test_no_file_stays_open(key_file):
    """Reading, and failing to, leaves no descriptor behind."""
    path = key_file(KEY)
    before = len(os.listdir("/proc/self/fd"))

    for _ in range(5):
        from_file(path)
        for wrong in (path.parent, "/dev/zero"):
            with pytest.raises(KeyConfigError):
                from_file(wrong)

    assert len(os.listdir("/proc/self/fd")) == before


def test_an_empty_file_name_is_refused():
    """A template that left the path out is named as such."""
    with pytest.raises(KeyConfigError, match="ENCRYPTION_KEY_FILE: empty; name a file"):
        from_file("")


# systemd's credentials


@pytest.mark.parametrize("value", ["$CREDENTIALS_DIRECTORY/encryption_key", "${CREDENTIALS_DIRECTORY}/encryption_key"])
def test_systemds_credentials_are_found(tmp_path, value):
    """If %d is not expanded, as in an EnvironmentFile, the variable that systemd sets leads to the same file."""
    (tmp_path / "encryption_key").touch(0o400)
    (tmp_path / "encryption_key").write_text(KEY)
    environ = {"ENCRYPTION_KEY_FILE": value, "CREDENTIALS_DIRECTORY": str(tmp_path)}

    found = read_source("ENCRYPTION_KEY", environ)

    assert (found.text, found.where) == (KEY.encode(), f"ENCRYPTION_KEY_FILE ({tmp_path}/encryption_key)")


@pytest.mark.parametrize("environ", [{}, {"CREDENTIALS_DIRECTORY": ""}])
def test_credentials_that_systemd_does_not_give_are_named(environ):
    """The error of a unit without LoadCredential= says so, and reports no missing file."""
    value = "$CREDENTIALS_DIRECTORY/encryption_key"

    with pytest.raises(KeyConfigError, match=rf"^ENCRYPTION_KEY_FILE \({re.escape(value)}\): .*LoadCredential="):
        read_source("ENCRYPTION_KEY", {"ENCRYPTION_KEY_FILE": value, **environ})


@pytest.mark.parametrize("value", ["$HOME/key", "key/$CREDENTIALS_DIRECTORY/key", "$CREDENTIALS_DIRECTORY_2/key"])
def test_no_other_variable_is_expanded(tmp_path, value):
    """A $ elsewhere stays a $, and the message says so."""
    with pytest.raises(KeyConfigError, match=r"No such file.*No \$ is expanded but \$CREDENTIALS_DIRECTORY"):
        read_source("ENCRYPTION_KEY", {"ENCRYPTION_KEY_FILE": value, "CREDENTIALS_DIRECTORY": str(tmp_path)})


@pytest.mark.parametrize(
    "value",
    [
        *(KEY, f" {KEY}\n", KEY[:43], KEY[:36], KEY.replace("-", "+").replace("_", "/"), f"{KEY},{key_text('2')}"),
        *(f"{KEY[:20]} {KEY[20:]}", f"{KEY[:20]}\n{KEY[20:]}", f"{KEY[:43]}%3D", f"{KEY[:43]}\uff1d"),
    ],
    ids=[
        *("key", "blanks", "no padding", "cut", "standard alphabet", "list"),
        *("a blank inside", "wrapped", "percent-encoded", "full-width"),
    ],
)
def test_a_key_in_place_of_a_path_is_not_shown(value):
    """A key in the variable of the path is refused, and not shown."""
    with pytest.raises(KeyConfigError) as caught:
        from_file(value)

    assert str(caught.value).startswith("ENCRYPTION_KEY_FILE: holds a key")
    assert str(caught.value).endswith("; ENCRYPTION_KEY takes a key")
    assert not leaks(shown_by(caught.value), value)


# Changes


def test_a_file_that_is_being_written_again_is_waited_for(key_file, monkeypatch):
    """Empty is what a file is while its writer truncates and fills it: a moment later it is looked at again."""
    path = key_file("")
    monkeypatch.setattr(sources.time, "sleep", lambda seconds: path.write_text(KEY))

    assert from_file(path).text == KEY.encode()


def rewritten(path: Path) -> None:
    path.write_text(key_text("other"))


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_text(KEY)
    other.rename(path)


def touched(path: Path) -> None:
    os.utime(path)


@pytest.mark.parametrize("change", [rewritten, replaced, Path.unlink, touched])
def test_a_change_is_noticed(key_file, change):
    """Another content, another file, another time, no file: the path leads elsewhere."""
    path = key_file(KEY)
    source = from_file(path).source
    assert not source.moved()

    change(path)

    assert source.moved()
    assert source.may_differ()


def test_a_file_is_identified_by_what_its_path_leads_to(key_file):
    """A symlink that leads to the same file is no change; one that leads to another of the same size and time is."""
    path = key_file(KEY)
    twin = path.with_name("twin")
    twin.write_text(key_text("other"))
    link = path.with_name("link")
    link.symlink_to("key")
    for file in (path, twin):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    source = from_file(link).source

    link.unlink()
    link.symlink_to("key")
    assert not source.moved()

    link.unlink()
    link.symlink_to("twin")
    assert source.moved()


def test_a_young_file_is_looked_at_again(key_file, monkeypatch):
    """A second write within one tick of a file system's clock may leave no trace; an older file shows every one."""
    path = key_file(KEY)
    assert from_file(path).source.may_differ()

    now = sources.time.time_ns()
    monkeypatch.setattr(sources.time, "time_ns", lambda: now + 10**10)
    assert not from_file(path).source.may_differ()
