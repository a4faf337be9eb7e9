"""How many harmless log lines the redactor changes: `python -m benchmarks.harmless [--masked N]`."""

from __future__ import annotations

import argparse

from benchmarks.goals import show
from benchmarks.harmless.compare import EXAMPLES, compare

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--masked", type=int, default=EXAMPLES, help="examples shown of each kind (default: %(default)s)"
    )
    show(compare(parser.parse_args().masked))
