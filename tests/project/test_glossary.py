"""docs/explanation/glossary.md: one word has one meaning, and the code uses it."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
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
}
"""Words that the engine no longer uses in names, each with the plain one."""
STILL = {"misfit", "neighbour", "tempo"}
"""Those that names still hold: this set shrinks, and gets no new ones."""
OTHER_MEANINGS = {"neighbour": r"redaction/|change_tracker", "lane": r"output/html/", "stride": r"keyring_core/bulk"}
"""Files in which such a word means something else: numbers side by side, a line of a chart, every n-th character."""


def words(section: str) -> list[str]:
    """The words that a section of the page explains."""
    _, _, rest = PAGE.partition(f"\n## {section}\n")
    rows = re.findall(r"^\| (?!word \||-)([^|]+?) \| [^|]", rest.partition("\n## ")[0], re.MULTILINE)
    return [word for row in rows for word in row.split(", ")]


def files_with(word: str) -> Iterator[Path]:
    """The files of `rotation` and `keyring_core` that may have *word* in a name: to parse all would take longer."""
    for path in [*sorted((ROOT / "rotation").rglob("*.py")), *sorted((ROOT / "keyring_core").rglob("*.py"))]:
        text = f"{path.stem} {path.read_text()}".lower()
        if all(part in text for part in word.split()):
            yield path


@cache
def names_in(path: Path) -> set[str]:
    """The names of a file, and of its classes, functions, parameters and fields."""
    found = {path.stem}
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.arg(arg=name):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                found.add(name)
    return found


def test_a_word_has_one_line() -> None:
    """No word is explained twice, in whatever section."""
    counted = Counter(word for section in ("Keys", "Tokens and cells", "Work", "The engine") for word in words(section))

    assert len(counted) > 50
    assert [word for word, number in counted.items() if number > 1] == []


def test_the_words_of_the_engine_are_those_of_the_code(named: Named) -> None:
    """Each word of the engine is in a name of the code."""
    for word in words("The engine"):
        with named(word):
            splits = ({part for name in names_in(path) for part in _parts(name)} for path in files_with(word))
            assert any({word, f"{word}s", f"{word}es"} & split or set(word.split()) <= split for split in splits)


def test_words_that_gave_way_are_in_no_name() -> None:
    """A word that the glossary replaced by a plain one is not in a name of the code."""
    found = set()
    for word in GAVE_WAY.keys() - STILL:
        for path in files_with(word):
            file = str(path.relative_to(ROOT))
            if not re.search(OTHER_MEANINGS.get(word, r"(?!)"), file):
                names = [name for name in names_in(path) if {word, f"{word}s"} & {*_parts(name)}]
                found |= {f"{file}: {name} -> {GAVE_WAY[word] or 'leave it out'}" for name in names}

    assert found == set()


def _parts(name: str) -> list[str]:
    """`RangeWorker` is range and worker, and `key_after` is key and after."""
    return [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)]
