"""Prints the mean length of the sentences of each page of procedures, in words, and the longest sentences.

`python .ci/sentences.py [PAGE ...]` ends with exit code 1 if a page has more than 16 words a sentence. Without a page
it reads README.md, docs/tutorial and docs/how-to.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST = 16
"""The most words a sentence, on average over a page."""
SHOWN = 3
LEFT_OUT = re.compile(r"^( *)```.*?^\1```$|<!--.*?-->|^ *\|.*?$|^#.*?$", re.DOTALL | re.MULTILINE)
"""Blocks, comments, tables, headings."""


def main(pages: list[Path]) -> int:
    """The exit code."""
    means = {page: print_page(page) for page in pages}
    return int(any(mean > MOST for mean in means.values()))


def print_page(page: Path) -> float:
    """Prints a line on *page*, and its longest sentences. Returns the mean."""
    lengths = sorted(((len(sentence.split()), sentence) for sentence in sentences(page.read_text())), reverse=True)
    mean = sum(length for length, _ in lengths) / max(len(lengths), 1)
    name = page.relative_to(ROOT) if page.is_relative_to(ROOT) else page
    print(f"{mean:5.1f}  {name}{'  <- more than ' + str(MOST) if mean > MOST else ''}")
    for length, sentence in lengths[:SHOWN]:
        print(f"       {length:3}  {sentence}")
    return mean


def sentences(text: str) -> Iterator[str]:
    """The sentences of a page: one a line, also of a list; a colon before a list or a block ends one."""
    # A link counts as its words, and code as one word, however long it is.
    text = re.sub(r"\]\([^)]*\)", "]", LEFT_OUT.sub("", text))
    text = re.sub(r"`[^`\n]+`", "CODE", text)
    for line in text.splitlines():
        prose = re.sub(r"^ *([-*>] |\d+\. )|[\[\]*]", "", line)
        for sentence in re.split(r"(?<=[.?!])\s+", prose):
            if sentence.strip():
                yield sentence.strip()


if __name__ == "__main__":
    named = [Path(name) for name in sys.argv[1:]]
    found = [path for folder in ("tutorial", "how-to") for path in sorted((ROOT / "docs" / folder).rglob("*.md"))]
    sys.exit(main(named or [ROOT / "README.md", *found]))
