"""How this program was started: its name, its command and options, and the next command in the same terms.

A message about a file or a database is made far below the command line, and names the command to type next. The command
line sets the invocation; without one, as in a program that uses this package as a library, commands are plain.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace

PROGRAM = "keyring-rotate"
"""Its name where it is installed, and in whatever outlives the command: pages, metrics, certificates."""

_SOURCES = ("--config", "--env-file")
_TARGET = ("--url", "--table", "--column", "--key-column", "--where", "--context")
_NEVER = {"--dry-run", "--json"}
"""Options that the next command is not meant to have."""


@dataclass(frozen=True)
class Invocation:
    """One start of this program."""

    program: str = PROGRAM
    """What to type to start it again."""
    command: tuple[str, ...] = ()
    """The words that name its command, and that command's arguments."""
    options: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The options that were given, by name, each as it can be typed again: `["--env-file .env"]`."""
    takes: Callable[[Sequence[str]], Collection[str]] = lambda _: ()
    """The names of the options that a command takes."""

    def again(self, *words: str, only: Collection[str]) -> str:
        """The command *words* with those of the options *only* that were given here and that it takes as well."""
        repeated = {*only} & {*self.takes(words)} - {*words}
        options = [text for name, texts in self.options.items() if name in repeated for text in texts]
        return " ".join([self.program, *words, *options])


_current: ContextVar[Invocation] = ContextVar("invocation", default=Invocation())  # noqa: B039 - frozen


@contextmanager
def invoked(invocation: Invocation) -> Iterator[None]:
    """Messages name commands as *invocation* would type them."""
    token = _current.set(invocation)
    try:
        yield
    finally:
        _current.reset(token)


def begin(command: Sequence[str], options: Mapping[str, Sequence[str]], takes: Callable[..., Collection[str]]) -> None:
    """Says which command runs, within `invoked`, which ends it."""
    _current.set(replace(_current.get(), command=tuple(command), options=options, takes=takes))


def program() -> str:
    """What to type to start this program again."""
    return _current.get().program


def program_elsewhere() -> str:
    """What to type to start this program again in another folder."""
    words = shlex.split(program())
    return shlex.join(os.path.abspath(word) if os.sep in word and os.path.exists(word) else word for word in words)


def command_line(*words: str, key_set: str | None = None) -> str:
    """The command *words*, to be pasted: it repeats the options that say where the keys and the targets are.

    *key_set* is the key set that it is about; None: the environment's own keys.
    """
    now = _current.get()
    keys = () if key_set is None else ("--keys", key_set)
    # Without a table, --url is a database to search, or a ledger.
    target = _TARGET if "--table" in {*now.options} & {*now.takes(words)} else ()
    searched = ("--url",) if words == ("discover",) and "--table" in now.options else ()
    return now.again(*words, *keys, only=(*_SOURCES, *target, *searched))


def same_options(*words: str) -> str:
    """The command *words*, with every option of this command that it takes, such as --batch-size, but no --dry-run."""
    now = _current.get()
    return now.again(*words, only={*now.options} - _NEVER)


def same_command() -> str:
    """The command that runs, once more; in words if no command line runs it."""
    now = _current.get()
    return now.again(*now.command, only=now.options) if now.command else "run the same command again"


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
    """What to type to start the program *argv* again; *typed* is the interpreter's own command line.

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
    """What to type to start this process again."""
    return program_name(sys.argv, sys.orig_argv)
