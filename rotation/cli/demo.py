"""`demo`: a whole rotation on a temporary SQLite database, or such a database to practise on."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path
from typing import TextIO

import click

from keyring_core.environment import VARIABLES
from keyring_core.names import printable
from rotation.cli.help_page import STOPPED, USAGE, HelpPage
from rotation.cli.options import CommandContext, Process, common_options, path_option, print_json
from rotation.model.failures import StoppedError, UsageError
from rotation.model.next_steps import Invocation, shell_word
from rotation.world.process import program_elsewhere


@click.command(
    cls=HelpPage,
    examples={
        "Watch a rotation of 20,000 tokens, step by step": "demo",
        "Make a database to practise on": "demo --keep practice",
    },
    exit_codes={
        0: "the proof holds: the new key alone opens every sound token; with --keep: the folder is made",
        1: "the proof fails",
        2: USAGE,
        3: STOPPED,
    },
)
@path_option("--keep", metavar="DIR", help="New or empty folder: fill it with a database to practise on.")
@common_options
def demo(command: CommandContext, *, keep: Path | None) -> int:
    """Show a whole rotation on a temporary SQLite database.

    It runs the commands that you would type, one after the other, and prints what they print. With --keep it makes the
    database, the keys and rotation.toml, and prints these commands for you to type.
    """
    return _show(command) if keep is None else _make(command, keep)


def _show(command: CommandContext) -> int:
    import tempfile

    from rotation.cli.demo_folder import TOKENS, count_opened, make_folder
    from rotation.output.documents.parts import DemoJson
    from rotation.world.outputs import Outputs

    # The demo has keys, a rotation.toml and a ledger of its own.
    environ = {name: value for name, value in command.inputs.process_environ.items() if name not in VARIABLES}
    program = command.invocation.program
    process = Process(environ, command.streams, invocation=Invocation(program))
    commands = _Commands(process, silent=command.as_json, quiet=command.quiet)
    with tempfile.TemporaryDirectory(prefix="keyring-demo-") as name, chdir(name):
        primary, previous, secrets = make_folder(Path(), Outputs())
        commands.say(f"A service keeps {TOKENS:,} tokens in app.db, under two keys. Its .env holds both keys:")
        commands.say(f"{primary.id} encrypts, and the older {previous.id} still decrypts.")
        commands.say("\n1. See what is stored. Six rows are broken: step 4 names them.")
        commands.type("status", expected=1, paragraphs=2)
        commands.say("\n2. Make the next key. Services can decrypt with it, and do not encrypt with it yet.")
        commands.type("keys stage")
        commands.say("\n3. Once every service has it, promote it. Services encrypt with it from then on.")
        commands.type("keys promote")
        commands.say("\n4. Re-encrypt what is stored, while services keep writing.")
        commands.type("run", expected=1)
        commands.say("\n5. See what is stored now.")
        commands.type("status", expected=1, paragraphs=2)
        opened = count_opened(Path(), secrets)
        commands.say("\n6. Proof: stock cryptography.fernet, with the new key alone, opens")
        commands.say(f"   {opened:,} of {len(secrets):,} sound tokens to the plaintext that they were made from.")
    if not command.quiet:
        commands.say("\nNext:")
        commands.say(f"  1. make such a database to practise on: {program} demo --keep practice")
        commands.say(f"  2. begin with a database of your own: {program} init")
    complete = commands.as_expected and opened == len(secrets)
    command.show(DemoJson(complete), [])
    return 0 if complete else 1


class _Commands:
    def __init__(self, process: Process, *, silent: bool, quiet: bool) -> None:
        self._process, self._silent = process, silent
        self._options = ["--quiet"] if quiet else []
        self._stdout = process.streams.stdout
        self.as_expected = True
        """True while every command had the expected exit code."""

    def say(self, text: str) -> None:
        if not self._silent:
            print(text, file=self._stdout)

    def type(self, command: str, *, expected: int = 0, paragraphs: int | None = None) -> None:
        """Runs *command*, and prints what it prints, or the first *paragraphs* of that."""
        root = click.get_current_context().find_root()
        # The streams stay the same ones, which a signal stops.
        streams = self._process.streams
        streams.stdout = written = _Recorder(self._stdout)
        try:
            arguments = [*command.split(), *self._options]
            code = root.command.main(arguments, root.info_name, standalone_mode=False, obj=self._process) or 0
        finally:
            streams.stdout = self._stdout
        if streams.stopping:
            raise StoppedError("stopped on request. The demo's database is gone.")
        self.as_expected = self.as_expected and code == expected
        self.say(f"$ {self._process.invocation.program} {command}")
        shown = written.getvalue().rstrip().split("\n\n")
        self.say("\n\n".join([*shown[:paragraphs], *(["..."] if shown[paragraphs or len(shown) :] else [])]))


class _Recorder(io.StringIO):
    """Text in memory that is laid out as on *stream*."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._is_terminal = stream.isatty()

    def isatty(self) -> bool:
        return self._is_terminal


