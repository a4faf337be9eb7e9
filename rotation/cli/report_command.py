"""`report`: the state of keys and tokens as a page, for somebody who was not there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from keyring_core.redaction import get_redactor
from rotation.cli.options import Command, GivenTarget, common_options, find_targets, target_parameters
from rotation.model.text import many

if TYPE_CHECKING:
    from rotation.output.html.page_facts import PageFacts


@click.command()
@click.option(
    "--html", required=True, metavar="FILE", type=click.Path(path_type=Path), help="Where to write the page; needed."
)
@click.option("--last-census", is_flag=True, help="Read no target: show the last counts that the ledger knows.")
@common_options
@target_parameters
def report(command: Command, given: GivenTarget, *, html: Path, last_census: bool) -> int:
    """Write the state of keys and tokens as one HTML page.

    Counts every target anew, reads the ledger, and changes neither. The page needs no network and no script.
    """
    from rotation.checks.use_cases import overview
    from rotation.model.output_file import whole_file
    from rotation.output.html.page import page
    from rotation.output.html.page_facts import PageFacts

    targets, policy = find_targets(command, given), command.policy()
    with whole_file(html, f"--html {html}") as file:
        facts = PageFacts.of(overview(command, targets, policy, last_census=last_census))
        # A `where` may quote a token: the screen is behind the redactor, and so is the page.
        file.write(get_redactor().redact(page(facts)).encode("utf-8"))
    _print(command, facts, html)
    if facts.complete:
        return 0
    return 3 if facts.unreached and not last_census else 1


def _print(command: Command, facts: PageFacts, html: Path) -> None:
    if command.as_json:
        command.print_json(
            {
                "complete": facts.complete,
                "html": str(html),
                "findings": len(facts.findings),
                "unreached": dict(facts.unreached),
            }
        )
        return
    words = "Complete" if facts.complete else "Not complete"
    command.say(f"Wrote {html}. {words}, and {many(len(facts.findings), 'finding')}.")
