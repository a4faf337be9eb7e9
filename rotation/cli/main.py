"""The command line: commands, streams, signals and exit codes."""

from __future__ import annotations

import gc
import io
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn, TextIO

import click
import structlog
from click.shell_completion import shell_complete

from keyring_core import KeyConfigError
from keyring_core.errors import printable
from rotation.cli.check_command import check, failed, report
from rotation.cli.demo import demo
from rotation.cli.discover_command import discover
from rotation.cli.help_page import USAGE, HelpGroup, help_command
from rotation.cli.init_command import init
from rotation.cli.keys_command import keys
from rotation.cli.ledger_command import ledger
from rotation.cli.run_command import adopt, run, status
from rotation.cli.shared_options import FORMATS, Declares, Process, common_parameters, print_json, start_log
from rotation.model.failures import CONTINUE, StoppedError, StoreError, UsageError, told
from rotation.model.next_steps import PROGRAM, Invocation
from rotation.world.process import Streams, this_program

EXIT_CODES = {
    0: "complete",
    1: "action needed: rows are left (each is named), a key step was refused, you must store a key by hand, or a dry "
    "run found work",
    2: USAGE,
    3: "database error or interruption; finished batches stay, run it again",
}
"""The meaning of each exit code, for all commands but `check`."""
SHELL_VARIABLE = "_KEYRING_ROTATE_COMPLETE"
"""The variable by which a shell asks; `bash_source`, `zsh_source` or `fish_source` in it prints the shell's script."""
SECTIONS = {
    "Begin": ("init", "demo", "discover"),
    "Rotate": ("status", "keys", "run", "adopt"),
    "Watch": ("check", "report", "ledger"),
    "Help": ("help",),
}


@click.group(
    cls=HelpGroup,
    sections=SECTIONS,
    examples={
        "Watch a whole rotation on a temporary database": "demo",
        "Read what a run would do, and write nothing": "run --dry-run --env-file .env",
        "Read the page of a command": "help run",
    },
    exit_codes=EXIT_CODES,
    context_settings={"max_content_width": 100},
)
@common_parameters
def cli(**_: object) -> None:
    """Move stored Fernet tokens to a new key, while services keep running.

    Keys come from ENCRYPTION_KEY, ENCRYPTION_PREVIOUS_KEYS, ENCRYPTION_STAGED_KEY and ENCRYPTION_SUSPENDED_KEYS, or
    from the files or commands that these names with _FILE and _COMMAND give. No option takes a key.

    The options below may stand before a command or behind it. If one is given twice, the last counts.
    """


for _command in (init, demo, discover, status, keys, run, adopt, check, report, ledger, help_command):
    cli.add_command(_command)


@dataclass
class TerminalStreams(Streams):
    """Streams that colour what they warn of, unless the environment says otherwise."""

    environ: Mapping[str, str] = field(default_factory=dict)
    program: str = PROGRAM
    """The name of the program in commands, which are not wrapped."""

    def warn(self, text: str) -> None:
        """Prints on stderr, and ignores a stderr that cannot be written."""
        if not (self.stderr.isatty() or self.environ.get("FORCE_COLOR")):
            super().warn(text)
            return
        from rotation.output.terminal import warn

        with suppress(OSError):
            warn(text, self.stderr, self.environ, self.program)
            self.stderr.flush()


def main(  # noqa: PLR0913 - all that a process is made of
    argv: Sequence[str],
    environ: Mapping[str, str],
    stdout: TextIO,
    stderr: TextIO | None = None,
    *,
    declares: Declares | None = None,
    program: str = PROGRAM,
) -> int:
    """Runs a command and returns its exit code. Errors of a user or a database are printed, not raised.

    *declares*: the columns of an application that runs in this process, which are then the targets. *program*: what to
    type to run a command, for messages that name the next one.
    """
    streams = TerminalStreams(stdout, stderr or sys.stderr, key_stream=stdout, environ=environ, program=program)
    return _main(argv, Process(environ, streams, declares, Invocation(program)))


