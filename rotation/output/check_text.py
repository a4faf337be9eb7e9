"""A verdict as a person reads it: the most urgent finding first, each with what to type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rotation.checks.findings import Finding, Level, Result
from rotation.checks.verdict import Verdict
from rotation.model.text import many
from rotation.output.run_tables import natural_width
from rotation.output.terminal import printable

STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.CRITICAL: "bold red", Level.UNKNOWN: "magenta"}


def render(verdict: Verdict) -> Iterator[RenderableType]:
    """The parts of a screen, one below the other."""
    if verdict.findings:
        yield _Findings(verdict.findings)
        yield ""
    yield from _off(verdict.off)
    if verdict.facts.sample is not None:
        yield f"Sampled: about {verdict.facts.sample:,} rows of each target were looked at, not all."
    yield Text(f"{verdict.level.name}: {summary(verdict)}", STYLES[verdict.level])


def render_list(checks: Iterable[Result]) -> Iterator[RenderableType]:
    """Every check with its message and its remedy."""
    for check in checks:
        yield Text(check.check + (f"  (off: {check.off})" if check.off is not None else ""), "bold")
        yield f"  {check.title}"
        yield f"  Remedy: {check.remedy}"


def summary(verdict: Verdict) -> str:
    """How many checks were made and how many findings of each level there are, in words."""
    made = sum(result.off is None for result in verdict.results)
    urgent = [level for level in (Level.CRITICAL, Level.UNKNOWN, Level.WARNING) if _number(verdict, level)]
    found = ", ".join(f"{_number(verdict, level)} {level.name.lower()}" for level in urgent)
    return f"{many(made, 'check')}, {found or ('nothing urgent' if verdict.findings else 'nothing to do')}"


def _number(verdict: Verdict, level: Level) -> int:
    return sum(finding.level is level for finding in verdict.findings)


class _Findings:
    """The findings as a table; on a terminal that has no room for it one below the other."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        # What several checks say alike is told once.
        self._groups: dict[Finding, list[str]] = {}
        for finding in findings:
            self._groups.setdefault(replace(finding, check=""), []).append(finding.check)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        table = self._table()
        if console.is_terminal and natural_width(table, console, options) > options.max_width:
            yield from self._blocks()
        else:
            yield table

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("level", "check", "about"):
            table.add_column(heading, no_wrap=heading != "about", overflow="fold")
        table.add_column("finding", overflow="fold")
        for finding, checks in self._groups.items():
            table.add_row(
                Text(finding.level.name, STYLES[finding.level]),
                Text("\n".join(checks)),
                Text(printable(finding.subject)),
                _words(finding),
            )
        return table

    def _blocks(self) -> Iterator[RenderableType]:
        for finding, checks in self._groups.items():
            about = f"  {printable(finding.subject)}" if finding.subject else ""
            yield Text.assemble((finding.level.name, STYLES[finding.level]), f"  {', '.join(checks)}{about}")
            yield Padding(_words(finding), (0, 0, 0, 2))


def _words(finding: Finding) -> Text:
    lines = [*finding.message.splitlines(), f"Next: {finding.remedy}"]
    return Text("\n".join(map(printable, lines)))


def _off(results: Iterable[Result]) -> Iterator[RenderableType]:
    for result in results:
        yield f"Off: {result.check} ({result.off})"
