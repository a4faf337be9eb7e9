"""keyring_core/integrations/django/checks.py: what `manage.py check` says, by id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import NEW, OLD, Named
from tests.integrations.conftest import use_keys
from tests.keys import key_text, mistyped

pytestmark = pytest.mark.xdist_group("django")


def ids(messages: list[Any]) -> list[str]:
    return [message.id.removeprefix("keyring_core.") for message in messages if message.id.startswith("keyring_core.")]


def model_with(field: Any, index: Any = None, **meta: Any) -> Any:
    """A model of its own app registry with *field* as `secret`, and *index* as `secret_index`."""
    from django.db import models
    from django.test.utils import isolate_apps

    fields = {"secret": field, "day": models.DateField()} | ({"secret_index": index} if index else {})
    with isolate_apps("tests.integrations.django_project.shop"):
        options = type("Meta", (), {"app_label": "shop"} | meta)
        return type("Checked", (models.Model,), {"__module__": __name__, "Meta": options} | fields)


def test_the_project_has_no_faults(shop: Any, db: Any) -> None:
    """All checks, those of the database included, find nothing wrong with the test project and its keys."""
    from django.core import checks

    assert ids(checks.run_checks(databases=["default"])) == []


def test_the_key(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing key is a warning, since migrations need none; a malformed one is an error; neither is shown."""
    from django.core import checks

    use_keys(monkeypatch, None)
    missing = checks.run_checks(tags=["security"])
    monkeypatch.setenv("ENCRYPTION_KEY", key_text(NEW)[:-1])
    malformed = checks.run_checks(tags=["security"])
    use_keys(monkeypatch, NEW, OLD)
    monkeypatch.setenv("ENCRYPTION_PREVIOUS_KEYS", mistyped(key_text(OLD)) + "x")
    previous = checks.run_checks(tags=["security"])
    use_keys(monkeypatch, NEW, OLD)

    assert (ids(missing), ids(malformed), ids(previous)) == (["W001"], ["E001"], ["E001"])
    assert "Fernet.generate_key" in missing[0].hint
    assert "43 characters" in malformed[0].msg
    assert key_text(NEW)[:-1] not in str(malformed)
    assert ids(checks.run_checks(tags=["security"])) == []


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("ENCRYPTION_KEY", "anything", True),
        ("ENCRYPTION_PREVIOUS_KEYS", [], True),
        ("FIELD_ENCRYPTION_KEY", key_text(NEW), True),
        ("FERNET_KEYS", ["x", key_text(OLD)], True),
        ("CREDENTIALS", {"a": ({"b": key_text(NEW).encode()},)}, True),
        ("ANOTHER_KEY", key_text("unknown to the keyring"), False),
        ("NOT_BASE64", "ä", False),
    ],
)
def test_a_key_in_settings(shop: Any, keys: None, name: str, value: Any, found: bool) -> None:
    """A key of the keyring in a setting, however deep, and a setting with a key's name are found, and not shown."""
    from django.core import checks
    from django.test import override_settings

    with override_settings(**{name: value}):
        messages = checks.run_checks(tags=["security"])

    assert ids(messages) == (["W002"] if found else [])
    assert not found or name in messages[0].msg
    assert key_text(NEW) not in str(messages)


def indexed(models: Any, name: str) -> dict[str, Any]:
    """The options of a Meta class, one of each kind that names columns."""
    from django.db.models.functions import Lower

    return {
        "Index": {"indexes": [models.Index(fields=["day", "-secret"], name="i")]},
        "Lower": {"indexes": [models.Index(Lower("secret").desc(), name="Lower")]},
        "F": {"constraints": [models.UniqueConstraint(models.F("secret"), name="F")]},
        "UniqueConstraint": {"constraints": [models.UniqueConstraint(fields=["secret", "day"], name="u")]},
        "unique_together": {"unique_together": [("secret", "day")]},
    }[name]


def test_indexes(shop: Any, named: Named) -> None:
    """No index, constraint or key of an encrypted column passes; the hint leads to the blind index."""
    from django.db import models

    from keyring_core.integrations import django

    cases = [
        "unique",
        "primary_key",
        "db_index",
        "unique_for_date",
        "Index",
        "Lower",
        "F",
        "UniqueConstraint",
        "unique_together",
    ]

    for kind in ("Text", "Binary", "JSON"):
        for option in cases:
            with named(kind, option):
                field = getattr(django, f"Encrypted{kind}Field")
                if option[0].isupper() or option == "unique_together":
                    model = model_with(field(), **indexed(models, option))
                else:
                    model = model_with(field(**{option: "day" if option == "unique_for_date" else True}))

                (fault,) = [each for each in model.check() if each.id.startswith("keyring_core")]

                assert (fault.id, "BlindIndexField" in fault.hint) == ("keyring_core.E002", True)
                assert option in fault.msg
                assert ids(model_with(field()).check()) == []


def test_orders_and_defaults(shop: Any) -> None:
    """Meta.ordering, Meta.get_latest_by and db_default are refused."""
    from keyring_core.integrations.django import EncryptedTextField

    assert ids(model_with(EncryptedTextField(), ordering=["day", "-secret"]).check()) == ["E003"]
    assert ids(model_with(EncryptedTextField(), get_latest_by="secret").check()) == ["E003"]
    assert ids(model_with(EncryptedTextField(db_default="x")).check()) == ["E004"]
    assert ids(model_with(EncryptedTextField(default="x"), ordering=["day"], get_latest_by=["day"]).check()) == []


