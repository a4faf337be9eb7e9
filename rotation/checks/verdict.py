"""The verdict of all checks: the facts, the result of each check, and the time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from keyring_core import KeyState
from rotation.checks.all_checks import run_checks
from rotation.checks.facts import Facts
from rotation.checks.findings import Finding, Level, Result, worst, worst_first
from rotation.model.policy import Policy

ITSELF = "check"
"""The name of the result that says why no check could run."""


@dataclass(frozen=True)
class Verdict:
    """The one value that every output is made of, so that all outputs agree."""

    now: datetime
    results: tuple[Result, ...]
    facts: Facts = field(default_factory=Facts)
    policy: Policy = field(default_factory=Policy)

    @classmethod
    def of(cls, facts: Facts, policy: Policy, now: datetime) -> Verdict:
        """The results of all checks on *facts*."""
        return cls(now, tuple(run_checks(facts, policy, now)), facts, policy)

    @classmethod
    def failed(cls, fault: str, now: datetime, service: str = "default") -> Verdict:
        """The verdict if the checks of that service could not run at all."""
        return cls(now, (unknown(fault),), Facts(service))

    def with_result(self, result: Result) -> Verdict:
        """The same verdict with one more result."""
        return replace(self, results=(*self.results, result))

    @property
    def level(self) -> Level:
        """The level of the most urgent finding; its number is the exit code."""
        return worst(result.level for result in self.results)

    @property
    def findings(self) -> list[Finding]:
        """All findings, the most urgent first."""
        return worst_first(self.results)

    @property
    def off(self) -> Iterator[Result]:
        """The checks that the policy has turned off."""
        return (result for result in self.results if result.off is not None)

    def age(self, state: KeyState) -> timedelta | None:
        """The longest time that a key has been in *state*."""
        ages = [self.now - since for key_id in self.facts.ids(state) if (since := self.facts.since(key_id))]
        return max(ages, default=None)


def unknown(fault: str) -> Result:
    """The result for a *fault* that keeps the checks from running, or their outcome from being reported."""
    finding = Finding(Level.UNKNOWN, "", fault, "fix that, and run rotate.py check again", ITSELF)
    return Result(ITSELF, "The check itself could not be made.", "See the message.", (finding,))
