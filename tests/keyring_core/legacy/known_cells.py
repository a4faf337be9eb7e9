"""The cells of tests/vectors/legacy.json, and what reads them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from keyring_core.legacy import Legacy
from keyring_core.legacy.package_cells import LegacyReader
from tests.keys import key_text

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "legacy.json").read_text(encoding="utf-8"))["cases"]
BY_NAME: Mapping[str, Mapping[str, Any]] = {case["made_by"]: case for case in VECTORS}


def legacy_of(case: Mapping[str, Any]) -> Legacy:
    return Legacy(case["package"], secret="$OLD_SECRET", **case["options"])


def environ_of(case: Mapping[str, Any]) -> dict[str, Any]:
    text = json.dumps(case["environ"])
    return dict(json.loads(re.sub(r"\{key (.*?)\}", lambda found: key_text(found[1]), text)))


def reader_of(case: Mapping[str, Any]) -> LegacyReader:
    return legacy_of(case).reader(environ_of(case))


def cells_of(case: Mapping[str, Any]) -> Iterator[tuple[str | bytes, bytes]]:
    """Each cell, and its plaintext."""
    for each in case["cells"]:
        yield each.get("text") or base64.b64decode(each["bytes"]), each["plaintext"].encode()
