"""keyring_core/integrations/django/checks.py: what `manage.py check` says, by id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import NEW, OLD, Named
from tests.integrations.conftest import table_of, use_keys
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
    from django.db.models.lookups import Exact

    q = models.Q
    return {
        "check Q": {"constraints": [models.CheckConstraint(condition=q(day=1) | ~q(q(secret="x")), name="check Q")]},
        "check F": {"constraints": [models.CheckConstraint(condition=q(day=models.F("secret")), name="check F")]},
        "check Exact": {
            "constraints": [models.CheckConstraint(condition=q(Exact(Lower("secret"), "x")), name="check Exact")]
        },
        "some": {"constraints": [models.UniqueConstraint(fields=["day"], condition=q(secret__gt="x"), name="some")]},
        "partial": {"indexes": [models.Index(fields=["day"], condition=q(secret__in=["x"]), name="partial")]},
        "include": {"indexes": [models.Index(fields=["day"], include=["secret"], name="include")]},
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
        *("check Q", "check F", "check Exact", "some", "partial", "include"),
    ]

    for kind in ("Text", "Binary", "JSON"):
        for option in cases:
            with named(kind, option):
                field = getattr(django, f"Encrypted{kind}Field")
                if option in ("unique", "primary_key", "db_index", "unique_for_date"):
                    model = model_with(field(**{option: "day" if option == "unique_for_date" else True}))
                else:
                    model = model_with(field(), **indexed(models, option))

                (fault,) = [each for each in model.check() if each.id.startswith("keyring_core")]

                assert (fault.id, "BlindIndexField" in fault.hint) == ("keyring_core.E002", True)
                assert option in fault.msg
                assert ids(model_with(field()).check()) == []


def test_a_constraint_may_look_for_null(shop: Any, db: Any) -> None:
    """A constraint that asks for NULL passes the check, and holds in the database and in full_clean."""
    from django.core.exceptions import ValidationError
    from django.db import IntegrityError, models, transaction
    from django.db.models.lookups import IsNull

    from keyring_core.integrations.django import EncryptedTextField

    conditions = [models.Q(secret__isnull=False), models.Q(IsNull(models.F("secret"), False))]
    constraints = [models.CheckConstraint(condition=each, name=f"c{n}") for n, each in enumerate(conditions)]
    fields = {"secret": EncryptedTextField(null=True, blank=True)}
    with table_of("Held", **fields, meta={"constraints": constraints}) as model:
        assert ids(model.check()) == []
        model.objects.create(secret="x")
        model(secret="x").full_clean()
        with pytest.raises(IntegrityError), transaction.atomic():
            model.objects.create(secret=None)
        with pytest.raises(ValidationError, match="c0"):
            model(secret=None).full_clean()


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
        EncryptedDateTimeField,
        EncryptedJSONField,
        EncryptedTextField,
    )

    def found(field: Any, of: str) -> list[str]:
        return ids(model_with(field, BlindIndexField(of)).check())

    assert found(EncryptedTextField(), "secret") == found(EncryptedBinaryField(), "secret") == []
    assert found(EncryptedTextField(), "day") == found(EncryptedTextField(), "typo") == ["E005"]
    assert found(EncryptedJSONField(), "secret") == found(models.TextField(), "secret") == ["E005"]
    assert found(EncryptedDateTimeField(), "secret") == []
    for option in ("auto_now", "auto_now_add"):
        assert found(EncryptedDateTimeField(**{option: True}), "secret") == ["E005"]


def test_the_normal_form_of_an_index(shop: Any) -> None:
    """A function that a migration could not import is an error; so is one for values that have one text each."""
    from keyring_core.integrations.django import BlindIndexField, EncryptedTextField
    from keyring_core.integrations.values import DATE

    dates = EncryptedTextField()
    dates.cells.of = DATE

    def found(field: Any, normalize: Any) -> list[str]:
        return ids(model_with(field, BlindIndexField("secret", normalize=normalize)).check())

    assert found(EncryptedTextField(), str.casefold) == found(EncryptedTextField(), "lower") == found(dates, None) == []
    assert found(EncryptedTextField(), lambda text: text) == found(EncryptedTextField(), "no:such") == ["E006"]
    assert found(dates, "casefold") == ["E006"]


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


def admin_faults(options: dict[str, Any], of: str = "Account") -> list[tuple[str, str]]:
    """What the check says of an admin page of the model *of* with *options*."""
    from django.apps import apps
    from django.contrib import admin
    from django.contrib.admin import sites
    from django.core import checks

    site = admin.AdminSite()
    site.register(apps.get_model("shop", of), type("Page", (admin.ModelAdmin,), options))
    try:
        return [(each.msg, each.hint) for each in checks.run_checks(tags=["admin"]) if each.id == "keyring_core.W005"]
    finally:
        sites.all_sites.discard(site)


def test_the_pages_of_the_admin(shop: Any, named: Named) -> None:
    """A page that would search, filter or order by an encrypted column is a warning, with what to write instead."""
    from django.contrib import admin
    from django.db.models import F
    from django.db.models.functions import Lower

    class NullFilter(admin.FieldListFilter):
        """One of the application."""

    def shown(account: Any) -> str:
        return ""

    def ordered(account: Any) -> str:
        return ""

    ordered.admin_order_field = "-api_key"  # type: ignore[attr-defined]
    faults = [
        ({"search_fields": ["email_index"]}, '"email_index__exact"'),
        ({"search_fields": ["=email_index"]}, '"email_index__exact"'),
        ({"search_fields": ["=email_index__exact"]}, '"email_index__exact"'),
        ({"search_fields": ["email_index__iexact"]}, '"email_index__exact"'),
        ({"search_fields": ["name", "api_key"]}, "BlindIndexField"),
        ({"search_fields": ["api_key__exact"]}, "BlindIndexField"),
        ({"list_filter": ["api_key"]}, "Take it out"),
        ({"list_filter": [("api_key", admin.AllValuesFieldListFilter)]}, "Take it out"),
        ({"list_filter": ["email_index"]}, "Take it out"),
        ({"date_hierarchy": "api_key"}, "Take it out"),
        ({"ordering": ["name", "-api_key"]}, "Take it out"),
        ({"ordering": [F("api_key").desc()]}, "Take it out"),
        ({"ordering": [Lower("api_key")]}, "Take it out"),
        ({"list_display": ["name", "api_key"], "sortable_by": ["name"]}, "@admin.display"),
        ({"list_display": [ordered]}, "Take it out"),
        ({"list_display": ["method"], "method": ordered}, "Take it out"),
    ]
    for options, hint in faults:
        with named(str(options)):
            [(words, advice)] = admin_faults(options)
            assert next(iter(options)) in words or "admin_order_field" in words
            assert hint in advice
    assert len(admin_faults({"search_fields": ["account__email_index"]}, of="Purchase")) == 1
    assert len(admin_faults({"list_display": ["account__api_key"]}, of="Purchase")) == 1
    for fine in (
        {"search_fields": ["name", "^name", "email_index__exact", "id__exact", "no_such"]},
        {"list_filter": ["name", ("api_key", NullFilter)]},
        {"list_display": ["__str__", "name", "email_index", shown]},
        {"ordering": ["name", F("id").asc(), "?"]},
    ):
        with named(str(fine)):
            assert admin_faults(fine) == []


def test_a_search_by_values_that_are_no_text(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The words of a search are text, which an index of dates or bytes cannot take."""
    from keyring_core.integrations.cells import ValueKind
    from keyring_core.integrations.values import DATE

    cells = shop.Account._meta.get_field("email").cells
    for name, value in (("of", DATE), ("kind", ValueKind.BYTES)):
        with monkeypatch.context() as patch:
            patch.setattr(cells, name, value)
            faults = admin_faults({"search_fields": ["email_index__exact"]})
            assert {advice[:11] for _, advice in faults} == {"Take it out"}


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
