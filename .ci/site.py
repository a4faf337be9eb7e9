"""What MkDocs does besides: the README is the first page, and files that pages link to come along.

So the same Markdown reads well in a checkout and on the site, and the site needs no address of a repository.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<=\]\()(?![a-z]+:)([^)#\s]+)")
"""The path of a relative link."""
COMMANDS = re.compile(r'<div class="language-(?:sh|console) highlight">.*?</div>', re.DOTALL)
HYPHENATED = re.compile(r"(?<=[\s>])-*\w+(?:-\w+)*(?=[\s<])")
"""A word of a command that a browser would break at a hyphen."""
ROOT_PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
}
"""Pages beside docs/, and where the site has them."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Lists the pages of all applications, and those beside docs/."""
    sections: dict[str, list[Any]] = {}
    for entry in config.nav or []:
        sections |= entry if isinstance(entry, dict) else {}
    for page in sorted((ROOT / "docs" / "applications").glob("*.md")):
        name = page.read_text().partition("\n")[0].removeprefix("# Rotating the keys of ")
        sections["Applications"].append({name: f"applications/{page.name}"})
    sections["Project"] += list(ROOT_PAGES.values())[1:]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages beside docs/, and each file outside of it that a page links to."""
    for path, uri in ROOT_PAGES.items():
        files.append(File.generated(config, uri, content=(ROOT / path).read_text()))
    for path in sorted({path for file in files.documentation_pages() for path in _outside(file)}):
        files.append(File.generated(config, _file(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Leads links to where the site has their files, and a search to an application's page last, to an error first."""
    if page.file.src_uri.startswith("applications/"):
        # There are dozens of them, and each names keys, tables and steps.
        page.meta["search"] = {"boost": 0.2}
    if page.file.src_uri == "reference/errors.md":
        # Who pastes a message wants the line that explains it.
        page.meta["search"] = {"boost": 4}
    return LINK.sub(lambda link: _on_the_site(link[0], page.file.src_uri), markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Keeps words such as `--archive` whole at the end of a line."""
    return COMMANDS.sub(lambda block: HYPHENATED.sub(_whole, block[0]), html)


def _whole(word: re.Match[str]) -> str:
    return f'<span class="word">{word[0]}</span>' if "-" in word[0] else word[0]


def _on_the_site(link: str, uri: str) -> str:
    path = _path(link, uri)
    if path in ROOT_PAGES:
        target = ROOT_PAGES[path]
    elif path.startswith("docs/"):
        target = path.removeprefix("docs/")
    else:
        target = _file(path)
    return os.path.relpath(target, os.path.dirname(uri))


def _outside(file: File) -> Iterator[str]:
    for link in LINK.findall(file.content_string):
        path = _path(link, file.src_uri)
        if path not in ROOT_PAGES and not path.startswith("docs/"):
            yield path


def _file(path: str) -> str:
    """Where the site has a file that is no page. A name that begins with a dot would be left out."""
    return "files/" + "/".join(part.lstrip(".") for part in path.split("/"))


def _path(link: str, uri: str) -> str:
    """Where *link* leads from the root of the checkout, on the page that the site has as *uri*."""
    source = next((path for path, name in ROOT_PAGES.items() if name == uri), f"docs/{uri}")
    return os.path.normpath(os.path.join(os.path.dirname(source), link))
