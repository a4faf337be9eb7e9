"""A verdict as text: the most urgent finding first, each with the next command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from rich.console import RenderableType
from rich.text import Text

from rotation.checks.facts import Finding, Level, Result
from rotation.checks.verdict import Verdict
from rotation.model.next_steps import PLAIN, Invocation
from rotation.model.text import many
from rotation.output.terminal import following

STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.CRITICAL: "bold red", Level.UNKNOWN: "magenta"}


def render(verdict: Verdict, invocation: Invocation = PLAIN) -> Iterator[RenderableType]:
    """The parts of a screen, one below the other."""
    # A finding that several checks share is shown once.
    groups: dict[Finding, list[str]] = {}
    for finding in verdict.findings:
        groups.setdefault(replace(finding, check=""), []).append(finding.check)
    # One below the other: in a table, a command would be cut into the lines of its cell.
    for finding, checks in groups.items():
        level, about = Text(finding.level.name, STYLES[finding.level]), finding.subject
        yield Text.assemble(level, f"  {', '.join(checks)}", f"  {about}" if about else "")
        yield from (Text(f"  {line}") for line in finding.message.split("\n"))
        yield from following(finding.remedy, invocation, indent="  ")
    if groups:
        yield ""
    yield from (Text(f"Off: {result.check} ({result.off})") for result in verdict.off)
    for one in verdict.facts.ignored:
        yield Text(f"Ignored: {one.subject} ({one.words})")
    for words in verdict.replicas:
        yield Text(f"Note: {words}", "yellow")
    if verdict.facts.sample is not None:
        yield Text(f"Sampled: about {verdict.facts.sample:,} rows of each target were read, not all.")
    yield Text(f"{verdict.level.name}: {summary(verdict)}", STYLES[verdict.level])


def render_list(checks: Iterable[Result]) -> Iterator[RenderableType]:
    """Every check with its message and its remedy."""
    for check in checks:
        yield Text(check.check + (f"  (off: {check.off})" if check.off is not None else ""), "bold")
        yield Text(f"  {check.title}")
        yield Text(f"  Remedy: {check.remedy}")


def summary(verdict: Verdict) -> str:
    """The number of checks that were made, and of findings of each level, in words."""
    made = [result for result in verdict.results if result.off is None]
    numbers = Counter([finding.level for finding in verdict.findings])
    urgent = [level for level in (Level.CRITICAL, Level.UNKNOWN, Level.WARNING) if numbers[level]]
    found = ", ".join(f"{numbers[level]} {level.name.lower()}" for level in urgent)
    return f"{many(len(made), 'check')}, {found or ('nothing urgent' if verdict.findings else 'nothing to do')}"
