"""The command line: commands, streams, signals and exit codes."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NoReturn, TextIO

import click
import structlog

from keyring_core import KeyConfigError
from keyring_core.redaction import configure_logging
from rotation.cli.adopt_command import adopt
from rotation.cli.check_command import check, failed
from rotation.cli.discover_command import discover
from rotation.cli.init_command import init
from rotation.cli.keys_command import keys
from rotation.cli.ledger_command import ledger
from rotation.cli.options import Declares, Process, print_json
from rotation.cli.report_command import report
from rotation.cli.run_command import demo, run, status
from rotation.context import Streams
from rotation.model.failures import StoppedError, StoreError, UsageError
from rotation.model.text import release

EXIT_CODES = """\b
Exit codes:
  0  complete
  1  action needed: rows are left (each is named), a key step was refused, you must store a key
     by hand, or a dry run found work
  2  usage or configuration; nothing was changed
  3  database error or interruption; finished batches stay, run it again"""


def _show_version(context: click.Context, _: click.Parameter, asked: bool) -> None:  # noqa: FBT001 - click's
    if asked:
        print(f"{context.info_name}, version {release()}", file=context.obj.streams.stdout)
        context.exit()


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
def cli() -> None:
    """Re-encrypts stored Fernet tokens under the newest key.

    Keys come from ENCRYPTION_KEY, ENCRYPTION_PREVIOUS_KEYS and ENCRYPTION_STAGED_KEY, or the files or commands that
    their _FILE and _COMMAND forms name; no option takes a key. New here? Start with: rotate.py demo
    """


for _command in (init, demo, status, run, adopt, check, discover, report, keys, ledger):
    cli.add_command(_command)


def main(
    argv: Sequence[str],
    environ: Mapping[str, str],
    stdout: TextIO,
    stderr: TextIO | None = None,
    *,
    declares: Declares | None = None,
) -> int:
    """Runs a command and returns its exit code. Errors of a user or a database are printed, not raised.

    *declares*: the columns of an application that runs in this process, which are then the targets.
    """
    return _main(argv, Process(environ, Streams(stdout, stderr or sys.stderr, key_stream=stdout), declares))


def entry(
    argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None, *, declares: Declares | None = None
) -> NoReturn:
    """Runs the process: real streams, stdout and stderr redacted, and signal handlers. The arguments are as above."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            # If stdin, stdout or stderr is closed, the next socket would reuse its descriptor and receive our output.
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="ascii"))  # noqa: SIM115
    raw = sys.stdout
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal cannot show must not end a run.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    # On a terminal bars show the progress, and a log line would break them.
    level = "WARNING" if sys.stderr.isatty() else "INFO"
    configure_logging(stream=sys.stderr, level=level, guard_stdio=True)
    streams = Streams(sys.stdout, sys.stderr, key_stream=raw)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _ask_to_stop(streams))
    code = _main(sys.argv[1:] if argv is None else argv, Process(environ or os.environ, streams, declares))
    for number in (signal.SIGINT, signal.SIGTERM):
        # Python restores the default handlers while it exits: a signal would then change the exit code.
        signal.signal(number, signal.SIG_IGN)
    try:
        sys.stdout.flush()
        raw.flush()
    except OSError as error:
        # The pipe is closed, or the disk is full. Without this, Python would report it a second time on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), raw.fileno())
        code = code if isinstance(error, BrokenPipeError) else _unwritten(streams, error)
    # Otherwise Python searches all modules for cycles while it exits, which takes as long as to rotate 1,000 rows.
    gc.freeze()
    sys.exit(code)


def _unwritten(streams: Streams, error: OSError) -> int:
    streams.warn(f"Error: the report could not be written: {error.strerror}. What is done stays; run status to see it.")
    return 3


def _ask_to_stop(streams: Streams) -> None:
    if streams.stopping:
        raise KeyboardInterrupt
    streams.stopping = True
    # Not through the streams: the signal may have interrupted a write to one of them.
    with suppress(OSError):
        os.write(2, b"Stopping after this batch. Press Ctrl-C again, or send a second signal, to stop at once.\n")


def _main(argv: Sequence[str], process: Process) -> int:
    try:
        return _run(argv, process)
    except OSError as error:
        return 3 if isinstance(error, BrokenPipeError) else _unwritten(process.streams, error)


def _run(argv: Sequence[str], process: Process) -> int:
    streams = process.streams
    try:
        return int(cli.main(args=list(argv), prog_name="rotate.py", standalone_mode=False, obj=process) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show(file=streams.stderr)
        return 2
    except click.ClickException as error:
        words, code = error.format_message(), 2
        # Two lines, as all other errors; click itself prints three lines of usage first.
        context = error.ctx if isinstance(error, click.UsageError) else None
        streams.warn(f"Error: {words}" + (f"\nSee {context.command_path} --help" if context else ""))
    except (UsageError, KeyConfigError) as error:
        streams.warn(f"Error: {error}")
        words, code = str(error), 2
    except (StoreError, StoppedError) as error:
        streams.warn(f"Error: {error}")
        words, code = str(error), 3
    except (click.Abort, KeyboardInterrupt):
        words, code = "Stopped at once. Finished batches stay; run it again to continue.", 3
        streams.warn(words)
    except OSError:
        raise
    except Exception as error:
        # A bug. Python would exit with 1, which means that a run finished.
        structlog.get_logger(__name__).exception("rotation.failed")
        words, code = (
            f"it failed ({type(error).__name__}); see the log. Finished batches stay; run it again to continue.",
            3,
        )
        streams.warn(f"Error: {words}")
    # Of argv and not of the parsed options: the error may be in the command line itself.
    if argv and argv[0] == check.name:
        return failed(words, argv, streams)
    if "--json" in argv:
        print_json({"complete": False, "error": words}, streams.stdout)
    return code
