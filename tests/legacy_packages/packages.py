"""The packages whose cells `keyring_core.legacy` reads: how each one writes them, and how `Legacy` is given that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from keyring_core.legacy import Legacy
from keyring_core.legacy.reader import LegacyReader
from keyring_core.tokens import json_of
from tests.applications.environments import drive, environment
from tests.keys import key_text

HERE = Path(__file__).parent

SECRET = "correct horse battery staple, a test secret"
OLDER_SECRET = "an older test secret, Straße 9"
SALT = "a test salt, not secret"
KEY = key_text("legacy package")

TEXTS: Mapping[str, Any] = {
    "1": "",
    "2": "Grüße, 世界 🔑",
    "3": "sixteen bytes ok",
    "4": "it ends with a *",
    "5": "sk-live-0123456789" * 12,
    "6": '{"nested": "\\"quotes\\" \\\\"}',
}
JSON_VALUES: Mapping[str, Any] = {
    "1": {"token": "Grüße 🔑", "nested": {"list": ["a", "", "b\n"], "none": [], "schlüssel": "x"}},
    "2": ["sk-live-4242"],
    "3": {},
    "4": {"number": 1, "float": 0.5, "true": True, "null": None},
    "5": {str(number): "sk-live-0123456789" for number in range(5)},
    "6": [[[]]],
}
CHECK = r"(?s)[^\x00-\x08]*"


@dataclass(frozen=True)
class Case:
    """One way in which a package writes cells."""

    label: str
    package: str
    requirements: str
    driver: str
    written_by: Mapping[str, str]
    """The driver's variables."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Those of `Legacy`, beside the secret."""
    environ: Mapping[str, Any] = field(default_factory=lambda: {"OLD_SECRET": SECRET})
    """What the reader gets."""
    values: Mapping[str, Any] = field(default_factory=lambda: TEXTS)
    json_column: bool = False
    """Whether PostgreSQL has the cells as JSON, and not as text or bytes."""
    json: bool = False
    """Whether the reader gives the JSON of what the package reads, a text included."""

    @property
    def legacy(self) -> Legacy:
        """The object under test."""
        return Legacy(self.package, secret="$OLD_SECRET", **self.options)

    @property
    def reader(self) -> LegacyReader:
        """Its reader."""
        return self.legacy.reader(self.environ)

    def write(self, url: str) -> dict[str, Any]:
        """Writes the values into `records` of that database; returns what the package reads there, by id."""
        folder = environment(HERE / f"requirements/{self.requirements}.txt", with_pip=False)
        driver = HERE / f"drivers/{self.driver}.py"
        return dict(drive(folder, driver, "write", url, values=self.values, environ=self.written_by))

    def plaintext(self, value: object) -> bytes:
        """The plaintext of a *value* that the package reads."""
        return value.encode() if isinstance(value, str) and not self.json else json_of(value)


def _sqlalchemy_utils(label: str, values: Mapping[str, Any] = TEXTS, **variables: str) -> Case:
    engine, padding = variables["ENGINE"], variables.get("PADDING")
    options = {"engine": {"AesEngine": "aes", "AesGcmEngine": "aes-gcm", "FernetEngine": "fernet"}[engine]}
    options |= {"padding": padding} if padding else {}
    options |= {"check": CHECK} if engine == "AesEngine" else {}
    written_by = {"TYPE": "StringEncryptedType", "SECRET": SECRET, **variables}
    return Case(
        f"sqlalchemy-utils {label}",
        "sqlalchemy-utils",
        "sqlalchemy-and-djfernet",
        "sqlalchemy_type",
        written_by,
        options,
        values=values,
    )


def _django(  # noqa: PLR0913 - a row of the table
    label: str,
    requirements: str,
    field: str,
    *,
    settings: Mapping[str, Any] = MappingProxyType({}),
    options: Mapping[str, Any] = MappingProxyType({}),
    environ: Mapping[str, Any] = MappingProxyType({"OLD_SECRET": SECRET}),
    plaintext: str | None = None,
    **more: Any,
) -> Case:
    variables = {"FIELD": field, "SETTINGS": json.dumps({"SECRET_KEY": SECRET, **settings})}
    variables |= {"PLAINTEXT": plaintext} if plaintext else {}
    package = label.partition(" ")[0]
    return Case(label, package, requirements, "django_field", variables, options, environ, **more)


_TWO = [OLDER_SECRET, SECRET]
_CIPHER = "django_cryptography.fields.encrypt"

