"""What the types of JSON documents share: base classes, parts that several have, and how a document is printed.

The docstring of a field is its description in rotation/schemas, and the name of a class without `Json` its name there.
"""

from __future__ import annotations

import json
from typing import Literal

import msgspec
from msgspec import UnsetType

from keyring_core import KeyState

Missing = UnsetType
"""The type of a field that may be left out."""

Status = Literal["OK", "WARNING", "CRITICAL", "UNKNOWN"]


class Document(msgspec.Struct, forbid_unknown_fields=True):
    """A JSON object that has these fields and no other."""


def as_json(document: object) -> str:
    """*document* as text, in ASCII."""
    # A remedy is a str of a class of its own, which msgspec does not take for one.
    return json.dumps(msgspec.to_builtins(document, enc_hook=str.__str__))


class KeyInUse(Document):
    """A key in use."""

    id: str
    """The key's id: 8 hexadecimal digits."""
    state: KeyState
    """What the key does: `primary` encrypts, the others decrypt."""


class RemarkJson(Document):
    """A remark on a table or a column."""

    database: str
    """The database, without a password."""
    subject: str
    """The table or the column."""
    words: str
    """What is said of it."""


class StepJson(msgspec.Struct):
    """A step."""

    do: str
    """What to do, in words."""
    run: str
    """What to type; empty if there is nothing to type."""


class ErrorJson(Document):
    """Any command but `check`, if it fails."""

    complete: Literal[False]
    """Always false."""
    error: str
    """What is wrong, and what to do."""


class CheckErrorJson(Document):
    """`check`, if it cannot begin."""

    status: Literal["UNKNOWN"]
    """Always UNKNOWN."""
    exit_code: Literal[3]
    """Always 3."""
    error: str
    """What is wrong, and what to do."""
