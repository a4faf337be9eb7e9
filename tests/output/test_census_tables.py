"""The census on a screen: bars and colours on a terminal of any width, plain text elsewhere."""

from __future__ import annotations

import io
import os
import pty
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from rotation.cli.main import main
from rotation.model.counts import Counts
from rotation.model.report import Report, TargetReport
from rotation.model.target import Target
from rotation.output.census_tables import DONE, ROOM, WAITING, WRONG, shares
from rotation.output.run_text import count_tables
from rotation.stores.databases import identify
from tests.conftest import Named
from tests.fakes import token
from tests.keys import key_text

ROOT = Path(__file__).parents[2]
GLYPHS = "".join(ink.glyph for ink in (DONE, WAITING, WRONG, ROOM))
KEYS = [{"id": "cba5a815", "state": "primary"}, {"id": "6587597c", "state": "previous"}]


def report_of(*targets: TargetReport, dry_run: bool = True) -> Report:
    return Report(dry_run, "cba5a815", KEYS, list(targets))


def target(table: str = "credentials", **counts: int) -> TargetReport:
    under = Counter({"cba5a815": counts.get("current", 0), "6587597c": counts.get("to_rotate", 0)})
    target = Target("sqlite:///a.db", table, "api_key", table)
    return TargetReport(target, identify(target), ("id",), Counts(**counts, under=under))


MIXED = report_of(
    target(scanned=1_199, current=801, to_rotate=389, unreadable=9, null=77),
    target("oauth", scanned=1_250_000, to_rotate=1_249_000, empty=1_000),
)


def shown(report: Report, width: int, *, terminal: bool = True, environ: Mapping[str, str] | None = None) -> str:
    """What a screen of that width shows of the census."""
    stream = io.StringIO()
    console = Console(
        file=stream, width=width, force_terminal=terminal or None, markup=False, _environ=environ or {"TERM": "xterm"}
    )
    for part in count_tables(report):
        console.print(part)
    return stream.getvalue()


@given(st.lists(st.integers(0, 2**63), min_size=1, max_size=6), st.integers(6, 200))
def test_a_bar_is_full_and_shows_every_part(numbers: list[int], width: int) -> None:
    """All places are given out, each part that is not zero gets one, and more never gets less."""
    places = shares(numbers, width)

    assert sum(places) == (width if any(numbers) else 0)
    assert [place > 0 for place in places] == [number > 0 for number in numbers]
    assert all(
        places[a] >= places[b] - 1 for a in range(len(numbers)) for b in range(len(numbers)) if numbers[a] >= numbers[b]
    )


@pytest.mark.parametrize(
    ("numbers", "places"),
    [
        pytest.param([1, 1], [5, 5], id="halves"),
        pytest.param([2, 1], [7, 3], id="rounded to the nearest"),
        pytest.param([1, 2], [3, 7], id="by the largest remainder"),
        pytest.param([10**9, 1], [9, 1], id="one in a billion is seen"),
        pytest.param([0, 0], [0, 0], id="nothing"),
        pytest.param([2**53 + 1, 0], [10, 0], id="no float"),
    ],
)
def test_places_are_divided_as_numbers_are(numbers: list[int], places: list[int]) -> None:
    """Ten places, by largest remainder, and at least one for what is there."""
    assert shares(numbers, 10) == places


def test_a_bar_without_room_is_refused() -> None:
    """Three parts in two places would hide one."""
    with pytest.raises(ValueError, match="no room"):
        shares([1, 1, 1], 2)


def test_a_terminal_shows_bars_in_the_colours_of_the_numbers() -> None:
    """Green is done, yellow waits, red is wrong; a key's bar is its part of all tokens."""
    screen = shown(MIXED, 160)

    [bar] = re.findall(rf"\x1b\[32m(━+)\x1b\[0m\x1b\[33m(┅+)\x1b\[0m\x1b\[31m({WRONG.glyph}+)\x1b\[0m", screen)
    assert [len(part) for part in bar] == [10, 5, 1]
    assert re.search(r"cba5a815.*primary.*801.*\x1b\[32m━\x1b\[0m\x1b\[90m─{15}", screen)


@pytest.mark.parametrize(
    ("report", "legend"),
    [
        pytest.param(MIXED, f"{DONE.glyph} done  {WAITING.glyph} to rotate  {WRONG.glyph} needs a look", id="all"),
        pytest.param(report_of(target(scanned=9, current=9)), f"{DONE.glyph} done", id="only what is there"),
    ],
)
def test_a_legend_names_the_parts_of_the_bars(report: Report, legend: str) -> None:
    """One dim line, in the characters of the bars; a pipe has neither."""
    assert f"\x1b[2m{legend}\x1b[0m\n" in shown(report, 160)
    assert "done" not in shown(report, 160, terminal=False, environ={})


def test_what_is_no_terminal_gets_plain_text() -> None:
    """A pipe gets every column, in ASCII, without bars and escapes."""
    lines = shown(MIXED, 160, terminal=False, environ={}).splitlines()

    assert " ".join(lines[0].split()) == "target current to rotate empty plaintext unreadable unsettled cells NULL"
    assert lines[1].split() == ["credentials.api_key", "801", "389", "0", "0", "9", "0", "1,199", "77"]
    assert all(line.isascii() and "\x1b" not in line for line in lines)


