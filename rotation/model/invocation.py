"""The start of this program: its name, its command and options, and in the same terms the command to type next.

What finds a fault says as a value what to do (`rotation.model.next_steps`); the command line makes its text with the
invocation that it is. Nothing here keeps one.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from keyring_core.names import printable
from rotation.model.next_steps import Next, OneStep, Remedy, Repeats, Steps, lines_of

PROGRAM = "keyring-rotate"
"""Its name where it is installed, and in whatever outlives the command: pages, metrics, certificates."""

_SOURCES = ("--config", "--env-file")
_TARGET = ("--url", "--table", "--column", "--key-column", "--where", "--context")
_NEVER = {"--dry-run", "--json"}
"""Options that the next command is not meant to have."""
_NAMELESS = "run the same command again"
"""The command that runs, if no command line runs it."""


@dataclass(frozen=True)
class Invocation:
    """One start of this program; without any value that of a program that uses this package as a library."""

    program: str = PROGRAM
    """The words to type to start it again."""
    command: tuple[str, ...] = ()
    """The words that name its command, and that command's arguments; empty if no command line runs it."""
    options: Mapping[str, Sequence[tuple[str, ...]]] = field(default_factory=dict)
    """The options that were given, by name, each in the words that can be typed again: `[("--env-file", ".env")]`."""
    takes: Callable[[Sequence[str]], Collection[str]] = lambda _: ()
    """The names of the options that a command takes."""

    def arguments(self, step: Next) -> list[str]:
        """The command of *step*, as arguments of this program; empty for the command that runs, if there is none."""
        if step.repeats is Repeats.COMMAND:
            return [*self._again(self.command, {*self.options}), *step.command] if self.command else []
        words = step.command if step.keys is None else (*step.command, "--keys", step.keys)
        return self._again(words, self._repeated(words, step.repeats))

    def _repeated(self, words: tuple[str, ...], repeats: Repeats) -> set[str]:
        """The options that were given here and that the command *words* is to have as well."""
        given = {*self.options}
        if repeats is not Repeats.SOURCES:
            return given - _NEVER if repeats is Repeats.ALL else set()
        # Without a table, --url is a database to search, or a ledger.
        target = _TARGET if "--table" in given & {*self.takes(words)} else ()
        searched = ("--url",) if words == ("discover",) and "--table" in given else ()
        return given & {*_SOURCES, *target, *searched}

    def _again(self, words: tuple[str, ...], given: set[str]) -> list[str]:
        """The command *words* with the options *given* that it takes, in the order in which they were typed."""
        repeated = given & {*self.takes(words)} - {*words}
        options = [text for name, texts in self.options.items() if name in repeated for text in texts]
        return [*words, *(word for option in options for word in option)]

    def line(self, step: OneStep) -> str:
        """*step* in one line, its command ready to be pasted; a name in it makes no line of its own."""
        if isinstance(step, str):
            return printable(step)
        arguments = self.arguments(step)
        words = [self.program, *arguments] if arguments else [_NAMELESS, *step.command]
        return printable(" ".join([*([step.when] if step.when else []), words[0], *map(quoted, words[1:])]))

    def lines(self, remedy: Remedy) -> list[str]:
        """The steps of *remedy*, a line each."""
        return [self.line(step) for step in lines_of(remedy)]

    def text(self, remedy: Remedy) -> str:
        """The steps of *remedy* as one text."""
        return "\n".join(self.lines(remedy))

    def next_lines(self, remedy: Remedy) -> list[str]:
        """`Next: ...`; of several steps a numbered list; the sentences that lead to them stand above."""
        when, steps = (remedy.when, remedy.steps) if isinstance(remedy, Steps) else ("", (remedy,))
        lines = [f"  {number}. {self.line(step)}" for number, step in enumerate(steps, 1)]
        lines = ["Next:", *lines] if len(lines) > 1 else [f"Next: {self.line(step)}" for step in steps]
        return [*([printable(when)] if when else []), *lines]


PLAIN = Invocation()
"""For a program that uses this package as a library, and for what is read elsewhere."""


def quoted(word: str) -> str:
    r"""*word* as a shell takes it for one, in one line; bash, zsh and ksh read what is not printable as ``$'\012'``."""
    if word.isprintable():
        text = shlex.quote(word)
        # In zsh, `=ls` is the path of that program.
        return f"'{text}'" if text.startswith("=") else text
    return f"$'{''.join(map(_in_quotes, word))}'"


def _in_quotes(letter: str) -> str:
    if letter.isprintable() and letter not in "\\'":
        return letter
    return "".join(f"\\{byte:03o}" for byte in letter.encode("utf-8", "surrogateescape"))


def program_name(argv: Sequence[str], typed: Sequence[str]) -> str:
    """The words that start the program *argv* again; *typed* is the interpreter's own command line.

    Its bare name if that is found on PATH, otherwise its path as it was typed; of a module and of a source file the
    interpreter in front of it, too.
    """
    started = argv[0] if argv else ""
    if started in {"", "-", "-c"}:
        return PROGRAM
    name = os.path.basename(started)
    found = shutil.which(name)
    if found and os.path.exists(started) and os.path.samefile(found, started):
        return quoted(name)
    if name.endswith(".py"):
        return " ".join(map(quoted, typed[: len(typed) - len(argv) + 1]))
    return quoted(started)


def this_program() -> str:
    """The words that start this process again."""
    return program_name(sys.argv, sys.orig_argv)


def program_elsewhere(program: str) -> str:
    """The words that start *program* again in another folder."""
    words = shlex.split(program)
    return shlex.join(os.path.abspath(word) if os.sep in word and os.path.exists(word) else word for word in words)
