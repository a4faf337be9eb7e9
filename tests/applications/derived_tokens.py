"""Tokens under derived keys, made by the applications' own code: python -m tests.applications.derived_tokens NAME ...

Runs the drivers of the named applications, and writes one cell of each key set into tests/data/derived_tokens.json.
Cells of applications without a driver were made by their source, as each says, and stay.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from rotation.applications.presets import load_preset
from tests.applications.environments import APPLICATIONS, run_driver

FILE = Path(__file__).parents[1] / "data" / "derived_tokens.json"
LABEL = "derived"


def cells() -> list[dict[str, Any]]:
    """The cells of the file."""
    return list(json.loads(FILE.read_text(encoding="utf-8"))["cells"])


def made(name: str) -> list[dict[str, Any]]:
    """A cell of each key set of the application *name*, which its driver writes."""
    app, preset = APPLICATIONS[name], load_preset(name)
    secret = app.secret_of(LABEL)
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/app.db"
        run_driver(app, "write", url, {"one": "a test secret"}, secret)
        with sa.create_engine(url).connect() as connection:
            for target in preset.target:
                table, column = target.table.rpartition(".")[2], target.columns[0]
                query = sa.text(f'SELECT "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL')
                try:
                    rows = connection.execute(query).all()
                except sa.exc.OperationalError:
                    continue
                texts = [row[0].decode() if isinstance(row[0], bytes) else str(row[0]) for row in rows]
                for text in texts:
                    if "gAAAA" in text:
                        found.setdefault(
                            str(target.keys),
                            {
                                "app": name,
                                "key_set": target.keys,
                                "derive": preset.keys[str(target.keys)].primary.derive,
                                "made_by": f"tests/applications/drivers/{name}.py, {table}.{column}",
                                "version": preset.versions[-1],
                                "secret": secret,
                                "cell": text,
                            },
                        )
    return list(found.values())


if __name__ == "__main__":
    new = [cell for name in sys.argv[1:] for cell in made(name)]
    kept = [cell for cell in (cells() if FILE.exists() else []) if cell["app"] not in sys.argv[1:]]
    every = sorted([*kept, *new], key=lambda cell: (cell["app"], cell["key_set"], cell["derive"]))
    document = {
        "comment": "Cells with a token under a derived key, each written by the application's own code with a secret "
        "that was made up for this file. They protect nothing anywhere.",
        "cells": every,
    }
    FILE.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
