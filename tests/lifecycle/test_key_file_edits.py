"""Keys go in and out of files, and every other byte stays."""

from __future__ import annotations

import io

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from rotation.lifecycle.key_file_edits import (
    add_to_dotenv,
    dotenv_value,
    edit_dotenv,
    edit_dotenv_value,
    edit_key_file,
    edit_text_file,
    items_of,
    key_file_items,
)
from rotation.model.failures import UsageError

pytestmark = pytest.mark.database  # it takes dotenv, which comes with the rotation


@pytest.mark.parametrize(
    ("before", "gone", "added", "after"),
    [
        pytest.param("", [], ["b="], "N=b=\n", id="empty-file"),
        pytest.param("A=1", [], ["b="], "A=1\nN=b=\n", id="no-last-line-end"),
        pytest.param("A=1\r\n", [], ["b="], "A=1\r\nN=b=\r\n", id="windows"),
        pytest.param("N=\n", [], ["b="], "N=b=\n", id="empty-value"),
        pytest.param("N", [], ["b="], "N=b=", id="no-equals"),
        pytest.param("N=a=\n", ["a="], ["b="], "N=b=\n", id="swap"),
        pytest.param("N=a=,c=\n", ["a="], [], "N=c=\n", id="take-out"),
        pytest.param("N=a=\n", [], ["b="], "N=b=,a=\n", id="put-first"),
        pytest.param("N=a=\n", ["a="], [], "N=\n", id="empty-it"),
        pytest.param("export N = 'a=' # why\nB=2\n", ["a="], ["b="], "export N = 'b=' # why\nB=2\n", id="quotes"),
        pytest.param('N="a="\n', ["a="], ["b="], 'N="b="\n', id="double-quotes"),
        pytest.param("N='a=\nc='\n", [], ["b="], "N='b=\na=\nc='\n", id="lines"),
        pytest.param("N=a=  # why\n", ["a="], ["b="], "N=b=  # why\n", id="comment"),
        pytest.param("N= # none yet\n", [], ["b="], "N=b= # none yet\n", id="comment-alone"),
        pytest.param("# N=x\n\n  N=a=\n#N\n", ["a="], ["b="], "# N=x\n\n  N=b=\n#N\n", id="commented-out"),
        pytest.param("M=N=a=\nN=a=\n", ["a="], ["b="], "M=N=a=\nN=b=\n", id="name-in-a-value"),
        pytest.param("what is this\nN=a=\n", ["a="], ["b="], "what is this\nN=b=\n", id="no-assignment"),
        pytest.param("\ufeffN=a=\n", ["a="], ["b="], "\ufeffN=b=\n", id="byte-order-mark"),
        pytest.param("A='x\\'N=y'\nN=a=\n", ["a="], ["b="], "A='x\\'N=y'\nN=b=\n", id="escapes"),
    ],
)
def test_a_dotenv_file_keeps_its_other_bytes(before: str, gone: list[str], added: list[str], after: str) -> None:
    """Quotes, export, comments, blanks, line ends, and lines that are no assignment."""
    edited = edit_dotenv(before.encode(), "N", gone, added)

    assert edited.decode() == after


@pytest.mark.parametrize(
    ("line", "after"),
    [
        pytest.param("", "N='a #b'\n", id="not there"),
        pytest.param("N=\n", "N='a #b'\n", id="empty"),
        pytest.param("N='' # why\n", "N='a #b' # why\n", id="single quotes"),
        pytest.param('N="old"\n', "N='a #b'\n", id="double quotes"),
        pytest.param("N=old\n", "N='a #b'\n", id="no quotes"),
    ],
)
def test_a_secret_with_symbols_keeps_its_quotes(line: str, after: str) -> None:
    """It is written as it stands elsewhere in the file; a file without it may be read by a program without quotes."""
    edited = edit_dotenv_value(f"M='a #b'\n{line}".encode(), "N", "a #b").decode()

    assert edited == f"M='a #b'\n{after}"
    assert dotenv_values(stream=io.StringIO(edited))["N"] == "a #b"
    for other in ("M=a #b\n", 'M="a #b"\n', ""):
        with pytest.raises(UsageError, match="put it into single quotes"):
            edit_dotenv_value(other.encode(), "N", "a #b")


@pytest.mark.parametrize(
    ("before", "text", "after"),
    [(b"", "b", b"b\n"), (b"a", "b", b"b"), (b"a\n", "b", b"b\n"), (b"a\r\n", "b", b"b\r\n"), (b"a\n", "", b"")],
)
def test_a_file_of_one_secret_keeps_its_end(before: bytes, text: str, after: bytes) -> None:
    """With a line break or without, as the application reads it."""
    assert edit_text_file(before, text) == after


def test_bytes_that_are_no_utf_8_stay() -> None:
    """Somebody's Latin-1 comment is none of our business."""
    assert edit_dotenv(b"# \xe4\nN=a=\n", "N", ["a="], ["b="]) == b"# \xe4\nN=b=\n"
    assert edit_key_file(b"# \xe4\na=\n", ["a="], ["b="]) == b"# \xe4\nb=\n"


