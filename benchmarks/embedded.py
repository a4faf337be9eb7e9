"""`python -m benchmarks.embedded`: tokens inside JSON beside bare ones, in the same run.

Needs the server of the tests; `--only sqlite` needs none.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.command import run
from benchmarks.creds import fill, make_base, settle
from benchmarks.goals import Goal, measure
from keyring_core import Keyring
from tests.databases import Database, open_database
from tests.keys import key_text

ROWS, SECRET = 200_000, 40
TURNS = 3
MOST = 2.0
KINDS = ("sqlite", "postgresql")
TYPES = {"sqlite": ("TEXT",), "postgresql": ("TEXT", "JSONB")}
TARGET = '[[target]]\nurl = "{url}"\ntable = "creds"\ncolumns = ["token"]\nformat = "{format}"\n'
BEGIN, END = '{"type": "oauth", "secret": "', '", "scopes": ["read", "write"]}'


def embed(database: Database, kind: str) -> None:
    """Puts each token of the table into a small JSON document, in a column of that type."""
    database.execute(
        "UPDATE creds SET token = CAST(:begin AS TEXT) || token || CAST(:end AS TEXT)", begin=BEGIN, end=END
    )
    if kind != "TEXT":
        database.execute(f"ALTER TABLE creds ALTER COLUMN token TYPE {kind} USING CAST(token AS {kind})")
    settle(database, "creds")


def timed(database: Database, folder: Path, rows: int, kind: str | None) -> tuple[float, float]:
    """Seconds of a run over a fresh table, and of a second one; *kind* is the type of a column of JSON."""
    fill(database, rows)
    if kind:
        embed(database, kind)
    config = folder / "rotation.toml"
    config.write_text(TARGET.format(url=database.url, format="embedded" if kind else "token"))
    first, second = (run("--config", str(config), "--full-speed").seconds for _ in range(2))
    if kind and (wrong := _wrong_cells(database)):
        sys.exit(f"{wrong} cells are wrong")
    return first, second


def _wrong_cells(database: Database) -> int:
    """How many cells are not the document that they were, with a token under the key `new`."""
    keyring, wrong = Keyring(key_text("new")), 0
    for cell in database.column().values():
        document = json.loads(cell) if isinstance(cell, str) else cell
        tokens = keyring.identify_many([document.pop("secret")])
        wrong += tokens != [keyring.primary] or document != {"type": "oauth", "scopes": ["read", "write"]}
    return wrong


def compare(rows: int = ROWS, kinds: Sequence[str] = KINDS) -> list[Goal]:
    """Prints rows a second, by database and by type of column; returns the goals."""
    goals = []
    print(f"rotate.py run --full-speed, {rows:,} rows, {SECRET}-byte secrets; rows a second, median of {TURNS} turns\n")
    heads = ("token", "embedded", "times", "second", "second, emb.", "times")
    print(f"{'':20}" + "".join(f"{head:>14}" for head in heads), flush=True)
    for name in kinds:
        with tempfile.TemporaryDirectory() as folder, open_database(name, Path(folder)) as database:
            make_base(database, rows, SECRET)
            ways = (None, *TYPES[name])
            turns = [[timed(database, Path(folder), rows, kind) for kind in ways] for _ in range(TURNS)]
        for at, kind in enumerate(TYPES[name], 1):
            bare, inside = ([median(turn[way][which] for turn in turns) for which in (0, 1)] for way in (0, at))
            ratios = [median(turn[at][which] / turn[0][which] for turn in turns) for which in (0, 1)]
            cells = [
                cell
                for which in (0, 1)
                for cell in (f"{rows / bare[which]:,.0f}", f"{rows / inside[which]:,.0f}", f"{ratios[which]:.2f}")
            ]
            print(f"{f'{name}, {kind}':20}" + "".join(f"{cell:>14}" for cell in cells), flush=True)
            goals.append(Goal(f"a token in JSON, {rows:,} rows, {name} {kind}, against a bare one", ratios[0], MOST))
    print()
    return goals


def main() -> None:
    measure(__doc__, compare, ROWS, KINDS)


if __name__ == "__main__":
    main()
