"""docs/explanation/glossary.md: one word has one meaning, and the code uses it."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import Named

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "glossary.md").read_text()
GAVE_WAY = {
    "crowd": "other writers",
    "lane": "thread",
    "misfit": "wrong companion",
    "neighbour": "other database",
    "stride": "",
    "tempo": "batch size",
    "witness": "other writers",
}
"""Words that the engine no longer uses in names, each with the plain one."""
STILL = {"misfit", "neighbour", "tempo"}
"""Those that names still hold: this set shrinks, and gets no new ones."""
OTHER_MEANINGS = {"neighbour": r"redaction/|other_writers", "lane": r"output/html/", "stride": r"token_batches"}
"""Files in which such a word means something else: numbers side by side, a line of a chart, every n-th character."""


def words(section: str) -> list[str]:
    """The words that a section of the page explains."""
    _, _, rest = PAGE.partition(f"\n## {section}\n")
    rows = re.findall(r"^\| (?!word \||-)([^|]+?) \| [^|]", rest.partition("\n## ")[0], re.MULTILINE)
    return [word for row in rows for word in row.split(", ")]


def names_in_code() -> Iterator[tuple[str, str]]:
    """The names of the files, classes, functions, parameters and fields of `rotation` and `keyring_core`."""
    for path in sorted([*(ROOT / "keyring_core").rglob("*.py"), *(ROOT / "rotation").rglob("*.py")]):
        file = str(path.relative_to(ROOT))
        yield file, path.stem
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.arg(arg=name):
                    yield file, name
                case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                    yield file, name


def test_a_word_has_one_line() -> None:
    """No word is explained twice, in whatever section."""
    counted = Counter(word for section in ("Keys", "Tokens and cells", "Work", "The engine") for word in words(section))

    assert len(counted) > 50
    assert [word for word, number in counted.items() if number > 1] == []


def test_the_words_of_the_engine_are_those_of_the_code(named: Named) -> None:
    """Each word of the engine is in a name of the code."""
    split = {part for _, name in names_in_code() for part in _parts(name)}

    for word in words("The engine"):
        with named(word):
            assert {word, f"{word}s", f"{word}es"} & split or set(word.split()) <= split


def test_words_that_gave_way_are_in_no_name() -> None:
    """A word that the glossary replaced by a plain one is not in a name of the code."""
    found = set()
    for file, name in names_in_code():
        for word in {part.removesuffix("s") for part in _parts(name)} & GAVE_WAY.keys() - STILL:
            if not re.search(OTHER_MEANINGS.get(word, r"(?!)"), file):
                found.add(f"{file}: {name} -> {GAVE_WAY[word] or 'leave it out'}")

    assert found == set()


def _parts(name: str) -> list[str]:
    """`RangeWorker` is range and worker, and `key_after` is key and after."""
    return [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)]
