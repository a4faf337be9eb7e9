"""Facts in, a page out."""

from __future__ import annotations

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rotation.checks.findings import span
from rotation.model.text import be, many
from rotation.output.html import month_chart, run_chart, wording
from rotation.output.html.key_chart import timeline
from rotation.output.html.page_facts import PageFacts
from rotation.output.html.target_chart import bar, parts, swatch

STYLE = (Path(__file__).parent / "page.css").read_text("utf-8")
POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
"""What a browser may do with the page: apply its one style sheet, and show its icon. No script, no network."""
GREYS = 3
"""Shades that previous keys take in turn."""
# Of names in a database: what HTML or UTF-8 cannot hold, and what turns the direction of the text around it.
_ILLEGIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def page(facts: PageFacts) -> str:
    """The page, all in one: no network and no script needed. Every name from outside is text in it."""
    kinds, counts = _kinds(facts), [census.counts for census in facts.censuses]
    months = month_chart.columns(facts.ages, facts.made)
    text = (
        _environment()
        .get_template("page.html.jinja")
        .render(
            facts=facts,
            policy=POLICY,
            style=Markup(STYLE),  # noqa: S704 - our own file
            version=version("keyring-core"),
            records={record.id: record for record in facts.records},
            kinds=kinds,
            swatch=swatch,
            timeline=timeline(facts.dated, facts.made),
            bar=bar,
            parts=lambda census: parts(census, facts.states, kinds),
            oldest=lambda key: min((c.oldest[key] for c in counts if key in c.oldest), default=None),
            youngest=lambda key: max((c.youngest[key] for c in counts if key in c.youngest), default=None),
            left_under=lambda proof: sum(target["under"].get(proof["key"], 0) for target in proof["targets"]),
            months=months,
            histogram=month_chart.histogram(months),
            run_chart=run_chart.chart(facts.runs, facts.made),
            run_mark=run_chart.mark,
            taken=min((census.taken for census in facts.censuses), default=None),
        )
    )
    return _ILLEGIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _kinds(facts: PageFacts) -> dict[str, str]:
    """How each key is drawn: the primary key in the one colour, others in shades of grey."""
    shades = (f"previous-{number % GREYS + 1}" for number in range(len(facts.ids)))
    state_of = {key: facts.states.get(key, "previous") for key in facts.ids}
    return {key: next(shades) if state == "previous" else state for key, state in state_of.items()}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("rotation.output", "html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for function in (
        wording.number,
        wording.share,
        wording.day,
        wording.moment,
        wording.issued,
        wording.promoted,
        span,
        be,
        many,
    ):
        environment.filters[function.__name__] = function
    return environment
