"""The packages whose cells `keyring_core.legacy` reads: how each one writes them, and how `Legacy` is given that."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from keyring_core.integrations import django as encrypted
from keyring_core.integrations.values import ValueForm
from keyring_core.legacy import Legacy
from keyring_core.legacy.package_cells import LegacyReader
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
    form: ValueForm | None = None
    """How an encrypted field of this project reads the cells, if they are no text; the values are in its spelling."""

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
    field_key: bytes | None = None,
    **more: Any,
) -> Case:
    variables = {"FIELD": field, "SETTINGS": json.dumps({"SECRET_KEY": SECRET, **settings})}
    variables |= {"PLAINTEXT": plaintext} if plaintext else {}
    variables |= {"FIELD_KEY": field_key.hex()} if field_key else {}
    package = label.partition(" ")[0]
    return Case(label, package, requirements, "django_field", variables, options, environ, **more)


_TWO = [OLDER_SECRET, SECRET]
_CIPHER = "django_cryptography.fields.encrypt"
_FIELD_KEY = "k7Q2wZ9xR4tB1nM8vC5yL3pD"


def _of_type(package: str, requirements: str, plaintext: str, values: Sequence[Any]) -> Case:
    """A field of another type than text, which needs no option."""
    return _django(
        f"{package} {plaintext}",
        requirements,
        _CIPHER,
        settings={"USE_TZ": True, "TIME_ZONE": "Europe/Berlin"},
        plaintext=plaintext,
        values={str(number): value for number, value in enumerate(values, 1)},
    )


_TIMES = ["2026-02-28T23:59:00", "2026-06-28T01:02:03.000004+05:30", "2026-06-28T01:02:03Z"]

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
    _of_type("django-cryptography", "django-3", "DateTimeField", _TIMES),
    _django("django-cryptography-5", "django-5", _CIPHER, plaintext="TextField"),
    _django(
        "django-cryptography-5 with a field's own key",
        "django-5",
        _CIPHER,
        options={"key": "$FIELD_KEY"},
        environ={"OLD_SECRET": SECRET, "FIELD_KEY": _FIELD_KEY},
        plaintext="TextField",
        field_key=_FIELD_KEY.encode(),
    ),
    _django(
        "django-cryptography-5 with a field's own key in hex",
        "django-5",
        _CIPHER,
        options={"key": "$FIELD_KEY"},
        environ={"OLD_SECRET": SECRET, "FIELD_KEY": bytes(range(9, 25)).hex()},
        plaintext="TextField",
        field_key=bytes(range(9, 25)),
    ),
    _of_type("django-cryptography-5", "django-5", "DateField", ["2026-02-28"]),
    _of_type("django-cryptography-5", "django-5", "DateTimeField", _TIMES),
    _of_type("django-cryptography-5", "django-5", "TimeField", ["23:59:00", "01:02:03.000004"]),
    _of_type("django-cryptography-5", "django-5", "DecimalField", ["12.50", "-0.01"]),
    _of_type("django-cryptography-5", "django-5", "UUIDField", ["0f8fad5b-d9cb-469f-a165-70867728950e"]),
    _of_type("django-cryptography-5", "django-5", "GenericIPAddressField", ["2001:db8::1", "192.0.2.7"]),
    _of_type("django-cryptography-5", "django-5", "IntegerField", [0, -12345]),
    _of_type("django-cryptography-5", "django-5", "BooleanField", [True, False]),
    _of_type("django-cryptography-5", "django-5", "FloatField", [0.1]),
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

# The first value is no false one: django-fernet-encrypted-fields stores NULL for those.
_TYPED = {
    "Date": {"1": "1980-02-29"},
    "DateTime": {"1": "2026-07-01T10:00:00.000005+00:00"},
    "Integer": {"1": "-42", "2": "0"},
    "Boolean": {"1": "True", "2": "False"},
    "Email": {"1": "a@b.c"},
    "Float": {"1": "0.1"},
    "Time": {"1": "06:12:00.000005"},
    "Duration": {"1": "P1DT2H3M4.5S", "2": "-P0DT0H0M0.000001S"},
    "Decimal": {"1": "12.50", "2": "-0.01"},
    "UUID": {"1": "0f8fad5b-d9cb-469f-a165-70867728950e"},
    "GenericIPAddress": {"1": "2001:db8::1"},
}
_DIGITS = {"max_digits": 9, "decimal_places": 2}


def _typed(kind: str, label: str, field: str = "", **more: Any) -> Case:
    """The case of a field of that *kind*; without *field* it is django-cryptography's."""
    # Datetimes are not in the zone of the database.
    settings = {"USE_TZ": True, "TIME_ZONE": "America/Chicago", **more.pop("settings", {})}
    own_field = getattr(encrypted, f"Encrypted{kind}Field")
    more |= {"values": _TYPED[kind], "form": own_field(**(_DIGITS if kind == "Decimal" else {})).form}
    more |= {} if field else {"plaintext": f"{kind}Field"}
    case = _django(f"{label} {kind}", "django-5", field.format(kind) or _CIPHER, settings=settings, **more)
    return replace(case, written_by={**case.written_by, "VALUES": f"{kind}Field"})


TYPED_CASES = [
    *(
        _typed(kind, "django-fernet-fields-v2", "fernet_fields.Encrypted{}Field")
        for kind in ("Date", "DateTime", "Integer", "Email")
    ),
    *(
        _typed(
            kind,
            "django-fernet-encrypted-fields",
            "encrypted_fields.fields.Encrypted{}Field",
            settings={"SALT_KEY": SALT},
            options={"salt": SALT},
        )
        for kind in ("Date", "DateTime", "Integer", "Boolean", "Email", "Float")
    ),
    *(
        _typed(
            kind,
            "django-encrypted-model-fields",
            "encrypted_model_fields.fields.Encrypted{}Field",
            settings={"FIELD_ENCRYPTION_KEY": KEY},
            environ={"OLD_SECRET": KEY},
        )
        for kind in ("Date", "DateTime", "Integer", "Boolean", "Email")
    ),
    *(_typed(kind, "django-cryptography-5") for kind in _TYPED),
]
"""Fields whose values are no text, and the e-mail field."""
