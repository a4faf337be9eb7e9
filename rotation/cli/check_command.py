"""`check`: whether keys and tokens are as the policy wants, told to a scheduler, a monitoring system and a person."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keyring_core import KeyringError
from rotation.cli.options import (
    Command,
    GivenTarget,
    Process,
    common_options,
    find_targets,
    print_json,
    target_parameters,
)

if TYPE_CHECKING:
    from rotation.checks.verdict import Verdict

UNKNOWN = 3
EPILOG = """\b
Exit codes, as of a monitoring plugin:
  0  OK: all is as the policy wants
  1  WARNING
  2  CRITICAL
  3  UNKNOWN: something could not be looked at, or the command line does not fit"""


class PluginCommand(click.Command):
    """A command whose every failure is UNKNOWN: a monitoring system would take exit code 2 for CRITICAL."""

    def make_context(self, info_name: str | None, args: list[str], *given: Any, **extra: Any) -> click.Context:
        """Parses the command line."""
        # The parser takes *args* apart.
        as_json = {"--json", "--format=json"} & {*args} or ("--format", "json") in pairwise(args)
        with _failing_as_unknown(extra["parent"].obj, as_json=bool(as_json)):
            return super().make_context(info_name, args, *given, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        with _failing_as_unknown(ctx.obj, as_json=ctx.params["as_json"] or ctx.params["form"] == "json"):
            return super().invoke(ctx)


@contextmanager
def _failing_as_unknown(process: Process, *, as_json: bool) -> Iterator[None]:
    """Tells an error on stderr, and on stdout as a document or as a plugin's line."""
    try:
        yield
        return
    except click.ClickException as error:
        words = error.format_message()
    except (KeyringError, OSError) as error:
        words = str(error)
    streams = process.streams
    streams.warn(f"Error: {words}")
    if as_json:
        print_json({"status": "UNKNOWN", "exit_code": UNKNOWN, "error": words}, streams.stdout)
    else:
        from rotation.checks.verdict import Verdict
        from rotation.ledger.ledger import utc_now
        from rotation.output.nagios import line

        print(line(Verdict.failed(words, utc_now())), file=streams.stdout)
    raise click.exceptions.Exit(UNKNOWN)


@click.command(cls=PluginCommand, epilog=EPILOG)
@click.option("--format", "form", type=click.Choice(("text", "nagios", "json")), help="What to print.  [default: text]")
@click.option(
    "--prometheus", type=click.Path(path_type=Path), help="File for metrics, such as /var/lib/node_exporter/keys.prom."
)
@click.option("--ping", metavar="URL", help="Address to call: URL/start, then URL or URL/fail; $NAME of a variable.")
@click.option("--sample", type=click.IntRange(min=1), metavar="ROWS", help="Look at about so many rows of each target.")
@click.option("--list", "listing", is_flag=True, help="Print all checks with their messages, and make none.")
@common_options
@target_parameters
def check(  # noqa: PLR0913 - click's
    command: Command,
    given: GivenTarget,
    *,
    form: str | None,
    prometheus: Path | None,
    ping: str | None,
    sample: int | None,
    listing: bool,
) -> int:
    """Check keys and tokens against the policy in rotation.toml.

    Made for a scheduler: it reads every target once, takes down in the ledger what it found, and says what to do.
    """
    from rotation.model.output_file import destination

    if command.as_json and form not in {None, "json"}:
        raise click.UsageError(f"--json and --format {form} exclude each other")
    form = "json" if command.as_json else form or "text"
    if listing:
        return _list(command, form)
    with _pinging(command, ping) as pinger:
        if prometheus:
            destination(prometheus, f"--prometheus {prometheus}")
        verdict = _examine(command, given, sample)
        if prometheus:
            verdict = _write_metrics(prometheus, verdict)
        pinger.well = verdict.level == 0
    _print(command, verdict, form)
    return int(verdict.level)


def _examine(command: Command, given: GivenTarget, sample: int | None) -> Verdict:
    """The verdict; where nothing could be looked at, one that says why."""
    import structlog

    from rotation.checks.use_cases import examine
    from rotation.checks.verdict import Verdict
    from rotation.ledger.ledger import service_name, utc_now

    service = service_name(command.environ)
    try:
        targets = find_targets(command, given)
        return examine(command, targets, command.policy(), sample=sample)
    except KeyringError as error:
        return Verdict.failed(str(error), utc_now(), service)
    except Exception as error:
        structlog.get_logger(__name__).exception("check.failed")
        return Verdict.failed(f"the check failed ({type(error).__name__}); see the log", utc_now(), service)


class _Pinger:
    """How the check ended, for the last ping."""

    well = False


@contextmanager
def _pinging(command: Command, text: str | None) -> Iterator[_Pinger]:
    """Calls the address at the beginning and at the end, whatever the end is; a ping that fails is told."""
    pinger = _Pinger()
    if text is None:
        yield pinger
        return
    from rotation.cli.ping import ping, ping_url

    url = ping_url(text, command.environ)

    def call(end: str) -> None:
        if fault := ping(url, end):
            command.streams.warn(f"Warning: --ping: {fault}. The verdict stands.")

    call("start")
    try:
        yield pinger
    finally:
        call("" if pinger.well else "fail")


def _write_metrics(path: Path, verdict: Verdict) -> Verdict:
    """The verdict, in which it stands where the file could not be written."""
    from rotation.checks.verdict import unknown
    from rotation.output.prometheus import write

    fault = write(path, verdict)
    return verdict if fault is None else verdict.with_result(unknown(fault))


def _print(command: Command, verdict: Verdict, form: str) -> None:
    if form == "json":
        from rotation.output.check_json import document

        command.print_json(document(verdict))
    elif form == "nagios":
        from rotation.output.nagios import line

        print(line(verdict), file=command.streams.stdout)
    else:
        from rotation.output.check_text import render

        for part in render(verdict):
            command.say(part)


def _list(command: Command, form: str) -> int:
    from rotation.checks.all_checks import check_names, list_checks
    from rotation.model.policy import Policy
    from rotation.output.check_json import list_document
    from rotation.output.check_text import render_list

    named = command.config is not None or command.config_path().exists()
    policy = command.policy() if named else Policy()
    check_names(policy)
    checks = list_checks(policy)
    if form == "json":
        command.print_json(list_document(checks))
        return 0
    for part in render_list(checks):
        command.say(part)
    return 0
