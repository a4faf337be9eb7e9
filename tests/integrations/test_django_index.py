"""keyring_core/integrations/django/index_field.py: rows found by a value, and an index that is never stale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from keyring_core import ComparisonError, KeyConfigError, Keyring
from keyring_core.blind_index import BlindIndex
from keyring_core.redaction.secret import Secret
from tests.conftest import NEW, OLD, Named
from tests.integrations.conftest import use_keys
from tests.keys import make_key

pytestmark = pytest.mark.xdist_group("django")

BOTH = ["email", "email_index"]


def index(value: str, label: str = NEW, context: str = "accounts.email") -> str:
    return BlindIndex(context).of(Keyring(make_key(label)), value)


def stored(db: Any) -> list[str | None]:
    return [text for (text,) in db.rows("SELECT email_index FROM accounts ORDER BY id")]


def stale(write: Callable[[], object]) -> None:
    """Proves that the write raises an error that says what to write, too."""
    from django.core.exceptions import FieldError

    from keyring_core.integrations.django import StaleIndexError

    with pytest.raises(StaleIndexError, match="email_index") as raised:
        write()
    assert isinstance(raised.value, FieldError)
    assert "b@b.c" not in str(raised.value)


def test_rows_are_found(shop: Any, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both exact and in find the rows of a value whose index is under any key; exclude finds the others."""
    use_keys(monkeypatch, OLD)
    shop.Account.objects.create(name="old", email="a@b.c")
    use_keys(monkeypatch, NEW, OLD)
    shop.Account.objects.create(name="new", email="a@b.c")
    shop.Account.objects.create(name="other", email="A@b.c")
    objects = shop.Account.objects.order_by("id")

    assert stored(db) == [index("a@b.c", OLD), index("a@b.c"), index("A@b.c")]
    for found in (
        objects.filter(email_index="a@b.c"),
        objects.filter(email_index=Secret("a@b.c")),
        objects.filter(email_index__exact="a@b.c"),
        objects.filter(email_index__in=["a@b.c", "x", None]),
        objects.filter(email_index__in=(each for each in ["a@b.c"])),
        objects.exclude(email_index="A@b.c"),
    ):
        assert [row.name for row in found] == ["old", "new"]
    assert not objects.filter(email_index__in=[]).exists()
    assert not objects.filter(email_index="a@b").exists()
    assert objects.filter(email_index__isnull=False).count() == 3
    assert not objects.filter(email_index=None).exists()


