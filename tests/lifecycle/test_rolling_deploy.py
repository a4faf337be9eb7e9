"""Five services, one admin, any order of restarts: while the refusals are obeyed, every service reads every token."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from keyring_core import Key, Keyring, KeyState, UndecryptableToken
from keyring_core.environment import Settings
from rotation.discovery.result import Discovery
from rotation.discovery.token_column import BARE, TokenColumn
from rotation.job.options import RunOptions
from rotation.ledger.clock import utc_now
from rotation.ledger.records import InstanceRecord
from rotation.lifecycle.transitions import KeyStep, after, check_order, promotion_refusals
from rotation.model.failures import UsageError
from rotation.model.key_history import Promotion
from rotation.model.next_steps import Refusal
from rotation.model.report import Report
from rotation.retirement.evidence import Evidence
from rotation.retirement.reasons import refusals
from tests.fakes import MemoryStore, run
from tests.keys import make_key

pytestmark = [pytest.mark.database, pytest.mark.uncounted]

SERVICES = range(5)
ROWS = st.integers(0, 3)
FORGOTTEN = "forgotten.token"
START = 1_700_000_000


class RollingDeploy(RuleBasedStateMachine):
    """What an admin and five services may do, in any order. A service restarts with what the environment says then."""

    dropped = ""
    """A pattern of reasons that this admin does not obey."""
    done: ClassVar[Counter[KeyStep]] = Counter()
    """The steps that were not refused, in all histories."""

    @initialize(thought_of=st.booleans())
    def begin(self, *, thought_of: bool) -> None:
        """One key, all services up; a target names the second column, or nobody has thought of it."""
        self.made = self.clock = 0
        self.keys = Settings(self._make_key(), (), None)
        self.services = [Keyring(*self.keys) for _ in SERVICES]
        self.named: dict[int, str] = {}
        self.forgotten: dict[int, str] = {}
        self.forgotten_is_named = thought_of
        self.promoted = START

    # The services

    @rule(order=st.permutations(SERVICES), number=st.sampled_from([5, 4, 5, 3, 5, 2, 5, 1]))
    def roll(self, order: list[int], number: int) -> None:
        """A deploy restarts them one by one, and may stop half way; each writes as soon as it is up."""
        for service in order[:number]:
            self.services[service] = Keyring(*self.keys)
            self.write(service, 0, forgotten=False)
            self.everybody_reads_everything()

    @rule(service=st.sampled_from(SERVICES), row=ROWS, forgotten=st.booleans())
    def write(self, service: int, row: int, *, forgotten: bool) -> None:
        """A service stores a credential, in a column that a target names or in one that nobody thought of."""
        self.clock += 1
        primary = self.services[service].primary
        token = primary.fernet.encrypt_at_time(b"secret", START + self.clock).decode()
        (self.forgotten if forgotten else self.named)[row] = token

    # The admin

    @precondition(lambda self: not self.keys.staged)
    @rule()
    def stage(self) -> None:
        self._step(KeyStep.STAGE, self._make_key(), [])

    @precondition(lambda self: self.keys.staged)
    @rule()
    def promote(self) -> None:
        assert self.keys.staged
        self._step(KeyStep.PROMOTE, self.keys.staged, promotion_refusals(self._fleet(), self.keys.staged.id, utc_now()))

    @precondition(lambda self: self.keys.previous)
    @rule(data=st.data())
    def go_back(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.keys.previous))
        self._step(KeyStep.GO_BACK, key, promotion_refusals(self._fleet(), key.id, utc_now()))

    @precondition(lambda self: self.keys.previous)
    @rule()
    def rotate(self) -> None:
        for cells in self._targets():
            run(MemoryStore(cells), Keyring(*self.keys), RunOptions())

    @precondition(lambda self: self.keys.previous)
    @rule(data=st.data(), finishes=st.booleans())
    def retire(self, data: st.DataObject, *, finishes: bool) -> None:
        """At any time; an admin who finishes a rotation rolls out the keys and rotates first."""
        if finishes:
            self.roll([*SERVICES], len(SERVICES))
            self.rotate()
        self.retire_key(data.draw(st.sampled_from(self.keys.previous)))

    def retire_key(self, key: Key) -> None:
        """Decides on the evidence, and removes the key if there is no refusal."""
        census, promoted = self._census(), datetime.fromtimestamp(self.promoted, UTC)
        evidence = Evidence(
            key_id=key.id,
            primary=self.keys.primary.id,
            previous=tuple(previous.id for previous in self.keys.previous),
            censuses=[(target.target.label, target.counts) for target in census.targets],
            promoted=Promotion(promoted, promoted),
            search=Discovery(full=True, columns=self._uncovered()),
            fleet=self._fleet(),
        )
        self._step(KeyStep.RETIRE, key, refusals(evidence))

    # What must hold

    @invariant()
    def everybody_reads_everything(self) -> None:
        for ring in getattr(self, "services", ()):
            for token in (*self.named.values(), *self.forgotten.values()):
                assert ring.decrypt(token) == "secret"

    def _step(self, step: KeyStep, key: Key, against: list[Refusal]) -> None:
        try:
            check_order(self.keys, step, key)
        except UsageError:
            return
        if any(not (self.dropped and re.search(self.dropped, reason)) for reason, _ in against):
            return
        self.clock += 1
        self.done[step] += 1
        self.keys = after(self.keys, step, key)
        if step in {KeyStep.PROMOTE, KeyStep.GO_BACK}:
            self.promoted = START + self.clock

    def _make_key(self) -> Key:
        self.made += 1
        return make_key(f"deploy {self.made}")

    def _fleet(self) -> list[InstanceRecord]:
        return [_record(number, ring) for number, ring in enumerate(self.services)]

    def _uncovered(self) -> list[TokenColumn]:
        if self.forgotten_is_named or not self.forgotten:
            return []
        ring = Keyring(*self.keys)
        under = Counter(ring.key_for(token).id for token in self.forgotten.values())
        return [TokenColumn("app", *FORGOTTEN.split("."), parts=Counter({BARE: under.total()}), under=under)]

    def _targets(self) -> list[dict[int, str]]:
        return [self.named, self.forgotten] if self.forgotten_is_named else [self.named]

    def _census(self) -> Report:
        reports = [run(MemoryStore(cells), Keyring(*self.keys), RunOptions(dry_run=True)) for cells in self._targets()]
        reports[0].targets = [target for report in reports for target in report.targets]
        return reports[0]


def _record(number: int, ring: Keyring) -> InstanceRecord:
    ids = {state: [key.id for key, its in ring.states.items() if its is state] for state in KeyState}
    staged = next(iter(ids[KeyState.STAGED]), None)
    return InstanceRecord(
        f"web-{number}", "web", ring.primary.id, datetime.now(UTC), tuple(ids[KeyState.PREVIOUS]), staged
    )


def test_no_token_is_unreadable_while_the_refusals_are_obeyed(*, long_form: bool) -> None:
    """R05, R06: whatever is staged, promoted, rolled back, rotated, retired and restarted in between, in any order."""
    RollingDeploy.done.clear()
    examples = 300 if long_form else 75
    run_state_machine_as_test(
        RollingDeploy,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

    assert (
        min(RollingDeploy.done[step] for step in (KeyStep.STAGE, KeyStep.PROMOTE, KeyStep.GO_BACK, KeyStep.RETIRE))
        >= examples // 15
    )


ALL = list(SERVICES)


def _promote_too_early(deploy: RollingDeploy) -> None:
    """One service restarts after the promotion, and writes; the others never heard of the key."""
    deploy.stage()
    deploy.promote()
    deploy.roll(ALL, 1)


def _retire_with_tokens(deploy: RollingDeploy) -> None:
    """A token of the first days was never rotated."""
    deploy.write(0, 1, forgotten=False)
    deploy.stage()
    deploy.roll(ALL, 5)
    deploy.promote()
    deploy.roll(ALL, 5)
    deploy.retire_key(deploy.keys.previous[0])
    deploy.roll(ALL, 1)


def _retire_with_a_column_forgotten(deploy: RollingDeploy) -> None:
    """It stands in a column that no target names."""
    deploy.write(0, 1, forgotten=True)
    deploy.stage()
    deploy.roll(ALL, 5)
    deploy.promote()
    deploy.roll(ALL, 5)
    deploy.rotate()
    deploy.retire_key(deploy.keys.previous[0])
    deploy.roll(ALL, 1)


def _retire_while_one_lags(deploy: RollingDeploy) -> None:
    """The last service did not restart after the promotion, and writes once more."""
    deploy.stage()
    deploy.roll(ALL, 5)
    deploy.promote()
    deploy.roll(ALL, 4)
    deploy.rotate()
    deploy.retire_key(deploy.keys.previous[0])
    deploy.roll(ALL, 4)
    deploy.write(4, 1, forgotten=False)


@pytest.mark.parametrize(
    ("dropped", "history"),
    [
        pytest.param("does not have", _promote_too_early, id="promoted-too-early"),
        pytest.param("tokens? under [0-9a-f]{8}$", _retire_with_tokens, id="retired-with-tokens"),
        pytest.param("no target names it", _retire_with_a_column_forgotten, id="column-forgotten"),
        pytest.param(r"still encrypts with \w+$", _retire_while_one_lags, id="one-lags"),
    ],
)
def test_each_refusal_is_needed(dropped: str, history: Callable[[RollingDeploy], None]) -> None:
    """Without this rule a token becomes unreadable to a running service; with it, none does."""
    careless, obedient = RollingDeploy(), RollingDeploy()
    careless.dropped = dropped
    for deploy in (careless, obedient):
        deploy.begin(thought_of=False)
    _live(obedient, history)

    with pytest.raises(UndecryptableToken):
        _live(careless, history)


def _live(deploy: RollingDeploy, history: Callable[[RollingDeploy], None]) -> None:
    history(deploy)
    deploy.everybody_reads_everything()
