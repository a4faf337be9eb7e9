"""What a run leaves in the ledger: that it began, how it ended, how far it came. A failing ledger never stops it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from keyring_core import Keyring
from rotation.ledger.ledger import Outcome
from rotation.ledger.records import history_of
from rotation.ledger.session import Session
from rotation.model.counts import PARTS
from rotation.model.key_history import UNKNOWN, History
from rotation.model.report import Report


@dataclass
class RunRecorder:
    """Records one run in a session that warns."""

    session: Session
    primary: str
    _begun: bool = False
    _number: int | None = None
    """Of the run in the ledger, from its beginning to its end."""
    _goes_back: bool = False

    def history(self, keyring: Keyring, *, allow_demotion: bool = False) -> History:
        """What the ledger knows of the keys' past; with *allow_demotion* the primary key counts as the newest."""
        others = [key.id for key in keyring.states if key is not keyring.primary]
        records = self.session.attempt(lambda ledger: ledger.keys())
        history = UNKNOWN if records is None else history_of(self.primary, others, records, self.session.service)
        if not (allow_demotion and history.newer):
            return history
        self._goes_back = True
        return replace(history, newer={})

    def begin(self) -> None:
        """Records that the run begins, once. Call it after all targets are checked: a typo is no failed run."""
        if self._begun:
            return
        self._begun = True
        service = self.session.service
        self._number = self.session.attempt(lambda ledger: ledger.begin_run("run", service, self.primary))
        if self._goes_back and self._number is not None:
            # Otherwise the next run, without the option, would refuse what this one began.
            self.session.attempt(lambda ledger: ledger.mark_newest(self.primary, service))

    def keep(self, report: Report) -> None:
        """Records the censuses of the targets, and how the run ended."""
        self.session.keep_censuses(report, self.session.censuses(), by_run=self._number is not None)
        interrupted = any(target.interrupted for target in report.targets)
        counts = {name: sum(getattr(target.counts, name) for target in report.targets) for name in PARTS}
        self.end("interrupted" if interrupted else "complete" if report.complete else "left", counts)

    def end(self, outcome: Outcome, counts: dict[str, int] | None = None) -> None:
        """Records how the run ended, if it was begun and has no end yet."""
        number, self._number = self._number, None
        if number is not None:
            self.session.attempt(lambda ledger: ledger.end_run(number, outcome, counts))

    def reached(self, plan: str) -> str | None:
        """How far a stopped run has come with *plan*."""
        return self.session.attempt(lambda ledger: ledger.reached(plan))

    def reach(self, plan: str, upto: str) -> None:
        """Records how far *plan* has come."""
        self.session.attempt(lambda ledger: ledger.reach(plan, upto))

    def forget(self, plan: str) -> None:
        """Records that *plan* is done, or begins again."""
        self.session.attempt(lambda ledger: ledger.forget(plan))
