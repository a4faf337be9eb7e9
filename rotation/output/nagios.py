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
from keyring_core.errors import printable
from rotation.checks.facts import Level
from rotation.checks.verdict import Verdict
from rotation.model.next_steps import PLAIN, Invocation
from rotation.output.check_text import summary

NAME = "ROTATION"
SHOWN = 3
"""Findings that the line shows; it gives the number of the others."""


def line(verdict: Verdict, invocation: Invocation = PLAIN) -> str:
    """The line, without its end."""
    urgent = [finding for finding in verdict.findings if finding.level is not Level.OK]
    shown = []
    for one in urgent[:SHOWN]:
        # In `previous_keys: 9ace5031` a redactor would take the id for the value of a setting.
        about = f"{one.check} ({one.subject})" if one.subject else one.check
        shown.append(f"{about}: {one.message} (next: {'; '.join(invocation.lines(one.remedy))})")
    words = "; ".join(shown) or summary(verdict)
    if len(urgent) > SHOWN:
        words += f"; and {len(urgent) - SHOWN} more"
    if off := ", ".join(result.check for result in verdict.off):
        words += f"; off: {off}"
    if ignored := ", ".join(f"{one.subject} ({one.words})" for one in verdict.facts.ignored):
        words += f"; ignored: {ignored}"
    if replicas := "; ".join(verdict.replicas):
        words += f"; {replicas}"
    if verdict.facts.sample is not None:
        words += f"; sampled, about {verdict.facts.sample} rows of each target"
    # A bar begins the performance data, and a newline the long output.
    words = " ".join(printable(words.replace("\n", " ").replace("|", " ")).split())
    data = " ".join(str(each) for each in performance(verdict))
    return f"{NAME} {verdict.level.name} - {words}" + (f" | {data}" if data else "")


def performance(verdict: Verdict) -> Iterator[Performance]:
    """The numbers of the verdict. If a check has a limit, the ranges of its number alert as the check does.

    A check that is off has no ranges, so that its number raises no alert.
    """
    policy, facts = verdict.policy, verdict.facts

    def ranges(check: str, warning: str, critical: str) -> list[Range | str]:
        return [Range(f"0:{limit}") if limit and check not in policy.off else "" for limit in (warning, critical)]

    soon, superseded = policy.max_key_age - policy.warn_before, [each for each in KeyState if each.is_superseded]
    ages = (
        ("primary_key_age", [KeyState.PRIMARY], ranges("key_age", _whole(soon), _whole(policy.max_key_age))),
        ("staged_key_age", [KeyState.STAGED], ranges("staged_key", _whole(policy.max_staged_age), "")),
        ("previous_key_age", superseded, ranges("previous_keys", _whole(policy.max_previous_age), "")),
    )
    for name, states, limits in ages:
        age = verdict.age(*states)
        if age is not None:
            # Rounded up: a part of a second over a limit is over it.
            yield Performance(name, math.ceil(age.total_seconds()), "s", *limits, 0)
    if not facts.targets:
        return
    yield Performance("tokens", facts.under.total(), min=0)
    yield Performance("tokens_left", sum(facts.under[key_id] for key_id in facts.older), min=0)
    for name, warning, critical in (("unreadable", "0", ""), ("plaintext", "", "0")):
        number = sum(getattr(target.counts, name) for target in facts.targets)
        yield Performance(name, number, "", *ranges(name, warning, critical), 0)


def _whole(span: timedelta) -> str:
    return f"{int(span.total_seconds())}"
