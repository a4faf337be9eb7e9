"""Cells of other packages whose options or secrets do not fit, and values that cannot be masked."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from keyring_core import configure_logging
from keyring_core.legacy import Legacy
from keyring_core.redaction import Redactor, Secret, redacting
from tests.error_messages.of_keys import SECRET

NAME = "$OLD_SECRET"
ALCHEMY, CRYPTOGRAPHY = "sqlalchemy-utils", "django-cryptography"


def causes(_folder: Path) -> Iterator[Callable[[], object]]:
    """Each call ends with an error or a warning."""
    for package, options in _options():
        yield partial(Legacy, package, **{"secret": NAME, **options})
    yield from (partial(_reader(package, **options).reader, environ) for package, options, environ in _environments())
    yield partial(copy.copy, _reader("advanced-alchemy").reader({"OLD_SECRET": SECRET}))
    yield from (
        partial(Redactor().add, value)
        for value in ("", "short", "aaaaaaaa", "12345678", "password", "2026-11-29", "\ud800" * 9, 7)
    )
    yield partial(Redactor().add, SECRET, "a label!")
    yield from (partial(copy.copy, each) for each in (Redactor(), Secret(SECRET), redacting(SECRET)))
    yield partial(configure_logging, renderer="xml")


def _options() -> Iterator[tuple[str, dict[str, object]]]:
    yield "sqlalchemy-util", {}
    yield "advanced-alchemy", {"secret": []}
    yield "advanced-alchemy", {"secret": 7}
    yield "advanced-alchemy", {"secret": SECRET}
    yield "advanced-alchemy", {"engine": "pgcrypto"}
    yield "advanced-alchemy", {"engine": 7}
    yield "advanced-alchemy", {"salt": "pepper"}
    yield "djfernet", {"hkdf": "false"}
    yield "django-fernet-encrypted-fields", {}
    yield "django-fernet-encrypted-fields", {"salt": [7]}
    yield CRYPTOGRAPHY, {"key": "$FIELD_KEY", "salt": "pepper"}
    yield ALCHEMY, {}
    yield ALCHEMY, {"engine": "des"}
    yield ALCHEMY, {"engine": "fernet", "check": "json"}
    yield ALCHEMY, {"engine": "aes", "padding": "none", "check": "json"}
    yield ALCHEMY, {"engine": "aes"}
    yield ALCHEMY, {"engine": "aes", "check": "("}


def _reader(package: str, **options: object) -> Legacy:
    return Legacy(package, **{"secret": NAME, **options})


def _environments() -> Iterator[tuple[str, dict[str, object], dict[str, str | list[str]]]]:
    yield "advanced-alchemy", {}, {}
    yield "advanced-alchemy", {}, {"OLD_SECRET": [7]}
    yield "advanced-alchemy", {}, {"OLD_SECRET": [SECRET], "OLD_SECRET_FILE": "/run/secrets/old"}
    yield "advanced-alchemy", {}, {"OLD_SECRET": "hunter2"}
    yield CRYPTOGRAPHY, {"key": "$FIELD_KEY"}, {"OLD_SECRET": SECRET, "FIELD_KEY": SECRET}
    yield CRYPTOGRAPHY, {"key": "$FIELD_KEY"}, {"OLD_SECRET": SECRET, "FIELD_KEY": "2026-11-29 06:12"}
