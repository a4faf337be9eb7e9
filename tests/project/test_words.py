"""Plain words: the ones that readers had to read twice stay out of code and documents."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.conftest import Named

ROOT = Path(__file__).parents[2]
PLACES = (
    *(
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        ".env.sample",
        "docs",
        "deploy",
        "benchmarks",
        ".ci",
    ),
    *("Dockerfile", "compose.yaml", ".github"),
    *("keyring_core", "rotation", "scripts", "tests"),
)
"""Files, and folders with all that is in them. Of tests only the docstrings are read."""
LEFT_OUT: tuple[str, ...] = ()

WORDS = {
    r"\banew\b": "again",
    r"\bmend(s|ed|ing)?\b": "fix",
    r"\bt(ake|akes|aken|aking|ook) (it |them )?down\b": "record",
    # "tell apart" is the plain word for what it says.
    r"\btold\b(?!( \w+)? apart)": "reports, says, prints; for a person: if you say so",
    r"\btells?\b(?!( \w+){0,3} apart)": "reports, says, shows",
    r"\btelling\b": "sensitive",
    r"\b[Ww]hoever\b": "anyone who, if somebody",
    r"\bWho (has|changes|asks|wants|needs|uses|calls|means|sets|gives)\b": "If you ...",
    # At the beginning of a docstring it is often a place.
    r"\b(?<!\"\"\")Where\b[^.?!|\]\"]*, (?!and |or |nor )": "If ...,",
    r"\b(?<=[,;:(|] )[Ww]here "
    r"(there|nobody|somebody|none|no|nothing|one is|most|several|both|only|even|it does not)\b": "if",
    r"\b(which|would|could|might|would not|must) else\b": "otherwise",
    r"\b[Hh]onest\b": "harmless, ordinary",
    r"\bdrawn\b": "random, random-looking",
    r"\b(of|than|with|is|are|not|at|no) ours\b": "the noun: keyring_core's, the client's",
    r"\b(to|for|from|after|before|by|of|than) us\b": "the noun",
    r"\bdeaf\b": "signals blocked",
    r"\bno rare thing\b": "common",
    r"\bby the thousand\b": "many",
}
"""Patterns of prose, with what to write instead. Each begins with `\\b`: a search for all of them takes that out."""
READ_TWICE = {
    r"\b(?<!\bthere )(is|are) none\b": "is not a ...",
    r"\b(those|that) of\b": "the noun, or 's",
    r"\bso many\b": "the number, or this many",
    r"\bc[oa]mes? to\b(?! (its|an|the) end)": "is, becomes, reaches",
}
"""Patterns that define a noun by a clause: on pages and in messages. Comments and docstrings may have them."""
NAMES = {
    r"\b((?<!\ba )desk|(Key)?Desk)\b": "environment keys",
    r"\b([Cc]rews?|_?[Hh]ired?|[Ss]taff(ed|ing)?|report_for_duty)\b": "executor, workers",
    r"\bleash\b": "alive pipe",
    # Not the company.
    r"\b(stripes?\b(?!-)|Stripe(?=[\[(.]| \|))": "batch of tokens of one length",
    r"\bstrangers\b": "not signed",
    r"\btrials\b": "batch planning",
    r"\btitles\b": "target labels",
    r"\bJournal\b": "Checkpoint",
    r"\bPace\b": "BatchSize",
    r"\bBrake\b": "Throttle",
}
"""Patterns of names in code, and of what they name."""
SUFFIXES = {".md", ".py", ".yml", ".yaml", ".service", ".timer", ".conf", ".cron", ".sample", ".sh", ""}
DRAWING = re.compile(r"output/|plots|draw_imports")
"""Where something is really drawn."""


def test_words_are_plain() -> None:
    """No pattern of the lists stands in the places; the message says what to write instead."""
    found = [offender for place in PLACES for offender in offenders(ROOT / place)]

    assert not found, "\n".join(["", *found])


def test_the_list_finds_what_it_is_for(named: Named) -> None:
    """Each of these has a word of the list."""
    cases = [
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
        "a key of ours",
        "a text that is none",
        "those of the settings",
        "so many rows",
        "what it comes to",
    ]

    for text in cases:
        with named(text):
            assert list(_found(text, WORDS | READ_TWICE))


def test_plain_words_are_left_alone(named: Named) -> None:
    """Each of these has none."""
    cases = [
        "told apart by length",
        "how to tell two tables apart",
        "Where keys come from",
        '"""Where it is, and how."""',
        "if there is none",
        "since the run came to its end",
    ]

    for text in cases:
        with named(text):
            assert not list(_found(text, WORDS | READ_TWICE))


def test_a_message_is_not_a_docstring() -> None:
    """Of code the patterns that are read twice count in messages alone."""
    code = '"""What it comes to."""  # so many\nsay(f"that of {name}")\n'

    assert [(number, word) for number, line in _messages(code) for word, _ in _found(line, READ_TWICE)] == [
        (2, "that of")
    ]


def test_only_prose_of_code_is_read_for_words() -> None:
    """A comment and a string are prose; a name is not, and neither is what an f-string puts in."""
    code = 'told = 1  # it is told\n"""Says\nanew."""\nf"mend {told}"\n'

    found = [(number, word) for number, line in _prose(code) for word, _ in _found(line, WORDS)]

    assert found == [(1, "told"), (3, "anew"), (4, "mend")]


def offenders(place: Path) -> Iterator[str]:
    """`path:line: word -> plain word` for each word of the lists in a file, or in all files of a folder."""
    for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
        name = str(path.relative_to(ROOT))
        if not path.is_file() or path.suffix not in SUFFIXES or name in LEFT_OUT or path == Path(__file__):
            continue
        text = path.read_text()
        words = {word: plain for word, plain in WORDS.items() if "drawn" not in word or not DRAWING.search(name)}
        if path.suffix != ".py":
            is_page = path.suffix == ".md"
            patterns = words | NAMES | (READ_TWICE if is_page else {})
            parts = [(_document(text) if is_page else enumerate(text.splitlines(), 1), patterns)]
        elif path.is_relative_to(ROOT / "tests"):
            parts = [(_docstrings(text), words | NAMES)]
        else:
            parts = [(_prose(text), words), (enumerate(text.splitlines(), 1), NAMES)]
            if path.is_relative_to(ROOT / "keyring_core") or path.is_relative_to(ROOT / "rotation"):
                parts.append((_messages(text), READ_TWICE))
        for lines, patterns in parts:
            # Most code has no such word anywhere, and is not taken apart. A message may be put together of two strings.
            if path.suffix == ".py" and patterns is not READ_TWICE and not _any_of(tuple(patterns)).search(text):
                continue
            for number, line in lines:
                for word, plain in _found(line, patterns):
                    yield f"{name}:{number}: {word} -> {plain}"


def _found(line: str, patterns: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    # Most lines have none: a line is searched once for all of them, and then for each.
    if not _any_of(tuple(patterns)).search(line):
        return
    for pattern, plain in patterns.items():
        for match in re.finditer(pattern, line):
            yield match[0], plain


@cache
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


def _document(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a document, without headings and without what it quotes of the code."""
    text = re.sub(r"^#.*|`[^`\n]+`", "", text, flags=re.MULTILINE)
    quoted = re.compile(r"^```(console|text)\n.*?^```", re.DOTALL | re.MULTILINE)
    yield from enumerate(quoted.sub(lambda match: "\n" * match[0].count("\n"), text).splitlines(), 1)


def _prose(code: str) -> Iterator[tuple[int, str]]:
    """The comments and strings of Python code."""
    middles = {getattr(tokenize, name, None) for name in ("FSTRING_MIDDLE", "TSTRING_MIDDLE")}
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type in {tokenize.COMMENT, tokenize.STRING, *middles}:
            # Until Python 3.12 an f-string is one string, with what it puts in.
            is_format = token.type == tokenize.STRING and "f" in token.string.partition('"')[0].lower()
            text = re.sub(r"\{[^{}\n]*\}", "", token.string) if is_format else token.string
            yield from enumerate(text.splitlines(), token.start[0])


def _messages(code: str) -> Iterator[tuple[int, str]]:
    """The texts of Python code that are not docstrings."""
    documented = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Expr):
            documented.add(id(node.value))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented:
            yield from enumerate(node.value.splitlines(), node.lineno)


def _docstrings(code: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
            yield from enumerate(f'"""{text}'.splitlines(), node.body[0].lineno)
