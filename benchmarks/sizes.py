"""`python -m benchmarks.sizes`: memory and time of `run` by database, pace and size of the tokens.

Each table has as many rows as make about 20 MB, and three at least.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.command import MEGABYTE, Ran, rotate
from benchmarks.creds import settle
from keyring_core import Keyring
from tests.databases import KINDS, Database, open_database
from tests.keys import key_text

SIZES = (100, 600, 2000, 12_000, 100_000, 1_500_000, 4_000_000, 16_000_000)
"""Characters of a token, about."""
PACES = {"default": (), "gentle": ("--gentle",), "full": ("--full-speed",)}
TOTAL, LEAST, MOST = 20 * MEGABYTE, 3, 10_000
"""Characters of a table; its least and most rows."""


def measure(
    kinds: Sequence[str], paces: Sequence[str], sizes: Sequence[int], number: int | None
) -> Iterator[tuple[str, str, int, int, Ran]]:
    """Database, pace, size, rows, and what the run cost."""
    for kind in kinds:
        for size in sizes:
            rows = number or min(max(TOTAL // size, LEAST), MOST)
            for name in paces:
                with tempfile.TemporaryDirectory() as folder, open_database(kind, Path(folder)) as database:
                    _fill(database, rows, size)
                    yield kind, name, size, rows, rotate(database, *PACES[name])
                    _check(database, rows)


def _secret(number: int, size: int) -> str:
    # Base64 makes four characters of three bytes.
    return f"{number:0{max(9, size * 3 // 4 - 57)}}"


def _fill(database: Database, rows: int, size: int) -> None:
    kind = "LONGTEXT" if database.kind == "mariadb" else "TEXT"
    database.execute(f"CREATE TABLE creds (id INTEGER PRIMARY KEY, token {kind})")
    keyring, step = Keyring(key_text("old")), max(1, MEGABYTE // size)
    for start in range(0, rows, step):
        numbers = range(start, min(start + step, rows))
        tokens = keyring.encrypt_many(_secret(number, size) for number in numbers)
        database.insert(
            "creds", [{"id": number, "token": token} for number, token in zip(numbers, tokens, strict=True)]
        )
    settle(database, "creds")


def _check(database: Database, rows: int) -> None:
    keyring = Keyring(key_text("new"))
    for number in (0, rows - 1):
        [(token,)] = database.rows("SELECT token FROM creds WHERE id = :number", number=number)
        assert int(keyring.decrypt(token)[-9:]) == number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--paces", nargs="+", default=PACES, choices=PACES)
    parser.add_argument("--rows", type=int, help="from 20,000 on, --full-speed has up to three threads")
    given = parser.parse_args()
    print("| database | pace | token, characters | rows | peak, MB | seconds | seconds a MB |")
    print("|---|---|---|---|---|---|---|")
    for kind, pace, size, rows, ran in measure(given.kinds, given.paces, given.sizes, given.rows):
        each = ran.seconds / (rows * size / MEGABYTE)
        print(
            f"| {kind} | {pace} | {size:,} | {rows:,} | {ran.peak:.0f} | {ran.seconds:.1f} | {each:.3f} |", flush=True
        )


if __name__ == "__main__":
    main()
