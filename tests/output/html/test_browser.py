"""The page in a real browser: Debian's Chromium, headless, started once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rotation.output.html.page import page
from tests.chromium import chromium, needs_chromium
from tests.output.html.samples import EVERY, EVIL, MANY

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
DESK, PHONE = {"width": 1000, "height": 800}, {"width": 360, "height": 640}

pytestmark = [
    # One browser for all: it takes a second to start.
    pytest.mark.xdist_group("chromium"),
    needs_chromium,
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(params=EVERY)
def opened(request: pytest.FixtureRequest, browser: Any, tmp_path: Path) -> Iterator[Any]:
    """A page in the browser, and a list of what the browser complains of and fetches."""
    file = tmp_path / "page.html"
    file.write_text(page(EVERY[request.param]), "utf-8")
    tab = browser.new_page()
    tab.noticed = []
    tab.on("console", lambda message: tab.noticed.append(message.text))
    tab.on("pageerror", lambda error: tab.noticed.append(str(error)))
    tab.on("request", lambda asked: tab.noticed.append(asked.url) if asked.url != file.as_uri() else None)
    tab.goto(file.as_uri())
    yield tab
    tab.close()


@pytest.mark.parametrize(
    ("scheme", "size"),
    [
        pytest.param("light", PHONE, id="light-phone"),
        pytest.param("dark", DESK, id="dark-desk"),
        pytest.param("light", DESK, id="light-desk", marks=pytest.mark.long),
        pytest.param("dark", PHONE, id="dark-phone", marks=pytest.mark.long),
    ],
)
def test_it_is_accessible_and_fits(opened: Any, scheme: str, size: dict[str, int]) -> None:
    """In light and dark, wide and narrow: axe-core finds nothing, nothing hangs over, and nothing is fetched."""
    from axe_playwright_python.sync_playwright import Axe

    opened.set_viewport_size(size)
    opened.emulate_media(color_scheme=scheme)
    # Folded parts are checked, too.
    opened.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    found = Axe().run(opened, options={"runOnly": RULES})

    assert found.response["violations"] == [], found.generate_report()
    assert found.response["passes"]
    assert opened.evaluate("document.documentElement.scrollWidth") == size["width"]
    assert opened.noticed == []


def test_it_prints(opened: Any) -> None:
    """On paper everything is there, dark text on white, even if the screen is dark and tables are folded."""
    opened.emulate_media(media="print", color_scheme="dark")
    rows = opened.locator("details tbody tr")
    pdf = opened.pdf(format="A4")

    assert pdf.startswith(b"%PDF-")
    assert all(row.is_visible() for row in rows.all())
    assert opened.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    # A target's name is on the page of its bar.
    breaks = "[...document.querySelectorAll('.targets tbody')].map(one => getComputedStyle(one).breakInside)"
    assert set(opened.evaluate(breaks)) <= {"avoid"}


def test_a_script_would_not_run(browser: Any, tmp_path: Path) -> None:
    """Were a name ever let through as HTML, the page's policy would still stop it."""
    file = tmp_path / "page.html"
    hurt = "<script>document.title = 'hurt'</script><img src=x onerror=\"document.title = 'hurt'\">"
    file.write_text(page(MANY).replace("</main>", f"{hurt}</main>"), "utf-8")
    tab = browser.new_page()
    tab.goto(file.as_uri())

    assert "hurt" not in tab.title()
    assert EVIL in tab.locator("h1").inner_text()
    tab.close()
