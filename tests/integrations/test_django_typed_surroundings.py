"""keyring_core/integrations/django/typed_fields.py: forms, the admin, serializers, fixtures and histories as usual."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from keyring_core import Keyring
from tests.conftest import NEW, OLD, Named
from tests.integrations.conftest import use_keys
from tests.integrations.test_django_surroundings import admin as admin  # noqa: PLC0414 - a fixture
from tests.integrations.test_django_typed_fields import opened
from tests.keys import make_key

pytestmark = [
    pytest.mark.xdist_group("django"),
    # Of Django 5.2, for a URLField of any kind.
    pytest.mark.filterwarnings("ignore:The default scheme will be changed"),
]

TYPED = {
    "name": "Zoë",
    "mail": "a@secret.value",
    "site": "http://secret.value/",
    "address": "192.0.2.77",
    "born": "1234-05-06",
    "wakes": "06:12:34",
    "shift": "1 02:03:04",
    "age": "41424344",
    "score": "0.125",
    "active": "on",
    "member": "False",
    "income": "4142.43",
    "ref": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "colour": "blue",
    "level": "2",
}
"""What somebody types into a form; `seen` is one text in a form, and two in the admin."""
READ = {
    "name": "Zoë",
    "mail": "a@secret.value",
    "site": "http://secret.value/",
    "address": "192.0.2.77",
    "born": dt.date(1234, 5, 6),
    "seen": dt.datetime(2034, 5, 6, 7, 8, 9, tzinfo=dt.UTC),
    "wakes": dt.time(6, 12, 34),
    "shift": dt.timedelta(days=1, hours=2, minutes=3, seconds=4),
    "age": 41424344,
    "score": 0.125,
    "active": True,
    "member": False,
    "income": Decimal("4142.43"),
    "ref": UUID("0f8fad5b-d9cb-469f-a165-70867728950e"),
    "colour": "blue",
    "level": 2,
}
SHOWN = ("Zoë", "secret.value", "192.0.2.77", "1234-05-06", "06:12:34", "02:03:04", "41424344", "0.125", "4142.43")


def values(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in READ}


@pytest.fixture(scope="module")
def plain(shop: Any) -> Any:
    """A model with the plain fields, and no table."""
    from django.db import models
    from django.test.utils import isolate_apps

    from tests.integrations.django_project.shop.typed import FIELDS

    with isolate_apps("tests.integrations.django_project.shop"):
        fields = {name: getattr(models, kind)(**options) for name, (kind, options) in FIELDS.items()}
        meta = type("Meta", (), {"app_label": "shop"})
        return type("Plain", (models.Model,), {"__module__": __name__, "Meta": meta, **fields})


def described(field: Any) -> dict[str, Any]:
    """What a form's field is: its classes, options and validators, but not the range of a column of integers."""
    # `coerce` is the model field's to_python.
    skipped = {"widget", "validators", "min_value", "max_value", "coerce"}
    options = {name: repr(value) for name, value in vars(field).items() if name not in skipped}
    # A bound method shows its object.
    options = {name: text.split(" object at ")[0].split(" of <")[0] for name, text in options.items()}
    attributes = {name: value for name, value in field.widget.attrs.items() if name not in {"min", "max"}}
    return {"class": type(field), "widget": type(field.widget), "attributes": attributes, **options}


def test_forms_are_those_of_the_plain_fields(shop: Any, plain: Any, named: Named) -> None:
    """A ModelForm and the admin have the field, the widget, its attributes and the options of the plain field."""
    from django.contrib.admin import ModelAdmin, site
    from django.forms import modelform_factory

    request: Any = SimpleNamespace(user=None)
    forms = [
        (modelform_factory(model, fields="__all__"), ModelAdmin(model, site).get_form(request))
        for model in (shop.Person, plain)
    ]
    for ours, theirs in zip(*forms, strict=True):
        assert [*ours.base_fields] == [*theirs.base_fields]
        for name, field in theirs.base_fields.items():
            with named(f"{ours.__name__} {name}"):
                assert described(ours.base_fields[name]) == described(field)