def test_no_color_leaves_bars_that_differ() -> None:
    """NO_COLOR turns colour off; the parts of a bar still differ."""
    screen = shown(MIXED, 160, environ={"TERM": "xterm", "NO_COLOR": "1"})

    assert not re.search(r"\x1b\[[0-9;]*3\d", screen)
    assert re.search("━{10}┅{5}" + WRONG.glyph, re.sub(r"\x1b\[[0-9;]*m", "", screen))


def test_force_color_keeps_bars_in_a_pipe() -> None:
    """FORCE_COLOR keeps colour and bars in a pipe, such as a CI log."""
    screen = shown(MIXED, 160, terminal=False, environ={"FORCE_COLOR": "1", "TERM": "xterm"})

    assert "\x1b[32m━" in screen


def test_every_width_is_legible(named: Named) -> None:
    """No line is wider than the screen, and no number that is not zero is cut or left out."""
    for width in (12, 24, 40, 60, 80, 100, 120, 200):
        with named(width):
            screen = re.sub(r"\x1b\[[0-9;]*m", "", shown(MIXED, width))

            assert all(len(line) <= width for line in screen.splitlines())
            for number in ("801", "389", "1,199", "1,249,000", "1,250,000"):
                assert number in screen, number
            assert ("current" in screen, "unreadable" in screen or width < 24) == (True, True)


def test_a_screen_too_narrow_for_zeros_leaves_them_out() -> None:
    """On an ordinary terminal the table stays a table, without the columns that hold nothing but zeros."""
    screen = shown(report_of(target(scanned=1_199, current=810, to_rotate=389)), 80, environ={"TERM": "dumb"})

    assert screen.splitlines()[0].split() == ["target", "current", "to", "rotate", "cells"]


def test_a_target_without_cells_has_no_bar() -> None:
    """Nothing is drawn for nothing, on a wide screen and on a narrow one."""
    for width in (160, 30):
        screen = shown(report_of(target()), width)
        assert not set(screen) & set(GLYPHS)


def test_a_run_that_wrote_is_done() -> None:
    """Tokens that a run rotated are drawn as done, those that a dry run found as waiting."""
    waiting, rotated = target(scanned=5, to_rotate=5), target(scanned=5, rotated=5)

    assert ("┅" in shown(report_of(waiting), 160), "━" in shown(report_of(waiting), 160)) == (True, False)
    first, *_ = shown(report_of(rotated, dry_run=False), 160).split("state")
    assert ("┅" in first, "━" in first) == (False, True)


@pytest.mark.database
@pytest.mark.parametrize(
    ("locale", "drawn"),
    [
        pytest.param({"LC_ALL": "C", "PYTHONUTF8": "0"}, "#" * 8 + "=" * 8, id="ASCII"),
        pytest.param({"PYTHONUTF8": "1"}, "━" * 8 + "┅" * 8, id="UTF-8"),
    ],
)
def test_a_real_terminal(tmp_path: Path, environ: dict[str, str], locale: dict[str, str], drawn: str) -> None:
    """C11: on a pseudo-terminal the bars are drawn, in ASCII if its locale has nothing else, and nothing is escaped."""
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT)")
        connection.executemany("INSERT INTO creds VALUES (?, ?)", [(1, token("old")), (2, token("new"))])
    connection.close()
    options = ["--url", f"sqlite:///{path}", "--table", "creds", "--column", "token"]
    screen_end, process_end = pty.openpty()
    inherited = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "rotate.py"), "status", *options],
        env=inherited | environ | locale | {"TERM": "xterm", "COLUMNS": "140", "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=process_end,
        stderr=subprocess.PIPE,
    )
    os.close(process_end)
    screen = _read(screen_end).decode()
    process.communicate()

    assert process.returncode == 1
    assert drawn in re.sub(r"\x1b\[[0-9;]*m", "", screen)
    assert "\\u" not in screen


def _read(terminal: int) -> bytes:
    """All that is written to a pseudo-terminal."""
    parts = []
    try:
        while part := os.read(terminal, 65536):
            parts.append(part)
    except OSError:  # how Linux says that the other end was closed
        pass
    finally:
        os.close(terminal)
    return b"".join(parts)


def test_tables_of_one_name_in_two_databases_are_distinguished() -> None:
    """Each row says which database it is of, in a table and on a narrow screen."""
    targets = [Target(f"postgresql://db-{number}/app", "creds", "token", "creds") for number in (1, 2)]
    report = report_of(*(TargetReport(target, identify(target), ("id",), Counts()) for target in targets))

    for width in (160, 50):
        words = shown(report, width)
        assert "creds.token in PostgreSQL database app on db-1" in words
        assert "creds.token in PostgreSQL database app on db-2" in words


def test_a_terminal_obeys_no_key_of_a_row(tmp_path: Path) -> None:
    """CWE-150: a row's key may be what a user typed; escape sequences in it are shown, not obeyed."""
    with sqlite3.connect(tmp_path / "app.db") as connection:
        connection.execute("CREATE TABLE creds (name TEXT PRIMARY KEY, token TEXT)")
        connection.execute("INSERT INTO creds VALUES (?, 'hunter2')", ("a\x1b[2Jb\nc",))
    connection.close()
    argv = ["status", "--url", f"sqlite:///{tmp_path}/app.db", "--table", "creds", "--column", "token"]
    out = io.StringIO()

    assert main(argv, {"ENCRYPTION_KEY": key_text("new")}, out, io.StringIO()) == 1
    assert r"creds.token, name=a\x1b[2Jb\nc: plaintext" in out.getvalue()
    assert "\x1b" not in out.getvalue()
