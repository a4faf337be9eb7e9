"""Steps for the operator to take next, as values: words, and commands of this program. An output makes text of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeAlias

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


def retire_step(key_id: str, key_set: str | None = None) -> Next:
    """The command that retires a previous key. It names an archive, which may be the key's only copy from then on."""
    return Next(("keys", "retire", key_id, "--archive", f"{key_id}.keys"), keys=key_set)


def read_the_rest(key_id: str, key_set: str | None = None) -> Steps:
    """The next step with a key that nothing needs of what was read so far."""
    when = f"Nothing that was read needs {key_id}. To read everything else, and remove the key if nothing needs it:"
    return Steps(retire_step(key_id, key_set), when=when)


def demotion_steps(key_id: str, key_set: str | None = None) -> Steps:
    """The remedy for tokens under the previous key *key_id*, which became primary later than today's primary key."""
    return Steps(
        Next(("keys", "promote", key_id), "if the keys are swapped:", key_set),
        Next(("run", "--allow-demotion"), "if you go back on purpose:"),
    )
