"""Help pages: options in named groups, commands in the order of the work, examples to paste, and exit codes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TextIO

import click
from click.shell_completion import CompletionItem

from rotation.model.text import release

OPTION_GROUPS = {
    "What to do": (
        *("--app", "--new-key", "--append", "--dry-run", "--yes", "--accept-random", "--allow-demotion", "--fresh"),
        *("--by", "--full", "--sample", "--last-census", "--list", "--sql", "--force", "--no-wait"),
        *("--allow-weak", "--try"),
    ),
    "Keys and files": (
        *("--config", "--env-file", "--keys", "--archive", "--no-archive"),
        *("--certificate", "--sign-with", "--public", "--keep"),
    ),
    "Secret": (
        *("--variable", "--file", "--command"),
        *("--salt", "--salt-variable", "--salt-hex", "--info", "--iterations"),
    ),
    "Target": (
        *("--target", "--url", "--table", "--column", "--key-column", "--where", "--context", "--row"),
        *("--schema", "--models", "--django"),
    ),
    "Speed": (
        *("--full-speed", "--gentle", "--batch-size", "--max-rate", "--workers", "--dask", "--shard"),
        *("--wait-for-server", "--pause-file"),
    ),
    "Output": (
        *("--format", "--html", "--prometheus", "--problems", "--show-key"),
        *("--json", "--quiet", "--verbose", "--log-format"),
    ),
    "General": ("--version", "--help"),
}
"""The heading under which each option stands, on every page, in this order."""

USAGE = "wrong usage or configuration; nothing was changed"
STOPPED = "database error or interruption; what is done stays, run it again"
UNWRITTEN = "interrupted, or the output could not be written"

COLUMN = 26
"""Characters for the names of options; a longer one has its description on the next line."""
SYNONYMS = {"rotate": "run", "encrypt": "adopt", "scan": "discover", "verify": "check", "doctor": "check"}
"""Names that other tools have for these commands, to answer with the one that is meant."""


class Formatter(click.HelpFormatter):
    """A formatter of the width of the terminal, whose headings have a colour if *context* has colours."""

    def __init__(self, context: click.Context) -> None:
        super().__init__(width=context.terminal_width, max_width=context.max_content_width)
        self._coloured = bool(context.color)

    def _heading(self, text: str) -> str:
        return click.style(text, fg="cyan", bold=True) if self._coloured else text

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Writes the usage, in one line however long the program's name is."""
        self.write(f"{self._heading(prefix or 'Usage:')} {prog} {args}\n")

    def write_heading(self, heading: str) -> None:
        """Writes the heading of a section."""
        self.write(f"{'':>{self.current_indent}}{self._heading(f'{heading}:')}\n")


