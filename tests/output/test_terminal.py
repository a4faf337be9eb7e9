"""Lines on a terminal and in a pipe: wrapped, whole, coloured or plain."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping

import pytest
from rich.console import RenderableType
from rich.text import Text

from rotation.cli.main import TerminalStreams
from rotation.model.next_steps import PLAIN, RUN
from rotation.output.terminal import Verbatim, following, say

SENTENCE = "  Nothing that was read needs this key, and nothing else does."
ENTRY = Verbatim("column = " * 9)
CYAN, RED = "\x1b[1;36m", "\x1b[1;31m"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(parts: Iterable[RenderableType], width: int) -> str:
    """What a terminal of that width shows, without its colours."""
    stream = Terminal()
    for part in parts:
        say(part, stream, {"TERM": "xterm", "COLUMNS": str(width)})
    return re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())


def test_a_terminal_breaks_between_words() -> None:
    """No word is cut, and each line keeps the indentation of the first."""
    lines = on_terminal([Text(SENTENCE)], 20).splitlines()

    assert " ".join(line.strip() for line in lines) == SENTENCE.strip()
    assert len(lines) > 2
    assert all(line.startswith("  ") and len(line) <= 20 for line in lines)


@pytest.mark.parametrize("environ", [{}, {"FORCE_COLOR": "1"}], ids=["plain", "coloured"])
def test_a_line_in_a_pipe_stays_one_line(environ: Mapping[str, str]) -> None:
    """However long it is, for grep."""
    stream = io.StringIO()
    say(Text(SENTENCE * 20), stream, environ)

    assert stream.getvalue() == f"{SENTENCE * 20}\n"


@pytest.mark.parametrize("part", [*following(RUN.after("when all have it:"), PLAIN), Verbatim("x " * 30)])
def test_what_is_to_be_copied_is_not_wrapped(part: Text) -> None:
    """A command, and an entry for a file."""
    assert on_terminal([part], 20) == f"{part.plain}\n"


def test_control_characters_of_a_name_are_escaped() -> None:
    """A table may be called anything; a text is one line, whatever is in it."""
    name = "\x1b[31mcr\neds\u202e"
    for part in (*following(name, PLAIN), Text(name), name, Text.assemble("- ", (name, "red")), Verbatim(name)):
        shown = on_terminal([part], 80)

        assert shown.count("\n") == 1 + isinstance(part, Verbatim)
        assert shown.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("stream", "environ", "colour"),
    [
        pytest.param(Terminal, {"TERM": "xterm"}, True, id="terminal"),
        pytest.param(Terminal, {"TERM": "xterm", "NO_COLOR": "1"}, False, id="NO_COLOR"),
        pytest.param(Terminal, {"TERM": "dumb"}, False, id="dumb"),
        pytest.param(io.StringIO, {"TERM": "xterm"}, False, id="pipe"),
        pytest.param(io.StringIO, {"TERM": "xterm", "FORCE_COLOR": "1"}, True, id="FORCE_COLOR"),
    ],
)
def test_labels_are_coloured_on_a_terminal(stream: type[io.StringIO], environ: Mapping[str, str], colour: bool) -> None:
    """`Error:` and `Next:`, unless the environment says otherwise; the text is the same."""
    err = stream()
    TerminalStreams(io.StringIO(), err, environ=environ).warn(
        "Error: no key is staged.\nNext: keyring-rotate keys stage"
    )

    assert [f"{RED}Error:" in err.getvalue(), f"{CYAN}Next:" in err.getvalue()] == [colour, colour]
    assert "keyring-rotate keys stage\n" in err.getvalue()
