"""`report`: the state of keys and tokens as an HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from keyring_core.redaction import get_redactor
from rotation.cli.help_page import USAGE, HelpPage
from rotation.cli.shared_options import (
    CommandContext,
    common_options,
    find_targets,
    own_keys_option,
    path_option,
    target_parameters,
)
from rotation.model.text import many


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
