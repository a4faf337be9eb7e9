"""Phrases that several outputs share."""

from __future__ import annotations

from typing import NamedTuple

from keyring_core.names import printable
from rotation.model.invocation import command_line

PROBLEMS_FILE = "problems.jsonl"
"""The file for all problems that commands propose."""
RUN_AGAIN = "run this again"
UNOPENED = "Read, but tokens there open under none of your keys (another application's, or bound ones)"
GONE = "Gone meanwhile"
NAME_CONTEXT = (
    "if no key opens them since the column has a `context`, name that in its target: docs/how-to/bind-tokens.md"
)
"""For tokens that may be bound: none of the keys opens them, and nothing says whether a key is missing."""
NO_KEY_PAGE = "docs/how-to/no-primary-key.md"
READS_THE_REST = "Nothing that was read needs {}. To read everything else, and remove the key if nothing needs it:"


class Steps(str):
    """Steps, one a line."""

    __slots__ = ()


class Following(NamedTuple):
    """What comes next."""

    steps: str
    """One step a line. A command is the whole line, or its end, so that it can be pasted."""
    when: str = ""
    """Sentences that lead to the steps, up to their colon."""

    def __str__(self) -> str:
        return Steps(f"{self.when} {self.steps}") if self.when else Steps(self.steps)


def steps(*parts: str) -> Steps:
    """Several steps as one text, some of which may be `Steps` already; a name in one makes no step of its own."""
    return Steps("\n".join(part if isinstance(part, Steps) else printable(part) for part in parts))


def next_lines(remedy: str) -> list[str]:
    """`Next: ...`; of several steps a numbered list."""
    first, *others = remedy.split("\n")
    if not others:
        return [f"Next: {first}"]
    return ["Next:", *(f"  {number}. {line}" for number, line in enumerate((first, *others), 1))]


def list_rows() -> str:
    """The command that names every row with a problem."""
    return command_line("run", "--dry-run", "--problems", PROBLEMS_FILE)


def many(number: int, noun: str) -> str:
    """`1 cell`, `2,000 cells`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def be(number: int) -> str:
    """The verb behind `many`."""
    return "is" if number == 1 else "are"


def install(*extras: str | None) -> str:
    """The command that installs the *extras* beside `rotate`, from a checkout: no package index has this project."""
    named = ",".join(["rotate", *filter(None, extras)])
    return f"in a checkout of this project: pip install '.[{named}]'"


def release() -> str:
    """The version of this program, or words in its place if it runs from a checkout that is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow, and few commands need it

    try:
        return version("keyring-core")
    except PackageNotFoundError:
        return "(a checkout that is not installed)"


def retire_command(key_id: str, key_set: str | None = None) -> str:
    """The command that retires a previous key. It names an archive, which may be the key's only copy from then on."""
    return command_line("keys", "retire", key_id, "--archive", f"{key_id}.keys", key_set=key_set)


def demotion_steps(key_id: str, key_set: str | None = None) -> str:
    """What to do about tokens under the previous key *key_id*, which became primary later than today's primary key."""
    return steps(
        f"if the keys are swapped: {command_line('keys', 'promote', key_id, key_set=key_set)}",
        f"if you go back on purpose: {command_line('run', '--allow-demotion')}",
    )
