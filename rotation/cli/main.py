"""The command line: its commands, its process, its exit codes."""

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
from rotation.cli.check_command import check
from rotation.cli.discover_command import discover
from rotation.cli.keys_command import keys
from rotation.cli.ledger_command import ledger
from rotation.cli.options import Process, print_json
from rotation.cli.report_command import report
from rotation.cli.run_command import demo, run, status
from rotation.context import Streams
from rotation.model.failures import StoppedError, StoreError, UsageError

EXIT_CODES = """\b
Exit codes:
  0  complete
  1  finished, and something is left; each row is named
  2  usage or configuration; nothing was touched
  3  database error or interruption; what is done stays, run it again"""


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="keyring-core")
def cli() -> None:
    """Re-encrypts stored Fernet tokens under the newest key.

    Keys come from ENCRYPTION_KEY, ENCRYPTION_PREVIOUS_KEYS and ENCRYPTION_STAGED_KEY, or the files or commands that
    their _FILE and _COMMAND forms name; no option takes a key. New here? Start with: rotate.py demo
    """


for _command in (demo, status, run, check, discover, report, keys, ledger):
    cli.add_command(_command)


def main(argv: Sequence[str], environ: Mapping[str, str], stdout: TextIO, stderr: TextIO | None = None) -> int:
    """Runs a command and returns its exit code; it never raises for what a user or a database does."""
    return _main(argv, Process(environ, Streams(stdout, stderr or sys.stderr, key_stream=stdout)))


def entry() -> NoReturn:
    """The process: real streams, each behind the redactor, and signals."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            # Whoever started us closed it. A database's connection must not get its number, and our words with it.
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="ascii"))  # noqa: SIM115
    raw = sys.stdout
    for stream in (sys.stdout, sys.stderr):
        # A terminal that knows ASCII only must not end a run.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    # On a terminal the bars tell how far it is, and a log line would break them.
    level = "WARNING" if sys.stderr.isatty() else "INFO"
    configure_logging(stream=sys.stderr, level=level, guard_stdio=True)
    # A batch makes tens of thousands of small objects and few cycles: the collector need not look at them each time.
    gc.set_threshold(20_000, 50, 50)
    streams = Streams(sys.stdout, sys.stderr, key_stream=raw)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _ask_to_stop(streams))
    code = _main(sys.argv[1:], Process(os.environ, streams))
    for number in (signal.SIGINT, signal.SIGTERM):
        # All is done. Python would give them back their default while it ends, and the exit code would be another.
        signal.signal(number, signal.SIG_IGN)
    try:
        sys.stdout.flush()
        raw.flush()
    except OSError as error:
        # The reader has gone, or a disk is full. Python must not complain of it a second time on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), raw.fileno())
        code = code if isinstance(error, BrokenPipeError) else _unsaid(streams, error)
    sys.exit(code)


def _unsaid(streams: Streams, error: OSError) -> int:
    streams.warn(f"Error: the report could not be written: {error.strerror}. What is done stays; run status to see it.")
    return 3


def _ask_to_stop(streams: Streams) -> None:
    if streams.stopping:
        raise KeyboardInterrupt
    streams.stopping = True
    # Not through the streams: the signal may have come while one of them is in the middle of a line.
    with suppress(OSError):
        os.write(2, b"Stopping after this batch; once more to stop at once.\n")


def _main(argv: Sequence[str], process: Process) -> int:
    try:
        return _run(argv, process)
    except OSError as error:
        return 3 if isinstance(error, BrokenPipeError) else _unsaid(process.streams, error)


def _run(argv: Sequence[str], process: Process) -> int:
    streams = process.streams
    try:
        return int(cli.main(args=list(argv), prog_name="rotate.py", standalone_mode=False, obj=process) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show(file=streams.stderr)
        return 2
    except click.ClickException as error:
        words, code = error.format_message(), 2
        # Two lines, as every refusal: click's own words begin with three on usage.
        context = error.ctx if isinstance(error, click.UsageError) else None
        streams.warn(f"Error: {words}" + (f"\nSee {context.command_path} --help" if context else ""))
    except (UsageError, KeyConfigError) as error:
        streams.warn(f"Error: {error}")
        words, code = str(error), 2
    except (StoreError, StoppedError) as error:
        streams.warn(f"Error: {error}")
        words, code = str(error), 3
    except (click.Abort, KeyboardInterrupt):
        words, code = "Stopped at once. Finished batches stay; run it again to go on.", 3
        streams.warn(words)
    except OSError:
        raise
    except Exception as error:
        # A mistake of ours. Python would end with 1, as a run does that came to its end.
        structlog.get_logger(__name__).exception("rotation.failed")
        words, code = f"it failed ({type(error).__name__}); see the log. What is done stays; run it again to go on.", 3
        streams.warn(f"Error: {words}")
    # Not as the parser understood it: the command line itself may be what is wrong.
    if "--json" in argv:
        print_json({"complete": False, "error": words}, streams.stdout)
    return code
