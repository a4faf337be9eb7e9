"""The name of a class, and of a module, says which one is meant."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
PUBLIC_PAIRS = {
    "StaleIndexError": "Django's fields raise one that is Django's FieldError as well; it is a subclass of the other",
}
"""Names that stand twice for good, each with its reason."""


def test_the_name_of_a_class_stands_once() -> None:
    """No two classes of the product have one name, as no reader of an import line knows which of them it is."""
    places = defaultdict(list)
    for path in sorted([*(ROOT / "keyring_core").rglob("*.py"), *(ROOT / "rotation").rglob("*.py")]):
        # A tenth of what parsing takes; a line of a text that looks like one would be named, too.
        for name in re.findall(r"^ *class (\w+)", path.read_text(), re.MULTILINE):
            places[name].append(str(path.relative_to(ROOT)))
    twice = {name: files for name, files in places.items() if len(files) > 1}

    assert {name: files for name, files in twice.items() if name not in PUBLIC_PAIRS} == {}
    assert PUBLIC_PAIRS.keys() <= twice.keys(), "a name that stands once now"


def test_the_name_of_a_module_stands_once() -> None:
    """But for what each database has in a folder of its own, beside what they share."""
    places = defaultdict(set)
    for path in sorted([*(ROOT / "keyring_core").rglob("*.py"), *(ROOT / "rotation").rglob("*.py")]):
        folder = path.parent
        of_a_database = folder.parent.name == "stores" and (folder / "dialect.py").exists()
        if not path.name.startswith("__"):
            places[path.name].add(str((folder.parent if of_a_database else folder).relative_to(ROOT)))

    assert {name: folders for name, folders in places.items() if len(folders) > 1} == {}
