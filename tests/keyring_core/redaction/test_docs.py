"""The pages on redaction: their code works, and they leave nothing out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import structlog

from keyring_core import redaction
from tests.conftest import Named

DOCS = Path(__file__).parents[3] / "docs"
PAGES = [DOCS / "how-to" / "redact-logs.md", DOCS / "explanation" / "redaction.md"]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_every_public_name_is_documented(named: Named) -> None:
    """Whatever can be imported stands in the document."""
    for name in redaction.__all__:
        with named(name):
            assert re.search(rf"\b{name}\b", TEXT)


def test_code_is_python(named: Named) -> None:
    """Every block of code parses."""
    for block in BLOCKS:
        with named(block):
            ast.parse(block)


def test_the_structlog_configuration_works(capsys: pytest.CaptureFixture[str]) -> None:
    """The configuration for an existing structlog masks a name."""
    (block,) = [block for block in BLOCKS if "structlog.configure" in block]

    exec(block, {})
    structlog.get_logger().info("event", password="x1y2")

    assert '"password": "[REDACTED:password]"' in capsys.readouterr().out