CASES = [
    _sqlalchemy_utils("Fernet", ENGINE="FernetEngine"),
    _sqlalchemy_utils("Fernet in bytes", ENGINE="FernetEngine", TYPE="EncryptedType"),
    _sqlalchemy_utils("bool", {"1": True, "2": False}, ENGINE="FernetEngine", PLAINTEXT="Boolean"),
    _sqlalchemy_utils("date", {"1": "2026-02-28"}, ENGINE="AesEngine", PADDING="pkcs5", PLAINTEXT="Date"),
    _sqlalchemy_utils(
        "datetime",
        {"1": "2026-02-28T06:12:00", "2": "0001-01-01T00:00:00.000005"},
        ENGINE="FernetEngine",
        PLAINTEXT="DateTime",
    ),
    _sqlalchemy_utils(
        "datetime with a zone", {"1": "2026-02-28T06:12:00.500000+05:30"}, ENGINE="FernetEngine", PLAINTEXT="DateTime"
    ),
    _sqlalchemy_utils("time", {"1": "06:12:00", "2": "23:59:59.999999"}, ENGINE="FernetEngine", PLAINTEXT="Time"),
    _sqlalchemy_utils("float", {"1": 0.1, "2": -1e300}, ENGINE="FernetEngine", PLAINTEXT="Float"),
    _sqlalchemy_utils("integer", {"1": 0, "2": -12345}, ENGINE="AesGcmEngine", PLAINTEXT="Integer"),
    _sqlalchemy_utils("AES", ENGINE="AesEngine"),
    _sqlalchemy_utils("AES pkcs5", ENGINE="AesEngine", PADDING="pkcs5", TYPE="EncryptedType"),
    _sqlalchemy_utils("AES oneandzeroes", ENGINE="AesEngine", PADDING="oneandzeroes"),
    _sqlalchemy_utils("AES zeroes", ENGINE="AesEngine", PADDING="zeroes"),
    _sqlalchemy_utils("AES naive", ENGINE="AesEngine", PADDING="naive"),
    _sqlalchemy_utils("AES-GCM", ENGINE="AesGcmEngine"),
    Case(
        "advanced-alchemy",
        "advanced-alchemy",
        "sqlalchemy-and-djfernet",
        "sqlalchemy_type",
        {"TYPE": "EncryptedText", "SECRET": SECRET},
    ),
    _django("django-fernet-fields", "django-3", "fernet_fields.EncryptedTextField"),
    _django(
        "django-fernet-fields-v2",
        "django-5",
        "fernet_fields.EncryptedCharField",
        settings={"FERNET_KEYS": _TWO},
        environ={"OLD_SECRET": _TWO},
    ),
    _django(
        "django-fernet-fields-v2 without HKDF",
        "django-5",
        "fernet_fields.EncryptedTextField",
        settings={"FERNET_KEYS": [KEY], "FERNET_USE_HKDF": False},
        options={"hkdf": False},
        environ={"OLD_SECRET": KEY},
    ),
    _django("djfernet", "sqlalchemy-and-djfernet", "fernet_fields.EncryptedTextField"),
    _django(
        "djfernet with a prefix",
        "sqlalchemy-and-djfernet",
        "fernet_fields.EncryptedTextField",
        settings={"DJFERNET_PREFIX": "djfernet"},
        options={"prefix": "djfernet"},
    ),
    _django(
        "django-fernet-encrypted-fields",
        "django-5",
        "encrypted_fields.fields.EncryptedTextField",
        settings={"SALT_KEY": [SALT, "another"], "SECRET_KEY_FALLBACKS": [OLDER_SECRET]},
        options={"salt": ["$SALT_KEY", "another"]},
        environ={"OLD_SECRET": [SECRET, OLDER_SECRET], "SALT_KEY": SALT},
    ),
    _django(
        "django-fernet-encrypted-fields JSON",
        "django-5",
        "encrypted_fields.fields.EncryptedJSONField",
        settings={"SALT_KEY": SALT},
        options={"salt": SALT},
        values={**JSON_VALUES, "7": "a text"},
        json=True,
        json_column=True,
    ),
    _django(
        "django-encrypted-model-fields",
        "django-5",
        "encrypted_model_fields.fields.EncryptedTextField",
        settings={"FIELD_ENCRYPTION_KEY": [KEY, key_text("older")]},
        environ={"OLD_SECRET": f"{key_text('older')},{KEY}"},
    ),
    _django("django-cryptography", "django-3", _CIPHER, plaintext="TextField"),
    _django(
        "django-cryptography with a key of its own",
        "django-3",
        _CIPHER,
        settings={"CRYPTOGRAPHY_KEY": OLDER_SECRET, "CRYPTOGRAPHY_SALT": SALT},
        options={"encryption_secret": "$CRYPTOGRAPHY_KEY", "salt": SALT},
        environ={"OLD_SECRET": SECRET, "CRYPTOGRAPHY_KEY": OLDER_SECRET},
        plaintext="TextField",
    ),
    _django("django-cryptography-5", "django-5", _CIPHER, plaintext="TextField"),
    _django(
        "django-cryptography-5 JSON",
        "django-5",
        _CIPHER,
        options={"unpickle": True},
        plaintext="JSONField",
        values=JSON_VALUES,
        json=True,
    ),
]
