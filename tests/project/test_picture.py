"""The moving picture at the top of the README is made from a real rotation, and moves without a script."""

from __future__ import annotations

import re
import runpy
import xml.etree.ElementTree as ET

import pytest

from tests.conftest import Named
from tests.project.documents import ROOT

PICTURE = (ROOT / "docs" / "run.svg").read_text()
SVG = "{http://www.w3.org/2000/svg}"


def test_it_moves_in_an_image() -> None:
    """It is small, has neither script nor links, and stands still for a reader who prefers that."""
    root = ET.fromstring(PICTURE)
    style = "".join(element.text or "" for element in root.iter(f"{SVG}style"))
    still, _, moving = style.partition("@media (prefers-reduced-motion: no-preference)")

    assert len(PICTURE) < 150_000
    assert {element.tag for element in root.iter()} <= {
        SVG + name for name in ("svg", "title", "desc", "style", "rect", "g", "text", "path", "circle")
    }
    assert not re.search(r"href|url\(|@import", PICTURE)
    assert "animation:" not in still
    assert "animation:" in moving


def test_the_service_never_failed() -> None:
    """Whatever the recorded service read and wrote during the rotation, nothing failed, and no token was lost."""
    shown = re.findall(r">(reads|writes|failed)</text><text[^>]*>([\d,]+)<", PICTURE)
    tokens = re.findall(r">(?:[\d,]+ → )?([\d,]+) (old|new)<", PICTURE)
    counts = [int(count.replace(",", "")) for count, _ in tokens]

    assert [count for name, count in shown if name == "failed"] == ["0"] * 5
    assert len({old + new for old, new in zip(counts[::2], counts[1::2], strict=True)}) == 1
    assert (counts[0], counts[-2]) == (counts[-1], 0)


def test_no_line_is_cut(named: Named) -> None:
    """Each line of the terminal fits into it, in the widest of the usual fonts."""
    for kind, most in (("command", 57), ("printed", 67)):
        for line in re.findall(rf'class="mono {kind}"[^>]*>(.*?)<', PICTURE):
            with named(line):
                assert 0 < len(line) <= most


@pytest.mark.long
def test_a_new_recording_draws_the_same_picture() -> None:
    """`python .ci/draw_run.py` writes what stands there, but for ids and counts."""
    script = runpy.run_path(str(ROOT / ".ci" / "draw_run.py"))

    assert _without_counts(script["draw"](script["record"]())) == _without_counts(PICTURE)


def _without_counts(picture: str) -> str:
    ids = re.sub(r"\b[0-9a-f]{8}\b", "ID", picture)
    return re.sub(r">[^<]*<", lambda text: re.sub(r" *[\d,]*\d", " N", text[0]), ids)