def test_fields_are_instances_of_the_plain_ones(shop: Any, plain: Any, named: Named) -> None:
    """Code that asks isinstance sees the plain field, and its validators beside the one for tokens."""
    for field in plain._meta.local_fields[1:]:
        ours = shop.Person._meta.get_field(field.name)
        with named(field.name):
            assert isinstance(ours, type(field))
            kinds = [type(each) for each in field.validators if not hasattr(each, "limit_value") or field.max_length]
            assert [type(each) for each in ours.validators[1:]] == kinds
            assert (ours.blank, ours.null, ours.editable, ours.choices, ours.get_default(), ours.max_length) == (
                *(field.blank, field.null, field.editable, field.choices, field.get_default(), field.max_length),
            )
            assert ours.description == field.description


def test_a_subclass_has_validators_of_its_own(shop: Any) -> None:
    """The default validators of an application's own integer field hold."""
    from django.core.validators import MinValueValidator

    from keyring_core.integrations.django import EncryptedIntegerField

    own = type("Own", (EncryptedIntegerField,), {"default_validators": [MinValueValidator(0)]})

    assert MinValueValidator(0) in own().validators


def test_models_with_typed_fields_pass_the_checks(shop: Any, db: Any) -> None:
    """check() finds nothing in them, on the database, too; wrong options are found as in the plain fields."""
    from django.db import models
    from django.test.utils import isolate_apps

    from keyring_core.integrations import django as encrypted

    for model in (shop.Person, shop.Twin, shop.Person.history.model):
        assert model.check(databases=["default"]) == []
    with isolate_apps("tests.integrations.django_project.shop"):
        fields = {
            "name": encrypted.EncryptedCharField(max_length=-1),
            "born": encrypted.EncryptedDateField(auto_now=True, auto_now_add=True),
            "income": encrypted.EncryptedDecimalField(max_digits=1, decimal_places=2),
            "age": encrypted.EncryptedIntegerField(unique=True),
            "slug": models.CharField(max_length=9, unique_for_year="born"),
        }
        meta = type("Meta", (), {"app_label": "shop", "ordering": ["born"]})
        wrong: Any = type("Wrong", (models.Model,), {"__module__": __name__, "Meta": meta, **fields})
    assert sorted(each.id for each in wrong.check()) == [
        *("fields.E121", "fields.E134", "fields.E160"),
        *("keyring_core.E002", "keyring_core.E002", "keyring_core.E003"),
    ]
    assert "unique_for_year of slug" in str([each.msg for each in wrong.check()])


def test_a_form_of_typed_fields(shop: Any, db: Any) -> None:
    """A form saves what was typed, shows it again, and sees no change in it."""
    from django.forms import modelform_factory

    form = modelform_factory(shop.Person, fields="__all__")
    typed = TYPED | {"seen": "2034-05-06T07:08:09+00:00"}
    filled = form(typed)
    assert filled.is_valid(), filled.errors

    row = filled.save()

    row.refresh_from_db()
    assert values(row) == READ
    shown = form(instance=row)
    assert not [text for text in SHOWN if text not in shown.as_p()]
    assert form(typed, instance=row).changed_data == []
    assert form(typed | {"born": "1234-05-07", "age": "1"}, instance=row).changed_data == ["born", "age"]
    empty = form({"name": "", "colour": "red"})
    assert empty.is_valid(), empty.errors
    assert {*values(empty.save()).items()} >= {("born", None), ("age", None), ("mail", None), ("active", False)}


def test_a_form_is_localised(shop: Any, db: Any) -> None:
    """Localised fields read and show dates and numbers as the language has them."""
    from django.forms import modelform_factory
    from django.utils import translation

    form = modelform_factory(shop.Person, fields=["born", "income"], localized_fields="__all__")
    with translation.override("de"):
        filled = form({"born": "06.05.1234", "income": "4142,43"})
        assert filled.is_valid(), filled.errors
        row = filled.save()

        assert {"06.05.1234", "4142,43"} <= {*form(instance=row).as_p().split('"')}

    row.refresh_from_db()
    assert (row.born, row.income) == (READ["born"], READ["income"])


def test_a_form_refuses_typed_values(shop: Any, db: Any, named: Named) -> None:
    """A form names what is no value of a field, a token included, and nothing fails on save."""
    from django.forms import modelform_factory

    token = Keyring(make_key(NEW)).encrypt("x")
    wrong = {
        "name": ["x" * 21, token],
        "mail": ["no address", token],
        "site": ["no url", token],
        "address": ["1.2.3", token],
        "born": ["1234-13-01", token],
        "seen": ["yesterday", token],
        "wakes": ["25:00", token],
        "shift": ["long", token],
        "age": ["old", "1.5", token],
        "score": ["nan", token],
        "income": ["1.005", "1234567.00", token],
        "ref": ["1", token],
        "colour": ["green", token],
        "level": ["3", token],
    }
    for name, several in wrong.items():
        for text in several:
            with named(name, text):
                form = modelform_factory(shop.Person, fields=[name])({name: text})

                assert not form.is_valid()
                assert [*form.errors] == [name]


