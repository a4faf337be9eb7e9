"""`python -m benchmarks.discover`: what finding the token columns costs on each database, by sample and in full.

Wall time in seconds of whole commands, and their peak memory.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.command import command
from benchmarks.creds import fill, make_base
from tests.databases import KINDS, open_database
from tests.keys import key_text

ROWS = 1_000_000


def discover(url: str, *options: str) -> str:
    """The cell of the table. Ends the benchmark if the column is not found."""
    ran = command("discover", "--url", url, *options, ENCRYPTION_KEY=key_text("old"))
    # 1: a column that no target covers.
    if ran.code != 1 or '"token"' not in ran.out:
        sys.exit(f"not found, exit code {ran.code}: {ran.out}")
    return f"{ran.seconds:.1f} s, {ran.peak:.0f} MB"


def main(rows: int) -> None:
    print(f"{rows:,} rows{'sample':>20}{'--full':>20}")
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder, open_database(kind, Path(folder)) as database:
            make_base(database, rows, 40)
            fill(database, rows)
            database.execute("DROP TABLE base")
            cells = [discover(database.url, *options) for options in ((), ("--full",))]
        print(f"{kind:14}" + "".join(f"{cell:>20}" for cell in cells), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    main(parser.parse_args().rows)
