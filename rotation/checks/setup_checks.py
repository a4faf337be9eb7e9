"""Checks of the setup, on which the others depend: keys, databases, the clock and runs; and of the keys themselves."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import datetime

from keyring_core import KeyState
from keyring_core.environment import SUSPENDED
from keyring_core.errors import printable
from rotation.checks.facts import ARCHIVE, Facts, Finding, Level
from rotation.configuration.policy import Policy
from rotation.ledger.clock import CLOCK_REMEDY, SERVICE_CLOCK_REMEDY
from rotation.ledger.database import SHAPE_REMEDY, UNKNOWN_SHAPE
from rotation.ledger.key_uses import of_clocks
from rotation.model.key_use import in_words
from rotation.model.next_steps import CHECK, DISCOVER, RUN, STATUS, Next, Remedy, Repeats, Steps
from rotation.model.text import many, span, to_minute
from rotation.retirement.reasons import refusals
from rotation.retirement.words import LOOK_ELSEWHERE

COMMAND = "run"


def check_keys(facts: Facts, _policy: Policy, _now: datetime) -> Iterator[Finding]:
    """Cannot load the keys of this environment, so no token was checked.

    Remedy: `keyring-rotate keys list` shows the fault; give the check the same keys as the services.
    """
    if facts.keys_fault is not None:
        yield Finding(Level.UNKNOWN, "", facts.keys_fault, facts.keys_step("list"))


def check_targets(facts: Facts, _policy: Policy, _now: datetime) -> Iterator[Finding]:
    """A target cannot be read: its database does not answer, or the table does not fit.

    Remedy: `keyring-rotate status` shows the fault; fix the database, its rights or rotation.toml.
    """
    yield from [Finding(Level.UNKNOWN, label, why, STATUS) for label, why in facts.unreached.items()]


def check_ledger(facts: Facts, _policy: Policy, _now: datetime) -> Iterator[Finding]:
    """The ledger cannot be read or written, so that no date of a key and no run is known.

    Remedy: set ROTATION_LEDGER_URL, or fix the database that it names, or its rights.
    """
    for fault in (facts.ledger_fault, facts.ledger_unwritten):
        if fault is not None:
            remedy: Remedy = "set ROTATION_LEDGER_URL, or fix the database that it names"
            if UNKNOWN_SHAPE in fault:
                remedy = CHECK.after(f"{SHAPE_REMEDY}, then:")
            yield Finding(Level.UNKNOWN, "ledger", fault, remedy)


def check_clock(facts: Facts, policy: Policy, now: datetime) -> Iterator[Finding]:
    """The clock is behind the latest time in the ledger, so ages are wrong; or two machines' clocks differ.

    Remedy: set the clock of that machine by NTP (`timedatectl`).
    """
    if facts.clocks:
        for fault, remedy in facts.clocks.faults(policy.max_clock_skew, now):
            yield Finding(Level.WARNING, "clock", fault, remedy)
        if facts.clocks.note:
            yield Finding(Level.OK, "clock", facts.clocks.note, CLOCK_REMEDY)
    for words in (*facts.late_times, *of_clocks(facts.instances)):
        yield Finding(Level.WARNING, "clock", words, SERVICE_CLOCK_REMEDY)


def check_uncovered_columns(facts: Facts, _policy: Policy, _now: datetime) -> Iterator[Finding]:
    """Columns hold tokens and no target names them: a run leaves them out, and retiring a key would lose them.

    Remedy: `keyring-rotate discover` prints the entries for rotation.toml.
    """
    words = "this column holds tokens, and no target names it"
    yield from [Finding(Level.WARNING, column.label, words, DISCOVER) for column in facts.uncovered]
    if facts.search_fault is not None:
        yield Finding(Level.UNKNOWN, "", facts.search_fault, DISCOVER)


def check_declared_columns(facts: Facts, _policy: Policy, _now: datetime) -> Iterator[Finding]:
    """Models declare columns as encrypted and no target names them: a run leaves out the tokens that will be there.

    Remedy: `keyring-rotate discover` lists them, and prints the entry for rotation.toml.
    """
    words = "models declare this column as encrypted, and no target names it"
    yield from [Finding(Level.WARNING, label, words, DISCOVER) for label in facts.declared]
    if facts.models_fault is not None:
        yield Finding(Level.UNKNOWN, "", facts.models_fault, "fix models or django in rotation.toml")


def check_last_run(facts: Facts, policy: Policy, now: datetime) -> Iterator[Finding]:
    """The last run failed, was cut short, or is missing for longer than the policy allows.

    Remedy: `keyring-rotate run`; look at its log, and at the scheduler that should have started it.
    """
    runs = [run for run in facts.runs if run.command == COMMAND and run.service == facts.service]
    done = [run.finished for run in runs if run.finished and run.outcome in {"complete", "left"}]
    ended, begun = max(done, default=None), ""
    if facts.begun > 1:
        since = (
            f" since the last that came to its end, at {to_minute(ended)}" if ended else ", and none came to its end"
        )
        begun = f"; {many(facts.begun, 'run')} began{since}"
    look = RUN.after("look at its log, then:")
    if runs:
        last = runs[0]
        if last.outcome in {"failed", "interrupted"}:
            message = f"the run of {to_minute(last.started)} ended {last.outcome}{begun}"
            yield Finding(Level.CRITICAL, COMMAND, message, look)
        elif last.outcome is None and now - last.started > policy.max_left_age:
            message = f"the run of {to_minute(last.started)} never ended: it was killed, or it hangs{begun}"
            yield Finding(Level.WARNING, COMMAND, message, look)
    begin = ended or min((record.first_seen for record in facts.own.values()), default=now)
    if now - begin > policy.max_run_age:
        when = f"for {span(now - begin)}" if ended else f"since the ledger began, {span(now - begin)} ago"
        message = f"no run came to its end {when}, and the limit is {span(policy.max_run_age)}{begun}"
        remedy = RUN.after("look at the scheduler that should have started it, then:")
        yield Finding(Level.WARNING, COMMAND, message, remedy)


SAME_SERVICE = (
    "the same service? Set one ROTATION_SERVICE for all its processes, or turn shared_keys off in [policy.off] with "
    "that reason; that is all then"
)


def check_weak_keys(facts: Facts, _policy: Policy, _now: datetime) -> Iterator[Finding]:
    """A key can be guessed: it is a placeholder, a public example, or not random.

    Remedy: a key of `keyring-rotate keys generate` as the primary one, this one first among ENCRYPTION_PREVIOUS_KEYS,
    with ENCRYPTION_ALLOW_WEAK_PREVIOUS=1, in every service at once; then `keyring-rotate run` today.
    """
    remedy = Steps(
        Next(("keys", "generate"), "make a new primary key:", repeats=Repeats.NONE),
        "put this one first into ENCRYPTION_PREVIOUS_KEYS, with ENCRYPTION_ALLOW_WEAK_PREVIOUS=1",
        RUN,
    )
    yield from [Finding(Level.CRITICAL, "", message, remedy) for message in facts.weak]


def check_key_files(facts: Facts, _policy: Policy, _now: datetime) -> Iterator[Finding]:
    """A file that holds keys can be read or changed by users who need not.

    Remedy: `chmod 600` the file; for a mounted secret set its mode to 0400.
    """
    for file in facts.key_files:
        mode, remedy = stat.filemode(file.mode), f"chmod 600 {file.path}"
        if file.mode & (stat.S_IWGRP | stat.S_IWOTH):
            message = f"others can change this file of {file.variable} ({mode})"
            yield Finding(Level.CRITICAL, file.path, message, remedy)
        elif file.mode & (stat.S_IROTH | (stat.S_IRGRP if file.variable == ARCHIVE else 0)):
            # A service may read its keys through its group; an archive is for its owner alone.
            who = "every user" if file.mode & stat.S_IROTH else "its group"
            message = f"{who} can read this file of {file.variable} ({mode})"
            yield Finding(Level.WARNING, file.path, message, remedy)


def check_shared_keys(facts: Facts, _policy: Policy, _now: datetime) -> Iterator[Finding]:
    """The same key is used in two environments of one ledger, so that a leak in one opens the other.

    Remedy: give one service one ROTATION_SERVICE everywhere; give each environment a key of its own: `keyring-rotate
    keys stage` in one of them, then promote and run.
    """
    for key_id in facts.keys or {}:
        others = sorted(
            {
                printable(record.service)
                for record in facts.records
                if record.id == key_id and record.service != facts.service and record.retired is None
            }
        )
        if others:
            message = f"this key is also in use in {', '.join(others)}"
            remedy = Steps(
                SAME_SERVICE,
                facts.keys_step("stage", when="another one:"),
                facts.keys_step("promote"),
                RUN,
                facts.retire_step(key_id),
            )
            yield Finding(Level.WARNING, key_id, message, remedy)


def check_key_age(facts: Facts, policy: Policy, now: datetime) -> Iterator[Finding]:
    """The primary key is older than the policy allows, or soon will be.

    Remedy: begin the next rotation with `keyring-rotate keys stage`.
    """
    since = facts.since(facts.primary or "")
    if facts.primary is None or since is None:
        yield _undated("the primary key", facts.primary or "")
        return
    age, remedy = now - since, facts.keys_step("promote" if facts.ids(KeyState.STAGED) else "stage")
    exact = facts.own[facts.primary].promoted is not None
    if age > policy.max_key_age:
        old = f"{span(age)} old" if exact else f"at least {span(age)} old, in use since before {to_minute(since)}"
        message = f"the primary key is {old}, and the limit is {span(policy.max_key_age)}"
        yield Finding(Level.CRITICAL, facts.primary, message, remedy)
    elif age > policy.max_key_age - policy.warn_before:
        message = f"the primary key must be replaced by {to_minute(since + policy.max_key_age)}"
        message += "" if exact else f", or earlier: it has been in use since before {to_minute(since)}"
        yield Finding(Level.WARNING, facts.primary, message, remedy)


def check_staged_key(facts: Facts, policy: Policy, now: datetime) -> Iterator[Finding]:
    """A staged key has been waiting too long, or some service has promoted it already.

    Remedy: `keyring-rotate keys promote`, once every service has the staged key.
    """
    promote = facts.keys_step("promote")
    for key_id in facts.ids(KeyState.STAGED):
        since = facts.since(key_id)
        if since is None:
            yield _undated("the staged key", key_id)
        elif now - since > policy.max_staged_age:
            message = f"staged for {span(now - since)}, and the limit is {span(policy.max_staged_age)}"
            yield Finding(Level.WARNING, key_id, message, promote)
        if facts.under[key_id]:
            message = (
                f"{many(facts.under[key_id], 'token')} under this key already: a service has it as its primary key"
            )
            remedy = promote.after("make it the primary key of every service, and here:")
            yield Finding(Level.WARNING, key_id, message, remedy)


def check_previous_keys(facts: Facts, policy: Policy, now: datetime) -> Iterator[Finding]:
    """A previous key is kept though nothing seems to need it, or is needed for longer than the policy allows.

    Remedy: `keyring-rotate run` until no token needs it, then `keyring-rotate keys retire ID --archive ID.keys`.
    """
    words = "it is gone, and the ledger does not have its retirement, which was cut short"
    for key_id in sorted(facts.cut_short):
        yield Finding(Level.WARNING, key_id, words, facts.retire_step(key_id))
    for key_id in facts.older:
        found = _previous_key(facts, key_id, policy, now)
        # Within the limits, check_suspended_keys reports a suspended key.
        if found and (found.level or key_id in facts.ids(KeyState.PREVIOUS)):
            yield found


def _previous_key(facts: Facts, key_id: str, policy: Policy, now: datetime) -> Finding | None:
    since = facts.superseded(key_id)
    if since is None:
        return _not_replaced(facts, key_id, policy)
    late, tokens = now - since > policy.max_previous_age, facts.under[key_id]
    against = refusals(facts.evidence(key_id, policy, now))
    limit = f"replaced {span(now - since)} ago, and the limit is {span(policy.max_previous_age)}; " if late else ""
    level = Level.WARNING if late else Level.OK
    if tokens:
        # Within the limit, check_tokens_left reports them.
        message = f"{limit}still needed by {many(tokens, 'token')}"
        return Finding(Level.CRITICAL, key_id, message, RUN) if late else None
    if against:
        more = f", and {many(len(against) - 1, 'reason')} more" if len(against) > 1 else ""
        return Finding(level, key_id, f"{limit}kept for {against[0].reason}{more}", against[0].remedy)
    message = f"{limit}no token that was read needs it; keys retire reads the rest first"
    return Finding(level, key_id, message, facts.retire_step(key_id))


def _not_replaced(facts: Facts, key_id: str, policy: Policy) -> Finding:
    """The finding on a previous key of which nobody knows when another one took over from it."""
    if demotion := facts.demotion(policy):
        words, causes, steps = demotion
        message = f"{words}, so the ledger does not know when {key_id} was replaced: {causes}"
        return Finding(Level.UNKNOWN, key_id, message, steps)
    if facts.ledger_fault or facts.ledger_unwritten or facts.primary not in facts.own:
        return _undated("the previous key", key_id)
    message = f"the ledger does not know when {facts.primary} took over from it"
    record = facts.keys_step("promote", facts.primary or "", when="if it is right, have that recorded as before today:")
    return Finding(Level.UNKNOWN, key_id, message, record)


def check_key_reads(facts: Facts, policy: Policy, now: datetime) -> Iterator[Finding]:
    """A service read with a previous key after the last complete run: something outside of the targets holds tokens.

    Remedy: look into queues, caches, files, exports and other databases; have the application write what is there
    again; then `keyring-rotate run`.
    """
    for key_id in facts.ids(KeyState.PREVIOUS):
        use = facts.key_use(key_id, policy, now)
        # Until a run was complete, and if tokens came since, services read what the targets hold.
        if use.by_run and use.late and not facts.under[key_id]:
            message = f"reads since the last complete run: {in_words(use.late, use.since)}"
            yield Finding(Level.WARNING, key_id, message, Steps(LOOK_ELSEWHERE, RUN))


def check_suspended_keys(facts: Facts, policy: Policy, now: datetime) -> Iterator[Finding]:
    """A key is suspended, and a service refused tokens under it; or the trial is over.

    Remedy: `keyring-rotate keys resume ID`, and find what holds these tokens; if nothing was refused for long enough,
    `keyring-rotate keys retire ID --archive ID.keys`.
    """
    yield from [_suspended_key(facts, key_id, policy, now) for key_id in facts.ids(KeyState.SUSPENDED)]
    # Other machines have such a key: nothing here can say what becomes of it.
    elsewhere = [record for record in facts.own.values() if record.id not in {*(facts.keys or ()), *facts.cut_short}]
    for record in elsewhere:
        if record.suspended and not (record.retired and record.retired >= record.suspended):
            message = f"the ledger has it as suspended since {to_minute(record.suspended)}, and it is not set here"
            yield Finding(Level.WARNING, record.id, message, f"name it in {SUSPENDED} here, as services do")


def _suspended_key(facts: Facts, key_id: str, policy: Policy, now: datetime) -> Finding:
    use, against = facts.key_use(key_id, policy, now), refusals(facts.evidence(key_id, policy, now))
    step = facts.retire_step(key_id)
    if use.suspended is None:
        return _undated("the suspension", key_id)
    message = f"suspended since {to_minute(use.suspended)}, {span(now - use.suspended)} ago"
    if use.refused:
        resume = facts.keys_step("resume", key_id, when="let services read these tokens again:")
        message += f"; {in_words(use.refused, use.suspended)}"
        return Finding(Level.WARNING, key_id, message, Steps(resume, LOOK_ELSEWHERE, RUN))
    if use.opening:
        message += f"; {use.opening[0]} still opens its tokens"
        return Finding(Level.WARNING, key_id, message, "give it the keys of today, and restart it unless it reloads")
    # After each run a running service is unheard of until it announces itself again.
    silent = use.unheard[0] if use.unheard else "no running service announces what it reads"
    heard = f"{many(len(use.asked), 'running instance')} announced no refusal"
    message += f"; {heard if use.asked else f'{silent}, so a refusal is not seen'}"
    if against:
        return Finding(Level.OK, key_id, f"{message}; kept for {against[0].reason}", against[0].remedy)
    if use.days:
        return Finding(Level.OK, key_id, f"{message}; the {many(use.days, 'day')} are over: retire it", step)
    return Finding(Level.OK, key_id, message, step.after("when you have tried it for long enough:"))


def _undated(what: str, key_id: str) -> Finding:
    remedy = CHECK.after("give the check a ledger that it can write, then:")
    return Finding(Level.UNKNOWN, key_id, f"the ledger has no date of {what}", remedy)
