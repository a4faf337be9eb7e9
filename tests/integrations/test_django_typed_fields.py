"""keyring_core/integrations/django/typed_fields.py: values to the database and back, as the plain fields have them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import strategies as st

from keyring_core import Keyring, UndecryptableToken
from keyring_core.redaction.secret import Secret
from tests.conftest import OLD, Named
from tests.integrations.conftest import use_keys
from tests.integrations.contract.typed import COLUMNS, Column, TypedContract, TypedDriver
from tests.integrations.test_django_fields import cell, keyring
from tests.integrations.test_django_queries import refused

pytestmark = pytest.mark.xdist_group("django")

TABLE = "shop_person"
OWN: dict[str, Column] = {
    "name": (st.text(), "Zoë", "Zoë"),
    "mail": (st.emails(), "a@b.c", "a@b.c"),
    "site": (st.just("https://example.org/ü?q=1"), "http://a.b", "http://a.b"),
    "address": (
        st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6, network="2000::/3").map(str),
        "::1",
        "::1",
    ),
    "member": (st.booleans(), False, "false"),
    "level": (st.just(2), 2, "2"),
}
STORED = {name: (value, text) for name, (_, value, text) in (COLUMNS | OWN).items()}


class Driver(TypedDriver):
    table = TABLE
    columns = COLUMNS | OWN
    required = ("name", "site", "active")
    wrong = (("name", 42, "str, not int"), ("mail", b"42", "str, not bytes"))

    def __init__(self, shop: Any, database: Any) -> None:
        self.model, self.database = shop.Person, database

    def new(self, **values: Any) -> Any:
        return self.model.objects.create(**values).pk

    def read(self, key: Any, *names: str) -> list[Any]:
        return [*self.model.objects.values_list(*names).get(pk=key)]

    def token(self, name: str, text: str) -> str | bytes:
        made = bound(name).encrypt(text)
        return made.encode() if name in {"ref", "level"} else made

    def text(self, name: str, cell: Any) -> str:
        return bound(name).decrypt_bytes(cell).decode()

    def writes(self, name: str, value: Any) -> list[Callable[[], object]]:
        objects, row = self.model.objects, self.model(**{name: value})
        self.model().save()
        update = partial(objects.update, **{name: value})
        return [row.save, partial(objects.bulk_create, [row, row]), update]


def bound(column: str) -> Keyring:
    return keyring().bind("shop_person.born") if column == "born" else keyring()


@pytest.fixture
def orm(shop: Any, db: Any) -> Driver:
    return Driver(shop, db)


class TestTyped(TypedContract):
    """On Django."""


def opened(db: Any, column: str, table: str = TABLE) -> str:
    """The text in the one cell of the column."""
    return bound(column).decrypt_bytes(cell(db, column, table)).decode()


def test_an_empty_address_is_null(shop: Any, db: Any) -> None:
    """As in a GenericIPAddressField: a search for rows without one finds it."""
    shop.Person.objects.create(address="")

    assert shop.Person.objects.get(address__isnull=True).address is None


def test_what_a_plain_field_takes_is_taken(shop: Any, db: Any, named: Named) -> None:
    """Texts and values that a plain field converts on save are converted here, too; so is what a Secret holds."""
    cases = {
        "born": ["1984-02-29", dt.datetime(1984, 2, 29, 12, tzinfo=dt.UTC), Secret(STORED["born"][0])],
        "seen": ["2026-11-29T07:12:00+01:00"],
        "wakes": ["06:12", dt.datetime(2026, 11, 29, 6, 12)],
        "shift": ["1 00:00:02"],
        "age": ["-42", -42.7],
        "score": ["0.1", Decimal("0.1")],
        "active": ["True", 1],
        "income": ["12.5", 12.5, "12.500"],
        "ref": ["0f8fad5bd9cb469fa16570867728950e", STORED["ref"][0].int],
        "level": ["2"],
        "name": [Secret("Zoë")],
        "address": ["0:0:0::1"],
    }
    for name, several in cases.items():
        for given_value in several:
            with named(f"{name}: {type(given_value)}"):
                shop.Person.objects.all().delete()

                shop.Person.objects.create(**{name: given_value})

                assert opened(db, name) == STORED[name][1]


def test_typed_fields_take_secrets(shop: Any, db: Any) -> None:
    """A Secret goes through full_clean to the cell as what it holds, and is checked as that."""
    from django.core.exceptions import ValidationError

    held: Any = {"name": "Zoë", "born": STORED["born"][0], "income": Decimal("12.5")}
    row = shop.Person(**{name: Secret(value) for name, value in held.items()})

    row.full_clean()
    row.save()

    row.refresh_from_db()
    assert {name: getattr(row, name) for name in held} == held
    wrong: Any = {"name": "x" * 21, "income": Decimal("1.005")}
    with pytest.raises(ValidationError) as raised:
        shop.Person(**{name: Secret(value) for name, value in wrong.items()}).full_clean()
    assert {*raised.value.error_dict} == {*wrong}


def test_a_token_is_no_typed_value(shop: Any, db: Any, named: Named) -> None:
    """A token is refused by save in every field, and by full_clean in words."""
    from django.core.exceptions import ValidationError

    from keyring_core import AlreadyEncryptedError

    token = keyring().encrypt("x")
    for name in ("name", "mail", "site", "address", "born", "seen", "age", "active", "income", "ref"):
        with named(name):
            row = shop.Person(**{name: token})
            with pytest.raises((TypeError, AlreadyEncryptedError), match=rf"shop_person\.{name}") as raised:
                row.save()
            assert token not in str(raised.value)
            with pytest.raises(ValidationError, match="encrypted already"):
                row.full_clean()


def test_no_error_of_to_python_shows_the_value(shop: Any, named: Named) -> None:
    """A plain field's ValidationError shows what was given; the encrypted one's does not, nor one behind it."""
    from django.core.exceptions import ValidationError

    for name in ("born", "seen", "wakes", "shift", "age", "score", "active", "member", "income", "ref", "level"):
        for clean in (shop.Person._meta.get_field(name).to_python, partial(one_error, shop, name)):
            with named(name):
                with pytest.raises(ValidationError) as raised:
                    clean("secret value")
                assert "secret value" not in repr(vars(raised.value)) + repr(raised.value)
                assert raised.value.__context__ is None
    with pytest.raises(ValidationError, match="Select a valid choice") as raised:
        shop.Person._meta.get_field("colour").validate("secret value", None)
    assert "secret value" not in str(raised.value)


def one_error(shop: Any, name: str, value: Any) -> None:
    from django.core.exceptions import ValidationError

    try:
        shop.Person(**{name: value}).full_clean()
    except ValidationError as error:
        found = error.error_dict[name][0]
    raise found


def test_choices_have_their_names(shop: Any, db: Any) -> None:
    """Members of TextChoices and IntegerChoices are stored as their values, and get_FOO_display has their names."""
    from tests.integrations.django_project.shop.typed import Colour, Level

    row = shop.Person.objects.create(colour=Colour.BLUE, level=Level.HIGH)

    row.refresh_from_db()
    assert (row.colour, row.level) == (Colour.BLUE, Level.HIGH)
    assert (row.get_colour_display(), row.get_level_display()) == ("Blue sky", "High noon")
    assert (opened(db, "colour"), opened(db, "level")) == ("blue", "2")


def test_auto_now_is_written(shop: Any, db: Any) -> None:
    """auto_now_add is written once, and auto_now at every save."""
    row = shop.Person.objects.create()
    first = shop.Person.objects.get()
    assert (type(first.made), first.changed.tzinfo) == (dt.date, dt.UTC)
    shop.Person.objects.update(made=dt.date(1, 1, 1), changed=dt.datetime(1, 1, 2, tzinfo=dt.UTC))

    shop.Person.objects.get().save()

    row.refresh_from_db()
    assert (row.made, row.changed.year) == (dt.date(1, 1, 1), first.changed.year)


def test_typed_expressions_raise(shop: Any, db: Any, named: Named) -> None:
    """Sorting by, computing with, and cutting of typed columns raise; so does the next row by date."""
    from django.db.models import Avg, BooleanField, Case, ExpressionWrapper, F, Sum, TextField, When
    from django.db.models.functions import Abs, ExtractYear, TruncMonth, Upper

    objects = shop.Person.objects
    row = objects.create(born=dt.date(2000, 1, 1))
    queries: dict[str, Callable[[], object]] = {
        "order": lambda: list(objects.order_by("born")),
        "dates": lambda: list(objects.dates("born", "year")),
        "datetimes": lambda: list(objects.datetimes("seen", "year")),
        "year": lambda: list(objects.annotate(year=ExtractYear("born"))),
        "month": lambda: list(objects.annotate(month=TruncMonth("seen"))),
        "not": lambda: list(objects.filter(~F("active"))),
        "wrapped": lambda: list(objects.filter(ExpressionWrapper(F("active"), output_field=BooleanField()))),
        "case": lambda: list(objects.filter(Case(When(pk__gt=0, then=F("active")), output_field=BooleanField()))),
        "default": lambda: list(objects.annotate(text=Case(default=F("active"), output_field=TextField()))),
        "sum": lambda: objects.aggregate(Sum("age")),
        "average": lambda: objects.aggregate(Avg("income")),
        "more": lambda: list(objects.annotate(more=F("age") + 1)),
        "longer": lambda: list(objects.annotate(more=F("shift") * 2)),
        "since": lambda: list(objects.annotate(since=F("changed") - F("seen"))),
        "size": lambda: list(objects.annotate(size=Abs("score"))),
        "upper": lambda: list(objects.annotate(upper=Upper("mail"))),
        "write": lambda: objects.update(age=F("age") + 1),
        "latest": lambda: objects.latest("born"),
        "next": row.get_next_by_made,
        "previous": row.get_previous_by_changed,
    }
    for what, query in queries.items():
        with named(what):
            refused(query, "shop_person.")


BERLIN = ZoneInfo("Europe/Berlin")
# The hour that occurs twice in Berlin: the second time.
TWICE = dt.datetime(2026, 10, 25, 1, 30, tzinfo=dt.UTC)


def test_use_tz_may_change(shop: Any, db: Any) -> None:
    """A datetime that was written with one USE_TZ is the same instant with the other, and no warning shows it."""
    from django.test import override_settings
    from django.utils import timezone

    objects = shop.Person.objects
    with override_settings(USE_TZ=False, TIME_ZONE="Europe/Berlin"):
        objects.create(seen=dt.datetime(2026, 7, 1, 12))
        assert opened(db, "seen") == "2026-07-01T12:00:00"
        assert objects.get().seen == dt.datetime(2026, 7, 1, 12)
        with pytest.raises(TypeError, match=r"shop_person\.seen: takes a datetime without a time zone"):
            objects.create(seen=timezone.now().replace(tzinfo=dt.UTC))
    with override_settings(USE_TZ=True, TIME_ZONE="Europe/Berlin"):
        with pytest.warns(RuntimeWarning, match=r"^shop_person\.seen: ") as warned:
            read = objects.defer("changed").get().seen
        assert read == dt.datetime(2026, 7, 1, 10, tzinfo=dt.UTC)
        assert "2026" not in str(warned[0].message)
        objects.update(seen=TWICE, changed=TWICE)
    with override_settings(USE_TZ=False, TIME_ZONE="Europe/Berlin"):
        read = objects.get().seen
        assert (read, read.fold) == (dt.datetime(2026, 10, 25, 2, 30), 1)


def test_the_text_of_a_database_has_its_zone(shop: Any, db: Any) -> None:
    """A text with a blank is in the zone of the connection, and in none without USE_TZ; its index is of UTC."""
    from django.db import connection
    from django.test import override_settings

    shop.Person.objects.create()
    db.execute("UPDATE shop_person SET seen = :cell", cell=keyring().encrypt("2026-07-01 12:00:00"))
    here = SimpleNamespace(timezone=BERLIN)
    field = shop.Person._meta.get_field("seen")

    assert shop.Person.objects.get().seen == dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
    assert field.from_db_value(cell(db, "seen", TABLE), None, here) == dt.datetime(2026, 7, 1, 10, tzinfo=dt.UTC)
    with override_settings(USE_TZ=False):
        assert field.from_db_value(cell(db, "seen", TABLE), None, connection) == dt.datetime(2026, 7, 1, 12)
    assert field.cells.of.normal("2026-07-01 12:00:00") == "2026-07-01T12:00:00+00:00"


def test_a_naive_datetime_is_made_aware(shop: Any, db: Any) -> None:
    """With USE_TZ a datetime without a zone, and a date, are taken as TIME_ZONE's; the warning shows no value."""
    from django.test import override_settings

    with override_settings(TIME_ZONE="Europe/Berlin"):
        for given_value, stored in [
            (dt.datetime(2026, 7, 1, 12), "2026-07-01T10:00:00+00:00"),
            (dt.date(2026, 7, 1), "2026-06-30T22:00:00+00:00"),
            ("2026-07-01 12:00", "2026-07-01T10:00:00+00:00"),
        ]:
            shop.Person.objects.all().delete()
            row = shop.Person(seen=given_value)
            with pytest.warns(RuntimeWarning, match="seen") as warned:
                (row.full_clean(), row.save())
            assert opened(db, "seen") == stored
            assert not [each for each in warned if "2026" in str(each.message)]