def entry(
    argv: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    declares: Declares | None = None,
    program: str | None = None,
) -> NoReturn:
    """Runs the process: real streams, stdout and stderr redacted, and signal handlers. The arguments are as above.

    Without *program*, the name is what this process was started as.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            # If stdin, stdout or stderr is closed, the next socket would reuse its descriptor and receive our output.
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="ascii"))  # noqa: SIM115
    environ = environ or os.environ
    if instruction := environ.get(SHELL_VARIABLE):
        # A shell asks, to complete a word: this reads no key, opens no database and logs nothing. What goes wrong
        # meanwhile would stand in the middle of what the user types.
        sys.stderr = io.StringIO()
        sys.exit(shell_complete(cli, {}, PROGRAM, SHELL_VARIABLE, instruction))
    raw = sys.stdout
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal cannot show must not end a run.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    start_log()
    program = program or this_program()
    streams = TerminalStreams(
        sys.stdout, sys.stderr, key_stream=raw, log_format=FORMATS["text"], environ=environ, program=program
    )
    signals = Signals(streams)
    process = Process(environ, streams, declares, Invocation(program))
    code = _main(sys.argv[1:] if argv is None else argv, process)
    signals.ignore()
    try:
        # Another log format brings another sys.stdout.
        streams.stdout.flush()
        sys.stdout.flush()
        raw.flush()
    except OSError as error:
        # The pipe is closed, or the disk is full. Without this, Python would report it a second time on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), raw.fileno())
        code = code if isinstance(error, BrokenPipeError) else _unwritten(streams, error)
    # Otherwise Python searches all modules for cycles while it exits, which takes as long as to rotate 1,000 rows.
    gc.freeze()
    # Python waits for the threads that an application's code has started, and no signal ends this process any more.
    with suppress(RuntimeError):
        # There may be no memory for one more.
        threading.Thread(target=_end, args=(code,), daemon=True).start()
    sys.exit(code)


def _end(code: int) -> None:
    time.sleep(END_SECONDS)
    os._exit(code)


def _unwritten(streams: Streams, error: OSError) -> int:
    streams.warn(f"Error: the report could not be written: {error.strerror}. Finished batches are kept: see status.")
    return 3


def _main(argv: Sequence[str], process: Process) -> int:
    try:
        return _run(argv, process)
    except OSError as error:
        return 3 if isinstance(error, BrokenPipeError) else _unwritten(process.streams, error)


def _run(argv: Sequence[str], process: Process) -> int:
    streams, name = process.streams, process.invocation.program
    label, see, code = "Error: ", "", 3
    try:
        return int(cli.main(args=list(argv), prog_name=name, standalone_mode=False, obj=process) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show(file=streams.stderr)
        return 2
    except click.ClickException as error:
        words, code = printable(error.format_message()), 2
        # Two lines, as all other errors; click itself prints three lines of usage first.
        of = error.ctx if isinstance(error, click.UsageError) else None
        see = f"\nSee {of.command_path} --help" if of else ""
    except (UsageError, StoreError, StoppedError, KeyConfigError) as error:
        words, code = told(error, process.invocation), 2 if isinstance(error, UsageError | KeyConfigError) else 3
    except (click.Abort, KeyboardInterrupt):
        label, words = "", f"Stopped at once. {CONTINUE}"
    except OSError as error:
        if error.filename is None:
            # A stream of the command line, which has no name here.
            raise
        words = f"{printable(str(error.filename))}: {error.strerror}. {CONTINUE}"
    except MemoryError:
        words = f"this process has not enough memory; give it more. {CONTINUE}"
    except Exception as error:
        # A bug. Python would exit with 1, which means that a run finished.
        structlog.get_logger(__name__).exception("rotation.failed")
        words = f"it failed ({type(error).__name__}); see the log. {CONTINUE}"
    streams.warn(f"{label}{words}{see}")
    # Of argv and not of the parsed options: the error may be in the command line itself.
    context = click.Context(cli, resilient_parsing=True, ignore_unknown_options=True, allow_interspersed_args=True)
    _, typed, _ = cli.make_parser(context).parse_args([*argv])
    if next((word for word in typed if word in cli.commands), None) == check.name:
        return failed(words, argv, process)
    if "--json" in argv:
        from rotation.output.documents.parts import ErrorJson

        print_json(ErrorJson(complete=False, error=words), streams.stdout)
    return code


END_SECONDS = 5.0
"""The most seconds in which threads and exit handlers may end, after a command has."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)
STOPPING = b"Stopping after this batch. Press Ctrl-C again, or send a second signal, to stop at once.\n"


class Signals:
    """Handles SIGINT and SIGTERM: the first asks for a stop after the batch in progress, the second stops at once."""

    def __init__(self, streams: Streams) -> None:
        """From now on a signal sets *streams* to stopping."""
        self._streams, self._heard = streams, False
        for number in SIGNALS:
            signal.signal(number, lambda *_: self._handle())
        # Python runs a handler in the main thread only, once that has come back from what it waits for; and a server
        # may be silent for ever, and another thread may get the signal. So a thread hears of it, too.
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(target=self._listen, args=(reader,), daemon=True).start()

    @staticmethod
    def ignore() -> None:
        """Python restores the default handlers while it exits: a signal would then change the exit code."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def _handle(self) -> None:
        if self._heard:
            raise KeyboardInterrupt
        self._heard = self._streams.stopping = True
        # Not through the streams: the signal may have interrupted a write to one of them, which waits for its reader.
        with suppress(OSError):
            if select.select((), (2,), (), 0)[1]:
                os.write(2, STOPPING)

    def _listen(self, reader: int) -> None:
        while numbers := os.read(reader, 64):
            if set(numbers) & set(SIGNALS):
                self._streams.stopping = True
