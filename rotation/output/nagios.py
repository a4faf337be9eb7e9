"""A verdict as a monitoring plugin prints it: one line, with performance data.

Format: https://www.monitoring-plugins.org/doc/guidelines.html
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta

from nagiosplugin.performance import Performance
from nagiosplugin.range import Range

from keyring_core import KeyState
from rotation.checks.findings import Finding, Level
from rotation.checks.verdict import Verdict
from rotation.output.check_text import summary

NAME = "ROTATION"
SHOWN = 3
"""Findings that stand in the line; of the others it gives the number."""


def line(verdict: Verdict) -> str:
    """The line, without its end."""
    urgent = [finding for finding in verdict.findings if finding.level is not Level.OK]
    told = "; ".join(_words(finding) for finding in urgent[:SHOWN]) or summary(verdict)
    if len(urgent) > SHOWN:
        told += f"; and {len(urgent) - SHOWN} more"
    if off := ", ".join(result.check for result in verdict.off):
        told += f"; off: {off}"
    if verdict.facts.sample is not None:
        told += f"; sampled, about {verdict.facts.sample} rows of each target"
    # A bar begins the performance data, and a line's end the long output.
    told = " ".join("".join(letter if letter.isprintable() and letter != "|" else " " for letter in told).split())
    data = " ".join(str(each) for each in performance(verdict))
    return f"{NAME} {verdict.level.name} - {told}" + (f" | {data}" if data else "")


def performance(verdict: Verdict) -> Iterator[Performance]:
    """The numbers behind the verdict; where a check has a limit, its ranges alert as the check does.

    A check that is off has no ranges: what nobody wants to be told of must not alert by its number.
    """
    policy, facts = verdict.policy, verdict.facts

    def ranges(check: str, warning: str, critical: str) -> list[Range | str]:
        return [Range(f"0:{limit}") if limit and check not in policy.off else "" for limit in (warning, critical)]

    soon = policy.max_key_age - policy.warn_before
    ages = (
        ("primary_key_age", KeyState.PRIMARY, ranges("key_age", _whole(soon), _whole(policy.max_key_age))),
        ("staged_key_age", KeyState.STAGED, ranges("staged_key", _whole(policy.max_staged_age), "")),
        ("previous_key_age", KeyState.PREVIOUS, ranges("previous_keys", _whole(policy.max_previous_age), "")),
    )
    for name, state, limits in ages:
        age = verdict.age(state)
        if age is not None:
            # Upwards, as a second beyond a limit is beyond it.
            yield Performance(name, math.ceil(age.total_seconds()), "s", *limits, 0)
    if not facts.targets:
        return
    left = sum(facts.under[key_id] for key_id in facts.ids(KeyState.PREVIOUS))
    unreadable = sum(target.census.counts.unreadable for target in facts.targets)
    plaintext = sum(target.census.counts.plaintext for target in facts.targets)
    yield Performance("tokens", facts.under.total(), min=0)
    yield Performance("tokens_left", left, min=0)
    yield Performance("unreadable", unreadable, "", *ranges("unreadable", "0", ""), 0)
    yield Performance("plaintext", plaintext, "", *ranges("plaintext", "", "0"), 0)


def _words(finding: Finding) -> str:
    subject = f"{finding.subject}: " if finding.subject else ""
    return f"{finding.check}: {subject}{finding.message} (next: {finding.remedy})"


def _whole(span: timedelta) -> str:
    return f"{int(span.total_seconds())}"
