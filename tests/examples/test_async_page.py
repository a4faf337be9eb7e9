"""The code of docs/how-to/async.md keeps the event loop free, and announces what the keys are."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keyring_core import KeyConfigError, get_keyring
from keyring_core.redaction import reset_logging
from rotation import fleet
from rotation.ledger.ledger import Ledger
from tests.keys import key_text, make_key
from tests.project.documents import ROOT, page_blocks

pytestmark = pytest.mark.database

HOUR = timedelta(hours=1)
BACKGROUND, USE = (
    block.text
    for block in page_blocks((ROOT / "docs" / "how-to" / "async.md").read_text())
    if block.language == "python"
)


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The ledger of the service."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    monkeypatch.setenv("ROTATION_LEDGER_URL", url)
    return url


@pytest.fixture
def names(url: str) -> Iterator[dict[str, Any]]:
    """What the page's code defines, in a process that has announced nothing."""
    del url
    fleet.stop_announcing()
    get_keyring.reset()
    names: dict[str, Any] = {"__name__": "background"}
    exec(compile(BACKGROUND + USE, "async.md", "exec", dont_inherit=True), names)
    yield names
    get_keyring.reset()
    reset_logging()


def test_the_service_follows_and_announces_beside_its_requests(
    names: dict[str, Any], url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A key that is added while the service runs is read and announced, not in the loop's thread; its entry goes."""
    key = tmp_path / "key"
    key.write_text(key_text("old"))
    key.chmod(0o600)
    monkeypatch.setenv("ENCRYPTION_KEY_FILE", str(key))
    monkeypatch.setattr(fleet, "SECONDS", 0.01)
    names["SECONDS"] = 0.01
    announce, threads = fleet._Process.announce, set[int]()

    def record(*args: Any, **options: Any) -> bool:
        threads.add(threading.get_ident())
        return announce(*args, **options)

    monkeypatch.setattr(fleet._Process, "announce", record)

    async def serve() -> None:
        async with names["lifespan"](None):
            token = get_keyring().encrypt("sk-live")
            assert await names["reveal"](token) == "sk-live"
            assert await names["reveal_all"]([token]) == ["sk-live"]
            key.write_text(key_text("new"))
            while [each.primary for each in ledger.instances(HOUR)] != [make_key("new").id]:
                await asyncio.sleep(0.01)

    with Ledger.open(url) as ledger:
        asyncio.run(asyncio.wait_for(serve(), 300))

        assert ledger.instances(HOUR) == []
    assert threads
    assert threading.get_ident() not in threads


def test_a_service_without_a_key_does_not_start(names: dict[str, Any]) -> None:
    """The lifespan raises what says how to make a key."""

    async def serve() -> None:
        async with names["lifespan"](None):
            raise AssertionError("started")

    with pytest.raises(KeyConfigError, match="ENCRYPTION_KEY: not set"):
        asyncio.run(serve())
