"""The list of checks, how they run, and their verdict. Each check's docstring is the operator's message."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

import structlog

from keyring_core import KeyState
from rotation.checks import setup_checks, token_checks
from rotation.checks.facts import URGENCY, Facts, Finding, Level, Result, worst
from rotation.configuration.policy import Policy
from rotation.model.failures import UsageError
from rotation.model.next_steps import CHECK

log = structlog.get_logger(__name__)

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

    @cached_property
    def level(self) -> Level:
        """The level of the most urgent finding; its number is the exit code."""
        return worst([finding.level for finding in self.findings])

    @cached_property
    def findings(self) -> list[Finding]:
        """All findings, the most urgent first, otherwise in the order of the checks."""
        findings = [finding for result in self.results for finding in result.findings]
        return sorted(findings, key=lambda finding: URGENCY.index(finding.level), reverse=True)

    @property
    def replicas(self) -> list[str]:
        """What to know of the databases that were read on a standby or a replica."""
        return list(dict.fromkeys(words for part in self.by_keys for words in part.facts.replicas))

    @property
    def off(self) -> Iterator[Result]:
        """The checks that the policy has turned off."""
        return (result for result in self.results if result.off is not None)

    def age(self, *states: KeyState) -> timedelta | None:
        """The longest time that a key has been in one of *states*; none, if by this clock that is still to come."""
        ids = (key_id for state in states for key_id in self.facts.ids(state))
        ages = [self.now - since for key_id in ids if (since := self.facts.since(key_id))]
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


KEYS, LEDGER, CENSUS = "the keys", "the ledger", "every target"
"""Parts of the facts, without which a check may be unable to run."""


@dataclass(frozen=True)
class Check:
    """A check and what it needs."""

    function: Callable[[Facts, Policy, datetime], Iterable[Finding]]
    needs: Sequence[str] = ()

    @cached_property
    def name(self) -> str:
        """Its name in a policy, in a metric and in the documentation."""
        return self.function.__name__.removeprefix("check_")

    def result(self, policy: Policy) -> Result:
        """Its result before it runs: its message and its remedy, and the reason if *policy* turns it off."""
        message, _, remedy = inspect.cleandoc(self.function.__doc__ or "").partition("\n\nRemedy: ")
        off = policy.off.get(self.name)
        return Result(self.name, " ".join(message.split()), " ".join(remedy.split()), off=off)


CHECKS = (
    Check(setup_checks.check_keys),
    Check(setup_checks.check_targets),
    Check(setup_checks.check_ledger),
    Check(setup_checks.check_clock, [LEDGER]),
    Check(setup_checks.check_weak_keys),
    Check(setup_checks.check_key_files),
    Check(setup_checks.check_shared_keys, [KEYS, LEDGER]),
    Check(setup_checks.check_key_age, [KEYS, LEDGER]),
    Check(setup_checks.check_staged_key, [KEYS, LEDGER, CENSUS]),
    Check(setup_checks.check_previous_keys, [KEYS, LEDGER, CENSUS]),
    Check(setup_checks.check_key_reads, [KEYS, LEDGER, CENSUS]),
    Check(setup_checks.check_suspended_keys, [KEYS, LEDGER, CENSUS]),
    Check(token_checks.check_tokens_left, [KEYS, LEDGER, CENSUS]),
    Check(token_checks.check_lagging_services, [KEYS, LEDGER, CENSUS]),
    Check(token_checks.check_unreadable, [KEYS, CENSUS]),
    Check(token_checks.check_retired_key, [KEYS, LEDGER, CENSUS]),
    Check(token_checks.check_plaintext, [KEYS, CENSUS]),
    Check(token_checks.check_double_encryption, [KEYS, CENSUS]),
    Check(token_checks.check_future_tokens, [KEYS, CENSUS]),
    Check(setup_checks.check_uncovered_columns, [KEYS]),
    Check(setup_checks.check_declared_columns),
    Check(setup_checks.check_last_run, [KEYS, LEDGER]),
)
"""All checks, in the order in which equally urgent findings are listed."""


def check_names(policy: Policy) -> None:
    """Raises UsageError if *policy* turns off a check that does not exist."""
    names = [check.name for check in CHECKS]
    for name in policy.off:
        if name not in names:
            from rotation.configuration.settings import hint  # noqa: PLC0415 - most policies have no fault

            fault = f"there is no check called {name!r}; {hint(name, names, quote='`')}"
            raise UsageError(f"rotation.toml, [policy.off]: {fault}")


def run_checks(facts: Facts, policy: Policy, now: datetime, checks: Iterable[Check] = CHECKS) -> list[Result]:
    """The result of each check. One that fails, or lacks what it needs, is UNKNOWN and hides no other."""
    return [_run(check, facts, policy, now) for check in checks]


def list_checks(policy: Policy) -> list[Result]:
    """Every check with its message, and why it is off if it is. Runs none of them."""
    return [check.result(policy) for check in CHECKS]


def _run(check: Check, facts: Facts, policy: Policy, now: datetime) -> Result:
    result = check.result(policy)
    if result.off is not None:
        return result
    there = {KEYS: facts.keys is not None, LEDGER: facts.ledger_fault is None, CENSUS: not facts.unreached}
    missing = next((need for need in check.needs if not there[need]), None)
    findings = []
    if missing:
        findings.append(Finding(Level.UNKNOWN, "", f"not checked: it needs {missing}", "see the finding on that"))
    if missing in {None, CENSUS}:
        # Findings on the targets that were read are still reported.
        try:
            findings += [*check.function(facts, policy, now)]
        except Exception as error:
            log.exception("check.failed", check=check.name)
            message = f"the check itself failed ({type(error).__name__})"
            findings.append(Finding(Level.UNKNOWN, "", message, "look at the log, and report it"))
    return replace(result, findings=tuple(replace(finding, check=check.name) for finding in findings))
