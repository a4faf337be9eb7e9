"""Every block of every page is run or checked, or is output. documents.py says how a page is written for that."""

from __future__ import annotations

import os
import re
import sys

import pytest

from tests.conftest import Named
from tests.project.documents import ROOT, page_blocks
from tests.project.play_page import PageError, check
from tests.warm.client import FOLDER, folder, run

pytestmark = pytest.mark.database

LANGUAGES = {"console", "sh", "python", "toml", "yaml", "json", "ini", "sql", "text"}
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
}
ROTATIONS = ("planned-rotation", "leaked-key", "roll-back", "restore-a-backup")
BAD_DAYS = ("key-is-lost", "two-rotations-at-once", "forgotten-service")
EXAMPLES = ("celery", "django", "fastapi", "flask")
PLAYED = {
    "README.md": "tests/project/test_readme.py",
    "docs/applications/": "tests/applications/test_rotation.py",
    "docs/explanation/redaction.md": "tests/keyring_core/redaction/test_docs.py",
    **{f"docs/how-to/{name}.md": "tests/examples/test_examples.py" for name in EXAMPLES},
    **{f"docs/how-to/{name}.md": "tests/lifecycle/test_runbook.py" for name in ROTATIONS},
    **{f"docs/how-to/{name}.md": "tests/lifecycle/test_bad_days.py" for name in BAD_DAYS},
    "docs/how-to/airflow.md": "tests/whole/test_airflow.py",
    "docs/how-to/django-login.md": "tests/integrations/test_django_login.py",
    "docs/how-to/async.md": "tests/examples/test_async_page.py",
    "docs/how-to/queues-and-caches.md": "tests/examples/test_queues_page.py",
    "docs/how-to/redact-logs.md": "tests/keyring_core/redaction/test_docs.py",
    "docs/how-to/rotate-from-a-program.md": "tests/project/test_library.py",
    "docs/how-to/sqlalchemy.md": "tests/integrations/sqlalchemy/test_page.py",
    "docs/reference/cli.md": "tests/cli/test_help_page.py",
    "docs/reference/django-fields.md": "tests/integrations/test_django_docs.py",
    "docs/reference/ledger.md": "tests/cli/test_ledger_command.py",
    "docs/tutorial/first-rotation.md": "tests/project/test_tutorial.py",
    "docs/tutorial/protect-a-service.md": "tests/examples/test_lesson.py",
}
"""The pages, and folders of pages, that another test plays wholly, with the file of that test."""


def played_by(page: str) -> str | None:
    """The test that plays *page*; None if that is this one's."""
    return next((test for place, test in PLAYED.items() if page == place or (place[-1] == "/" and place in page)), None)


HERE = [page for page, text in PAGES.items() if not played_by(page) and any(page_blocks(text))]


@pytest.mark.some(3)
@pytest.mark.parametrize("page", HERE)
def test_the_blocks_of_the_page_do_what_it_shows(page: str) -> None:
    """From top to bottom in an empty folder, each command prints what the page shows, and each block is valid."""
    if all(block.language != "python" for block in page_blocks(PAGES[page])):
        check(PAGES[page])
        return
    # Code of a page may change signals, logging and modules: it gets a process of its own.
    argv = [sys.executable, "-m", "tests.project.play_page", page]
    played = run(argv, cwd=ROOT, env={**os.environ, FOLDER: str(folder())})

    assert played.returncode == 0, played.stderr


def test_every_fence_and_every_comment_is_understood(named: Named) -> None:
    """No block is passed over, since its fences do not match, or what its comment asks for does not exist."""
    for page, text in PAGES.items():
        with named(page):
            asked = re.findall(r"<!-- (\w+): ?(\w*)", text)

            assert len(re.findall(r"^ *```", text, re.MULTILINE)) == 2 * len(list(page_blocks(text)))
            assert {kind for kind, _ in asked} <= {"file", "setup", "test", "meanwhile"}
            assert {value for kind, value in asked if kind == "test"} <= {"compile"}


def test_blocks_that_are_played_elsewhere_say_what_they_are(named: Named) -> None:
    """Each has a language that is known, and the test that plays it is there."""
    for page in [page for page in PAGES if played_by(page)]:
        with named(page):
            assert {block.language for block in page_blocks(PAGES[page])} <= LANGUAGES
            assert (ROOT / str(played_by(page))).is_file()


def test_one_script_changes_the_keys_in_every_vault() -> None:
    """What the pages call change-keys is the same on all of them, but for how it fetches and stores a value."""
    scripts = [block.text for text in PAGES.values() for block in page_blocks(text) if block.file == "change-keys"]

    assert len(scripts) == 6
    assert len({re.sub(r"^fetch\(\).*?\n\n", "", script, flags=re.DOTALL | re.MULTILINE) for script in scripts}) == 1


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("```\nls\n```\n", "line 1, no language: unknown language ''"),
        ("```rust\n1\n```\n", "unknown language 'rust'"),
        ("```sh\ntrue\nfalse\n```\n", "exit code 1:\n$ false"),
        ("```console\n$ echo 1\n2\n```\n", "the page shows\n$ echo 1\n2\n\nand it prints\n$ echo 1\n1\n"),
        ("```console\n$ echo 5f0c1a9e 5f0c1a9e\n5f0c1a9e 5f0c1a9f\n```\n", "the page shows"),
        ("```console\n$ cd /nowhere\n```\n", "No such file"),
        ("```python\nassert 0\n```\n", "AssertionError"),
        ("<!-- test: compile -->\n```python\n1 1\n```\n", "invalid syntax"),
        ("```toml\n[polcy]\n```\n", "polcy"),
        ("```yaml\napiVersion: v1\nkind: Secret\nmeta: {}\n```\n", "meta"),
        ("```json\n{]\n```\n", "Expecting"),
        ("```ini\nENCRYPTION_KEY_FIL=x\n```\n", "did you mean ENCRYPTION_KEY_FILE?"),
        ("```sql\nSELECT 1 FROM nowhere\n```\n", "no such table"),
    ],
    ids=lambda value: value.splitlines()[1] if "```" in value else "",
)
def test_a_block_that_is_wrong_is_found(page: str, fault: str) -> None:
    """The test above sees what it is there for."""
    with pytest.raises(PageError, match=re.escape(fault)):
        check(page)
