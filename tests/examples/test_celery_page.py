"""The lines of docs/how-to/celery.md that let a worker announce its keys, in a real pool of processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from keyring_core import Keyring
from rotation.ledger.ledger import Ledger
from tests.keys import key_text, make_key
from tests.processes import ROOT, end_of, run
from tests.project.documents import page_blocks

pytestmark = [pytest.mark.database, pytest.mark.timeout(300)]

[ANNOUNCE] = (
    block.text
    for block in page_blocks((ROOT / "docs" / "how-to" / "celery.md").read_text())
    if block.language == "python" and not block.file
)
TASK = """

from keyring_core import get_encryption_service


@app.task
def reveal(token):
    return get_encryption_service().decrypt(token)
"""
CALL = """
import os, sys
os.chdir(sys.argv[2])
from tasks import reveal
print(reveal.delay(sys.argv[1]).get(timeout=120))
"""


@pytest.mark.long
def test_a_process_of_the_pool_leaves_what_it_read_and_no_entry(tmp_path: Path) -> None:
    """Also one that lives for one task, and so for less than the minute between two announcements."""
    folder = shutil.copytree(ROOT / "docs" / "examples" / "celery", tmp_path / "app")
    tasks = folder / "tasks.py"
    code, main = tasks.read_text().split("\nif __name__")
    tasks.write_text(f"{code}{TASK}\n{ANNOUNCE}\n\nif __name__{main}")
    for name in ("queue", "results"):
        (folder / name).mkdir()
    url = f"sqlite:///{tmp_path}/ledger.db"
    environ = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{tmp_path}/app.db",
        "ENCRYPTION_KEY": key_text("new"),
        "ENCRYPTION_PREVIOUS_KEYS": key_text("old"),
        "ROTATION_LEDGER_URL": url,
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
    }
    words = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-c", "1", "--max-tasks-per-child", "1"]
    log = tmp_path / "worker.log"
    with Ledger.open(url) as ledger, log.open("wb") as file:
        worker = subprocess.Popen(words, cwd=folder, env=environ, stdout=file, stderr=file)
        try:
            token = Keyring(make_key("old")).encrypt("sk-live-1")
            done = run([sys.executable, "-c", CALL, token, str(folder)], environ)
            assert done.stdout == "sk-live-1\n", done.stderr
        finally:
            worker.terminate()
            end_of(worker, "the worker", log)

        assert ledger.instances(timedelta(hours=1)) == []
        assert [(one.key_id, one.opened) for one in ledger.reads()] == [(make_key("old").id, 1)]
