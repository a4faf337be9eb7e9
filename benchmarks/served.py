"""`python -m benchmarks.served`: real servers, started again and again, with a service that announces its keys.

Counts the starts after which something was not as it should be, and shows what: a server that froze, a worker that
was not counted, reads that did not keep a key, an entry that was left at the end.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.databases import KINDS, drop_databases, open_database
from tests.served.servers import SERVERS, Outcome, play
from tests.warm.client import close

STARTS = 20
COUNTS = ("starts", "no answer", "workers counted", "reads keep the key", "gone at the end")
TIMES = ("first answer, s", "all counted, s", "end, s")
COLUMNS = ("server", "loads the service", *COUNTS, *TIMES)


def measure(name: str, starts: int, kind: str, seconds: float) -> Iterator[Outcome]:
    """That many starts of the server, each with a fresh ledger."""
    for _ in range(starts):
        with tempfile.TemporaryDirectory() as folder, open_database(kind, Path(folder)) as ledger:
            place = Path(folder, "served")
            place.mkdir()
            yield play(SERVERS[name], place, ledger.url, seconds)


def row(name: str, outcomes: Sequence[Outcome]) -> str:
    """The numbers of starts with each outcome, and the medians of the times, as a row of the table."""
    well = [each for each in outcomes if not each.faults()]
    counts = (
        len(outcomes),
        sum(each.froze for each in outcomes),
        sum(each.counted == each.workers and not each.froze for each in outcomes),
        sum(each.keeps_the_key for each in outcomes),
        sum(each.ended and not each.left for each in outcomes),
    )
    times = [
        f"{statistics.median(times):.1f}" if times else ""
        for times in zip(*[(each.answer_seconds, each.count_seconds, each.end_seconds) for each in well], strict=True)
    ] or ["", "", ""]
    return "| " + " | ".join([name, SERVERS[name].loaded, *map(str, counts), *times]) + " |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=STARTS)
    parser.add_argument("--servers", nargs="+", default=list(SERVERS), choices=list(SERVERS), metavar="NAME")
    parser.add_argument("--ledger", default="sqlite", choices=KINDS)
    parser.add_argument("--seconds", type=float, default=0.1, help="between two beats; 60 in a service")
    given = parser.parse_args()
    print("| " + " | ".join(COLUMNS) + " |")
    print("|---" * len(COLUMNS) + "|", flush=True)
    failed = False
    for name in given.servers:
        outcomes = list(measure(name, given.starts, given.ledger, given.seconds))
        print(row(name, outcomes), flush=True)
        for number, outcome in enumerate(outcomes, 1):
            for fault in outcome.faults():
                failed = True
                print(f"{name}, start {number}: {fault}", file=sys.stderr, flush=True)
    return int(failed)


if __name__ == "__main__":
    try:
        code = main()
    finally:
        close()
        drop_databases()
    sys.exit(code)
