"""The code of docs/how-to/async.md keeps the event loop free, and announces what the keys are."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from keyring_core import KeyConfigError, get_keyring
from keyring_core.redaction import reset_logging
from rotation import fleet
from tests.keys import key_text, make_key
from tests.project.documents import ROOT, page_blocks

pytestmark = pytest.mark.database

BACKGROUND, USE = (
    block.text
    for block in page_blocks((ROOT / "docs" / "how-to" / "async.md").read_text())
    if block.language == "python"
)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """What the page's code defines, in a process that has a ledger and has announced nothing."""
    monkeypatch.setenv("ROTATION_LEDGER_URL", f"sqlite:///{tmp_path}/ledger.db")
    monkeypatch.setattr(fleet, "_last", {})
    get_keyring.reset()
    names: dict[str, Any] = {"__name__": "background"}
    exec(compile(BACKGROUND + USE, "async.md", "exec", dont_inherit=True), names)
    yield names
    get_keyring.reset()
    reset_logging()


def test_the_service_follows_and_announces_beside_its_requests(
    names: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A key that is added while the service runs is read and announced; none of it happens in the loop's thread."""
    key = tmp_path / "key"
    key.write_text(key_text("old"))
    key.chmod(0o600)
    monkeypatch.setenv("ENCRYPTION_KEY_FILE", str(key))
    monkeypatch.setattr(fleet, "SECONDS", 0)
    announce, announced = names["announce"], [(0, make_key("old"))]

    def record() -> None:
        if announce():  # it is in the ledger
            announced.append((threading.get_ident(), get_keyring().primary))

    names |= {"SECONDS": 0.01, "announce": record}

    async def serve() -> None:
        async with names["lifespan"](None):
            token = get_keyring().encrypt("sk-live")
            assert await names["reveal"](token) == "sk-live"
            assert await names["reveal_all"]([token]) == ["sk-live"]
            key.write_text(key_text("new"))
            while announced[-1][1] != make_key("new"):
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(serve(), 300))

    assert threading.get_ident() not in dict(announced)


def test_a_service_without_a_key_does_not_start(names: dict[str, Any]) -> None:
    """The lifespan raises what says how to make a key."""

    async def serve() -> None:
        async with names["lifespan"](None):
            raise AssertionError("started")

    with pytest.raises(KeyConfigError, match="ENCRYPTION_KEY: not set"):
        asyncio.run(serve())
