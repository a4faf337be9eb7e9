"""The file of `--problems`: every problem of each target's last pass, one JSON document a line."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from keyring_core.redaction.active import get_redactor
from rotation.census import Problem
from rotation.errors import UsageError
from rotation.report import TargetReport, legible_key


class ProblemsFile:
    """Takes problems batch by batch, in bounded memory. A context manager.

    A pass is collected beside the file and copied into it when it is over, in place of that target's pass before; so
    each problem stands there once. A write that fails ends the list, not the run: *fault* then says why.
    """

    def __init__(self, path: Path) -> None:
        """Raises UsageError where *path* cannot be written. What it holds stays until a first pass is over."""
        self.fault: str | None = None
        self._path = path
        self._target: TargetReport | None = None
        self._begin = 0
        """Where the present target's part of the file begins."""
        refusal = None
        try:
            if path.exists() and not path.is_file():
                refusal = "not a regular file"
            else:
                with ExitStack() as opened:
                    self._collected = opened.enter_context(tempfile.TemporaryFile())
                    self._file = opened.enter_context(path.open("ab"))
                    opened.pop_all()
        except OSError as error:
            refusal = error.strerror
        if refusal:
            raise UsageError(f"--problems {path}: {refusal}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in (self._collected, self._file):
            # A write that failed is tried once more.
            with self._guarded():
                file.close()

    def collect(self, target: TargetReport, problems: Iterable[Problem]) -> None:
        """Takes what a batch of the present pass over *target* found."""
        with self._guarded():
            for key, category, detail in problems:
                document = {
                    "table": target.target.table,
                    "column": target.target.column,
                    "key": legible_key(target.key_names, key),
                    "category": category,
                    "detail": detail,
                }
                # A row's key may itself be somebody's secret: the file is behind the redactor, as the screen is.
                self._collected.write(get_redactor().redact(json.dumps(document)).encode("utf-8") + b"\n")

    def settle(self, target: TargetReport) -> None:
        """Writes what was collected of a pass over *target*, in place of its pass before."""
        with self._guarded():
            if target is not self._target:
                self._begin = 0 if self._target is None else self._file.tell()
                self._target = target
            self._file.truncate(self._begin)
            self._file.seek(self._begin)
            self._collected.seek(0)
            shutil.copyfileobj(self._collected, self._file)
            self._file.flush()
        self.discard()

    def discard(self) -> None:
        """Forgets what was collected since."""
        with self._guarded():
            self._collected.seek(0)
            self._collected.truncate()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.fault = self.fault or f"--problems {self._path}: {error.strerror}; the list there is not whole"
