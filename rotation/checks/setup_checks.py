"""Preconditions of the other checks: keys that load, databases that answer, a right clock, runs that finish."""

from __future__ import annotations

from datetime import datetime

from rotation.checks.facts import Facts
from rotation.checks.findings import Finding, Level
from rotation.configuration.policy import Policy
from rotation.ledger.database import SHAPE_REMEDY, UNKNOWN_SHAPE
from rotation.ledger.session import CLOCK_REMEDY, clock_fault
from rotation.model.next_steps import CHECK, DISCOVER, RUN, STATUS, Remedy
from rotation.model.text import many
from rotation.model.times import span, to_minute

COMMAND = "run"


def check_keys(facts: Facts, _policy: Policy, _now: datetime) -> list[Finding]:
    """Cannot load the keys of this environment, so no token was checked.

    Remedy: `keyring-rotate keys list` shows the fault; give the check the same keys as the services.
    """
    if facts.keys_fault is None:
        return []
    return [Finding(Level.UNKNOWN, "", facts.keys_fault, facts.keys_step("list"))]


def check_targets(facts: Facts, _policy: Policy, _now: datetime) -> list[Finding]:
    """A target cannot be read: its database does not answer, or the table does not fit.

    Remedy: `keyring-rotate status` shows the fault; fix the database, its rights or rotation.toml.
    """
    return [Finding(Level.UNKNOWN, label, why, STATUS) for label, why in facts.unreached.items()]


def check_ledger(facts: Facts, _policy: Policy, _now: datetime) -> list[Finding]:
    """The ledger cannot be read or written, so that no date of a key and no run is known.

    Remedy: set ROTATION_LEDGER_URL, or fix the database that it names, or its rights.
    """
    found = []
    for fault in (facts.ledger_fault, facts.ledger_unwritten):
        if fault is not None:
            remedy: Remedy = "set ROTATION_LEDGER_URL, or fix the database that it names"
            if UNKNOWN_SHAPE in fault:
                remedy = CHECK.after(f"{SHAPE_REMEDY}, then:")
            found.append(Finding(Level.UNKNOWN, "ledger", fault, remedy))
    return found


def check_clock(facts: Facts, policy: Policy, now: datetime) -> list[Finding]:
    """The clock is behind the latest time in the ledger, so ages are wrong.

    Remedy: set this machine's clock by NTP (`timedatectl`).
    """
    fault = clock_fault(facts.latest, now, policy.max_clock_skew)
    return [Finding(Level.WARNING, "clock", fault, CLOCK_REMEDY)] if fault else []


def check_uncovered_columns(facts: Facts, _policy: Policy, _now: datetime) -> list[Finding]:
    """Columns hold tokens and no target names them: a run leaves them out, and retiring a key would lose them.

    Remedy: `keyring-rotate discover` prints the entries for rotation.toml.
    """
    words = "this column holds tokens, and no target names it"
    found = [Finding(Level.WARNING, column.label, words, DISCOVER) for column in facts.uncovered]
    if facts.search_fault is not None:
        found.append(Finding(Level.UNKNOWN, "", facts.search_fault, DISCOVER))
    return found


def check_declared_columns(facts: Facts, _policy: Policy, _now: datetime) -> list[Finding]:
    """Models declare columns as encrypted and no target names them: a run leaves out the tokens that will be there.

    Remedy: `keyring-rotate discover` lists them, and prints the entry for rotation.toml.
    """
    words = "models declare this column as encrypted, and no target names it"
    found = [Finding(Level.WARNING, label, words, DISCOVER) for label in facts.declared]
    if facts.models_fault is not None:
        found.append(Finding(Level.UNKNOWN, "", facts.models_fault, "fix models or django in rotation.toml"))
    return found


def check_last_run(facts: Facts, policy: Policy, now: datetime) -> list[Finding]:
    """The last run failed, was cut short, or is missing for longer than the policy allows.

    Remedy: `keyring-rotate run`; look at its log, and at the scheduler that should have started it.
    """
    runs = [run for run in facts.runs if run.command == COMMAND and run.service == facts.service]
    done = [run.finished for run in runs if run.finished and run.outcome in {"complete", "left"}]
    found, begun = [], _begun(facts, max(done, default=None))
    look = RUN.after("look at its log, then:")
    if runs:
        last = runs[0]
        if last.outcome in {"failed", "interrupted"}:
            message = f"the run of {to_minute(last.started)} ended {last.outcome}{begun}"
            found.append(Finding(Level.CRITICAL, COMMAND, message, look))
        elif last.outcome is None and now - last.started > policy.max_left_age:
            message = f"the run of {to_minute(last.started)} never ended: it was killed, or it hangs{begun}"
            found.append(Finding(Level.WARNING, COMMAND, message, look))
    begin = max(done, default=min((record.first_seen for record in facts.own.values()), default=now))
    if now - begin > policy.max_run_age:
        when = f"for {span(now - begin)}" if done else f"since the ledger began, {span(now - begin)} ago"
        message = f"no run came to its end {when}, and the limit is {span(policy.max_run_age)}{begun}"
        remedy = RUN.after("look at the scheduler that should have started it, then:")
        found.append(Finding(Level.WARNING, COMMAND, message, remedy))
    return found


def _begun(facts: Facts, ended: datetime | None) -> str:
    """The end of a message: the number of runs that did not finish, if there are several."""
    if facts.begun < 2:
        return ""
    since = f" since the last that came to its end, at {to_minute(ended)}" if ended else ", and none came to its end"
    return f"; {many(facts.begun, 'run')} began{since}"
