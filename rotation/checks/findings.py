"""Findings of checks: a level, a subject, a message and a remedy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from rotation.model.next_steps import Remedy


class Level(IntEnum):
    """The urgency of a finding; the number is the exit code of a monitoring plugin."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3

    @property
    def weight(self) -> int:
        """Its rank in urgency. UNKNOWN ranks below CRITICAL, so that it hides no known fault."""
        return _URGENCY.index(self)


_URGENCY = (Level.OK, Level.WARNING, Level.UNKNOWN, Level.CRITICAL)


@dataclass(frozen=True)
class Finding:
    """One message to the operator."""

    level: Level
    subject: str
    """The key, target, file or service that it is about."""
    message: str
    remedy: Remedy
    """The step to take; often a command."""
    check: str = ""
    """The name of the check that found it."""


@dataclass(frozen=True)
class Result:
    """The result of one check."""

    check: str
    title: str
    """The meaning of a finding of it, in one sentence."""
    remedy: str
    """The remedy in general, in words."""
    findings: tuple[Finding, ...] = ()
    off: str | None = None
    """The reason, if the policy turned it off."""

    @property
    def level(self) -> Level:
        """The level of its most urgent finding."""
        return worst(finding.level for finding in self.findings)


def worst(levels: Iterable[Level]) -> Level:
    """The most urgent level; OK without any."""
    return max(levels, key=lambda level: level.weight, default=Level.OK)
