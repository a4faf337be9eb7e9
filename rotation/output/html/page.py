"""A verdict and what the ledger keeps in, a page out."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from keyring_core.errors import printable_lines
from rotation.checks.facts import Facts
from rotation.checks.use_cases import Overview
from rotation.configuration.targets import scope_of
from rotation.ledger.records import KeyRecord
from rotation.model.key_use import UNNAMED, last_read
from rotation.model.next_steps import PLAIN
from rotation.model.report import others_in_words
from rotation.model.text import GONE, UNCHANGED, UNOPENED, be, many, release, span
from rotation.model.text import issued as issue_time
from rotation.output.html import charts
from rotation.world.outputs import replaced

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
"""The rights of a browser: apply its one style sheet and show its icon. No script, no network."""
PAGE = replaced(
    "page of this program",
    rb"""\s*<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src .*
(?:<meta .*
)*<title>Key rotation""",
)
_GREY = {"previous", "suspended"}
GREYS = 3
"""Shades that previous keys take in turn."""


class PageTotals:
    """The figures of a page, over all targets."""

    def __init__(self, facts: Facts) -> None:
        censuses = [target.census for target in facts.targets]
        counts = [census.counts for census in censuses]
        current = facts.under[facts.primary or ""]
        self.tokens = facts.under.total()
        """Tokens that some key opens."""
        self.left = self.tokens - current
        """Tokens under another key than the primary."""
        self.wrong = sum(each.unreadable + each.plaintext for each in counts)
        """Cells that no rotation can fix."""
        self.nested = sum(each.nested for each in counts)
        """Tokens that hold another token."""
        self.uncovered = len(facts.uncovered)
        uncovered = sum(column.tokens + column.embedded for column in facts.uncovered)
        shown = share(current - self.nested, self.tokens + self.wrong + uncovered)
        self.share = "not known" if shown == "all" and facts.unreached else shown
        """The share under the primary key of all that was found, without those that hold another token."""
        missed = facts.unreached or self.uncovered or self.left
        self.complete = bool(censuses and not missed) and all(census.complete for census in censuses)
        """True if all targets were counted, nothing is left to do in them, and no column is uncovered."""


def page(overview: Overview) -> str:
    """The page, all in one: no network and no script needed. Every name from outside is text in it."""
    verdict, facts = overview.verdict, overview.verdict.facts
    censuses, states = [target.census for target in facts.targets], facts.keys or {}
    youngest_first = sorted(facts.own.values(), key=lambda record: record.first_seen, reverse=True)
    ids = list(dict.fromkeys([*states, *facts.under, *(record.id for record in youngest_first)]))
    # The primary key has the one colour, previous keys have shades of grey.
    shades = (f"previous-{number % GREYS + 1}" for number in range(len(ids)))
    state_of = {key: str(states.get(key, "previous")) for key in ids}
    kinds = {key: next(shades) if state in _GREY else state for key, state in state_of.items()}
    counts = [census.counts for census in censuses]
    ages = sum((each.ages for each in counts), Counter[str]())
    months = charts.month_columns(ages, verdict.now)
    text = (
        _environment()
        .get_template("page.html.jinja")
        .render(
            verdict=verdict,
            # The page outlives this command, and is read elsewhere.
            steps=PLAIN.lines,
            facts=facts,
            unopened_heading=UNOPENED,
            gone_heading=GONE,
            unchanged_heading=UNCHANGED,
            # "default" says nothing to a reader.
            whose="" if facts.service == UNNAMED else facts.service.removeprefix(f"{UNNAMED}/"),
            totals=PageTotals(facts),
            scope=scope_of(overview.targets),
            runs=overview.runs,
            certificates=overview.certificates,
            censuses=censuses,
            states=states,
            last_read=lambda key: last_read(facts.key_use(key, verdict.policy, verdict.now), verdict.now),
            ids=ids,
            kinds=kinds,
            months=months,
            timeline=charts.timeline([facts.own[key] for key in ids if key in facts.own], verdict.now),
            histogram=charts.histogram(months),
            run_chart=charts.run_chart(overview.runs, verdict.now),
            run_mark=charts.run_mark,
            swatch=charts.swatch,
            others=others_in_words,
            bar=charts.cell_bar,
            parts=lambda census: charts.cell_parts(census, states, kinds),
            oldest=lambda key: min((each.oldest[key] for each in counts if key in each.oldest), default=None),
            youngest=lambda key: max((each.youngest[key] for each in counts if key in each.youngest), default=None),
            left_under=lambda proof: sum(target["under"].get(proof["key"], 0) for target in proof["targets"]),
            taken=min((census.taken for census in censuses), default=None),
            policy=POLICY,
            style=Markup(STYLE),  # noqa: S704 - the file of this folder
            version=release(),
        )
    )
    # Names have characters that HTML or UTF-8 cannot hold, or that change the text's direction.
    return printable_lines(text)


def _in_one_line(value: object) -> object:
    """*value*, a text in one line: a name makes no line of the page's source."""
    return value.replace("\n", " ") if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("rotation.output", "html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_in_one_line,
    )
    environment.filters["number"] = "{:,}".format
    for function in (day, moment, issued, promoted, share, span, be, many):
        environment.filters[function.__name__] = function
    return environment


def share(part: int, whole: int) -> str:
    """`97.5 %`; `all` if nothing that was counted is missing. It never rounds to 0 or 100."""
    if not whole or part in (0, whole):
        return "all" if whole and part else "0 %"
    return f"{min(max(round(100 * part / whole, 1), 0.1), 99.9):.1f} %"


def day(when: datetime | None) -> Markup:
    """The date, in UTC; a dash for none."""
    if when is None:
        return Markup('<span class="none">–</span>')  # noqa: RUF001 - a dash
    text = f"{when.astimezone(UTC):%Y-%m-%d}"
    return Markup('<time datetime="{0}">{0}</time>').format(text)


def moment(when: datetime | None) -> Markup:
    """Date and time to the minute, in UTC; a dash for none."""
    if when is None:
        return day(None)
    when = when.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(f"{when:%Y-%m-%dT%H:%MZ}", f"{when:%Y-%m-%d %H:%M}")


def promoted(key: KeyRecord | None) -> Markup:
    """When a key became primary: a date, or `before` one if it was found primary or previous then."""
    promotion = key.promotion if key else None
    if key is None or (promotion is None and key.staged):
        return day(None)
    if promotion is None:
        return Markup("before {}").format(day(key.first_seen))
    if promotion.exact or promotion.earliest is None:
        return Markup("{}{}").format("" if promotion.exact else "before ", day(promotion.latest))
    return Markup("between {} and {}").format(day(promotion.earliest), day(promotion.latest))


def issued(seconds: int | None) -> Markup:
    """A token's time as a date; it may lie beyond any calendar."""
    if seconds is None:
        return day(None)
    when = issue_time(seconds)
    return day(when) if when else Markup("after 9999")
