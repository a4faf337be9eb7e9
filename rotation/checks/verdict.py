"""The verdict of all checks: the facts, the result of each check, and the time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from keyring_core import KeyState
from rotation.checks.all_checks import run_checks
from rotation.checks.facts import Facts
from rotation.checks.findings import Finding, Level, Result, worst, worst_first
from rotation.configuration.policy import Policy
from rotation.model.next_steps import CHECK

ITSELF = "check"
"""The name of the result that says why no check could run."""


@dataclass(frozen=True)
class Verdict:
    """The one value that every output is made of, so that all outputs agree."""

    now: datetime
    results: tuple[Result, ...]
    facts: Facts = field(default_factory=Facts)
    policy: Policy = field(default_factory=Policy)
    parts: tuple[Verdict, ...] = ()
    """The verdicts that it was joined of, each on one key set; none if there is only one."""

    @classmethod
    def of(cls, facts: Facts, policy: Policy, now: datetime) -> Verdict:
        """The results of all checks on *facts*."""
        return cls(now, tuple(run_checks(facts, policy, now)), facts, policy)

    @classmethod
    def of_parts(cls, parts: Sequence[Verdict]) -> Verdict:
        """One verdict of all *parts*, each on one key set. Of one part it is that part."""
        first = parts[0]
        if len(parts) == 1:
            return first
        columns = zip(*(part.results for part in parts), strict=True)
        named = [part.facts.service for part in parts]
        results = tuple(_joined(column, named) for column in columns)
        return cls(max(part.now for part in parts), results, first.facts, first.policy, tuple(parts))

    @property
    def by_keys(self) -> Sequence[Verdict]:
        """Its parts, or itself if it is on one key set."""
        return self.parts or (self,)

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
        """The longest time that a key has been in *state*; none, if by this clock that is still to come."""
        ages = [self.now - since for key_id in self.facts.ids(state) if (since := self.facts.since(key_id))]
        return max(timedelta(), *ages) if ages else None


def _joined(results: Sequence[Result], services: Sequence[str]) -> Result:
    """The results of one check on several key sets: each finding once, with the services if not all have it."""
    whose: dict[Finding, list[str]] = {}
    for result, service in zip(results, services, strict=True):
        for finding in result.findings:
            whose.setdefault(finding, []).append(service)
    findings = (
        finding
        if len(named) == len(services)
        else replace(finding, subject=f"{', '.join(named)}: {finding.subject}".removesuffix(": "))
        for finding, named in whose.items()
    )
    return replace(results[0], findings=tuple(findings))


def unknown(fault: str) -> Result:
    """The result for a *fault* that keeps the checks from running, or their outcome from being reported."""
    finding = Finding(Level.UNKNOWN, "", fault, CHECK.after("fix that, then:"), ITSELF)
    return Result(ITSELF, "The check itself could not be made.", "See the message.", (finding,))
