"""Writes tests/vectors/legacy.json again, with the real packages: python -m tests.legacy_packages.make_vectors.

Every cell changes with it, since every package but one encrypts with random bytes.
"""

from __future__ import annotations

import base64
import json
import re
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from tests.keys import key_text
from tests.legacy_packages.packages import CASES, HERE, Case

FILE = HERE.parent / "vectors" / "legacy.json"
COMMENT = (
    "Cells that other packages wrote: made_by names package and version, options are those of Legacy, and environ has "
    "the secrets. A cell of bytes is base64; plaintext is what the package reads, as text. {key LABEL} stands for the "
    "test key of that label. All secrets were made up for this file."
)
LABELS = ("legacy package", "older")


def vector(case: Case) -> dict[str, Any]:
    """The entry of *case*."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "records.db")
        read = case.write(f"sqlite:///{path}")
        connection = sqlite3.connect(path)
        cells = dict(connection.execute("SELECT id, value FROM records WHERE value IS NOT NULL"))
        connection.close()
    pins = (HERE / f"requirements/{case.requirements}.txt").read_text().lower().replace("_", "-")
    version = re.search(rf"^{case.package}==(.*)", pins, re.MULTILINE)
    assert version
    environ = json.dumps(dict(case.environ))
    for label in LABELS:
        environ = environ.replace(key_text(label), f"{{key {label}}}")
    return {
        "made_by": f"{case.package} {version[1]}{case.label.removeprefix(case.package)}",
        "package": case.package,
        "options": dict(case.options),
        "environ": json.loads(environ),
        "cells": [
            {
                **({"text": cell} if isinstance(cell, str) else {"bytes": base64.b64encode(cell).decode()}),
                "plaintext": case.plaintext(read[str(key)]).decode(),
            }
            for key, cell in cells.items()
        ],
    }


if __name__ == "__main__":
    document = {"comment": COMMENT, "cases": [vector(case) for case in CASES]}
    FILE.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
