"""What a whole check came to: the facts, what each check says of them, and when."""

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
"""The name under which the check tells that it could not be made."""


@dataclass(frozen=True)
class Verdict:
    """Every output is made of this and of nothing else, so that they agree."""

    now: datetime
    results: tuple[Result, ...]
    facts: Facts = field(default_factory=Facts)
    policy: Policy = field(default_factory=Policy)

    @classmethod
    def of(cls, facts: Facts, policy: Policy, now: datetime) -> Verdict:
        """What all checks say of *facts*."""
        return cls(now, tuple(run_checks(facts, policy, now)), facts, policy)

    @classmethod
    def failed(cls, fault: str, now: datetime, service: str = "default") -> Verdict:
        """The check of that service could not be made at all."""
        return cls(now, (unknown(fault),), Facts(service))

    def with_result(self, result: Result) -> Verdict:
        """The same, and one result more."""
        return replace(self, results=(*self.results, result))

    @property
    def level(self) -> Level:
        """That of the most urgent finding; its number is the exit code."""
        return worst(result.level for result in self.results)

    @property
    def findings(self) -> list[Finding]:
        """All of them, the most urgent first."""
        return worst_first(self.results)

    @property
    def off(self) -> Iterator[Result]:
        """The checks that the policy has turned off."""
        return (result for result in self.results if result.off is not None)

    def age(self, state: KeyState) -> timedelta | None:
        """How long the longest key of *state* has been in it."""
        ages = [self.now - since for key_id in self.facts.ids(state) if (since := self.facts.since(key_id))]
        return max(ages, default=None)


def unknown(fault: str) -> Result:
    """What keeps a check from being made, or its outcome from being told."""
    finding = Finding(Level.UNKNOWN, "", fault, "mend that, and run rotate.py check again", ITSELF)
    return Result(ITSELF, "The check itself could not be made.", "See the message.", (finding,))
