"""Plain words: the ones that an engineer had to read twice stay out of code and documents."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", ".env.sample", "docs", "deploy", "benchmarks")
"""Files, and folders with all that is in them. Of tests only the docstrings are read."""
LEFT_OUT = ("docs/operations.md",)

WORDS = {
    r"\banew\b": "again",
    r"\bmend(s|ed|ing)?\b": "fix",
    r"\bt(ake|akes|aken|aking|ook) (it |them )?down\b": "record",
    # "tell apart" is the plain word for what it says.
    r"\btold\b(?!( \w+)? apart)": "reports, says, prints; for a person: if you say so",
    r"(?<!\.)\btells?\b(?!( \w+){0,3} apart)(?! ?[=:(),|])": "reports, says, shows",
    r"\btelling\b": "sensitive",
    r"\b[Ww]hoever\b": "anyone who, if somebody",
    r"\bWho (has|changes|asks|wants|needs|uses|calls|means|sets|gives)\b": "If you ...",
    r"\bWhere\b[^.?!|\]\"]*, (?!and |or )": "If ...,",
    r"[,;:(|] [Ww]here (there|nobody|somebody|none|no|nothing|one|most|several|both|only|even|it does not)\b": "if",
    r"\b(which|would|could|might|would not|must) else\b": "otherwise",
    r"\b[Hh]onest\b": "harmless, ordinary",
    r"(?<!\.)\bdrawn\b": "random, random-looking",
    r"\b(of|than|with|is|are|not|at|no) ours\b": "the noun: keyring_core's, the client's",
    r"\b(to|for|from|after|before|by|of|than) us\b": "the noun",
    r"\bdeaf\b": "signals blocked",
    r"\bno rare thing\b": "common",
    r"\bby the thousand\b": "many",
    r"\b(desk|Desk|KeyDesk)\b": "environment keys",
    r"\b([Cc]rews?|[Hh]ired?|[Ss]taff(ed|ing)?|report_for_duty)\b": "executor, workers",
    r"\bleash\b": "alive pipe",
    r"\bstripes?\b|\bStripe(?=[\[(.]| \|)": "batch of tokens of one length",
    r"\bstrangers\b": "tokens not signed by the key",
    r"\btrials\b": "batch planning",
    r"\btitles\b": "target labels",
    r"\bJournal\b": "Checkpoint",
    r"\bPace\b": "BatchSize",
    r"\bBrake\b": "Throttle",
}
"""Patterns, with what to write instead."""
SUFFIXES = {".md", ".py", ".yml", ".yaml", ".service", ".timer", ".conf", ".cron", ".sample", ""}
DRAWING = re.compile(r"output/(html|bars|shares|run_tables)|plots|draw_imports")
"""Where something is really drawn."""


def test_words_are_plain() -> None:
    """No pattern of the list stands in the places; the message says what to write instead."""
    found = [offender for place in PLACES for offender in offenders(ROOT / place)]

    assert not found, "\n".join(["", *found])


def test_the_list_finds_what_it_is_for() -> None:
    """Each of these sentences has a word of the list; what is plain has none."""
    for text in (
        "it begins anew",
        "how to mend it",
        "it takes down the dates",
        "the fault is told",
        "it tells of a key",
        "whoever has it",
        "Who changes them one by one",
        "Where keys come from files, a service follows them",
        "1, where nobody announces",
        "a pipe, which else gets text",
        "honest text",
        "a drawn value",
    ):
        assert list(_found(text)), text
    for text in ("tokens told apart by length", "how to tell two tables apart", "Where keys come from", "file.tell()"):
        assert not list(_found(text)), text


def offenders(place: Path) -> Iterator[str]:
    """`path:line: word -> plain word` for each word of the list in a file, or in all files of a folder."""
    files = sorted(place.rglob("*")) if place.is_dir() else [place]
    for path in files:
        name = str(path.relative_to(ROOT))
        if not path.is_file() or path.suffix not in SUFFIXES or name in LEFT_OUT or path == Path(__file__):
            continue
        for number, line in _lines(path):
            for word, plain in _found(line, drawing=bool(DRAWING.search(name))):
                yield f"{name}:{number}: {word} -> {plain}"


def _found(line: str, *, drawing: bool = False) -> Iterator[tuple[str, str]]:
    for pattern, plain in WORDS.items():
        if drawing and "drawn" in pattern:
            continue
        for match in re.finditer(pattern, line):
            yield match[0], plain


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that somebody writes as prose, with their numbers: what a document quotes belongs to the code."""
    text = path.read_text()
    if path.suffix == ".md":
        text = re.sub(r"^#.*|`[^`\n]+`", "", text, flags=re.MULTILINE)
        text = re.sub(r"^```(console|text)\n.*?^```", _blank, text, flags=re.DOTALL | re.MULTILINE)
    if path.suffix == ".py" and path.is_relative_to(ROOT / "tests"):
        yield from _docstrings(ast.parse(text))
    else:
        yield from enumerate(text.splitlines(), 1)


def _blank(match: re.Match[str]) -> str:
    return "\n" * match[0].count("\n")


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
            first = node.body[0].lineno
            yield from enumerate(text.splitlines(), first)