def test_unreadable_rows_are_deleted_unread(shop: Any, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleting rows that others refer to reads them, and the error says how not to; then those others go, too."""
    twin = shop.Twin.objects.create(one=dt.date(2000, 1, 1))
    shop.Note.objects.create(twin=twin)
    rows = shop.Twin.objects.filter(pk=twin.pk)
    use_keys(monkeypatch, OLD)

    with pytest.raises(UndecryptableToken, match=rf"^shop_twin\.one, id={twin.pk}: .*; to delete rows unread: "):
        rows.delete()
    with pytest.raises(UndecryptableToken) as raised:
        rows.get()
    assert "delete" not in str(raised.value)
    assert shop.Note.objects.count() == 1

    rows.only("pk").delete()

    assert (shop.Twin.objects.count(), shop.Note.objects.count()) == (0, 0)


def test_a_history_reads_the_rows_that_are_deleted(shop: Any, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row whose deletion is recorded is read in any case: it can be deleted once its value was replaced."""
    customer = shop.Customer.objects.create(phone="1")
    use_keys(monkeypatch, OLD)
    rows = shop.Customer.objects.filter(pk=customer.pk)

    with pytest.raises(UndecryptableToken, match=r"replace the value first: \.update\(phone=\.\.\.\)$"):
        rows.only("pk").delete()
    rows.update(phone="", phone_index="")
    rows.delete()

    assert not rows.exists()
