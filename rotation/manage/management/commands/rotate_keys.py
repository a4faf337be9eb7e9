"""`manage.py rotate_keys`: keyring-rotate over the encrypted fields of this project, in every database of its settings.

What needs the extra `rotate` is imported when the command runs: without the extra it says what is missing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

COMMANDS = "status, check, discover, report, keys list, and all others of keyring-rotate"
PROGRAM = "python manage.py rotate_keys"
OPTIONS_OF_MANAGE = ("settings", "pythonpath")
"""The options that manage.py itself has read."""
ABOUT_ALL = {"-h", "--help", "--version"}
"""Options that keyring-rotate takes without the name of a command."""


class Command(BaseCommand):
    """Runs keyring-rotate with the encrypted fields of this project as targets, and exits as that does."""

    help = f"Re-encrypts the encrypted fields of this project under the newest key; or: {COMMANDS}."
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """Runs the process: everything behind `rotate_keys` goes to keyring-rotate, so that its options are the same.

        Logs are redacted, and a signal stops it after the batch, as in keyring-rotate's own process.
        """
        parser = CommandParser(add_help=False, allow_abbrev=False)
        for name in OPTIONS_OF_MANAGE:
            parser.add_argument(f"--{name}")
        given, words = parser.parse_known_args(argv[2:])
        try:
            run = command_line().entry
        except CommandError as error:
            self.stderr.write(f"Error: {error}")
            sys.exit(error.returncode)
        from rotation.model.next_steps import shell_word  # noqa: PLC0415 - needs the extra
        from rotation.world.process import this_program  # noqa: PLC0415 - needs the extra

        options = [f"--{name} {shell_word(value)}" for name, value in vars(given).items() if value is not None]
        program = " ".join([this_program(), argv[1], *options])
        run(arguments(words), os.environ, declares=columns, program=program)

    def add_arguments(self, parser: CommandParser) -> None:
        """For `call_command("rotate_keys", "status", "--", "--json")`: what is for keyring-rotate."""
        parser.add_argument("words", nargs="*", help=f"Arguments of keyring-rotate: {COMMANDS}. Default: run.")

    def handle(self, *_: object, words: Sequence[str] = (), **options: Any) -> None:
        """Runs it inside another program. Raises CommandError with its exit code, unless that is 0."""
        out, err = (options.get(name) or getattr(sys, name) for name in ("stdout", "stderr"))
        code = command_line().main(arguments(words), os.environ, out, err, declares=columns, program=PROGRAM)
        if code:
            raise CommandError(f"rotate_keys ended with exit code {code}; see what it printed", returncode=code)


def command_line() -> ModuleType:
    """`rotation.cli.main`. Raises CommandError if the extra is missing."""
    try:
        from rotation.cli import main  # noqa: PLC0415 - needs the extra
    except ModuleNotFoundError as error:
        missing = error.name
    else:
        return main
    raise CommandError(f"{missing} is missing; install this project with its extra rotate", returncode=2)


def arguments(words: Sequence[str]) -> list[str]:
    """The arguments of keyring-rotate: those of `run`, unless *words* begin with another command."""
    names_command = bool(words) and (not words[0].startswith("-") or words[0] in ABOUT_ALL)
    return [*words] if names_command else ["run", *words]


def columns() -> Sequence[Any]:
    """The encrypted fields of this process's project, in each database."""
    from rotation.declared.django_models import columns_of_this_project  # noqa: PLC0415 - needs the extra

    return columns_of_this_project()
