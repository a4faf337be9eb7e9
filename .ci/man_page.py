"""Writes deploy/man/keyring-rotate.1 from the commands, their options, examples and exit codes.

`python .ci/man_page.py` writes it; a test compares.
"""

from __future__ import annotations

import inspect
import re
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from rotation.cli.help_page import HelpPage, commands_of, pasteable, section_records
from rotation.cli.main import SHELL_VARIABLE, cli
from rotation.model.next_steps import PROGRAM

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "deploy" / "man" / f"{PROGRAM}.1"
DATE = "2026-11-27"
"""Of the text; change it by hand, with the version."""
ENVIRONMENT = {
    "ENCRYPTION_KEY": "The primary key, exactly one.",
    "ENCRYPTION_PREVIOUS_KEYS": "Older keys, newest first, separated by commas or newlines.",
    "ENCRYPTION_STAGED_KEY": "The next key: it decrypts, and encrypts nothing yet.",
    "ENCRYPTION_SUSPENDED_KEYS": "Previous keys that services hold and open no token with, separated by commas.",
    "ENCRYPTION_*_FILE, ENCRYPTION_*_COMMAND": "A file to read each of them from, or a command that prints it.",
    "ENCRYPTION_ALLOW_WEAK_PREVIOUS": "1: accept a weak key or a public example key among the previous ones.",
    "ROTATION_CONFIG": "The path of rotation.toml.",
    "ROTATION_LEDGER_URL": "The database of the ledger.",
    "ROTATION_SERVICE": "The name of this service, or of this environment, in the ledger.",
    "NO_COLOR, FORCE_COLOR": "No colours on a terminal; colours in a pipe.",
}
FILES = {
    "rotation.toml": "Which columns hold tokens, which keys open them, and the policy of the check.",
    "rotation-ledger.db": "The ledger beside rotation.toml, if no other database is named.",
    ".env": "Variables, for --env-file. It holds keys: only you may be able to read it, and it is never committed.",
}
COMPLETION = {
    "bash": f'eval "$({SHELL_VARIABLE}=bash_source {PROGRAM})"',
    "zsh": f'eval "$({SHELL_VARIABLE}=zsh_source {PROGRAM})"',
    "fish": f"{SHELL_VARIABLE}=fish_source {PROGRAM} | source",
}


def page() -> str:
    """The manual page, as roff."""
    return "\n".join([*_head(), *_commands(), *_tail(), ""])


def _head() -> Iterator[str]:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    what, *paragraphs = _paragraphs(cli)
    yield '.\\" Made by .ci/man_page.py from the commands: change those.'
    yield f'.TH {_text(PROGRAM.upper())} 1 "{DATE}" "keyring-core {version}" "User Commands"'
    # The name of a variable is not hyphenated.
    yield ".nh"
    yield ".SH NAME"
    yield from _lines(f"{PROGRAM} - {what[0].lower()}{what[1:].rstrip('.')}")
    yield f".SH SYNOPSIS\n{_usage(_context(cli, None, PROGRAM))}"
    yield ".SH DESCRIPTION"
    yield from _prose(paragraphs)
    yield ".SH OPTIONS\nAll commands have these."
    yield from _options(_context(cli, None, PROGRAM), set())
    yield from _examples(cli)


def _commands() -> Iterator[str]:
    yield ".SH COMMANDS"
    yield "Each has the options above, too."
    root = _context(cli, None, PROGRAM)
    above = {record for records in section_records(root).values() for record in records}
    for words, command in commands_of(cli):
        if not isinstance(command, HelpPage) or isinstance(command, click.Group):
            continue
        parent = root
        for word in words.split()[:-1]:
            parent = _context(parent.command.commands[word], parent, word)  # type: ignore[attr-defined]
        context = _context(command, parent, words.split()[-1])
        yield f".SS {_text(words)}"
        yield _usage(context)
        yield ".PP"
        yield from _prose(_paragraphs(command))
        yield from _options(context, above)
        yield from _examples(command)
        yield from _codes(command.exit_codes)


def _tail() -> Iterator[str]:
    yield ".SH EXIT STATUS"
    yield "Each command above has its own; in short, for all but check:"
    yield from _terms({str(code): words for code, words in cli.exit_codes.items()})
    yield ".SH ENVIRONMENT"
    yield from _terms(ENVIRONMENT)
    yield ".SH FILES"
    yield from _terms(FILES)
    yield ".SH COMPLETION"
    yield from _lines("If your shell does not complete the commands, add this line to its start-up file:")
    yield from _terms({f"{shell}:": line for shell, line in COMPLETION.items()})
    yield ".SH SEE ALSO\n.BR crontab (5),\n.BR systemd.timer (5)"


def _context(command: click.Command, parent: click.Context | None, name: str) -> click.Context:
    return click.Context(command, info_name=name, parent=parent)


def _paragraphs(command: click.Command) -> list[str]:
    """The description of a command, one line for each paragraph."""
    return [" ".join(part.split()) for part in inspect.cleandoc(command.help or "").split("\n\n")]


def _usage(context: click.Context) -> str:
    pieces = " ".join(context.command.collect_usage_pieces(context))
    return f".B {_text(context.command_path)}\n{_text(pieces)}"


def _prose(paragraphs: list[str]) -> Iterator[str]:
    for number, paragraph in enumerate(paragraphs):
        yield from [".PP"] * bool(number)
        yield from _lines(paragraph)


def _options(context: click.Context, left_out: set[tuple[str, str]]) -> Iterator[str]:
    for heading, records in section_records(context).items():
        own = {names: words for names, words in records if (names, words) not in left_out}
        if own:
            yield f".PP\n{heading}:"
            yield from _terms(own)


def _examples(command: HelpPage) -> Iterator[str]:
    yield ".PP\nExamples:"
    for what, arguments in command.examples.items():
        yield ".PP"
        yield from _lines(f"{what}:")
        yield ".PP\n.RS 4\n.nf"
        yield from (_text(line.removeprefix("    ")) for line in pasteable(f"{PROGRAM} {arguments}", 66))
        yield ".fi\n.RE"


def _codes(codes: Mapping[int, str]) -> Iterator[str]:
    yield ".PP\nExit codes:\n.PD 0"
    yield from _terms({str(code): words for code, words in codes.items()})
    yield ".PD"


def _terms(terms: Mapping[str, str]) -> Iterator[str]:
    for term, words in terms.items():
        yield f".TP\n.B {_text(term)}"
        yield from _lines(words)


def _lines(text: str) -> Iterator[str]:
    """*text* with each sentence on lines of its own, none of them long."""
    for sentence in re.split(r"(?<=[.!?\]]) +(?=[A-Z\[])", text):
        yield from textwrap.wrap(_text(sentence), 78, break_long_words=False, break_on_hyphens=False)


def _text(text: str) -> str:
    """*text* as roff takes it: a line that begins with a dot would be a request, and a hyphen no minus."""
    return re.sub(r"^(?=[.'])", r"\\&", text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq"))


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