class HelpPage(click.Command):
    """A command whose page ends with examples and exit codes."""

    def __init__(
        self, *args: Any, examples: Mapping[str, str] | None = None, exit_codes: Mapping[int, str], **settings: Any
    ) -> None:
        """*examples*: what each does, and its arguments behind the program's name. *exit_codes*: what each means."""
        super().__init__(*args, **settings)
        self.examples, self.exit_codes = examples or {}, exit_codes
        self._version = click.Option(
            ["-V", "--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_version,
            help="Show the version.",
        )

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The parameters, with those that every command has."""
        *params, last = [*super().get_params(ctx)]
        return [*params, self._version, last]

    def get_short_help_str(self, limit: int = 1000) -> str:
        """The first sentence of the page, whole."""
        return super().get_short_help_str(limit)

    def get_help_option_names(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """Its names, in every context: a command keeps the option of the first context that asks for it."""
        return ["-h", "--help"]

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """The help option, which prints on the stream of this command line."""
        option = super().get_help_option(ctx)
        if option:
            option.callback, option.help = _show_help, "Show this page."
        return option

    def get_help(self, ctx: click.Context) -> str:
        """The page."""
        formatter = Formatter(ctx)
        self.format_help(ctx, formatter)
        return formatter.getvalue().rstrip("\n")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options, each in its group, with all descriptions below each other."""
        sections = section_records(ctx)
        width = min(COLUMN, max(len(names) for records in sections.values() for names, _ in records))
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl([(names.ljust(width), words) for names, words in records], COLUMN)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the examples and the exit codes."""
        program = ctx.find_root().info_name
        if self.examples:
            with formatter.section("Examples"):
                for what, arguments in self.examples.items():
                    command = pasteable(f"{program} {arguments}", formatter.width - 4)
                    formatter.write("\n".join([click.wrap_text(f"{what}:", formatter.width, "  ", "  "), *command, ""]))
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), words) for code, words in self.exit_codes.items()])


class HelpGroup(HelpPage, click.Group):
    """A group that lists its commands in the order of the work, and hands its options on to them."""

    command_class = HelpPage

    def __init__(self, *args: Any, sections: Mapping[str, Sequence[str]] | None = None, **settings: Any) -> None:
        """*sections*: headings, and the commands below each; without them the commands stand as they were added."""
        super().__init__(*args, **settings)
        self.sections = sections

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """The names of the commands, in order."""
        return [name for names in self.sections.values() for name in names] if self.sections else [*self.commands]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the commands, and below them the options."""
        width = max(map(len, self.commands))
        for heading, names in (self.sections or {"Commands": self.list_commands(ctx)}).items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), self.commands[name].get_short_help_str()) for name in names])
        super().format_options(ctx, formatter)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses the options before the command. Raises UsageError, also for one that belongs behind the command."""
        typed = [*args]
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            option = error.option_name
            name = next((word for word in typed if word in self.commands), "")
            if not name or all(option not in each.opts for each in self.commands[name].params):
                raise
        message = f"{option} belongs behind {name}: {ctx.command_path} {name} {option} ..."
        raise click.UsageError(message, ctx)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command. An option before it counts unless the same one stands behind it, too."""
        given = {name: value for name, value in ctx.params.items() if value}
        ctx.default_map = dict.fromkeys(self.commands, given)
        return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that *args* begin with. Raises UsageError with the nearest one."""
        if args[0] not in self.commands and not args[0].startswith("-") and not ctx.resilient_parsing:
            root = ctx.find_root()
            paths = SYNONYMS | {path.split()[-1]: path for path, _ in [*commands_of(root.command)][::-1]}
            own = ctx.command_path.removeprefix(str(root.info_name)).strip()
            paths |= {name: f"{own} {name}".strip() for name in self.commands}
            near = get_close_matches(args[0], paths, n=1)
            hint = f" Did you mean: {root.info_name} {paths[near[0]]}" if near else ""
            raise click.UsageError(f"No such command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


def commands_of(command: click.Command, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command below *command* with the words that name it, `keys stage`; a group comes before its commands."""
    for name, each in command.commands.items() if isinstance(command, click.Group) else ():
        words = f"{path} {name}".strip()
        yield words, each
        yield from commands_of(each, words)


def section_records(context: click.Context) -> dict[str, list[tuple[str, str]]]:
    """The options of a command by heading, each with its names and its description."""
    sections: dict[str, list[tuple[str, str]]] = {heading: [] for heading in OPTION_GROUPS}
    order = [option for options in OPTION_GROUPS.values() for option in options]

    def place(param: click.Parameter) -> int:
        return min((order.index(name) for name in param.opts if name in order), default=0)

    for param in sorted(context.command.get_params(context), key=place):
        record = param.get_help_record(context)
        if isinstance(param, click.Option) and record:
            sections[group_of(param)].append(record)
    return {heading: records for heading, records in sections.items() if records}


def group_of(option: click.Option) -> str:
    """The heading under which *option* stands. Raises StopIteration if OPTION_GROUPS does not have it."""
    return next(name for name, options in OPTION_GROUPS.items() if {*options} & {*option.opts})


def pasteable(command: str, width: int) -> list[str]:
    """*command* indented, in lines of at most *width* letters that a shell takes as one."""
    first, *others = re.split(r" (?=-)", command)
    lines = [first]
    for part in others:
        if len(lines[-1]) + len(part) + 3 <= width:
            lines[-1] += f" {part}"
        else:
            lines[-1] += " \\"
            lines.append(f"  {part}")
    return [f"    {line}" for line in lines]


def show_page(context: click.Context) -> None:
    """Prints the help page of *context* on stdout."""
    process = context.find_root().obj
    stream: TextIO = process.streams.stdout
    plain = process.environ.get("NO_COLOR") or process.environ.get("TERM") == "dumb"
    context.color = not plain and (stream.isatty() or bool(process.environ.get("FORCE_COLOR")))
    print(context.get_help(), file=stream)


def _show_help(context: click.Context, _: click.Parameter, asked: bool) -> None:  # noqa: FBT001 - click's
    if asked and not context.resilient_parsing:
        show_page(context)
        context.exit()


def _show_version(context: click.Context, _: click.Parameter, asked: bool) -> None:  # noqa: FBT001 - click's
    if asked and not context.resilient_parsing:
        root = context.find_root()
        print(f"{root.info_name}, version {release()}", file=root.obj.streams.stdout)
        context.exit()


def _command_words(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
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
        shown = click.Context(command, info_name=name, parent=shown)
    show_page(shown)
    return 0
