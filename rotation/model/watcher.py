"""Who follows the progress of a run or a search: a bar on a terminal, a log, or nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rotation.model.report import TargetReport


class Watcher(Protocol):
    """Follows a run, or a search."""

    def begin(self, report: TargetReport, rows: int, pass_number: int, done: int = 0) -> None:
        """A pass over a target begins; the target has about *rows* rows, *done* of them from an earlier run."""

    def advance(self, rows: int, outdated: int, pace: str = "") -> None:
        """*rows* more are done, *outdated* tokens of them rotated or to rotate, at a *pace* in words."""

    def at_work(self, words: str, rows: int = 0) -> None:
        """Something else is done, which *words* name; *rows* more were read for it."""


class NoWatcher:
    """Nobody follows."""

    def begin(self, report: TargetReport, rows: int, pass_number: int, done: int = 0) -> None:
        """Ignored."""

    def advance(self, rows: int, outdated: int, pace: str = "") -> None:
        """Ignored."""

    def at_work(self, words: str, rows: int = 0) -> None:
        """Ignored."""
