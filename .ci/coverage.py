"""Says nothing where enough lines and branches were run, and fails where not."""

import json
import sys
from pathlib import Path

LINES, BRANCHES = 95, 90

totals = json.loads(Path(sys.argv[1]).read_text())["totals"]
lines = 100 * totals["covered_lines"] / totals["num_statements"]
branches = 100 * totals["covered_branches"] / totals["num_branches"]
if lines < LINES or branches < BRANCHES:
    sys.exit(f"coverage: {lines:.1f} % of lines (at least {LINES}), {branches:.1f} % of branches (at least {BRANCHES})")
