"""docs/reference/errors.md has every message of keyring_core as it is printed, and no other."""

from __future__ import annotations

import ast
import importlib
import json
import os
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import DontWrapMixin

import keyring_core
from keyring_core import KeyConfigWarning, KeyringError, get_keyring
from keyring_core.key_text import _FORM_FAULTS
from keyring_core.tokens import _FAULTS
from tests.conftest import Named
from tests.error_messages import Raised, of_keys, of_legacy, of_sqlalchemy, of_tokens, raised_by
from tests.error_messages.of_keys import KEY, SUSPENDED
from tests.project.documents import ROOT
from tests.warm.client import run

pytestmark = pytest.mark.xdist_group("error_messages")

PAGE = (ROOT / "docs" / "reference" / "errors.md").read_text()
ROW = re.compile(r"^\| `(.+?)` \| .+ \| .+ \|$", re.MULTILINE)
INSIDE = {"pickles.py", "package_cells.py", "values.py", "value_types.py", "qgrams.py"}
"""Files whose ValueErrors and TypeErrors are caught where they are raised, or of classes that no service has."""
NOT_SEEN = {"a secret stands across the structure", "invalid", " has no attribute "}
"""Messages that are caught where they are raised, a code of Django's, and Python's own words."""


@pytest.fixture(scope="module")
def raised(tmp_path_factory: pytest.TempPathFactory) -> list[Raised]:
    """All errors and warnings, each of code that was run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENCRYPTION_KEY", KEY)
        patch.setenv("ENCRYPTION_SUSPENDED_KEYS", SUSPENDED)
        get_keyring.reset()
        folder, modules = tmp_path_factory.mktemp("keys"), (of_keys, of_tokens, of_sqlalchemy, of_legacy)
        found = [each for module in modules for cause in module.causes(folder) for each in raised_by(cause)]
        argv = [sys.executable, "-m", "tests.error_messages.of_django"]
        of_django = run(argv, cwd=ROOT, env=dict(os.environ))
    get_keyring.reset()
    assert of_django.returncode == 0, of_django.stderr
    return [*found, *(Raised(*each) for each in json.loads(of_django.stdout))]


def test_every_message_is_on_the_page(raised: list[Raised]) -> None:
    """Each begins as a row of the section that its class names."""
    rows = [(kinds, _pattern(row)) for kinds, row in _rows()]

    assert [
        each for each in raised if not any(each.kind in kinds and row.match(each.message) for kinds, row in rows)
    ] == []


def test_every_row_is_true(raised: list[Raised]) -> None:
    """Code raises an error of that class whose message begins as the row does."""
    wrong = [
        row
        for kinds, row in _rows()
        if not any(each.kind in kinds and _pattern(row).match(each.message) for each in raised)
    ]

    assert wrong == []


def test_every_class_is_on_the_page(raised: list[Raised]) -> None:
    """The table has each error and warning of keyring_core, with what it descends from; all but bases are raised."""
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \| .*? \|$", PAGE.partition("## KeyConfigError")[0], re.MULTILINE))
    shown = _classes()

    assert set(rows) == set(shown)
    assert set(shown) - {each.kind for each in raised} == {"KeyringError", "InvalidToken"}
    for name, kind in shown.items():
        assert {each.rpartition(".")[2] for each in re.findall(r"`([\w.]+)`", rows[name])} <= {
            each.__name__ for each in kind.__mro__
        } | {"FieldError"}


def test_no_message_of_the_code_is_forgotten(raised: list[Raised], named: Named) -> None:
    """Each text of the code with which an error or a warning is made stands in one that the page has."""
    messages = "\n".join(each.message for each in raised)

    for place, text in _texts_of_errors():
        with named(f"{place}: {text}"):
            assert text in messages
    for _, words in _FORM_FAULTS:
        assert words in messages
    for *_, words in _FAULTS:
        assert words in messages


def test_the_rows_are_in_order() -> None:
    """In each table by the message, without the place in front."""
    for section in re.split(r"^#|^\| message .*$", PAGE.partition("## KeyConfigError")[2], flags=re.MULTILINE):
        rows = ROW.findall(section)

        assert rows == sorted(rows, key=_sorted_as)


def _classes() -> dict[str, type]:
    """The errors and warnings that keyring_core defines, by their names."""
    for module in pkgutil.walk_packages(keyring_core.__path__, "keyring_core."):
        importlib.import_module(module.name)
    every = [KeyringError, KeyConfigWarning, *_below(KeyringError), *_below(KeyConfigWarning)]
    # Without those that SQLAlchemy gets, which have the same names.
    return {
        each.__name__: each for each in every if "keyring_core" in each.__module__ and DontWrapMixin not in each.__mro__
    }


def _below(kind: type) -> Iterator[type]:
    for each in kind.__subclasses__():
        yield each
        yield from _below(each)


def _rows() -> Iterator[tuple[set[str], str]]:
    """Each row's message, with the classes that its section is about."""
    for section in PAGE.split("\n## ")[2:]:
        heading = section.partition("\n")[0]
        kinds = {*re.findall(r"\w+", heading)} & {*_classes(), "TypeError", "ValueError"}
        if heading in {"MalformedToken", "UndecryptableToken"}:
            kinds |= {"MalformedToken", "UndecryptableToken"}
        for row in ROW.findall(section):
            yield kinds or {"CompileError", "ValidationError", "RuntimeWarning"}, row


def _pattern(row: str) -> re.Pattern[str]:
    """The pattern of the messages that begin as *row*: `...` is any text, and a file is any file."""
    escaped = re.escape(row).replace(r"\.\.\.", ".*?")
    return re.compile(escaped, re.DOTALL)


def _sorted_as(row: str) -> str:
    return re.sub(r"^[\w$.()', =\[\]-]*?: (?=\S)|^\.\.\.;? ?", "", row).lower()


def _texts_of_errors() -> Iterator[tuple[str, str]]:
    """The longest fixed part of each message in the source, with its place."""
    plain = {"AttributeError", "TypeError", "ValueError"}
    makers = {*_classes(), *plain, "ValidationError", "CompileError", "warn", "cls"}
    for path in sorted(Path(keyring_core.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name not in makers or (name in plain and path.name in INSIDE):
                continue
            parts = [each.value for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant)]
            text = max((each for each in parts if isinstance(each, str)), key=len, default="")
            if len(text) > 4 and text not in NOT_SEEN:
                yield f"{path.name}:{node.lineno}", text
