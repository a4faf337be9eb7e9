"""BlindIndexField: the contract by each way of Django to write and to ask, and what only a field of Django does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from keyring_core import ComparisonError, KeyConfigError, Keyring
from keyring_core.blind_index import BlindIndex
from rotation.model.target import Index
from tests.conftest import NEW, OLD, Named
from tests.integrations.conftest import table_of, use_keys
from tests.integrations.contract.index import OTHER, Ids, IndexContract, IndexDriver, Row, indexes, one_by_one
from tests.keys import make_key

pytestmark = pytest.mark.xdist_group("django")


class Driver(IndexDriver):
    """Django: the model, and the database of its connection."""

    def __init__(self, model: Any, database: Any) -> None:
        self.model, self.objects, self.database = model, model.objects, database
        target = {} if database.kind == "mariadb" else {"unique_fields": ["id"]}
        self.upsert = {"update_conflicts": True, **target}

    def clear(self) -> None:
        self.objects.all()._raw_delete("default")

    def inserts(self) -> Mapping[str, Callable[[Sequence[Row]], object]]:
        objects = self.objects

        return {
            "create": one_by_one(lambda row: objects.create(**row)),
            "save": one_by_one(lambda row: self.model(**row).save()),
            "bulk_create": lambda rows: objects.bulk_create([self.model(**row) for row in rows]),
            "get_or_create": one_by_one(lambda row: objects.get_or_create(**indexes(row), defaults=row)),
            "update_or_create": one_by_one(lambda row: objects.update_or_create(id=row["id"], defaults=row)),
            "both": one_by_one(lambda row: objects.create(**row, **indexes(row))),
        }

    def changes(self) -> Mapping[str, Callable[[int, str, Any], object]]:
        def changed(number: int, column: str, value: Any) -> Any:
            row = self.objects.get(pk=number)
            setattr(row, column, value)
            return row

        def names(column: str) -> list[str]:
            return [column, f"{column}_index"]

        return {
            "save": lambda *given: changed(*given).save(),
            "update_fields": lambda *given: changed(*given).save(update_fields=names(given[1])),
            "bulk_update": lambda *given: self.objects.bulk_update([changed(*given)], names(given[1])),
            "update": lambda number, column, value: self.objects.filter(pk=number).update(
                **dict.fromkeys(names(column), value)
            ),
            "update_or_create": lambda number, column, value: self.objects.update_or_create(
                id=number, defaults={column: value}
            ),
            "upsert": lambda *given: self.objects.bulk_create(
                [changed(*given)], update_fields=names(given[1]), **self.upsert
            ),
        }

    def stale(self, value: str) -> Sequence[tuple[str, Callable[[], object]]]:
        row, partial = self.objects.get(pk=1), self.objects.only("mail").get(pk=1)
        row.mail = partial.mail = value
        objects = self.objects
        return [
            ("mail_index", lambda: row.save(update_fields=["mail"])),
            ("mail_index", partial.save),
            ("mail_index", lambda: objects.update(mail=value)),
            ("mail_index", lambda: objects.bulk_update([row], ["mail"])),
            ("mail_index", lambda: objects.bulk_create([row], update_fields=["mail"], **self.upsert)),
            ("mail_index", lambda: objects.update(mail=value, mail_index="x")),
            (r"get_or_create\(mail_index=x, defaults=", lambda: objects.get_or_create(mail_index=value)),
            ("another value", lambda: objects.update_or_create(mail_index=value, defaults={"mail": "x"})),
            ("another value", lambda: objects.bulk_create([self.model(mail_index=value)])),
        ]

    def lookup(self, column: str, how: str, value: Any) -> Ids:
        lookup = {f"{column}_index__in" if "in" in how else f"{column}_index": value}
        rows = self.objects.exclude(**lookup) if how in {"!=", "not in"} else self.objects.filter(**lookup)
        return ids(rows)

    def questions(self, value: str) -> Mapping[str, Callable[[], Ids]]:
        from django.db.models import Q

        objects, listed = self.objects, [value]
        kept = {
            "filter": objects.filter(mail_index=value),
            "exact": objects.filter(mail_index__exact=value),
            "in": objects.filter(mail_index__in=listed),
            "in, with others": objects.filter(mail_index__in=[value, "nobody", None]),
            "in a generator": objects.filter(mail_index__in=(each for each in [value])),
            "not other": objects.exclude(~Q(mail_index=value)),
            "subquery": objects.filter(pk__in=objects.filter(mail_index=value).values("pk")),
        }
        # What happens to it later changes no query.
        listed.append(OTHER)
        return {way: lambda rows=rows: ids(rows) for way, rows in kept.items()}

    def refused(self) -> Mapping[str, Callable[[], object]]:
        from django.db.models import Exists, F, Max, OuterRef, Value

        objects = self.objects
        lookups = ("iexact", "contains", "startswith", "gt", "range", "regex", "length")
        conditions = {
            **{lookup: (f"mail_index__{lookup}", "a") for lookup in lookups},
            "plain column": ("mail_index", F("name")),
            "its source": ("mail_index", F("mail")),
            "value of the database": ("mail_index", Value("a")),
            "in plain column": ("mail_index__in", [F("name")]),
            "in itself": ("mail_index__in", [F("mail_index")]),
            "in plain columns": ("mail_index__in", objects.values("name")),
            "in rows": ("mail_index__in", objects.all()),
            "another context": ("city_index", F("mail_index")),
            "another context, in": ("city_index__in", objects.values("mail_index")),
            "another context, of one row": ("mail_index", objects.values("city_index")[:1]),
            "another normal form": ("city_index", F("home_index")),
            "another key set": ("card_index", F("town_index")),
            "largest": ("mail_index", Max("mail_index")),
        }
        made = {
            way: lambda name=name, given=given: ids(objects.filter(**{name: given}))
            for way, (name, given) in conditions.items()
        }
        outer = Exists(objects.filter(mail_index=OuterRef("city_index")))
        return made | {"another context, outside": lambda: ids(objects.filter(outer))}

    def compared(self) -> Sequence[tuple[str, Callable[[], Ids]]]:
        from django.db.models import Exists, F, OuterRef, Q, Subquery

        objects = self.objects
        same = objects.filter(town_index=OuterRef("town_index")).exclude(pk=OuterRef("pk"))
        third = objects.filter(pk=3).values("town_index")[:1]
        queries = (
            ("equal", objects.filter(town_index=F("city_index"))),
            ("equal", objects.annotate(copy=F("city_index")).filter(copy=F("town_index"))),
            ("one of all", objects.filter(town_index__in=objects.values("city_index"))),
            ("one of all", objects.filter(town_index__in=Subquery(objects.values_list("city_index")))),
            ("that of one row", objects.filter(town_index=third)),
            ("not equal", objects.exclude(town_index=F("city_index"))),
            ("one of another row", objects.filter(Exists(same))),
            ("or a value", objects.filter(Q(town_index="C") | Q(town_index=F("city_index")))),
        )
        return [(what, lambda rows=rows: ids(rows)) for what, rows in queries]

    def read(self, number: int) -> Any:
        return self.objects.get(pk=number)

    def index_of(self, column: str) -> Index:
        from rotation.declared.django_models import _index_of

        index = _index_of(self.model, column)
        assert index is not None
        return index

    def check_error(self, error: BaseException) -> None:
        from django.core.exceptions import FieldError

        assert isinstance(error, FieldError)


def ids(rows: Any) -> Ids:
    """The rows of a query, which is sent again each time."""
    return sorted(row.pk for row in rows.all().only("pk"))


@pytest.fixture(scope="module")
def members(django_database: Any) -> Iterator[Any]:
    """A model with the columns of IndexDriver, and its table."""
    from django.db import models

    from keyring_core.integrations import django as encrypted

    class Own(encrypted.EncryptedTextField):
        """A field of the application, which stores lower case without blanks."""

        def get_prep_value(self, value: Any) -> Any:
            made = super().get_prep_value(value)
            return made and made.strip().lower()

    text, index = encrypted.EncryptedTextField, encrypted.BlindIndexField
    with table_of(
        "Members",
        id=models.IntegerField(primary_key=True),
        name=models.CharField(max_length=9, default=""),
        # The index may be declared first.
        mail_index=index("mail"),
        mail=text(null=True),
        own=Own(null=True),
        own_index=index("own"),
        city=text(null=True),
        city_index=index("city", context="town", normalize=str.casefold),
        town=text(null=True),
        town_index=index("town", context="town", normalize="casefold"),
        home=text(null=True),
        home_index=index("home", context="town"),
        card=text(null=True, keys="cards"),
        card_index=index("card", context="town", normalize=str.casefold),
        born=encrypted.EncryptedDateField(null=True),
        born_index=index("born"),
        raw=encrypted.EncryptedBinaryField(null=True),
        raw_index=index("raw"),
    ) as model:
        yield model


@pytest.fixture
def orm(members: Any, db: Any) -> Driver:
    driver = Driver(members, db)
    driver.clear()
    return driver


class TestIndex(IndexContract):
    """On Django."""


def index(value: str) -> str:
    return BlindIndex("accounts.email").of(Keyring(make_key(NEW)), value)


def stored(db: Any) -> list[str | None]:
    return [text for (text,) in db.rows("SELECT email_index FROM accounts ORDER BY id")]


def test_the_index_of_an_instance_is_looked_up_in_columns_of_its_context(orm: Driver) -> None:
    """In another one it would find nothing."""
    row = orm.objects.create(id=1, city="a", town="A", mail="a")

    assert orm.objects.get(city_index=row.town_index) == row
    for condition in ({"mail_index": row.city_index}, {"city_index__in": [row.mail_index]}):
        with pytest.raises(ComparisonError, match=r"^members\."):
            list(orm.objects.filter(**condition))


def test_an_expression_of_indexes_is_compared_if_they_are_made_alike(orm: Driver, named: Named) -> None:
    """One that mixes columns that are not, or changes the text of an index, finds nothing, so it is refused."""
    from django.db.models import Case, F, When
    from django.db.models.functions import Coalesce, Lower, Trim, Upper

    orm.add(1, city="a", town="b")
    orm.add(2, town="b")
    for alike in (Coalesce("city_index", "town_index"), Case(When(mail_index=None, then=F("town_index")))):
        assert ids(orm.objects.alias(key=alike).filter(key="b"))[-1] == 2
    for other in (
        Lower("city_index"),
        Upper(Trim("city_index")),
        Coalesce("city_index", "home_index"),
        Coalesce(Lower("city_index"), "town_index"),
        Case(When(name="first", then="city_index"), default="mail_index"),
        Case(When(name="first", then="mail_index"), default=Coalesce("city_index", "town_index")),
    ):
        with named(other), pytest.raises(ComparisonError, match=r"^members\."):
            ids(orm.objects.alias(key=other).filter(key="b"))


def test_a_field_that_changes_its_value_on_save_has_the_index_of_what_it_stores(shop: Any, db: Any) -> None:
    """By every way to write a new row. Only a field that does so in get_prep_value is looked up by what was given."""
    from keyring_core.integrations.django import BlindIndexField, EncryptedTextField

    class Saved(EncryptedTextField):
        def pre_save(self, model_instance: Any, add: bool) -> Any:
            made = super().pre_save(model_instance, add)
            return made and made.lower()

    with table_of("Owned", saved=Saved(), saved_index=BlindIndexField("saved")) as model:
        objects = model.objects
        objects.create(saved="A")
        objects.bulk_create([model(saved="B")])
        objects.update_or_create(id=99, defaults={"saved": "C"})

        assert [objects.get(saved_index=each).saved for each in "abc"] == ["a", "b", "c"]
        assert not objects.filter(saved_index="A").exists()


def strip(text: str) -> str:
    """A normal form of an application."""
    return text.strip()


def test_a_normal_form_in_a_migration(shop: Any) -> None:
    """A migration names the function; one that it could not import raises before it is written."""
    from keyring_core.integrations.django import BlindIndexField

    def local(text: str) -> str:
        return text

    names = [str.casefold, "casefold", str.lower, strip, f"{__name__}:strip"]
    written = [BlindIndexField("email", normalize=each).deconstruct()[3]["normalize"] for each in names]

    assert written == ["casefold", "casefold", "lower", f"{__name__}:strip", f"{__name__}:strip"]
    for each in (local, lambda text: text, str.strip, "no such", f"{__name__}:no_such", "no.such.module:at_all"):
        with pytest.raises(ValueError, match="cannot import normalize"):
            BlindIndexField("email", normalize=each).deconstruct()


def test_an_index_can_be_given_back(shop: Any, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a row stands for its value, under every key; one that a query returned is compared as it is."""
    from django.db.models import Count

    objects = shop.Account.objects
    use_keys(monkeypatch, OLD)
    objects.create(email="a@b.c")
    use_keys(monkeypatch, NEW, OLD)
    for email in ("a@b.c", "a@b.c", "d"):
        row = objects.create(email=email)
    counted = objects.values("email_index").annotate(n=Count("id")).filter(n=2)

    assert objects.filter(email_index__in=[each["email_index"] for each in counted]).count() == 2
    assert objects.filter(email_index=objects.filter(email_index="a@b.c").last().email_index).count() == 3
    assert objects.get(email_index=row.email_index) == row


