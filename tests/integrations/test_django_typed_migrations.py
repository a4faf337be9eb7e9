"""Columns of plain fields that become those of typed encrypted ones, and typed columns that are added."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from keyring_core import Keyring
from tests.conftest import NEW, Cli
from tests.keys import key_text, make_key

pytestmark = pytest.mark.xdist_group("django")

PLAIN: dict[str, tuple[dict[str, Any], Any]] = {
    "Char": ({"max_length": 9}, "Zoë"),
    "Email": ({}, "a@b.c"),
    "URL": ({}, "http://a.b"),
    "Date": ({"db_index": True}, dt.date(1980, 2, 29)),
    "DateTime": ({}, dt.datetime(2026, 7, 1, 10, 0, 0, 5, tzinfo=dt.UTC)),
    "Time": ({}, dt.time(6, 12, 34, 500000)),
    "Integer": ({}, -42),
    "Boolean": ({}, True),
    "Decimal": ({"max_digits": 10, "decimal_places": 4}, Decimal("123456.1200")),
    "UUID": ({"unique": True}, UUID("0f8fad5b-d9cb-469f-a165-70867728950e")),
    "Float": ({}, 0.125),
}


def model(field: Any) -> Any:
    """A model over the table `altered`, which has *field* alone."""
    from django.db import models
    from django.test.utils import isolate_apps

    with isolate_apps("tests.integrations.django_project.shop"):
        meta = type("Meta", (), {"app_label": "shop", "db_table": "altered"})
        return type("Altered", (models.Model,), {"__module__": __name__, "Meta": meta, "value": field})


@pytest.fixture
def table(db: Any) -> Iterator[Any]:
    """The database, in which the table is gone afterwards."""
    yield db
    db.execute("DROP TABLE IF EXISTS altered")


@pytest.mark.some(2)
@pytest.mark.parametrize("kind", PLAIN)
def test_a_plain_column_becomes_a_typed_one(shop: Any, table: Any, cli: Cli, kind: str) -> None:
    """AlterField makes the column text, whose values are read until `adopt` has encrypted them, and afterwards."""
    from django.db import connection, models

    from keyring_core.integrations import django as encrypted

    options, value = PLAIN[kind]
    own = {name: each for name, each in options.items() if name not in {"db_index", "unique"}}
    old = model(getattr(models, f"{kind}Field")(null=True, **options))
    reading = model(getattr(encrypted, f"Encrypted{kind}Field")(null=True, accept_plaintext=True, **own))
    new = model(getattr(encrypted, f"Encrypted{kind}Field")(null=True, **own))
    with connection.schema_editor() as editor:
        editor.create_model(old)
    old.objects.create(value=value)
    old.objects.create(value=None)

    with connection.schema_editor() as editor:
        editor.alter_field(old, old._meta.get_field("value"), reading._meta.get_field("value"))
    assert [*reading.objects.order_by("id").values_list("value", flat=True)] == [value, None]
    # The columns of the table are read from its own connection.
    target = ("--url", table.url, "--table", "altered", "--column", "value")
    adopted = cli("adopt", "--yes", *target, environ={"ENCRYPTION_KEY": key_text(NEW)})

    assert adopted.code == 0, adopted.err + adopted.out
    assert [*new.objects.order_by("id").values_list("value", flat=True)] == [value, None]
    assert [cell[:5] for (cell,) in table.rows("SELECT value FROM altered WHERE value IS NOT NULL")] == ["gAAAA"]


def test_a_column_that_was_not_migrated_says_so(shop: Any, table: Any) -> None:
    """Read before `migrate` has made it text, a column of numbers raises with its name and what to run."""
    from django.db import connection, models

    from keyring_core.integrations.django import EncryptedIntegerField

    old = model(models.IntegerField())
    with connection.schema_editor() as editor:
        editor.create_model(old)
    old.objects.create(value=414243)

    with pytest.raises(TypeError, match=r"^altered\.value: the column holds int, not text; run .* migrate$"):
        model(EncryptedIntegerField(accept_plaintext=True)).objects.get()


def test_an_index_is_added_before_its_column_is_encrypted(shop: Any, table: Any) -> None:
    """In the order of makemigrations: the index is added beside the plain column, and the column altered then."""
    from django.db import connection, models
    from django.db.migrations import AddField, AlterField, CreateModel
    from django.db.migrations.state import ProjectState

    from keyring_core.integrations.django import BlindIndexField, EncryptedDateField

    columns = [("id", models.BigAutoField(primary_key=True)), ("value", models.DateField(null=True))]
    state = ProjectState()
    for operation in (
        CreateModel("Altered", columns, {"db_table": "altered"}),
        AddField("altered", "value_index", BlindIndexField("value")),
        AlterField("altered", "value", EncryptedDateField(null=True, accept_plaintext=True)),
    ):
        before = state.clone()
        operation.state_forwards("shop", state)
        with connection.schema_editor() as editor:
            operation.database_forwards("shop", editor, before, state)

    altered = state.apps.get_model("shop", "altered")
    day = dt.date(1980, 2, 29)
    altered.objects.create(value=day)
    assert altered.objects.get(value_index=day).value == day


@pytest.mark.some(3)
@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        ("Date", {"default": dt.date(1980, 2, 29)}, "1980-02-29"),
        ("Integer", {"default": 0}, "0"),
        ("Boolean", {"default": False}, "false"),
        ("Boolean", {"default": False, "binary": True}, "false"),
        ("Decimal", {"default": 1, "max_digits": 5, "decimal_places": 2}, "1.00"),
        ("Char", {"blank": True}, ""),
        ("Integer", {"null": True}, None),
        ("Date", {"auto_now": True}, "20"),
        ("Time", {"auto_now": True}, ""),
    ],
)
def test_a_typed_column_is_added(shop: Any, table: Any, kind: str, options: dict[str, Any], text: str | None) -> None:
    """AddField gives the rows that are there a token of the default, or of the present time, as a plain field does."""
    from django.db import connection

    from keyring_core.integrations import django as encrypted

    added = f"Encrypted{kind}Field"
    old = model(encrypted.EncryptedIntegerField(null=True))
    field = getattr(encrypted, added)(**options)
    field.set_attributes_from_name("more")
    field.model = old
    with connection.schema_editor() as editor:
        editor.create_model(old)
    old.objects.create()
    with connection.schema_editor() as editor:
        editor.add_field(old, field)

    ((cell,),) = table.rows("SELECT more FROM altered")
    if text is None:
        assert cell is None
    else:
        assert Keyring(make_key(NEW)).decrypt_bytes(cell).decode().startswith(text)
        assert field.from_db_value(cell, None, connection) is not None


def test_typed_columns_are_text(shop: Any, db: Any) -> None:
    """The column is TEXT, or LONGTEXT, and with binary=True one of bytes, whatever the plain field's would be."""
    from django.db import connection

    from keyring_core.integrations.django import EncryptedCharField
    from tests.integrations.django_project.shop.typed import FIELDS

    text, binary = {
        "sqlite": ("text", "BLOB"),
        "postgresql": ("text", "bytea"),
        "mariadb": ("longtext", "longblob"),
    }[db.kind]
    fields = {name: shop.Person._meta.get_field(name) for name in FIELDS}
    # A CharField without a length has a type of its own in a CAST.
    fields |= {"short": EncryptedCharField(), "bytes": EncryptedCharField(binary=True)}
    for name, field in fields.items():
        expected = binary if field.binary else text
        cast = "char" if db.kind == "mariadb" else expected
        assert (name, field.db_type(connection), field.cast_db_type(connection)) == (name, expected, cast)
        assert field.db_parameters(connection)["check"] is None