def test_rest_framework_of_typed_fields(shop: Any, plain: Any, db: Any, named: Named) -> None:
    """A ModelSerializer has the plain field's serializer field, writes what it reads, and refuses what that refuses."""
    from rest_framework import serializers

    def serializer(model_: Any) -> Any:
        meta = type("Meta", (), {"model": model_, "fields": [*READ]})
        return type("Serializer", (serializers.ModelSerializer,), {"Meta": meta})

    ours = serializer(shop.Person)
    for name, field in serializer(plain)().fields.items():
        with named(name):
            assert type(ours().fields[name]) is type(field)
            assert ours().fields[name].required == field.required
            assert ours().fields[name].allow_null == field.allow_null

    taken = ours(data=TYPED | {"seen": "2034-05-06T07:08:09Z", "active": True})
    assert taken.is_valid(), taken.errors
    row = taken.save()

    row.refresh_from_db()
    assert values(row) == READ
    again = ours(row, data=ours(row).data)
    assert again.is_valid(), again.errors
    assert dict(ours(again.save()).data) == dict(ours(row).data)
    token = Keyring(make_key(NEW)).encrypt("x")
    texts = ("name", "mail", "site", "address", "born", "age", "income", "colour")
    refused = ours(data=dict.fromkeys(texts, token))
    assert not refused.is_valid()
    assert {*refused.errors} == {*texts}


@pytest.mark.parametrize("kind", ["json", "jsonl", "xml"])
def test_fixtures_hold_no_typed_value(shop: Any, db: Any, tmp_path: Path, kind: str) -> None:
    """A dump holds tokens, also of dates, numbers and booleans; loading it brings the values back under any key."""
    from django.core.management import call_command

    path = tmp_path / f"people.{kind}"
    shop.Person.objects.create(**READ)
    shop.Account.objects.create(options=41424344, settings=True)
    call_command("dumpdata", "shop.person", "shop.account", output=str(path), format=kind, verbosity=0)
    shop.Person.objects.all().delete()
    shop.Account.objects.all().delete()

    # Any word may stand in a token; nothing of the fields that are not encrypted has these.
    text = re.sub(r"[\w+/=-]{60,}", "", path.read_text())
    for shown in (*SHOWN, "false", "False", "True", "blue"):
        assert shown not in text, shown
    call_command("loaddata", str(path), verbosity=0)

    assert values(shop.Person.objects.get()) == READ
    assert (shop.Account.objects.get().options, shop.Account.objects.get().settings) == (41424344, True)
    assert opened(db, "age") == "41424344"


def test_an_unsaved_row_is_serialized(shop: Any, db: Any) -> None:
    """What a form or a program set as text is serialized as the token of the value that it is."""
    from django.core import serializers

    text = serializers.serialize("json", [shop.Twin(one="1234-05-06", two=READ["born"])])

    (read,) = serializers.deserialize("json", text)
    read.save()
    assert "1234" not in text
    assert shop.Twin.objects.get().one == shop.Twin.objects.get().two == READ["born"]


def test_the_admin_and_rows_that_do_not_open(shop: Any, admin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If its query defers the field the admin lists such a row, and deletes it once no other row refers to it."""
    from django.contrib.admin import site

    from keyring_core import UndecryptableToken

    row = shop.Twin.objects.create(one=READ["born"])
    shop.Note.objects.create(twin=row)
    use_keys(monkeypatch, OLD)
    page = "/admin/shop/twin/"
    delete = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    with pytest.raises(UndecryptableToken, match=rf"^shop_twin\.one, id={row.pk}"):
        admin.get(page)

    monkeypatch.setattr(site._registry[shop.Twin], "get_queryset", lambda request: shop.Twin.objects.defer("one"))
    assert admin.get(page).status_code == 200
    with pytest.raises(UndecryptableToken, match="to delete rows unread"):
        admin.post(page, delete)
    shop.Note.objects.all().delete()

    assert admin.post(page, delete | {"post": ""}).status_code == 200
    assert admin.post(page, delete).status_code == 302
    assert not shop.Twin.objects.exists()