def test_a_row_that_was_made_by_its_index_is_found_and_changed(shop: Any, db: Any) -> None:
    """What get_or_create looked for in another spelling is not taken for the index of a later value."""
    objects = shop.Lead.objects
    row, _ = objects.get_or_create(mail_index="B@b.c", defaults={"mail": "b@b.c"})
    assert objects.get_or_create(mail_index="b@B.c", defaults={"mail": "b@b.c"}) == (row, False)
    row.mail = "c@b.c"
    row.save()
    assert objects.get(mail_index="c@b.c") == row


def test_the_index_takes_no_expression(shop: Any, db: Any) -> None:
    """An index that the database would compute is refused."""
    from django.db.models import F, Value

    row = shop.Account.objects.create(email="a@b.c")
    for value in (F("name"), F("email"), F("email_index"), Value("a@b.c")):
        with pytest.raises(ComparisonError, match="email_index"):
            shop.Account.objects.update(email="a@b.c", email_index=value)
    row.email = F("email")
    for write in (row.save, lambda: shop.Account.objects.bulk_update([row], ["email", "email_index"])):
        with pytest.raises(ComparisonError, match="email_index"):
            write()


def test_a_deferred_value_keeps_its_index(shop: Any, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that was read without the column saves without opening it, and the index stays."""
    shop.Account.objects.create(email="a@b.c")
    row = shop.Account.objects.defer("email").get()
    use_keys(monkeypatch, "another")

    row.save()
    row.save(update_fields=["name"])

    assert row.email_index == index("a@b.c")
    assert stored(db) == [index("a@b.c")]


def test_contexts(shop: Any) -> None:
    """An index is named by its column's table and column, or as its option says, if that has a name."""
    from keyring_core.integrations.django import BlindIndexField

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
