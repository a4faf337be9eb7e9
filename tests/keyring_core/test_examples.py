"""The examples in docstrings show what happens."""

from __future__ import annotations

import doctest
import importlib
import logging
import sys
from types import FunctionType

import pytest
import sqlalchemy

import keyring_core
from keyring_core import Key, Keyring, config, get_encryption_service, get_keyring, redaction
from keyring_core.integrations.sqlalchemy import EncryptedText

MODULES = (
    *("blind_index", "config", "derivation", "encryption_service", "errors", "keyring", "keys", "reload"),
    *("redaction.configure", "redaction.log_records", "redaction.block_masks", "redaction.redactor"),
    *("redaction.render", "redaction.secret", "legacy.legacy", "integrations.django.fields", "integrations.pydantic"),
    *("integrations.sqlalchemy.index_column", "integrations.sqlalchemy.encrypted"),
)
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
FEWEST = 50
"""As many examples ran when this was written."""


@pytest.fixture
def names(monkeypatch):
    """What an example may use: the public names, a keyring, and the names of the libraries that it is about."""
    monkeypatch.setenv("ENCRYPTION_KEY", Key.generate().reveal())
    monkeypatch.setenv("BILLING_ENCRYPTION_KEY", Key.generate().reveal())
    monkeypatch.setattr(config, "_key_sets", {})
    get_keyring.reset()
    get_encryption_service.reset()
    public = {name: getattr(owner, name) for owner in (keyring_core, redaction) for name in owner.__all__}
    of_sqlalchemy = {name: getattr(sqlalchemy, name) for name in ("Column", "Date", "MetaData", "Table", "select")}
    of_sqlalchemy["EncryptedText"] = EncryptedText
    yield {**public, **of_sqlalchemy, "keyring": Keyring(Key.generate()), "logging": logging, "sys": sys}
    get_keyring.reset()
    get_encryption_service.reset()


def test_the_examples_are_right(names, named):
    """Each of them gives what stands below it; keys are new each time, and nothing leaves the process."""
    runner, report = doctest.DocTestRunner(optionflags=OPTIONS), []
    for name in MODULES:
        module = importlib.import_module(f"keyring_core.{name}")
        for test in examples_of(module, names):
            with named(test.name):
                assert runner.run(test, out=report.append).failed == 0, "".join(report)

    assert runner.tries >= FEWEST


def examples_of(module, names):
    """The examples in the docstrings of *module* and of all that it defines."""
    yield from doctest.DocTestFinder(recurse=False).find(module, extraglobs=names)
    for each in vars(module).values():
        # By its type: to ask Django's settings for anything would load them.
        if issubclass(type(each), type | FunctionType) and each.__module__ == module.__name__:
            yield from doctest.DocTestFinder().find(each, globs={**vars(module), **names})