def test_typed_fields_make_no_noise(shop: Any) -> None:
    """A typed field is the same after deconstruct, and what only reads older cells does not stand there."""
    from keyring_core.integrations import django as encrypted
    from keyring_core.legacy import Legacy
    from tests.integrations.django_project.shop.typed import FIELDS

    legacy = Legacy("django-fernet-fields", secret="$OLD_SECRETS")
    for name in FIELDS:
        field = shop.Person._meta.get_field(name)
        _, path, args, options = field.deconstruct()
        kind = type(field)
        again = kind(*args, **options, legacy=legacy, accept_plaintext=True, accept_unbound=True)
        assert path == f"keyring_core.integrations.django.{kind.__name__}"
        assert again.deconstruct()[1:] == (path, args, options)
        assert getattr(encrypted, kind.__name__) is kind


def test_values_are_copied_as_the_page_shows(shop: Any, table: Any) -> None:
    """The data migration of docs/reference/django-fields.md copies what AlterField would change."""
    from django.db import connection, models
    from django.test.utils import isolate_apps

    from keyring_core.integrations.django import EncryptedDurationField
    from tests.integrations.test_django_docs import PAGE

    (program,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "def copy" in block)
    scope: dict[str, Any] = {}
    exec(program, scope)
    with isolate_apps("tests.integrations.django_project.shop"):
        meta = type("Meta", (), {"app_label": "shop", "db_table": "altered"})
        fields = {"old": models.DurationField(null=True), "took": EncryptedDurationField(null=True)}
        job: Any = type("Job", (models.Model,), {"__module__": __name__, "Meta": meta, **fields})
        with connection.schema_editor() as editor:
            editor.create_model(job)
        job.objects.bulk_create([job(old=dt.timedelta(days=1, seconds=0.5)), job()])

        scope["copy"](SimpleNamespace(get_model=lambda *_: job), None)

    assert [*job.objects.order_by("id").values_list("took", flat=True)] == [dt.timedelta(days=1, seconds=0.5), None]


def test_the_typed_model_of_the_page_works(shop: Any) -> None:
    """The model with typed fields that docs/reference/django-fields.md shows can be declared and passes every check."""
    from django.db import models
    from django.test.utils import isolate_apps

    from keyring_core.integrations import django as encrypted
    from tests.integrations.django_project.shop.typed import Level
    from tests.integrations.test_django_docs import PAGE

    (program,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "class Person" in block)
    scope = vars(encrypted) | {
        "models": models,
        "Level": Level,
        "__name__": "tests.integrations.django_project.shop.page",
    }
    with isolate_apps("tests.integrations.django_project.shop"):
        exec(program, scope)

    assert scope["Person"].check() == []
    named = set(re.findall(r"`(Encrypted\w+Field)`", PAGE))
    assert named == {name for name in encrypted.__all__ if name.startswith("Encrypted") and name.endswith("Field")}
