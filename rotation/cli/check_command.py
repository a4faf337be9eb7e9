"""`check` and `report`: compare keys and tokens with the policy, for a scheduler, a monitoring system and a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from keyring_core import KeyringError
from keyring_core.redaction import get_redactor
from rotation.cli.help_page import USAGE, HelpPage
from rotation.cli.shared_options import (
    CommandContext,
    Process,
    common_options,
    find_targets,
    own_keys_option,
    path_option,
    print_json,
    target_parameters,
)
from rotation.model.failures import told
from rotation.model.text import many

if TYPE_CHECKING:
    from rotation.checks.verdict import Verdict

UNKNOWN = 3
T = TypeVar("T")


@click.command(
    cls=HelpPage,
    examples={
        "Check everything that ./rotation.toml names": "check --env-file .env",
        "One line for Nagios, Icinga or Checkmk": "check --config /etc/keyring/rotation.toml --format nagios",
        "Every night: metrics for the node exporter": "check --config /etc/keyring/rotation.toml "
        "--prometheus /var/lib/node_exporter/keys.prom",
        "List the checks, and run none": "check --list",
    },
    exit_codes={
        0: "OK: all is as the policy requires",
        1: "WARNING",
        2: "CRITICAL",
        UNKNOWN: "UNKNOWN: something could not be checked, or the command line is wrong",
    },
)
@click.option("--format", "form", type=click.Choice(("text", "nagios", "json")), help="What to print.  [default: text]")
@path_option("--prometheus", help="File for metrics, such as /var/lib/node_exporter/keys.prom.")
@click.option("--sample", type=click.IntRange(min=1), metavar="ROWS", help="Read about this many rows of each target.")
@click.option("--list", "listing", is_flag=True, help="List all checks with their messages, and run none.")
@common_options
@target_parameters
def check(  # noqa: PLR0913 - click's
    command: CommandContext,
    given: Mapping[str, Any],
    *,
    form: str | None,
    prometheus: Path | None,
    sample: int | None,
    listing: bool,
) -> int:
    """Check keys and tokens against the policy.

    Made for a scheduler: it reads every target once, records its findings in the ledger, and says what to do. The
    policy is [policy] in rotation.toml, and has defaults.
    """
    if command.as_json and form not in {None, "json"}:
        raise click.UsageError(f"--json and --format {form} exclude each other")
    command.as_json = command.as_json or form == "json"
    if listing:
        from rotation.checks.verdict import check_names, list_checks
        from rotation.output.check_text import render_list
        from rotation.output.documents.found import CheckListJson

        policy = command.policy()
        check_names(policy)
        checks = list_checks(policy)
        command.show(CheckListJson.of(checks), render_list(checks))
        return 0
    verdict = _examine(command, given, sample, prometheus)
    if form == "nagios":
        from rotation.output.nagios import line

        print(line(verdict, command.invocation), file=command.streams.stdout)
    elif command.as_json:
        from rotation.output.documents.found import CheckJson

        print_json(CheckJson.of(verdict, command.invocation), command.streams.stdout)
    else:
        from rotation.output.check_text import render

        for part in render(verdict, command.invocation):
            command.say(part)
    return int(verdict.level)


def failed(words: str, argv: Sequence[str], process: Process) -> int:
    """Prints why there is no verdict, as a document or as a plugin's line, and returns the exit code.

    It is UNKNOWN for every error, since a monitoring system takes exit code 2 for CRITICAL.
    """
    if {"--json", "--format=json"} & {*argv} or ("--format", "json") in pairwise(argv):
        from rotation.output.documents.parts import CheckErrorJson

        print_json(CheckErrorJson("UNKNOWN", 3, words), process.streams.stdout)
    else:
        from rotation.checks.verdict import Verdict
        from rotation.ledger.clock import utc_now
        from rotation.output.nagios import line

        print(line(Verdict.failed(words, utc_now()), process.invocation), file=process.streams.stdout)
    return UNKNOWN


def _examine(command: CommandContext, given: Mapping[str, Any], sample: int | None, metrics: Path | None) -> Verdict:
    """The verdict, written to *metrics* too. If nothing could be checked, or not written, the verdict says why."""
    from rotation.checks.use_cases import examine
    from rotation.checks.verdict import Verdict, unknown
    from rotation.kept_files import outputs_of
    from rotation.ledger.clock import utc_now
    from rotation.ledger.ledger import service_name
    from rotation.output.prometheus import METRICS, write

    targets, fault = _attempt(command, lambda: find_targets(command, given))
    output = None
    if metrics:
        urls = [target.url for target in targets or ()]
        output = outputs_of(command, urls).take(metrics, f"--prometheus {metrics}", METRICS)
    verdict = None
    if targets is not None:
        verdict, fault = _attempt(command, lambda: examine(command, targets, command.policy(), sample=sample))
    if verdict is None:
        # The dotenv file that names the service may be one of rotation.toml.
        service = _attempt(command, lambda: command.service)[0] or service_name(command.inputs.process_environ)
        verdict = Verdict.failed(fault or "", utc_now(), service)
    unwritten = write(output, verdict) if output else None
    return replace(verdict, results=(*verdict.results, unknown(unwritten))) if unwritten else verdict


def _attempt(command: CommandContext, act: Callable[[], T]) -> tuple[T | None, str | None]:
    """The result of *act*, or the reason of its failure."""
    import structlog

    try:
        return act(), None
    except KeyringError as error:
        return None, told(error, command.invocation)
    except Exception as error:
        structlog.get_logger(__name__).exception("check.failed")
        return None, f"the check failed ({type(error).__name__}); see the log"


@click.command(
    cls=HelpPage,
    examples={
        "Count again, and write the page": "report --env-file .env --html keys.html",
        "Write it from the last counts, without reading a target": "report --env-file .env --html keys.html "
        "--last-census",
    },
    exit_codes={
        0: "the page is written, and every token is under the primary key",
        1: "the page is written, and something is left",
        2: USAGE,
        3: "the page is written, but a database could not be read; or an error or interruption, and no page",
    },
)
@path_option("--html", required=True, help="File for the page.")
@click.option("--last-census", is_flag=True, help="Read no target: show the last counts that the ledger knows.")
@common_options
@own_keys_option
@target_parameters
def report(command: CommandContext, given: Mapping[str, Any], *, html: Path, last_census: bool) -> int:
    """Write the state of keys and tokens as one HTML page.

    Counts every target again, reads the ledger, and changes neither. The page needs no network and no script.
    """
    from rotation.checks.use_cases import overview
    from rotation.kept_files import outputs_of
    from rotation.output.documents.found import ReportJson
    from rotation.output.html.page import PAGE, PageTotals, page

    targets, policy = find_targets(command, given), command.policy()
    output = outputs_of(command, (target.url for target in targets)).take(html, f"--html {html}", PAGE)
    with output.whole() as file:
        found = overview(command, targets, policy, last_census=last_census)
        # A `where` may quote a token: the page is redacted as the screen is.
        file.write(get_redactor().redact(page(found)).encode("utf-8"))
    facts, complete = found.verdict.facts, PageTotals(found.verdict.facts).complete
    findings = sum(finding.level > 0 for finding in found.verdict.findings)
    document = ReportJson(complete, str(html), findings, dict(facts.unreached))
    words = "Complete" if complete else "Not complete"
    command.show(document, [f"Wrote {html}. {words}, and {many(findings, 'finding')}."])
    if complete:
        return 0
    return 3 if facts.unreached and not last_census else 1
