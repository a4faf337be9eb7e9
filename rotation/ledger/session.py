"""What a run or a look leaves in the ledger. A ledger that fails never stops the command: a warning tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from keyring_core import Keyring
from rotation.cli.options import Common
from rotation.ledger.census_record import census_record
from rotation.ledger.clock import warn_of_clock
from rotation.ledger.database import LedgerError
from rotation.ledger.ledger import Ledger, service_name, utc_now
from rotation.ledger.run_tables import Outcome
from rotation.ledger.unexplained import carried, settled
from rotation.model.batch import PARTS
from rotation.model.failures import StoppedError, UsageError
from rotation.model.key_history import UNKNOWN, History, history_of
from rotation.model.report import Report


@dataclass
class Recorder:
    """Takes down one command's doings, as long as the ledger does its part."""

    ledger: Ledger | None
    service: str
    primary: str
    warn: Callable[[str], None]
    command: str | None = None
    """What is a run of its own; None for a look."""
    run: int | None = None
    """The number of the run, from its beginning to its end."""
    _goes_back: bool = False

    def begin(self) -> None:
        """Takes down that the run begins: once, when its arguments and all of its targets stand.

        A mistyped command is no run that failed, and pages nobody.
        """
        command, self.command = self.command, None
        if command:
            self._try(lambda ledger: self._begin(ledger, command))

    def history(self, keyring: Keyring, *, allow_demotion: bool = False) -> History:
        """What the ledger tells of the keys' past; with *allow_demotion* the primary key counts as the newest."""
        found: list[History] = []
        self._try(lambda ledger: found.append(self._history(ledger, keyring)))
        history = found[0] if found else UNKNOWN
        if not (allow_demotion and history.newer):
            return history
        self._goes_back = True
        return replace(history, newer={})

    def keep(self, report: Report) -> None:
        """Takes down what the command came to: the census of each target that was read to its end."""
        self._try(lambda ledger: self._keep(ledger, report))
        interrupted = any(target.interrupted for target in report.targets)
        self.end("interrupted" if interrupted else "complete" if report.complete else "left", _counts(report))

    def end(self, outcome: Outcome, counts: dict[str, int] | None = None) -> None:
        """Takes down how the run ended, if one was begun and has no end yet."""
        run, self.run = self.run, None
        if run is not None:
            self._try(lambda ledger: ledger.end_run(run, outcome, counts))

    def reached(self, plan: str) -> str | None:
        """How far a stopped run has come with *plan*."""
        found: list[str | None] = []
        self._try(lambda ledger: found.append(ledger.reached(plan)))
        return found[-1] if found else None

    def reach(self, plan: str, upto: str) -> None:
        """Takes down how far it has come."""
        self._try(lambda ledger: ledger.reach(plan, upto))

    def forget(self, plan: str) -> None:
        """It is done, or to be begun anew."""
        self._try(lambda ledger: ledger.forget(plan))

    def see(self, common: Common, keyring: Keyring) -> None:
        """Takes down the keys; warns of a clock that is behind."""
        states = {key.id: state for key, state in keyring.states.items()}
        self._try(lambda ledger: warn_of_clock(common, ledger))
        self._try(lambda ledger: ledger.see_keys(states, self.service))

    def _begin(self, ledger: Ledger, command: str) -> None:
        self.run = ledger.begin_run(command, self.service, self.primary)
        if self._goes_back:
            # Or the next run, without the option, would refuse what this one began.
            ledger.mark_newest(self.primary, self.service)

    def _history(self, ledger: Ledger, keyring: Keyring) -> History:
        others = [key.id for key in keyring.states if key is not keyring.primary]
        return history_of(self.primary, others, ledger.keys(), self.service)

    def _keep(self, ledger: Ledger, report: Report) -> None:
        taken, known = utc_now(), ledger.censuses()
        # A shard is not the target.
        read = [target for target in report.targets if target.stopped is None and report.shard is None]
        censuses = [
            census_record(target, self.primary, self.service, taken, by_run=self.run is not None) for target in read
        ]
        for census in censuses:
            ledger.keep_census(carried(census, known))
        places = {census.place for census in censuses}
        for other in known:
            explained = settled(other, censuses)
            if other.place not in places and explained != other:
                ledger.keep_census(explained)

    def _try(self, act: Callable[[Ledger], None]) -> None:
        if self.ledger is None:
            return
        try:
            act(self.ledger)
        except LedgerError as error:
            self.warn(f"Warning: {error} Nothing more of this command is written down.")
            self.ledger.close()
            self.ledger = None


@contextmanager
def recording(common: Common, keyring: Keyring, command: str | None = None) -> Iterator[Recorder]:
    """A recorder, writing where a ledger counts; *command* names what is a run of its own, once it begins.

    A run whose database fails before that has failed, too; one whose arguments or targets do not fit has not begun.
    """
    recorder = Recorder(_open(common), service_name(common.environ), keyring.primary.id, common.world.tell, command)
    recorder.see(common, keyring)
    try:
        yield recorder
    except UsageError:
        raise
    except StoppedError:
        recorder.end("interrupted")
        raise
    except BaseException:
        recorder.begin()
        raise
    finally:
        recorder.end("failed")
        if recorder.ledger:
            recorder.ledger.close()


def _open(common: Common) -> Ledger | None:
    try:
        return common.open_ledger()
    except (LedgerError, UsageError) as error:
        common.world.tell(f"Warning: {str(error).rstrip('.')}. Nothing of this command is written down.")
        return None


def _counts(report: Report) -> dict[str, int]:
    return {name: sum(getattr(target.counts, name) for target in report.targets) for name in PARTS}
