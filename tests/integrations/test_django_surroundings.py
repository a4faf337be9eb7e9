"""What works with models works with encrypted fields: forms, the admin, serializers, fixtures and history tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keyring_core import InvalidToken, Keyring
from keyring_core.blind_index import BlindIndex
from tests.conftest import NEW, OLD, Named
from tests.integrations.conftest import use_keys
from tests.keys import make_key

pytestmark = pytest.mark.xdist_group("django")

SECRET = "sk-live-secret"
OPTIONS = {"a": [1, None, True, SECRET]}


def keyring() -> Keyring:
    return Keyring(make_key(NEW), previous=[make_key(OLD)])


def form_of(shop: Any, names: list[str]) -> Any:
    from django.forms import modelform_factory

    return modelform_factory(shop.Account, fields=names)


def test_a_form_saves_and_shows_values(shop: Any, db: Any) -> None:
    """A ModelForm writes what was typed, and shows the values of a row: text in a text area, JSON as JSON."""
    from django import forms

    form = form_of(shop, ["name", "api_key", "email", "options"])(
        {"name": "n", "api_key": SECRET, "email": "a@b.c", "options": json.dumps(OPTIONS)}
    )

    assert form.is_valid(), form.errors
    row = form.save()

    row.refresh_from_db()
    assert (row.api_key, row.email, row.options) == (SECRET, "a@b.c", OPTIONS)
    assert shop.Account.objects.get(email_index="a@b.c") == row
    shown = type(form)(instance=row)
    assert isinstance(shown.fields["options"], forms.JSONField)
    assert isinstance(shown.fields["api_key"].widget, forms.Textarea)
    assert SECRET in shown.as_p()
    again = type(form)({"name": "n", "api_key": SECRET, "email": "a@b.c", "options": json.dumps(OPTIONS)}, instance=row)
    assert not again.has_changed()


def test_a_form_refuses(shop: Any, db: Any, named: Named) -> None:
    """A form names what cannot be stored: too long a value, no JSON, a token; and does not fail on save."""
    cases = [
        ("email", "e" * 61, "at most 60 characters"),
        ("options", "{", "valid JSON"),
        ("api_key", "a token", "encrypted already"),
        ("options", "a token in quotes", "encrypted already"),
    ]

    token = Keyring(make_key("strange")).encrypt("x")
    tokens = {"a token": token, "a token in quotes": f'"{token}"'}

    for field, typed, says in cases:
        with named(field, typed):
            form = form_of(shop, [field])({field: tokens.get(typed, typed)})

            assert not form.is_valid()
            assert says in str(form.errors[field])


def test_full_clean_checks_lengths(shop: Any, db: Any) -> None:
    """The bound of a value holds in full_clean, too."""
    from django.core.exceptions import ValidationError

    with pytest.raises(ValidationError, match="at most 60 characters"):
        shop.Account(name="n", email="e" * 61).full_clean()


@pytest.fixture
def admin(shop: Any, db: Any) -> Any:
    """A client of the admin site."""
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def test_the_admin_adds_and_changes(shop: Any, admin: Any) -> None:
    """The admin's pages add, list, show, change and delete rows."""
    typed = {"name": "n", "api_key": SECRET, "email": "a@b.c", "options": json.dumps(OPTIONS)}
    assert admin.get("/admin/shop/account/add/").status_code == 200

    added = admin.post("/admin/shop/account/add/", typed)

    row = shop.Account.objects.get()
    page = f"/admin/shop/account/{row.pk}/change/"
    assert (added.status_code, row.api_key, row.options, row.token) == (302, SECRET, OPTIONS, "")
    assert SECRET in admin.get(page).content.decode()
    assert admin.post(page, typed | {"api_key": "another", "email": "d"}).status_code == 302
    row.refresh_from_db()
    assert (row.api_key, shop.Account.objects.filter(email_index="d").count()) == ("another", 1)
    listed = admin.get("/admin/shop/account/")
    assert (listed.status_code, SECRET in listed.content.decode()) == (200, False)
    assert SECRET not in admin.get(f"/admin/shop/account/{row.pk}/history/").content.decode()
    assert admin.post(f"/admin/shop/account/{row.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not shop.Account.objects.exists()


def test_the_admin_searches_by_an_index(shop: Any, admin: Any) -> None:
    """A search finds the row with that e-mail address, and by a column that is not encrypted, and fails for none."""
    rows = {"one-account": "a@b.c", "two-accounts": "d@e.f"}
    for name, email in rows.items():
        shop.Account.objects.create(name=name, email=email)

    for words, found in (
        ("A@b.c", []),
        ("a@b.c", ["one-account"]),
        ("two", ["two-accounts"]),
        ("two d@e.f", ["two-accounts"]),
        ("api_key=1", []),
    ):
        page = admin.get("/admin/shop/account/", {"q": words})
        assert page.status_code == 200
        assert [name for name in rows if f">{name}<" in page.content.decode()] == found
    for order in ("1", "2", "-2", "3"):
        assert admin.get("/admin/shop/account/", {"o": order}).status_code == 200


def test_rest_framework_serializes(shop: Any, db: Any) -> None:
    """A ModelSerializer has a text field and a JSON field for them, writes values, and checks lengths and tokens."""
    from rest_framework import serializers

    class Serializer(serializers.ModelSerializer):
        class Meta:
            model = shop.Account
            fields = ("api_key", "email", "options", "email_index")
            extra_kwargs = {"api_key": {"write_only": True}}  # noqa: RUF012 - as it is written with this package

    given = {"api_key": SECRET, "email": "a@b.c", "options": OPTIONS, "email_index": "ignored"}
    serializer = Serializer(data=given)
    assert serializer.is_valid(), serializer.errors
    row = serializer.save()

    row.refresh_from_db()
    assert (row.api_key, row.email, row.options) == (SECRET, "a@b.c", OPTIONS)
    index = BlindIndex("accounts.email").of(keyring(), "a@b.c")
    assert Serializer(row).data == {"email": "a@b.c", "options": OPTIONS, "email_index": index}
    changed = Serializer(row, data={"email": "d"}, partial=True)
    assert changed.is_valid()
    changed.save()
    assert shop.Account.objects.filter(email_index="d").count() == 1
    refused = Serializer(data={"email": "e" * 61, "api_key": keyring().encrypt("x")})
    assert not refused.is_valid()
    assert {*refused.errors} == {"email", "api_key"}


@pytest.fixture
def fixture(shop: Any, db: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A fixture of one account, which is gone from the database."""
    from django.core.management import call_command

    kind = getattr(request, "param", "json")
    path = tmp_path / f"accounts.{kind}"
    shop.Account.objects.create(
        name="n", api_key=SECRET, email=SECRET, certificate=SECRET.encode(), options=OPTIONS, token=SECRET
    )
    call_command("dumpdata", "shop.account", output=str(path), format=kind, verbosity=0)
    shop.Account.objects.all().delete()
    return path


@pytest.mark.parametrize("fixture", ["json", "jsonl", "xml"], indirect=True)
def test_fixtures_hold_tokens(shop: Any, db: Any, fixture: Path) -> None:
    """A dump holds tokens, no plaintext and no index; loading it brings the values and the index back."""
    from django.core.management import call_command

    text = fixture.read_text()
    assert (SECRET in text, "email_index" in text) == (False, False)
    assert text.count("gAAAA") == 5

    call_command("loaddata", str(fixture), verbosity=0)

    row = shop.Account.objects.get(email_index=SECRET)
    assert (row.api_key, row.certificate, row.options, row.token) == (SECRET, SECRET.encode(), OPTIONS, SECRET)
    assert row.settings is None


def test_a_fixture_of_an_older_key(shop: Any, db: Any, fixture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fixture loads while its key is known, and is stored under the primary key; otherwise it raises, and no row."""
    from django.core.management import call_command

    use_keys(monkeypatch, OLD)
    with pytest.raises(InvalidToken, match=r"accounts\.api_key, pk="):
        call_command("loaddata", str(fixture), verbosity=0)
    assert not shop.Account.objects.exists()

    use_keys(monkeypatch, OLD, NEW)
    call_command("loaddata", str(fixture), verbosity=0)

    ((cell,),) = db.rows("SELECT email FROM accounts")
    assert Keyring(make_key(OLD)).decrypt(cell) == SECRET


def test_a_fixture_of_plaintext(shop: Any, db: Any, tmp_path: Path) -> None:
    """A fixture that was written by hand may hold values; they are encrypted as they are loaded."""
    from django.core.management import call_command

    fields = {"api_key": SECRET, "email": "a@b.c", "options": OPTIONS, "certificate": "AAE="}
    path = tmp_path / "byhand.json"
    path.write_text(json.dumps([{"model": "shop.account", "pk": 1, "fields": fields}]))

    call_command("loaddata", str(path), verbosity=0)

    row = shop.Account.objects.get(email_index="a@b.c")
    assert (row.api_key, row.options, row.certificate) == (SECRET, OPTIONS, b"\0\1")
    assert SECRET not in str(db.rows("SELECT api_key, options FROM accounts"))


def test_history_tables(shop: Any, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A history row has its value under a context and an index of its own table, and survives the row."""
    customer = shop.Customer.objects.create(phone="1")
    customer.phone = "2"
    customer.save()
    pk = customer.pk
    customer.delete()

    history = shop.Customer.history.model
    assert [row.phone for row in history.objects.filter(id=pk).order_by("history_id")] == ["1", "2", "2"]
    assert history.objects.filter(phone_index="2").count() == 2
    latest, _, first = shop.Customer.history.filter(id=pk)
    assert {change.field: (change.old, change.new) for change in latest.diff_against(first).changes}["phone"] == (
        "1",
        "2",
    )
    bound = keyring().bind("shop_historicalcustomer.phone")
    cells = db.rows("SELECT phone FROM shop_historicalcustomer ORDER BY history_id")
    assert [bound.decrypt(cell) for (cell,) in cells] == ["1", "2", "2"]

    first.instance.save()
    assert shop.Customer.objects.get(phone_index="1").phone == "1"
    use_keys(monkeypatch, OLD)
    with pytest.raises(InvalidToken, match=r"^shop_historicalcustomer\.phone, history_id="):
        list(history.objects.all())