def _make(command: CommandContext, folder: Path) -> int:
    from rotation.cli.demo_folder import CONFIG, DATABASE, ENV_FILE, NEW, make_folder
    from rotation.kept_files import outputs_of
    from rotation.output.documents.parts import DemoJson, StepJson

    outputs = outputs_of(command)
    if not folder.exists():
        outputs.take(folder, f"--keep {folder}", NEW)
    fault = None
    try:
        folder.mkdir(0o755, exist_ok=True)
        if any(folder.iterdir()):
            fault = "is not empty"
    except OSError as error:
        fault = error.strerror
    if fault:
        raise UsageError(f"--keep {folder}: {fault}; nothing was changed. Name a new folder")
    primary, previous, _ = make_folder(folder, outputs)
    steps = _steps(folder, primary.id, previous.id, program_elsewhere(command.invocation.program))
    files = [str(folder / name) for name in (DATABASE, ENV_FILE, CONFIG)]
    if command.as_json:
        document = DemoJson(
            complete=True, folder=str(folder), files=files, steps=[StepJson(*step) for step in steps.items()]
        )
        print_json(document, command.streams.stdout)
        return 0
    lines = [printable(f"Written: {', '.join(files)}")]
    if not command.quiet:
        lines.append("Type these commands, one after the other:")
        for number, (do, run) in enumerate(steps.items(), 1):
            lines += ["", f"# {number}. {do}", run]
    print("\n".join(lines), file=command.streams.stdout)
    return 0


def _steps(folder: Path, primary: str, previous: str, typed: str) -> Mapping[str, str]:
    """The work in *folder* in order, each part with its command; *typed* is the program."""
    from rotation.cli.demo_folder import REPAIR

    retire, archive = f"{typed} keys retire", "--archive retired.keys"
    return {
        "Go into the folder.": f"cd {shell_word(str(folder))}",
        "See what is stored, and under which keys. Six rows are broken.": f"{typed} status",
        "Make the next key. Services can decrypt with it, and do not encrypt with it yet.": f"{typed} keys stage",
        "Once every service has it, promote it: services encrypt with it from then on.": f"{typed} keys promote",
        "See what a run would do. This only reads.": f"{typed} run --dry-run",
        "Re-encrypt what is stored. Services may keep writing.": f"{typed} run",
        "Repair two of the broken rows, and delete three that nobody can open.": REPAIR.strip(),
        "One row was never encrypted. See what would become a token. This only reads.": f"{typed} adopt",
        "Encrypt it. The rows that were repaired are re-encrypted with it.": f"{typed} adopt --yes",
        "Run again. Nothing is left to do, and it says Complete.": f"{typed} run",
        "Retire the oldest key. The archive keeps it, for old backups.": f"{retire} {previous} {archive}",
        "Retire the other one.": f"{retire} {primary} {archive}",
        "Run the check that a scheduler runs every night.": f"{typed} check",
    }
