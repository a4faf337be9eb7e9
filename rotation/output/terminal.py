"""Rich text on a terminal, plain text elsewhere. Nothing is printed that moves a cursor or makes a line of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from keyring_core.errors import printable, printable_lines
from rotation.model.next_steps import Invocation, Remedy, Steps

_LABELS = {"Error:": "bold red", "Warning:": "yellow", "Note:": "yellow", "Next:": "bold cyan"}


class NextStep(Text):
    """A line about what comes next: --quiet leaves it out."""


class Verbatim(Text):
    """A text to be copied as it is, line for line."""


class SafeConsole(Console):
    """A console that obeys nothing in a name, and whose reader may leave.

    Rich would pass on what a terminal obeys, and end the process with an exit code that means something else.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of *renderable*; what is text in them is printable. Rich's own control codes stay."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable_lines(segment.text))

    def on_broken_pipe(self) -> None:
        """Prints nothing from then on, so that the exit code is the command's own."""
        self.quiet = True


def console_on(stream: TextIO, environ: Mapping[str, str]) -> Console:
    """A console on *stream*: colours on a terminal, plain text elsewhere, unless *environ* says otherwise."""
    width = None if stream.isatty() else 160
    return SafeConsole(file=stream, width=width, markup=False, highlight=False, emoji=False, _environ=environ)


def say(part: RenderableType, stream: TextIO, environ: Mapping[str, str]) -> None:
    """Prints *part* on *stream*. A terminal breaks a Text between words, unless it has a command in it.

    A text is one line, also if a name in it has several; a Verbatim has its own.
    """
    console = console_on(stream, environ)
    part = labelled(printable(part)) if isinstance(part, str) else part
    if isinstance(part, Text) and not isinstance(part, Verbatim) and "\n" in part.plain:
        line = Text(r"\n").join(part.split("\n"))
        line.no_wrap = part.no_wrap
        part = line
    if isinstance(part, Text) and not (part.no_wrap or isinstance(part, Verbatim)) and stream.isatty():
        indent = len(part.plain) - len(part.plain.lstrip(" "))
        for wrapped in part[indent:].wrap(console, console.width - indent):
            wrapped.rstrip()
            console.print(Text(" " * indent) + wrapped, soft_wrap=True)
    else:
        console.print(part, soft_wrap=isinstance(part, Text))


def warn(text: str, stream: TextIO, environ: Mapping[str, str], program: str) -> None:
    """Prints an error, a warning or a refusal, with its label in colour."""
    for line in printable_lines(text).split("\n"):
        say(labelled(line, program), stream, environ)


def labelled(line: str, program: str = "", kind: type[Text] = Text) -> Text:
    """*line*, its label in colour. It is not wrapped if it names a command of *program*, so that this can be copied."""
    shown = kind(line, no_wrap=bool(program) and program in line)
    for label, style in _LABELS.items():
        if line.lstrip().startswith(label):
            begin = line.index(label)
            shown.stylize(style, begin, begin + len(label))
    return shown


def following(remedy: Remedy, invocation: Invocation, indent: str = "") -> Iterator[Text]:
    """The `Next:` line of *remedy*, or the lines of its steps, behind the sentences that lead to them."""
    lines = invocation.next_lines(remedy)
    if isinstance(remedy, Steps) and remedy.when:
        yield NextStep(lines.pop(0))
    yield from (labelled(f"{indent}{line}", invocation.program, NextStep) for line in lines)


@dataclass
class Fitting:
    """A table that suits the place: *plain* in a pipe; on a terminal *wide* if that fits, otherwise *narrow*."""

    plain: Table
    wide: Table
    narrow: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        natural = Measurement.get(console, options.update(max_width=10_000), self.wide).maximum
        on_terminal = self.wide if natural <= options.max_width else self.narrow
        yield on_terminal if console.is_terminal else self.plain


def rows_table(headings: Sequence[str], rows: Sequence[Sequence[RenderableType]], always: str) -> Fitting:
    """A table of *rows*, in which a bar's heading is empty, and that of a number begins with `#`.

    In a pipe it has every column but the bars.

    A terminal leaves out each column in which all is empty or 0, unless its heading is *always*. If that is too wide,
    each row becomes its first cell, its bar, and its other cells in words, one below the other.
    """
    rows = [[printable(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]

    def has_value(heading: str, cell: RenderableType) -> bool:
        return heading == always or str(cell) not in {"", "0"}

    def of_columns(columns: Sequence[int]) -> Table:
        shown = Table(box=None, pad_edge=False, header_style="bold")
        for index in columns:
            number = headings[index].startswith("#")
            shown.add_column(headings[index].removeprefix("#"), justify="right" if number else "left", overflow="fold")
        for row in rows:
            shown.add_row(*(row[index] for index in columns))
        return shown

    def one_below_the_other() -> Iterator[RenderableType]:
        for row in rows:
            yield Text(str(row[0]), "bold", overflow="fold")
            yield from (cell for heading, cell in zip(headings, row, strict=True) if not heading)
            named = [(heading, cell) for heading, cell in zip(headings, row, strict=True) if heading][1:]
            yield Text(", ").join(_in_words(heading, cell) for heading, cell in named if has_value(heading, cell))

    plain = [index for index, heading in enumerate(headings) if heading]
    used = [index for index, heading in enumerate(headings) if any(has_value(heading, row[index]) for row in rows)]
    return Fitting(of_columns(plain), of_columns(used), Group(*one_below_the_other()))


def _in_words(heading: str, cell: RenderableType) -> Text:
    """`9 unreadable`, `state primary`."""
    words = f"{cell} {heading[1:]}" if heading.startswith("#") else f"{heading} {cell}"
    return Text(words, cell.style if isinstance(cell, Text) else "")
