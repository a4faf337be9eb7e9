"""`demo`: a whole rotation on a temporary SQLite database, or such a database to practise on."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable, Mapping
from contextlib import chdir, closing
from pathlib import Path
from typing import TextIO

import click
from cryptography.fernet import Fernet

from keyring_core import Key
from keyring_core.environment import PREVIOUS, PRIMARY, VARIABLES
from keyring_core.errors import printable
from rotation.cli.help_page import STOPPED, USAGE, HelpPage
from rotation.cli.shared_options import CommandContext, Process, common_options, path_option
from rotation.model.failures import StoppedError, UsageError
from rotation.model.next_steps import Invocation, shell_word
from rotation.world.atomic_file import read_whole, replace_whole
from rotation.world.outputs import Outputs, replaced
from rotation.world.process import program_elsewhere

DATABASE, ENV_FILE, CONFIG = "app.db", ".env", "rotation.toml"
NEW = replaced("new file", b"(?!)")
"""The kind of its files: none replaces another."""
TOKENS = 20_000
YEAR = 365 * 24 * 3600

CONFIG_TEXT = """\
# Which columns hold tokens, and where their keys are. No secret is in this file, so it may be committed.

# The file that holds ENCRYPTION_KEY and ENCRYPTION_PREVIOUS_KEYS. Its path counts from the folder of this file.
env_file = ".env"

[[target]]
# The path in this url counts from the folder in which you type a command.
url = "sqlite:///app.db"
table = "user_credentials"
columns = ["api_key"]
"""

REPAIR = """\
python3 -c "
import sqlite3
sqlite3.connect('app.db').executescript('''
-- b'...' around a token, and two tokens in one cell: keep what is right.
UPDATE user_credentials SET api_key = substr(api_key, 3, 140) WHERE id = 4077;
UPDATE user_credentials SET api_key = substr(api_key, 1, 140) WHERE id = 9001;
-- Cut, damaged, and under a key of another deployment: no key here can open these.
DELETE FROM user_credentials WHERE id IN (812, 12345, 17017);
''')
"
"""
"""The command that repairs or deletes the broken rows, except for the plaintext, which `adopt` encrypts.

Indented lines of Python could not be pasted.
"""


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

    from rotation.output.documents.parts import DemoJson

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
    from rotation.kept_files import outputs_of
    from rotation.output.documents.parts import DemoJson, StepJson
    from rotation.output.terminal import Verbatim

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
    shown = [StepJson(*step) for step in steps.items()]
    document = DemoJson(complete=True, folder=str(folder), files=files, steps=shown)
    lines = [printable(f"Written: {', '.join(files)}")]
    if not command.quiet:
        lines.append("Type these commands, one after the other:")
        for number, (do, run) in enumerate(steps.items(), 1):
            lines += ["", f"# {number}. {do}", run]
    command.show(document, [Verbatim("\n".join(lines))])
    return 0


def _steps(folder: Path, primary: str, previous: str, typed: str) -> Mapping[str, str]:
    """The work in *folder* in order, each part with its command; *typed* is the program."""
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


def make_folder(folder: Path, outputs: Outputs) -> tuple[Key, Key, Mapping[int, bytes]]:
    """Fills *folder*. Returns the primary and the previous key, and the plaintext of each row whose token is sound.

    Raises UsageError.
    """
    _, _, config = (outputs.take(folder / name, str(folder / name), NEW) for name in (DATABASE, ENV_FILE, CONFIG))
    previous, primary = Key.generate(), Key.generate()
    secrets = _make_database(folder / DATABASE, previous, primary)
    keys = f"{PRIMARY}={primary.reveal()}\n{PREVIOUS}={previous.reveal()}\n"
    variables = f"# The keys of the demo. Secrets: never commit this file.\n{keys}"
    replace_whole(read_whole(folder / ENV_FILE), variables.encode())
    with config.whole() as file:
        file.write(CONFIG_TEXT.encode())
    return primary, previous, secrets


def count_opened(folder: Path, secrets: Mapping[int, bytes]) -> int:
    """The number of sound tokens that stock Fernet decrypts to their plaintext, with the primary key of .env alone."""
    import sqlite3

    from rotation.lifecycle.key_file_edits import dotenv_value

    stock = Fernet(dotenv_value((folder / ENV_FILE).read_bytes(), PRIMARY) or "")
    with closing(sqlite3.connect((folder / DATABASE).absolute())) as connection:
        stored = dict(connection.execute("SELECT id, api_key FROM user_credentials"))
    return sum(stock.decrypt(stored[row]) == secret for row, secret in secrets.items())


def _make_database(path: Path, oldest: Key, older: Key) -> Mapping[int, bytes]:
    import sqlite3

    dice = random.Random(2)  # noqa: S311 - picks rows, not secrets
    now = int(time.time())
    secrets: dict[int, bytes] = {}
    tokens: dict[int, str] = {}
    for row in range(1, TOKENS + 1):
        secrets[row] = f"sk-live-{dice.getrandbits(128):032x}".encode()
        key, age = (oldest, 2 * YEAR) if row <= TOKENS * 2 // 5 else (older, YEAR)
        tokens[row] = key.fernet.encrypt_at_time(secrets[row], now - dice.randrange(age - YEAR, age)).decode()
    broken: dict[int, Callable[[str], str]] = {
        812: lambda token: token[:64],
        4077: lambda token: f"b'{token}'",
        9001: lambda token: token + tokens[9002],
        12345: lambda token: token[:50] + ("A" if token[50] != "A" else "B") + token[51:],
        17017: lambda _: Fernet(Fernet.generate_key()).encrypt(b"another deployment's").decode(),
        19998: lambda _: "a password that was never encrypted",
    }
    for row, damage in broken.items():
        tokens[row] = damage(tokens[row])
        del secrets[row]
    # SQLite takes a name that begins with `file:` for a URI.
    with closing(sqlite3.connect(path.absolute())) as connection, connection:
        connection.execute("CREATE TABLE user_credentials (id INTEGER PRIMARY KEY, api_key TEXT)")
        connection.executemany("INSERT INTO user_credentials VALUES (?, ?)", tokens.items())
    return secrets
