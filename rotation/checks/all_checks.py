"""The list of checks, and how they run. Each check's docstring is the operator's message."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING

import structlog

from rotation.checks import key_checks, setup_checks, token_checks
from rotation.checks.facts import Facts
from rotation.checks.findings import Finding, Level, Result
from rotation.model.failures import UsageError

if TYPE_CHECKING:
    from rotation.configuration.policy import Policy

log = structlog.get_logger(__name__)

CheckFunction = Callable[[Facts, "Policy", datetime], list[Finding]]


class Need(Enum):
    """What a check needs to run."""

    KEYS = "the keys"
    LEDGER = "the ledger"
    CENSUS = "every target"


@dataclass(frozen=True)
class Check:
    """A check and what it needs."""

    function: CheckFunction
    needs: frozenset[Need] = frozenset()

    @property
    def name(self) -> str:
        """Its name in a policy, in a metric and in the documentation."""
        return self.function.__name__.removeprefix("check_")

    @property
    def title(self) -> str:
        """What a finding means."""
        return _halves(self.function)[0]

    @property
    def remedy(self) -> str:
        """What to do about a finding."""
        return _halves(self.function)[1]


_DATES = frozenset({Need.KEYS, Need.LEDGER})
_CELLS = frozenset({Need.KEYS, Need.CENSUS})

CHECKS = (
    Check(setup_checks.check_keys),
    Check(setup_checks.check_targets),
    Check(setup_checks.check_ledger),
    Check(setup_checks.check_clock, frozenset({Need.LEDGER})),
    Check(key_checks.check_weak_keys),
    Check(key_checks.check_key_files),
    Check(key_checks.check_shared_keys, _DATES),
    Check(key_checks.check_key_age, _DATES),
    Check(key_checks.check_staged_key, _DATES | _CELLS),
    Check(key_checks.check_previous_keys, _DATES | _CELLS),
    Check(token_checks.check_tokens_left, _DATES | _CELLS),
    Check(token_checks.check_lagging_services, _DATES | _CELLS),
    Check(token_checks.check_unreadable, _CELLS),
    Check(token_checks.check_retired_key, _DATES | _CELLS),
    Check(token_checks.check_plaintext, _CELLS),
    Check(token_checks.check_double_encryption, _CELLS),
    Check(token_checks.check_future_tokens, _CELLS),
    Check(setup_checks.check_uncovered_columns, frozenset({Need.KEYS})),
    Check(setup_checks.check_declared_columns),
    Check(setup_checks.check_last_run, _DATES),
)
"""All checks, in the order in which equally urgent findings are listed."""


def check_names(policy: Policy) -> None:
    """Raises UsageError if *policy* turns off a check that does not exist."""
    names = [check.name for check in CHECKS]
    for name in policy.off:
        if name not in names:
            from rotation.configuration.settings import nearest  # noqa: PLC0415 - most policies have no fault

            near = nearest(name, names)
            hint = f"did you mean `{near}`?" if near else f"there are {', '.join(names)}"
            raise UsageError(f"rotation.toml, [policy.off]: there is no check called {name!r}; {hint}")


def run_checks(facts: Facts, policy: Policy, now: datetime, checks: Iterable[Check] = CHECKS) -> list[Result]:
    """The result of each check. One that fails, or lacks what it needs, is UNKNOWN and hides no other."""
    return [_run(check, facts, policy, now) for check in checks]


def list_checks(policy: Policy) -> list[Result]:
    """Every check with its message, and why it is off if it is. Runs none of them."""
    return [Result(check.name, check.title, check.remedy, off=policy.off.get(check.name)) for check in CHECKS]


def _run(check: Check, facts: Facts, policy: Policy, now: datetime) -> Result:
    result = Result(check.name, check.title, check.remedy, off=policy.off.get(check.name))
    if result.off is not None:
        return result
    findings = []
    if missing := _missing(check, facts):
        findings.append(Finding(Level.UNKNOWN, "", f"not checked: it needs {missing}", "see the finding on that"))
    if not missing or missing == Need.CENSUS.value:
        # Findings on the targets that were read are still reported.
        try:
            findings += check.function(facts, policy, now)
        except Exception as error:
            log.exception("check.failed", check=check.name)
            message = f"the check itself failed ({type(error).__name__})"
            findings.append(Finding(Level.UNKNOWN, "", message, "look at the log, and report it"))
    return replace(result, findings=tuple(replace(finding, check=check.name) for finding in findings))


def _missing(check: Check, facts: Facts) -> str | None:
    there = {
        Need.KEYS: facts.keys is not None,
        Need.LEDGER: facts.ledger_fault is None,
        Need.CENSUS: not facts.unreached,
    }
    return next((need.value for need in Need if need in check.needs and not there[need]), None)


def _halves(function: CheckFunction) -> tuple[str, str]:
    """A docstring's message and its remedy, each on one line."""
    message, _, remedy = inspect.cleandoc(function.__doc__ or "").partition("\n\nRemedy: ")
    return " ".join(message.split()), " ".join(remedy.split())
