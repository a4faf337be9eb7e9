"""`python -m benchmarks [--quick]`: every measurement, and below all tables each aim with what was reached.

The whole takes about half an hour; --quick takes a tenth of the rows and says little about large tables.
What a run costs the services beside it, and what a long line to the database costs a run, have commands of their own:
`python -m benchmarks.latency` and `python -m benchmarks.network`.
"""

from __future__ import annotations

import argparse
import os
import platform

import cryptography
import sqlalchemy
import structlog

from benchmarks import check, columns, discover, embedded, growth, hostile, keyring, reads, redaction, run, startup
from benchmarks.goals import show
from benchmarks.harmless import compare as harmless


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    share = 10 if parser.parse_args().quick else 1
    versions = {"cryptography": cryptography, "SQLAlchemy": sqlalchemy, "structlog": structlog}
    named = ", ".join(f"{name} {module.__version__}" for name, module in versions.items())
    print(f"Python {platform.python_version()}, {named}; {os.cpu_count()} cores, {platform.machine()}\n")
    goals = [
        # First: otherwise the keys that this process makes later would be registered too, and count.
        *redaction.compare(),
        *harmless.compare(),
        *hostile.compare(),
        *keyring.compare(),
        *reads.compare(),
        *startup.compare(),
        *run.compare(run.ROWS // share),
        *columns.compare(columns.ROWS // share),
        *embedded.compare(embedded.ROWS // share),
        *check.compare(check.ROWS // share),
        *discover.compare(discover.ROWS // share),
        *growth.compare(growth.MOST_ROWS // share),
    ]
    show(goals)


if __name__ == "__main__":
    main()
