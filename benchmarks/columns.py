"""`python -m benchmarks.columns`: what a target costs: 60 columns of 10,000 rows beside one of 600,000.

Needs the server of the tests.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

from benchmarks.command import run
from benchmarks.creds import fill, make_base
from benchmarks.goals import Goal, show
from tests.databases import Database, open_database

COLUMNS, ROWS = 60, 10_000
SECRET = 40
TURNS = 3
MOST = 1.3
TARGET = """
[[target]]
url = "{url}"
table = "{table}"
columns = ["token"]
"""


def compare(rows: int = ROWS) -> list[Goal]:
    """Prints the table; returns the goals."""
    goals = []
    print(f"rotate.py run --full-speed: {COLUMNS} columns of {rows:,} rows, and one of {COLUMNS * rows:,}; seconds\n")
    print(f"{'':14}{f'{COLUMNS} columns':>14}{'one column':>14}{'ratio':>10}")
    for kind in ("postgresql", "sqlite"):
        with tempfile.TemporaryDirectory() as folder, open_database(kind, Path(folder)) as database:
            make_base(database, COLUMNS * rows, SECRET)
            turns = [(_many(database, Path(folder), rows), _one(database, Path(folder), rows)) for _ in range(TURNS)]
        many, one = (median(times) for times in zip(*turns, strict=True))
        ratio = median(many / one for many, one in turns)
        print(f"{kind:14}{many:14.2f}{one:14.2f}{ratio:10.2f}")
        goals.append(Goal(f"{COLUMNS} columns of {rows:,} rows, against one of as many ({kind})", ratio, MOST))
    print()
    return goals


def _many(database: Database, folder: Path, rows: int) -> float:
    """The seconds for all of them. Each is in a table of its own."""
    tables = [f"creds_{number}" for number in range(COLUMNS)]
    for table in tables:
        fill(database, rows, table)
    return _rotate(database, folder, tables)


def _one(database: Database, folder: Path, rows: int) -> float:
    fill(database, COLUMNS * rows)
    return _rotate(database, folder, ["creds"])


def _rotate(database: Database, folder: Path, tables: list[str]) -> float:
    config = folder / "rotation.toml"
    config.write_text("".join(TARGET.format(url=database.url, table=table) for table in tables))
    return run("--config", str(config), "--full-speed").seconds


if __name__ == "__main__":
    show(compare())