def test_a_name_that_stands_twice_is_refused() -> None:
    """Programs differ in which of the two counts."""
    with pytest.raises(UsageError, match="N stands 2 times"):
        edit_dotenv(b"N=a=\nN=b=\n", "N", [], [])


@pytest.mark.parametrize(
    "before", ["", "N=\n", "N=old\n", "N='old' # why\n", 'export N = "o#ld"\n', "N\n", "A='1'\nN= # why\n"]
)
@pytest.mark.parametrize("secret", ["plain", "two words, a comma", 'a#b $c "d" `e`', "(-_=+)!@%^&*"])
def test_a_secret_is_read_back_as_it_was_written(before: str, secret: str) -> None:
    """A passphrase that stands in single quotes elsewhere in the file gets them here, too, and loses them again."""
    written = edit_dotenv_value(f"OTHER='{secret}'\n{before}".encode(), "N", secret)
    emptied = edit_dotenv_value(written, "N", "")

    assert [_variables(each)["N"] for each in (written, emptied)] == [secret, ""]
    assert ("# why" in written.decode()) == ("# why" in before)


def _variables(data: bytes) -> dict[str, str | None]:
    return dotenv_values(stream=io.StringIO(data.decode()), interpolate=False)


@given(
    lines=st.lists(
        st.sampled_from(["# note", "", "A=1", "export B='x y'", 'C="#"', "junk here", "  D = 4 # d", "E='a\nb'"])
    ),
    position=st.integers(0, 8),
    name=st.sampled_from(["N={}", "export N={}", "N='{}'", ' N = "{}" # c', "N={} # c"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_a_swap_and_its_reverse_give_the_same_bytes(lines: list[str], position: int, name: str, end: str) -> None:
    """Wherever the assignment stands and however it is written; all other variables read the same."""
    text = end.join([*lines[:position], name.format("a="), *lines[position:]])
    there = edit_dotenv(text.encode(), "N", ["a="], ["b="])

    assert items_of(dotenv_value(there, "N") or "") == ["b="]
    assert edit_dotenv(there, "N", ["b="], ["a="]) == text.encode()
    before, after = (dotenv_values(stream=io.StringIO(some), interpolate=False) for some in (text, there.decode()))
    assert dict(before, N="b=") == dict(after)


@pytest.mark.parametrize(
    ("before", "gone", "added", "after"),
    [
        pytest.param("", [], ["b="], "b=\n", id="empty"),
        pytest.param("# none yet", [], ["b="], "# none yet\nb=\n", id="comment-alone"),
        pytest.param("a=", ["a="], ["b="], "b=", id="no-line-end"),
        pytest.param("a=", [], ["b="], "b=\na=", id="put-first-no-line-end"),
        pytest.param("# why\na= # a\n", ["a="], ["b="], "# why\nb= # a\n", id="swap"),
        pytest.param("# older\r\na=\r\nc=\r\n", [], ["b="], "# older\r\nb=\r\na=\r\nc=\r\n", id="put-first"),
        pytest.param("c=\na= # a\n", ["a="], ["b="], "b=\nc=\n# a\n", id="swap-with-a-later-one"),
        pytest.param("a=\nc=\n", ["a="], [], "c=\n", id="take-out"),
        pytest.param("a=,c= # both\n", ["a="], [], "c= # both\n", id="two-in-a-line"),
        pytest.param("a= # mine\nc=\n", ["a="], [], "# mine\nc=\n", id="keep-the-comment"),
        pytest.param("# a=\nc=\n", ["a="], [], "# a=\nc=\n", id="in-a-comment"),
    ],
)
def test_a_key_file_keeps_its_other_bytes(before: str, gone: list[str], added: list[str], after: str) -> None:
    """Comments, line ends and other keys."""
    edited = edit_key_file(before.encode(), gone, added)

    assert edited.decode() == after
    assert key_file_items(edited) == [item for item in (*added, *key_file_items(before.encode())) if item not in gone]


@pytest.mark.parametrize(
    "value", ["sqlite:///app.db", "mysql://u:p@h/db?charset=utf8mb4", "a b#c$d&e!", "a # b", 'a"b']
)
def test_a_new_variable_is_read_as_it_was_given(value: str) -> None:
    """In quotes if it needs some; the lines before it stay."""
    after = add_to_dotenv(b"# mine\nA=1", "N", value).decode()

    assert after.startswith("# mine\nA=1\nN=")
    assert dotenv_values(stream=io.StringIO(after), interpolate=False) == {"A": "1", "N": value}


@pytest.mark.parametrize("value", ["it's", "a\\b", "a\nb"])
def test_what_programs_read_differently_is_not_written(value: str) -> None:
    """Neither a quote nor a backslash, and no second value for a variable."""
    with pytest.raises(UsageError):
        add_to_dotenv(b"", "N", value)
    with pytest.raises(UsageError, match="already"):
        add_to_dotenv(b"N=1", "N", "2")
