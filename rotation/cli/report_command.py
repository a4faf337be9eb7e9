"""`report`: the state of keys and tokens as a page, for somebody who was not there."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keyring_core.redaction import get_redactor
from rotation.cli.options import Common, Given, common_options, find_policy, find_targets, target_parameters
from rotation.cli.run_command import look_at
from rotation.model.text import many

if TYPE_CHECKING:
    from rotation.checks.page_facts import PageFacts


@click.command()
@click.option(
    "--html", required=True, metavar="FILE", type=click.Path(path_type=Path), help="Where to write the page; needed."
)
@click.option("--last-census", is_flag=True, help="Read no target: show the last counts that the ledger knows.")
@common_options
@target_parameters
def report(common: Common, given: Given, *, html: Path, last_census: bool) -> int:
    """Write the state of keys and tokens as one HTML page.

    Counts every target anew, reads the ledger, and changes neither. The page needs no network and no script.
    """
    from rotation.checks.page_gathering import gather_page
    from rotation.model.output_file import whole_file
    from rotation.output.html.page import page

    targets, policy = find_targets(common, given), find_policy(common, given)
    with whole_file(html, f"--html {html}") as file:
        facts = gather_page(common, targets, policy, None if last_census else partial(look_at, common))
        # A `where` may quote a token: what stands on the screen is behind the redactor, and so is the page.
        file.write(get_redactor().redact(page(facts)).encode("utf-8"))
    _tell(common, facts, html)
    if facts.complete:
        return 0
    return 3 if facts.unreached and not last_census else 1


def _tell(common: Common, facts: PageFacts, html: Path) -> None:
    if common.as_json:
        common.world.print_json(
            {
                "complete": facts.complete,
                "html": str(html),
                "findings": len(facts.findings),
                "unreached": dict(facts.unreached),
            }
        )
        return
    words = "Complete" if facts.complete else "Not complete"
    common.world.say(f"Wrote {html}. {words}, and {many(len(facts.findings), 'finding')}.")
