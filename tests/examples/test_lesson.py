"""docs/tutorial/protect-a-service.md does what it shows, in a hundredth of its time."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.examples.typed import Typist, free_port
from tests.project.documents import ROOT

PAGE = (ROOT / "docs" / "tutorial" / "protect-a-service.md").read_text()
ANNOUNCES_AT_ONCE = "import rotation.fleet\nrotation.fleet.SECONDS = 0\n"


@pytest.mark.long
@pytest.mark.database
@pytest.mark.timeout(600)
def test_the_lesson_ends_with_every_token_under_the_new_key(tmp_path: Path) -> None:
    """Each command prints what the page shows; stock Fernet opens all with the new key; only the old log leaks."""
    (tmp_path / "at_once").mkdir()
    (tmp_path / "at_once" / "sitecustomize.py").write_text(ANNOUNCES_AT_ONCE)
    folder = tmp_path / "app"
    folder.mkdir()
    quick = {"ENCRYPTION_RELOAD_SECONDS": "1", "PYTHONPATH": f"{ROOT}:{tmp_path}/at_once"}
    # The monitor begins with the last step: otherwise the service may have the next key before the page says so.
    monitor = "sleep 20; do", "sleep 1; do test -e rotation.toml &&"
    changed = {"sleep 61": "sleep 1.5", "8000": str(free_port()), **dict([monitor])}
    # Python reads sitecustomize.py when it starts.
    with Typist(folder, quick, changed, warm=False) as typist:
        for _block in typist.type(PAGE):
            pass

    new = Fernet((folder / "keys" / "primary").read_text().strip())
    with closing(sqlite3.connect(folder / "app.db")) as database:
        opened = {name: new.decrypt(token)[-4:] for name, token in database.execute("SELECT * FROM connections")}
    assert opened == {"billing": b"4242", "mail": b"4242", "chat": b"7777"}
    assert "sk-live" in (folder / "old.log").read_text()
    assert "sk-live" not in (folder / "new.log").read_text()
