"""`help`: the help page of a command, on stdout."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from rotation.cli.help_page import UNWRITTEN, HelpPage, commands_of, show_page


def _command_words(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The commands that may come next."""
    words = context.params.get("words") or ()
    before = " ".join([*words, ""])
    found = commands_of(context.find_root().command)
    return [
        CompletionItem(path.split()[-1], help=command.get_short_help_str())
        for path, command in found
        if path.startswith(before + incomplete) and path.count(" ") == len(words)
    ]


@click.command(
    "help",
    cls=HelpPage,
    examples={"The page of run": "help run", "The page of a command of keys": "help keys retire"},
    exit_codes={0: "the page is printed", 2: "no such command", 3: UNWRITTEN},
)
@click.argument("words", nargs=-1, metavar="[COMMAND]...", shell_complete=_command_words)
@click.pass_context
def help_command(context: click.Context, words: tuple[str, ...]) -> int:
    """Show the page of a command.

    The same page as with --help behind the command.
    """
    shown = context.find_root()
    for word in words:
        if not isinstance(shown.command, click.Group):
            raise click.UsageError(f"{shown.command_path} has no command of its own.", shown)
        name, command, _ = shown.command.resolve_command(shown, [word])
        if command is None:
            raise click.UsageError(f"No such command {word!r}.", shown)
        shown = command.context_class(command, info_name=name, parent=shown)
    show_page(shown)
    return 0
