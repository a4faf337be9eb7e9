"""The file of `--problems`: every problem of each target's last pass, as one JSON document per line."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any, Self

import msgspec

from keyring_core import KeyringError
from keyring_core.redaction import get_redactor
from rotation.model.counts import Problem
from rotation.model.failures import UsageError
from rotation.model.report import TargetReport, legible_key
from rotation.world.outputs import Output, replaced

_TEXT = rb'"(?:[^"\\]|\\.)*"'
PROBLEMS = replaced("list of problems of this program", rb'\{"table": %b, "column": %b, "key": ' % (_TEXT, _TEXT))
"""The kind of its file."""


class ProblemLine(msgspec.Struct, forbid_unknown_fields=True):
    """A line of the file of `run --problems`."""

    table: Annotated[str, "The table."]
    column: Annotated[str, "The column."]
    key: Annotated[dict[str, Any], "The key of the row: each key column with its value."]
    category: Annotated[str, "What is wrong, in a word."]
    detail: Annotated[str, "What is wrong, in words that hold nothing of the cell."]


class ProblemsFile:
    """Writes problems batch by batch, in bounded memory. A context manager.

    A temporary file collects the problems of a pass. After the pass, a new file replaces the old one; in it, this pass
    replaces the target's previous pass, so each problem is listed once. If a write fails, the list ends but the run
    goes on, and *fault* says why.
    """

    def __init__(self, output: Output) -> None:
        """Raises UsageError if *output* cannot be written. Its content stays until the first pass is over."""
        self.fault: str | None = None
        self._output = output
        self._target: TargetReport | None = None
        self._begin = 0
        """The offset of the present target's problems in the list."""
        folder, refusal = output.real.parent, None
        try:
            with ExitStack() as opened:
                self._collected = opened.enter_context(tempfile.TemporaryFile())
                # In the folder of the output, so that a folder without write permission is found before a row is read.
                self._list = opened.enter_context(tempfile.TemporaryFile(dir=folder))
                opened.pop_all()
        except OSError as error:
            refusal = error.strerror
        if refusal:
            raise UsageError(f"{output.called}: {refusal}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in (self._collected, self._list):
            # Closing writes what is buffered, so it can fail like a write.
            with self._guarded():
                file.close()

    def collect(self, target: TargetReport, problems: Iterable[Problem]) -> None:
        """Adds the *problems* of a batch of the present pass over *target*."""
        with self._guarded():
            for key, category, detail in problems:
                place, row = target.target, legible_key(target.key_names, key)
                line = ProblemLine(place.table, place.column, row, category, detail)
                # A row's key may itself be a secret, so the redactor masks the file as it masks the screen.
                text = get_redactor().redact(json.dumps(msgspec.structs.asdict(line)))
                self._collected.write(text.encode("utf-8") + b"\n")

    def settle(self, target: TargetReport) -> None:
        """Writes the list again, with the collected pass over *target* instead of its previous pass."""
        with self._guarded():
            if target is not self._target:
                self._begin = self._list.seek(0, os.SEEK_END)
                self._target = target
            self._list.seek(self._begin)
            self._list.truncate()
            self._collected.seek(0)
            shutil.copyfileobj(self._collected, self._list)
            self._list.seek(0)
            with self._output.whole() as file:
                shutil.copyfileobj(self._list, file)
        self.discard()

    def discard(self) -> None:
        """Removes what was collected since the last `settle`."""
        with self._guarded():
            self._collected.seek(0)
            self._collected.truncate()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Records the first error inside as *fault*."""
        try:
            yield
        except (KeyringError, OSError) as error:
            reason = (
                f"{self._output.called}: {error.strerror}" if isinstance(error, OSError) else str(error).rstrip(".")
            )
            self.fault = self.fault or f"{reason}; the list there is incomplete"
