"""The file of `--problems`: every problem of each target's last pass, one JSON document a line."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from keyring_core import KeyringError
from keyring_core.redaction.current import get_redactor
from rotation.model.counts import Problem
from rotation.model.failures import UsageError
from rotation.model.output_file import destination, whole_file
from rotation.model.report import TargetReport, legible_key


class ProblemsFile:
    """Takes problems batch by batch, in bounded memory. A context manager.

    A pass is collected in a temporary file. When it is over, a new list takes the place of the file's, with this pass
    in place of that target's pass before; so each problem stands there once. A write that fails ends the list, not the
    run: *fault* then says why.
    """

    def __init__(self, path: Path) -> None:
        """Raises UsageError where *path* cannot be written. What it holds stays until a first pass is over."""
        self.fault: str | None = None
        self._path, self._called = path, f"--problems {path}"
        self._target: TargetReport | None = None
        self._begin = 0
        """Where the present target's part of the list begins."""
        folder, refusal = destination(path, self._called).parent, None
        try:
            with ExitStack() as opened:
                self._collected = opened.enter_context(tempfile.TemporaryFile())
                # In the folder of the file, so that it is known before a row is read whether one can be made there.
                self._list = opened.enter_context(tempfile.TemporaryFile(dir=folder))
                opened.pop_all()
        except OSError as error:
            refusal = error.strerror
        if refusal:
            raise UsageError(f"{self._called}: {refusal}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in (self._collected, self._list):
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
        """Writes the list anew, with what was collected of a pass over *target* in place of its pass before."""
        with self._guarded():
            if target is not self._target:
                self._begin = self._list.seek(0, os.SEEK_END)
                self._target = target
            self._list.seek(self._begin)
            self._list.truncate()
            self._collected.seek(0)
            shutil.copyfileobj(self._collected, self._list)
            self._list.seek(0)
            with whole_file(self._path, self._called) as file:
                shutil.copyfileobj(self._list, file)
        self.discard()

    def discard(self) -> None:
        """Forgets what was collected since."""
        with self._guarded():
            self._collected.seek(0)
            self._collected.truncate()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """What fails inside is told as the list's fault; the first one counts."""
        try:
            yield
        except KeyringError as error:
            self.fault = self.fault or f"{str(error).rstrip('.')}; the list there is not whole"
        except OSError as error:
            self.fault = self.fault or f"{self._called}: {error.strerror}; the list there is not whole"
