"""The table: each kind, its lines, how many the redactor changed, and what became of some of them."""

from __future__ import annotations

from itertools import chain

from benchmarks.goals import Goal
from benchmarks.harmless import commands, files, formats
from benchmarks.harmless.kinds import UnavailableError, chosen
from keyring_core.redaction import Redactor

EXAMPLES = 3
FEWEST_LINES, FEWEST_KINDS = 10_000, 40
MOST_MASKED = 1.0  # of 1,000 lines
_AROUND = 70  # characters of an example before its mask


def compare(examples: int = EXAMPLES) -> list[Goal]:
    """Prints the table; returns the goals."""
    redactor = Redactor()
    kinds, lines, changed, left_out = 0, 0, 0, {}
    print(f"{'kind':44}{'lines':>7}{'masked':>8}")
    for kind in chain(commands.kinds(), files.kinds(), formats.kinds()):
        try:
            found = chosen(kind)
        except UnavailableError as reason:
            left_out[kind.name] = reason
            continue
        masked = [(line, after) for line in found if (after := redactor.redact(line)) != line]
        kinds, lines, changed = kinds + 1, lines + len(found), changed + len(masked)
        print(f"{kind.name:44}{len(found):7}{len(masked):8}")
        for line, after in masked[:examples]:
            print(f"    {_shown(line, after)}")
    rate = changed / max(lines, 1) * 1000
    print(f"{f'all {kinds} kinds':44}{lines:7}{changed:8}   {rate:.2f} of 1,000")
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}")
    return [
        Goal("harmless lines", lines, FEWEST_LINES, at_least=True, unit="lines"),
        Goal("kinds of harmless lines", kinds, FEWEST_KINDS, at_least=True, unit="kinds"),
        Goal("harmless lines that are masked, of 1,000", rate, MOST_MASKED, unit="lines"),
    ]


def _shown(line: str, after: str) -> str:
    """What *line* became, from a little before the first difference on."""
    same = next((place for place, (old, new) in enumerate(zip(line, after, strict=False)) if old != new), 0)
    begin = max(0, same - _AROUND)
    return repr(line[begin : same + _AROUND]) + "\n      becomes " + repr(after[begin : same + _AROUND])
