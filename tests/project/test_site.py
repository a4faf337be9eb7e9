"""The site is built from the Markdown as it is, without a warning, and read without a network."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

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


def test_a_search_finds_the_words_that_readers_use(site: Path, named: Named) -> None:
    """A page that answers to a word has that word, since the search knows no others."""
    found = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    for word, page in (("downtime", "planned-rotation"), ("uninstall", "uninstall"), ("rollback", "roll-back")):
        with named(word):
            assert f"how-to/{page}.html" in {
                part["location"] for part in found if word in (part["title"] + part["text"]).lower()
            }


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
