"""What programs print and vendors issue: a table of secrets, each beside harmless texts that look similar."""

from __future__ import annotations

import re
import tomllib
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from keyring_core.redaction import Redactor
from tests.conftest import Named

CASES: dict[str, dict[str, Any]] = tomllib.loads(
    (Path(__file__).parents[2] / "data" / "redaction_cases.toml").read_text(encoding="utf-8")
)
MARKED = re.compile("⟦(.+?)⟧", re.DOTALL)
RANDOM = re.compile(r"(\[[^]]+\])\{(\d+)\}")


def parts(text: str) -> list[str]:
    """What stands outside and inside of the marks, in turns, with random characters for each ``[class]{count}``."""
    random = Random(text)

    def characters(found: re.Match[str]) -> str:
        return "".join(random.choices(re.findall(found[1], "".join(map(chr, range(33, 127)))), k=int(found[2])))

    outside_and_inside = MARKED.split(text)
    outside_and_inside[1::2] = [RANDOM.sub(characters, marked) for marked in outside_and_inside[1::2]]
    return outside_and_inside


def test_the_secrets_of_programs_are_masked(named: Named) -> None:
    """Each marked part becomes one mask, and all outside of the marks stays."""
    for name, case in CASES.items():
        mask = f"[REDACTED:{case['label']}]" if "label" in case else "[REDACTED]"
        for text in case["texts"]:
            with named(name, repr(text)):
                shown = Redactor().redact("".join(parts(text)))

                if "label" not in case:
                    shown = re.sub(r"\[REDACTED:[a-z -]+\]", mask, shown)
                assert shown == mask.join(parts(text)[::2])


def test_their_harmless_neighbours_stay(named: Named) -> None:
    """A harmless text that looks like a secret's comes back as the very same object."""
    for name, case in CASES.items():
        for text in case["harmless"]:
            with named(name, repr(text)):
                shown = "".join(parts(text))

                assert Redactor().redact(shown) is shown


def test_a_digest_under_its_name_stays() -> None:
    """A digest in base64 stays under its name in a dict, as it does in the text of a dict."""
    digest = {"checksum": b64encode(sha256(b"x").digest()).decode()}

    assert Redactor().redact_value(digest) == digest
