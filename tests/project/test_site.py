"""The site is built from the Markdown as it is, without a warning, and read without a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.chromium import chromium, needs_chromium
from tests.conftest import Named
from tests.project.documents import ROOT

pytestmark = [
    pytest.mark.xdist_group("site"),
    pytest.mark.skipif(
        not (find_spec("material") or os.environ.get("CI")), reason="needs the extra docs: pip install -e '.[docs]'"
    ),
]
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)[^>]+src=["']?(?:https?:)?//|<link[^>]+href=["']?(?:https?:)?//"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environ = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_on_the_site(site: Path) -> None:
    """Each document becomes a page, and so do the README, the changelog and the two beside them."""
    documents = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    pages = {path.relative_to(site).with_suffix(".md") for path in site.rglob("*.html")}

    beside = {Path("index.md"), *(Path(f"project/{name}.md") for name in ("changelog", "contributing", "security"))}
    assert {path.with_name("index.md") if path.name == "README.md" else path for path in documents} | beside <= pages


ANSWERS = {
    "downtime": "how-to/planned-rotation",
    "zero downtime": "how-to/planned-rotation",
    "uninstall": "how-to/uninstall",
    "rollback": "how-to/roll-back",
    "roll back": "how-to/roll-back",
    "restore": "how-to/restore-a-backup",
    "leaked": "how-to/leaked-key",
    "leave": "how-to/uninstall",
    "lost key": "how-to/key-is-lost",
    "no key opens this token": "reference/errors",
    "alternatives": "explanation/compared",
}
"""What a reader types, and the page that answers."""
EMERGENCIES = ("leaked-key", "key-is-lost", "roll-back", "restore-a-backup")
OUT_OF_SIGHT = """code => {
    const texts = document.createTreeWalker(code, NodeFilter.SHOW_TEXT), range = document.createRange(), out = [];
    while (texts.nextNode()) {
        range.selectNode(texts.currentNode);
        const right = Math.max(...[...range.getClientRects()].map(box => box.right));
        const typed = texts.currentNode.data.trim() && !texts.currentNode.parentElement.closest('.go');
        if (typed && right > code.getBoundingClientRect().right) out.push(texts.currentNode.data);
    }
    return out;
}"""
"""The pieces of a block, other than printed lines, that end beside it."""


@pytest.fixture(scope="module")
def tab(site: Path) -> Iterator[Any]:
    """A browser that reads the site from a server, as its search takes."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with chromium(base_url=f"http://127.0.0.1:{server.server_port}") as browser:
            browser.grant_permissions(["clipboard-read", "clipboard-write"])
            yield browser.new_page()
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and logs nothing."""

    def log_message(self, *_: object) -> None:
        """Drops the line."""


@needs_chromium
@pytest.mark.long
def test_a_search_finds_the_words_that_readers_use(tab: Any, named: Named) -> None:
    """Of the first three pages that the site's own search shows for a word, one answers to it."""
    for words, page in ANSWERS.items():
        with named(words):
            tab.goto(f"/index.html?q={quote(words)}")
            tab.wait_for_function("document.querySelectorAll('.md-search-result__item').length > 0")
            links = tab.eval_on_selector_all(".md-search-result__item > a", "all => all.map(one => one.pathname)")

            assert f"/{page}.html" in list(dict.fromkeys(links))[:3]


@needs_chromium
def test_a_copied_block_is_what_the_page_has(tab: Any) -> None:
    """The button beside a block of commands copies its lines, without a line between them."""
    tab.goto("/how-to/leaked-key.html")
    block = tab.locator(".language-sh").first
    block.locator(".md-code__button").click(force=True)

    shown = block.locator("code").evaluate("code => code.textContent.trim()")
    assert "\n" in shown
    assert tab.evaluate("navigator.clipboard.readText()") == shown


@needs_chromium
@pytest.mark.long
def test_no_command_of_an_emergency_is_out_of_sight(tab: Any, named: Named) -> None:
    """On a phone and on a desk, each line that is to be typed is there as a whole, without scrolling sideways."""
    for width in (390, 1280):
        tab.set_viewport_size({"width": width, "height": 900})
        for page in EMERGENCIES:
            with named(page, width):
                tab.goto(f"/how-to/{page}.html")
                blocks = tab.locator(".language-sh code, .language-console code")

                assert blocks.count()
                assert [line for block in blocks.all() for line in block.evaluate(OUT_OF_SIGHT)] == []
                assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_reader_needs_no_network(site: Path) -> None:
    """No page loads a script, a style, a picture or a frame from elsewhere."""
    pages = list(site.rglob("*.html"))

    assert len(pages) > 50
    assert [page.name for page in pages if FETCHED.search(page.read_text())] == []
    assert [
        style.name for style in site.rglob("*.css") if re.search(r"url\(['\"]?(https?:)?//", style.read_text())
    ] == []


def test_the_api_page_has_what_services_import(site: Path) -> None:
    """Each public name of keyring_core stands on the page with a docstring."""
    import keyring_core

    page = (site / "reference" / "api.html").read_text()

    assert [name for name in keyring_core.__all__ if not re.search(rf'id="[\w.]*\b{name}"', page)] == []