@pytest.mark.by_turns
def test_an_old_query_uses_the_keys_of_today(shop: Any, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A queryset that was made before a key came in finds the rows that are under it."""
    use_keys(monkeypatch, OLD)
    found = shop.Account.objects.filter(email_index="a@b.c")
    use_keys(monkeypatch, NEW, OLD)
    shop.Account.objects.create(email="a@b.c")

    assert found.count() == 1


@pytest.mark.by_turns
def test_other_lookups_raise(shop: Any, db: Any, named: Named) -> None:
    """What an HMAC cannot answer raises."""
    for lookup in ("iexact", "contains", "startswith", "gt", "range", "regex", "length"):
        with named(lookup), pytest.raises(ComparisonError, match=r"^accounts\.email_index"):
            shop.Account.objects.filter(**{f"email_index__{lookup}": "a"})


@pytest.mark.by_turns
def test_comparing_with_other_columns_raises(shop: Any, db: Any) -> None:
    """Indexes of two columns never match, so an expression in place of a value is refused."""
    from django.db.models import F

    for condition in (
        {"email_index": F("name")},
        {"email_index__in": [F("name")]},
        {"email_index__in": shop.Account.objects.values("name")},
    ):
        with pytest.raises(ComparisonError, match=r"^accounts\.email_index: "):
            shop.Account.objects.filter(**condition)


@pytest.mark.by_turns
def test_an_index_can_be_given_back(shop: Any, db: Any) -> None:
    """An index that a query returned is compared as it is: duplicates can be found by it."""
    from django.db.models import Count

    for email in ("a@b.c", "a@b.c", "d"):
        shop.Account.objects.create(email=email)

    counted = shop.Account.objects.values("email_index").annotate(n=Count("id")).filter(n=2)

    assert shop.Account.objects.filter(email_index__in=[each["email_index"] for each in counted]).count() == 2


def test_every_save_fills_the_index(shop: Any, db: Any) -> None:
    """Every way of writing, upserts included, stores the index of the new value."""
    objects = shop.Account.objects
    row = objects.create(email="a")
    row.email = "b"
    row.save()
    assert stored(db) == [index("b")]
    row.email = "c"
    row.save(update_fields=BOTH)
    assert stored(db) == [index("c")]
    row.email = "d"
    objects.bulk_update([row], BOTH)
    assert stored(db) == [index("d")]
    objects.update(email=Secret("e"), email_index="e")
    assert stored(db) == [index("e")]
    objects.update_or_create(id=row.id, defaults={"email": "f"})
    assert stored(db) == [index("f")]
    objects.bulk_create([shop.Account(email="g"), shop.Account(email="h")])
    assert stored(db) == [index("f"), index("g"), index("h")]
    row, made = objects.get_or_create(email_index="i", defaults={"email": "i"})
    again, made_again = objects.get_or_create(email_index="i", defaults={"email": "i"})
    assert (made, made_again, again.pk) == (True, False, row.pk)
    upsert = {"update_conflicts": True} | ({} if db.kind == "mariadb" else {"unique_fields": ["id"]})
    row.email = "j"
    objects.bulk_create([row], update_fields=BOTH, **upsert)
    assert stored(db)[-1] == index("j")
    row.name = "n"
    row.save(update_fields=["name"])
    assert row.email_index == stored(db)[-1] == index("j")


def test_null_has_no_index(shop: Any, db: Any) -> None:
    """A value of None has NULL as its index, by every way of writing."""
    row = shop.Lead.objects.create(mail=None)
    assert row.mail_index is shop.Lead.objects.values_list("mail_index", flat=True).get() is None

    shop.Lead.objects.update(mail="a", mail_index="a")
    shop.Lead.objects.update(mail=None, mail_index=None)
    assert shop.Lead.objects.filter(mail_index=None).get().mail is None


def test_a_unique_index_is_checked(shop: Any, db: Any) -> None:
    """A unique index refuses an equal value in the database, and full_clean says so before."""
    from django.core.exceptions import ValidationError
    from django.db import IntegrityError, transaction

    shop.Lead.objects.create(mail="a")

    with pytest.raises(IntegrityError), transaction.atomic():
        shop.Lead.objects.create(mail="a")
    with pytest.raises(ValidationError, match="already exists"):
        shop.Lead(mail="a").full_clean()
    shop.Lead(mail="b").full_clean()


def test_a_stale_index_is_refused(shop: Any, db: Any) -> None:
    """An UPDATE of the column without its index, or with the index of another value, raises and writes nothing."""
    row = shop.Account.objects.create(email="a@b.c")
    partial = shop.Account.objects.only("email").get()
    row.email = partial.email = "b@b.c"

    stale(lambda: row.save(update_fields=["email"]))
    stale(partial.save)
    stale(lambda: shop.Account.objects.update(email="b@b.c"))
    stale(lambda: shop.Account.objects.bulk_update([row], ["email"]))
    stale(lambda: shop.Account.objects.update(email="b@b.c", email_index="b@b.cc"))
    upsert = {"update_conflicts": True} | ({} if db.kind == "mariadb" else {"unique_fields": ["id"]})
    stale(lambda: shop.Account.objects.bulk_create([row], update_fields=["email"], **upsert))

    assert stored(db) == [index("a@b.c")]
    assert shop.Account.objects.get().email == "a@b.c"


@pytest.mark.by_turns
def test_the_index_takes_no_expression(shop: Any, db: Any) -> None:
    """An index that the database would compute is refused."""
    from django.db.models import F, Value

    row = shop.Account.objects.create(email="a@b.c")
    for value in (F("name"), F("email"), F("email_index"), Value("a@b.c")):
        with pytest.raises(ComparisonError, match="email_index"):
            shop.Account.objects.update(email="a@b.c", email_index=value)
    row.email = F("email")
    with pytest.raises(ComparisonError, match="email_index"):
        row.save()


@pytest.mark.by_turns
def test_a_deferred_value_keeps_its_index(shop: Any, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that was read without the column saves without opening it, and the index stays."""
    shop.Account.objects.create(email="a@b.c")
    row = shop.Account.objects.defer("email").get()
    use_keys(monkeypatch, "another")

    row.save()

    assert row.email_index == index("a@b.c")
    assert stored(db) == [index("a@b.c")]


def test_contexts(shop: Any) -> None:
    """An index is named by its column's table and column, or as its option says; that of a history table likewise."""
    fields = [
        shop.Account._meta.get_field("email_index"),
        shop.Customer._meta.get_field("phone_index"),
        shop.Customer.history.model._meta.get_field("phone_index"),
    ]

    assert [(field.of, field.context) for field in fields] == [
        ("email", "accounts.email"),
        ("phone", "customers.phone"),
        ("phone", "customers.phone"),
    ]


def test_an_empty_context_is_refused(shop: Any) -> None:
    """A context without a name is refused where the field is declared."""
    from keyring_core.integrations.django import BlindIndexField

    with pytest.raises(KeyConfigError, match="context"):
        BlindIndexField("email", context="")


def test_a_unique_index(shop: Any) -> None:
    """A unique index needs no second index in the database; and needs none if it is not wanted."""
    from keyring_core.integrations.django import BlindIndexField

    found = [BlindIndexField("email"), BlindIndexField("email", unique=True), BlindIndexField("email", db_index=False)]

    assert [(field.db_index, field.unique, field.null, field.max_length) for field in found] == [
        (True, False, True, 52),
        (False, True, True, 52),
        (False, False, True, 52),
    ]
    assert [field.deconstruct()[3] for field in found] == [
        {"of": "email"},
        {"of": "email", "unique": True},
        {"of": "email", "db_index": False},
    ]
