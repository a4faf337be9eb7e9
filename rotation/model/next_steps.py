"""Steps for the operator to take next, as values: words, and commands of this program; and their text.

Whatever finds a fault says as a value what to do. The command line makes the text with its `Invocation`: the program's
name, its command and options. Nothing here keeps one.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple, TypeAlias

from keyring_core.errors import printable

PROBLEMS_FILE = "problems.jsonl"
"""The file for all problems that commands propose."""
RUN_AGAIN = "run this again"
NAME_CONTEXT = (
    "if no key opens them since the column has a `context`, name that in its target: docs/how-to/bind-tokens.md"
)
"""For tokens that may be bound: none of the keys opens them, and nothing says whether a key is missing."""


class Repeats(Enum):
    """The options of the command that runs which the next command repeats, as far as it takes them."""

    NONE = "none"
    FILES = "files"
    """rotation.toml and the dotenv file, and no target of options: of entries that are pasted first."""
    SOURCES = "sources"
    """The options that say where the keys and the targets are."""
    ALL = "all"
    """All of them, such as --batch-size, but no --dry-run and no --json."""
    COMMAND = "command"
    """The command that runs itself, with all its options; its words here are options to add."""


@dataclass(frozen=True)
class Next:
    """A command to type next."""

    command: tuple[str, ...]
    """Its words behind the name of the program."""
    when: str = ""
    """Words that lead to the command, in the same line, up to their colon."""
    keys: str | None = None
    """The key set that it is about; None: the environment's own keys."""
    repeats: Repeats = Repeats.SOURCES

    def after(self, words: str) -> Next:
        """The same command behind *words*."""
        return replace(self, when=_joined(words, self.when))


OneStep: TypeAlias = str | Next
"""One line: words that say what to do, or a command."""


@dataclass(frozen=True, init=False)
class Steps:
    """Several steps, in their order."""

    steps: tuple[OneStep, ...]
    when: str
    """Sentences that lead to the steps, up to their colon."""

    def __init__(self, *parts: Remedy, when: str = "") -> None:
        object.__setattr__(self, "steps", tuple(step for part in parts for step in lines_of(part)))
        object.__setattr__(self, "when", when)


Remedy: TypeAlias = OneStep | Steps
"""The way out of a fault: one step, or several."""


class Refusal(NamedTuple):
    """A reason to refuse a step, and what removes it."""

    reason: str
    remedy: Remedy


def lines_of(remedy: Remedy) -> tuple[OneStep, ...]:
    """The steps of *remedy*, a line each; the sentences that lead to them stand in front of the first."""
    if not isinstance(remedy, Steps):
        return (remedy,)
    if not (remedy.when and remedy.steps):
        return remedy.steps
    first, *others = remedy.steps
    return (first.after(remedy.when) if isinstance(first, Next) else _joined(remedy.when, first), *others)


def _joined(*words: str) -> str:
    return " ".join(filter(None, words))


CHECK, DISCOVER, RUN, STATUS = (Next((word,)) for word in ("check", "discover", "run", "status"))
LIST_ROWS = Next(("run", "--dry-run", "--problems", PROBLEMS_FILE))
"""The command that names every row with a problem."""
THIS_AGAIN = Next((), repeats=Repeats.COMMAND)
"""The command that runs, once more."""


def retire_step(key_id: str, key_set: str | None = None, *, salted: Collection[str] = ()) -> Next:
    """The command that retires a previous key. It names an archive, which may be the key's only copy from then on.

    No archive can keep one of the *salted*, for which each row makes its own key.
    """
    kept = ("--no-archive",) if key_id in salted else ("--archive", f"{key_id}.keys")
    return Next(("keys", "retire", key_id, *kept), keys=key_set)


def read_the_rest(key_id: str, key_set: str | None = None, *, salted: Collection[str] = ()) -> Steps:
    """The next step with a key that nothing needs of what was read so far; *salted* as for `retire_step`."""
    when = f"Nothing that was read needs {key_id}. To read everything else, and remove the key if nothing needs it:"
    return Steps(retire_step(key_id, key_set, salted=salted), when=when)


def demotion_steps(key_id: str, key_set: str | None = None, *, may_be_clock: bool = False) -> Steps:
    """The remedy for tokens under the previous key *key_id*, which became primary later than today's primary key."""
    why = "if a clock was wrong, or you go back on purpose:" if may_be_clock else "if you go back on purpose:"
    return Steps(
        Next(("keys", "promote", key_id), "if the keys are swapped:", key_set),
        Next(("run", "--allow-demotion"), why),
    )


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
        if repeats is Repeats.FILES:
            return given & {*_SOURCES}
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
        return printable(" ".join([*([step.when] if step.when else []), words[0], *map(shell_word, words[1:])]))

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


def shell_word(word: str) -> str:
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
