"""Help pages: what stands on each of them, and that its examples work as they are."""

from __future__ import annotations

import io
import shlex

import click
import pytest

from rotation.cli.help_page import COLUMN, OPTION_GROUPS, HelpGroup, HelpPage, commands_of, group_of, pasteable
from rotation.cli.main import SECTIONS, cli
from rotation.cli.main import main as command_line
from rotation.cli.shared_options import Process
from rotation.world.process import Streams
from tests.conftest import Cli, Named

pytestmark = pytest.mark.database

PAGES: dict[str, click.Command] = {"": cli, **dict(commands_of(cli))}
EXAMPLES = [
    (path, arguments)
    for path, command in PAGES.items()
    if isinstance(command, HelpPage)
    for arguments in command.examples.values()
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def page(path: str, environ: dict[str, str] | None = None, stream: io.StringIO | None = None) -> str:
    stream = stream or io.StringIO()
    assert command_line([*path.split(), "--help"], environ or {}, stream) == 0
    return stream.getvalue()


def test_every_page_has_its_parts(named: Named) -> None:
    """A description, one usage line, one to four examples, and the command's own exit codes, 0 first."""
    for path, command in PAGES.items():
        with named("keyring-rotate", path):
            assert isinstance(command, HelpPage)
            shown = page(path)

            assert shown.count("Usage: ") == 1
            assert command.get_short_help_str().removesuffix(".") in " ".join(shown.split())
            assert 1 <= len(command.examples) <= 4
            assert next(iter(command.exit_codes)) == 0
            assert 2 in command.exit_codes
            assert shown.index("\nExamples:\n") < shown.index("\nExit codes:\n  0  ")


def test_no_line_is_long_and_nothing_is_cut(monkeypatch: pytest.MonkeyPatch, named: Named) -> None:
    """A page fits on 80 columns, and none of its sentences ends in dots."""
    monkeypatch.setenv("COLUMNS", "80")

    for path in PAGES:
        with named("keyring-rotate", path):
            lines = page(path).splitlines()

            assert [line for line in lines if len(line) > 80] == []
            assert [line for line in lines if line.endswith("...") and "Usage" not in line] == []


def test_every_option_is_in_a_group(named: Named) -> None:
    """Each option stands under a heading of OPTION_GROUPS, which has each option once."""
    for path, command in PAGES.items():
        with named("keyring-rotate", path):
            context = command.context_class(command, info_name="x")

            groups = {group_of(each) for each in command.get_params(context) if isinstance(each, click.Option)}

            assert groups <= OPTION_GROUPS.keys()

    names = [name for options in OPTION_GROUPS.values() for name in options]
    assert len(names) == len({*names})


def test_every_value_has_a_name_of_the_field(named: Named) -> None:
    """No option takes a TEXT, a PATH or an INTEGER: its value has a name, such as FILE or ROWS."""
    for path in PAGES:
        with named("keyring-rotate", path):
            shown = page(path)

            assert not [word for word in ("PATH", "INTEGER", "RANGE") if f" {word}" in shown]
            assert " TEXT" not in shown or path == "keys derive"


def test_every_example_is_a_command_line(named: Named) -> None:
    """Click accepts each example, and it is one of the command on whose page it stands."""
    for path, arguments in EXAMPLES:
        with named(arguments):
            process = Process({}, Streams(io.StringIO(), io.StringIO()))

            context = cli.make_context("keyring-rotate", shlex.split(arguments), obj=process)
            words = [*context._protected_args, *context.args]
            with context.scope(cleanup=False):
                while isinstance(context.command, click.Group):
                    name, command, words = context.command.resolve_command(context, words)
                    assert command
                    context = command.make_context(name, words, parent=context)
                    words = [*getattr(context, "_protected_args", ()), *context.args]

            command_path = context.command_path.removeprefix("keyring-rotate").strip()
            assert command_path.startswith(path)


def test_an_example_has_the_name_as_the_program_was_started(cli: Cli) -> None:
    """The usage and the examples begin with the same name."""
    lines = page("status").splitlines()
    program = lines[0].removeprefix("Usage: ").partition(" status")[0]

    assert f"    {program} status --env-file .env" in lines


def test_a_long_example_is_broken_before_an_option() -> None:
    """A shell reads the lines as one command."""
    lines = pasteable("run --env-file .env --url '$DATABASE_URL' --table users", 30)

    assert lines == ["    run --env-file .env \\", "      --url '$DATABASE_URL' \\", "      --table users"]
    words = shlex.split("\n".join(lines).replace("\\\n", ""))
    assert words == ["run", "--env-file", ".env", "--url", "$DATABASE_URL", "--table", "users"]


def test_commands_stand_in_the_order_of_the_work() -> None:
    """In sections; those of keys in the order in which a key lives."""
    order = ["init", "demo", "discover", "status", "keys", "run", "adopt", "check", "report", "ledger", "help"]
    of_keys = ["generate", "derive", "list", "stage", "promote", "suspend", "resume", "retire", "restore"]
    root = page("")

    assert [name for names in SECTIONS.values() for name in names] == order
    assert sorted(order) == sorted(cli.commands)
    assert sorted(order, key=lambda name: root.index(f"\n  {name} ")) == order
    assert [*cli.commands["keys"].list_commands(click.Context(cli))] == of_keys  # type: ignore[attr-defined]


def test_descriptions_stand_below_each_other() -> None:
    """In all groups of a page they begin at the same column."""
    first_of_groups = ("Start again from", "Table, or", "No pauses", "File for all problems", "Show the version")
    starts = {line.index(words) for line in page("run").splitlines() for words in first_of_groups if words in line}

    assert starts == {COLUMN + 2}


@pytest.mark.parametrize(
    ("environ", "terminal", "coloured"),
    [
        pytest.param({}, True, True, id="terminal"),
        pytest.param({}, False, False, id="pipe"),
        pytest.param({"NO_COLOR": "1"}, True, False, id="no colour"),
        pytest.param({"TERM": "dumb"}, True, False, id="dumb"),
        pytest.param({"FORCE_COLOR": "1"}, False, True, id="forced"),
    ],
)
def test_headings_have_a_colour_on_a_terminal(environ: dict[str, str], terminal: bool, coloured: bool) -> None:
    """Only there, unless a variable says otherwise; the text is the same."""
    shown = page("run", environ, Terminal() if terminal else None)

    assert ("\x1b[" in shown) is coloured
    assert click.unstyle(shown) == page("run")


def test_help_prints_the_same_page(cli: Cli, named: Named) -> None:
    """`help COMMAND` is `COMMAND --help`: on stdout, exit code 0."""
    for path in PAGES:
        with named("keyring-rotate", path):
            ran = cli("help", *path.split())

            assert (ran.code, ran.out, ran.err) == (0, page(path), "")


def test_every_command_knows_the_short_options(cli: Cli, named: Named) -> None:
    """-h is --help, and -V the version of the program."""
    for path in PAGES:
        with named("keyring-rotate", path):
            assert cli(*path.split(), "-h").out == page(path)
            assert cli(*path.split(), "-V").out == cli("--version").out


def test_a_near_miss_is_answered_with_what_was_meant(cli: Cli, named: Named) -> None:
    """A misspelt command, one without its group, and the name that another tool has for it: two lines, exit code 2."""
    cases = [
        (("stauts",), "status"),
        (("keys", "retier"), "keys retire"),
        (("promote",), "keys promote"),
        (("keys", "check"), "check"),
        (("ledger", "ini"), "ledger init"),
        (("rotate",), "run"),
        (("help", "keys", "stge"), "keys stage"),
    ]

    for argv, meant in cases:
        with named(argv):
            ran = cli(*argv)

            assert (ran.code, ran.out, len(ran.err.splitlines())) == (2, "", 2)
            assert ran.err.splitlines()[0].endswith(f" {meant}")
            assert "Did you mean: " in ran.err


@pytest.mark.parametrize("argv", [("xyzzy",), ("help", "xyzzy"), ("help", "run", "it")], ids=" ".join)
def test_what_is_near_nothing_is_refused(cli: Cli, argv: tuple[str, ...]) -> None:
    """Without a guess, in two lines."""
    ran = cli(*argv)

    assert (ran.code, ran.out, len(ran.err.splitlines())) == (2, "", 2)
    assert "Did you mean" not in ran.err


def test_groups_are_help_groups() -> None:
    """Otherwise an option before their commands would be lost."""
    assert all(isinstance(each, HelpGroup) for each in PAGES.values() if isinstance(each, click.Group))


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("--format nagios check", "--format belongs behind check: keyring-rotate check --format ..."),
        ("--dry-run run", "--dry-run belongs behind run: keyring-rotate run --dry-run ..."),
        ("keys --force retire ID", "--force belongs behind retire: keyring-rotate keys retire --force ..."),
        ("--format nagios status", "No such option '--format'"),
    ],
)
def test_an_option_of_a_command_before_it_is_refused_with_its_place(cli: Cli, argv: str, words: str) -> None:
    """One that the command does not have either is unknown."""
    ran = cli(*argv.split())

    assert words in ran.out + ran.err
    assert ran.code == (3 if "check" in argv else 2)