def test_the_field_of_an_index(shop: Any) -> None:
    """An index names an encrypted field of text or bytes in its own table, or the check says so."""
    from django.db import models

    from keyring_core.integrations.django import (
        BlindIndexField,
        EncryptedBinaryField,
        EncryptedJSONField,
        EncryptedTextField,
    )

    def found(field: Any, of: str) -> list[str]:
        return ids(model_with(field, BlindIndexField(of)).check())

    assert found(EncryptedTextField(), "secret") == found(EncryptedBinaryField(), "secret") == []
    assert found(EncryptedTextField(), "day") == found(EncryptedTextField(), "typo") == ["E005"]
    assert found(EncryptedJSONField(), "secret") == found(models.TextField(), "secret") == ["E005"]


NARROW: dict[str, Callable[[Any], str]] = {
    "email": lambda kind: "VARCHAR(418)" if kind == "postgresql" else "VARCHAR(30)",
    "api_key": lambda kind: "VARCHAR(200)",
}


def test_a_column_that_is_too_narrow(shop: Any, db: Any) -> None:
    """A column that cannot hold the longest token is a warning of the database check, and migrate would still run."""
    from django.core.management import CommandError, call_command

    def found() -> list[str]:
        field = [shop.Account._meta.get_field(name) for name in NARROW]
        return [message.msg for each in field for message in each.check(databases=["default"]) if "W003" in message.id]

    assert found() == []
    if db.kind == "sqlite":
        return
    alter = "ALTER {} TYPE" if db.kind == "postgresql" else "MODIFY {}"
    try:
        for name, kind in NARROW.items():
            db.execute(f"ALTER TABLE accounts {alter.format(name)} {kind(db.kind)}")
        assert [message[: len("The column accounts.email")] for message in found()] == [
            "The column accounts.email",
            "The column accounts.api_k",
        ]
        call_command("check", databases=["default"])
        with pytest.raises(CommandError, match=r"keyring_core\.W003"):
            call_command("check", databases=["default"], fail_level="WARNING")
    finally:
        for name in NARROW:
            db.execute(f"ALTER TABLE accounts {alter.format(name)} {'TEXT' if db.kind == 'postgresql' else 'LONGTEXT'}")


def test_a_field_of_another_kind_than_its_column_is_a_warning(shop: Any, db: Any) -> None:
    """PostgreSQL refuses text for a bytea, and bytes for text; the check says so before the first INSERT does."""
    from keyring_core.integrations.django import EncryptedTextField

    if db.kind != "postgresql":
        return
    db.execute("CREATE TABLE kinds (id INTEGER PRIMARY KEY, secret BYTEA, day TEXT)")
    try:
        faults = [
            ids(
                model_with(EncryptedTextField(binary=binary, db_column=column), db_table="kinds").check(
                    databases=["default"]
                )
            )
            for binary, column in ((False, "secret"), (True, "secret"), (True, "day"), (False, "day"))
        ]
    finally:
        db.execute("DROP TABLE kinds")

    assert faults == [["W004"], [], ["W004"], []]


def test_the_longest_token(shop: Any, keys: None) -> None:
    """The bound of a column is the length of a real token of the longest value, in characters of four bytes."""
    from keyring_core.integrations.django import EncryptedBinaryField, EncryptedTextField
    from keyring_core.integrations.django.checks import longest_token

    for length in (1, 3, 4, 60, 255):
        text, data = EncryptedTextField(max_length=length), EncryptedBinaryField(max_length=length)
        assert longest_token(text) == len(text.cells.seal("\N{GRINNING FACE}" * length))
        assert longest_token(data) == len(data.cells.seal(b"x" * length))
    assert longest_token(EncryptedTextField()) is None


def test_the_bound_is_exact(shop: Any, db: Any) -> None:
    """The column of the longest token is wide enough, and one character less is not."""
    if db.kind == "sqlite":
        return
    from keyring_core.integrations.django.checks import longest_token

    field = shop.Account._meta.get_field("email")
    alter = "ALTER email TYPE" if db.kind == "postgresql" else "MODIFY email"
    try:
        for width, faults in ((longest_token(field), []), (longest_token(field) - 1, ["W003"])):
            db.execute(f"ALTER TABLE accounts {alter} VARCHAR({width})")
            assert ids(field.check(databases=["default"])) == faults
    finally:
        db.execute(f"ALTER TABLE accounts {alter} {'TEXT' if db.kind == 'postgresql' else 'LONGTEXT'}")


def test_sqlite_has_no_widths(shop: Any, db: Any) -> None:
    """A short type is a fault on a server, and none on SQLite, which stores any length."""
    from keyring_core.integrations.django import EncryptedTextField

    db.execute("CREATE TABLE narrow (id INTEGER PRIMARY KEY, secret VARCHAR(10), day DATE)")
    try:
        model = model_with(EncryptedTextField(), db_table="narrow")

        assert ids(model.check(databases=["default"])) == ([] if db.kind == "sqlite" else ["W003"])
    finally:
        db.execute("DROP TABLE narrow")


def test_a_table_that_is_not_there_yet(shop: Any, db: Any) -> None:
    """Before the first migration the database check has nothing to say."""
    from keyring_core.integrations.django import EncryptedTextField

    model = model_with(EncryptedTextField(), db_table="not_there")

    assert ids(model.check(databases=["default"])) == []
