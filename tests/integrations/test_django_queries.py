"""keyring_core/integrations/django/query_refusals.py: what queries may do with an encrypted column."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from keyring_core import ComparisonError, InvalidToken, Keyring
from tests.conftest import NEW, OLD, Named
from tests.integrations.conftest import table_of
from tests.keys import make_key

pytestmark = pytest.mark.xdist_group("django")


def refused(query: Callable[[], object], column: str = "accounts.api_key") -> None:
    """Proves that the query raises an error that is Django's and this project's, and that names the column."""
    from django.core.exceptions import FieldError

    with pytest.raises(ComparisonError) as raised:
        query()
    assert isinstance(raised.value, FieldError)
    assert str(raised.value).startswith(column)
    assert "secret value" not in str(raised.value)


LOOKUPS = (
    *("", "__exact", "__iexact", "__in", "__contains", "__icontains", "__startswith", "__gt", "__lte", "__range"),
    *("__regex", "__length", "__no_such_lookup", "__lower__exact", "__has_key", "__year", "__date", "__hour"),
)


def test_lookups_raise(shop: Any, db: Any, named: Named) -> None:
    """Every lookup but isnull, and every part of a date, raises at once, in filter and in exclude, of every field."""
    for model in (shop.Account, shop.Person):
        for field in [each for each in model._meta.concrete_fields if hasattr(each, "cells")]:
            for lookup in LOOKUPS:
                with named(field.name + lookup):
                    condition = {f"{field.name}{lookup}": ["secret value"]}

                    refused(partial(model.objects.filter, **condition), field.cells.column)
                    refused(partial(model.objects.exclude, **condition), field.cells.column)


def test_a_json_path_raises(shop: Any, db: Any) -> None:
    """Django's paths into JSON raise everywhere; in values() and order_by() with Django's own words."""
    from django.core.exceptions import FieldError

    objects = shop.Account.objects

    refused(lambda: objects.filter(options__a="secret value"), "accounts.options")
    refused(lambda: objects.filter(options__a__isnull=True), "accounts.options")
    with pytest.raises(FieldError, match="options"):
        objects.values("options__a")
    with pytest.raises(FieldError, match="options"):
        list(objects.order_by("options__a"))


def test_isnull_works(shop: Any, db: Any) -> None:
    """isnull, and a comparison with None, find the rows without a value."""
    objects = shop.Account.objects
    objects.create(name="with", api_key="", options=0)
    objects.create(name="without", api_key=None, options=None)

    for field in ("api_key", "options"):
        for found, name in [
            (objects.filter(**{f"{field}__isnull": True}), "without"),
            (objects.filter(**{field: None}), "without"),
            (objects.filter(**{f"{field}__isnull": False}), "with"),
            (objects.exclude(**{field: None}), "with"),
        ]:
            assert [row.name for row in found] == [name]


def test_comparing_expressions_raise(shop: Any, db: Any) -> None:
    """Expressions, orders and functions over the column raise when the query is compiled, wherever they stand."""
    from django.db.models import Count, F, Max, OuterRef, Q, Subquery, TextField, Value, Window
    from django.db.models.functions import Concat, Length, Lower, Rank
    from django.db.models.lookups import Exact

    objects = shop.Account.objects
    for query in (
        objects.order_by("api_key"),
        objects.order_by("-api_key"),
        objects.order_by(F("api_key").desc(nulls_last=True)),
        objects.order_by(Lower("api_key")),
        objects.values_list("api_key").order_by("-api_key"),
        objects.values("name", "api_key").order_by("name", F("api_key").desc()),
        objects.annotate(copied=F("api_key")).order_by("copied"),
        objects.annotate(other=Subquery(shop.Account.objects.values("api_key")[:1])).order_by("name", "other"),
        objects.values_list("api_key").union(objects.values_list("api_key"), all=True).order_by("api_key"),
        objects.filter(name=F("api_key")),
        objects.filter(Exact(F("api_key"), Value("secret value"))),
        objects.filter(Q(name="n") | Q(name=F("api_key"))),
        objects.annotate(size=Length("api_key")),
        objects.annotate(both=Concat("name", "api_key", output_field=TextField())),
        objects.annotate(rank=Window(Rank(), order_by="api_key")),
        objects.annotate(same=Subquery(shop.Account.objects.filter(name=OuterRef("api_key")).values("id")[:1])),
        objects.values("name").annotate(largest=Max("api_key")),
    ):
        refused(lambda query=query: list(query))
    refused(lambda: objects.aggregate(Max("api_key")))
    refused(lambda: objects.aggregate(Count("api_key", distinct=True)))
    refused(lambda: objects.latest("api_key"))
    refused(lambda: list(objects.distinct("api_key")) if db.kind == "postgresql" else list(objects.order_by("api_key")))


def test_expressions_without_a_comparison_work(shop: Any, db: Any) -> None:
    """The column can be selected, counted, passed on and joined; each place gives the value."""
    from django.db.models import Count, F, Subquery
    from django.db.models.functions import Coalesce

    objects = shop.Account.objects
    objects.create(name="a", api_key="x")
    objects.create(name="b", api_key=None)

    assert objects.aggregate(n=Count("api_key")) == {"n": 1}
    assert [*objects.order_by("name").values_list("api_key", flat=True)] == ["x", None]
    assert objects.annotate(key=F("api_key")).get(name="a").key == "x"
    assert objects.annotate(key=Coalesce("api_key", "api_key")).get(name="a").key == "x"
    inner = objects.filter(name="a").values("api_key")[:1]
    assert objects.annotate(key=Subquery(inner)).get(name="b").key == "x"
    assert objects.filter(name="a", api_key__isnull=False).union(objects.filter(name="b")).count() == 2
    assert objects.filter(name="a").distinct().get().api_key == "x"


def test_comparing_whole_rows_raises(shop: Any, db: Any) -> None:
    """distinct(), set operations and groups over tokens raise, since no two of these are equal."""
    from django.db.models import Count, F, Subquery

    objects, purchases = shop.Account.objects, shop.Purchase.objects
    objects.create(api_key="x")

    for query in (
        objects.values("api_key").distinct(),
        objects.values_list("name", "api_key").distinct(),
        objects.values(key=F("api_key")).distinct(),
        objects.filter(name__in=[""]).values("api_key").distinct().order_by("name"),
        objects.values("api_key").annotate(n=Count("id")),
        objects.values("name", "api_key").annotate(n=Count("id")),
        objects.values(key=F("api_key")).annotate(n=Count("id")),
        objects.values("api_key").union(objects.values("name")),
        purchases.values("account__api_key").distinct(),
        purchases.values("account__api_key").annotate(n=Count("id")),
        objects.filter(id__in=Subquery(purchases.values("account__api_key").distinct())),
        objects.values("api_key").intersection(objects.values("api_key")),
        objects.values("api_key").difference(objects.values("name")),
    ):
        refused(lambda query=query: list(query))
    refused(lambda: objects.values("api_key").distinct().count())
    refused(lambda: list(objects.values("id", "purchase__card").distinct()), "shop_purchase.card")
    refused(lambda: list(objects.values("id", "purchase__card").annotate(n=Count("name"))), "shop_purchase.card")


def test_comparing_whole_rows_with_a_key_works(shop: Any, db: Any) -> None:
    """The same with a key of the row that has the token, as Django's own pages do it, gives the rows."""
    from django.db.models import CharField, Count, F, Max, OuterRef, Subquery

    from keyring_core.integrations.django import EncryptedTextField

    account = shop.Account.objects.create(name="a", api_key="x", email="e")
    for card in ("1", "2"):
        shop.Purchase.objects.create(account=account, card=card)
    shop.Pair.objects.create(left=1, right=2, one="one")
    objects, purchases = shop.Account.objects, shop.Purchase.objects

    for query, size in (
        (objects.distinct(), 1),
        (objects.filter(purchase__id__gt=0).distinct(), 1),
        (objects.only("api_key").distinct(), 1),
        (purchases.select_related("account").distinct(), 2),
        (purchases.annotate(key=F("account__api_key")).distinct(), 2),
        (purchases.values("id", "account__api_key").distinct(), 2),
        (purchases.values("account", "account__api_key").distinct(), 1),
        (purchases.values("account_id", "account__api_key").annotate(n=Count("id")), 1),
        (objects.values("purchase", "purchase__card").distinct(), 2),
        (objects.values("pk", "api_key").distinct(), 1),
        (objects.annotate(n=Count("purchase")), 1),
        (objects.annotate(n=Count("purchase")).filter(n=2).values("id", "api_key"), 1),
        (purchases.select_related("account").annotate(n=Count("account__name")), 2),
        (objects.values("name").annotate(n=Max("purchase__id")), 1),
        (objects.union(objects.all()), 1),
        (objects.values("api_key").union(objects.values("api_key"), all=True), 2),
        (shop.Pair.objects.values("left", "right", "one").distinct(), 1),
        (objects.values("email_index").annotate(n=Count("id")), 1),
    ):
        assert len(list(query)) == size
    assert objects.distinct().count() == purchases.values("id", "account__api_key").distinct().count() - 1 == 1
    inner = purchases.filter(account=OuterRef("pk")).annotate(key=OuterRef("api_key")).values("key")
    assert objects.annotate(key=Subquery(inner.distinct())).get().key == "x"
    fields = {"name": CharField(max_length=9, unique=True), "secret": EncryptedTextField()}
    with table_of("Once", **fields) as model:
        model.objects.create(name="a", secret="x")
        assert [*model.objects.values("name", "secret").distinct()] == [{"name": "a", "secret": "x"}]
    if db.kind == "postgresql":
        assert [*objects.order_by("name").distinct("name").values_list("api_key", flat=True)] == ["x"]


def test_expressions_are_not_written(shop: Any, db: Any) -> None:
    """An expression that the database would compute is refused by update, save and create; nothing is written."""
    from django.db.models import Case, F, JSONField, Value, When
    from django.db.models.functions import Concat

    row = shop.Pair.objects.create(left=1, right=2, one="one", bound="bound", plain="secret value")
    before = db.rows("SELECT one, bound FROM shop_pair")
    for value in (
        F("plain"),
        F("bound"),
        Value("secret value"),
        Concat("one", Value("secret value")),
        Case(When(left=1, then=F("plain")), default=F("one")),
        Case(When(left=1, then=F("one")), default=Value("secret value")),
        Value(None, output_field=JSONField()),
    ):
        refused(lambda value=value: shop.Pair.objects.update(one=value), "shop_pair.one")
        row.one = value
        refused(row.save, "shop_pair.one")
    refused(lambda: shop.Pair.objects.create(left=2, right=2, one=Value("secret value")), "shop_pair.one")
    refused(lambda: shop.Twin.objects.update(one=F("text")), "shop_twin.one")

    assert db.rows("SELECT one, bound FROM shop_pair") == before


def test_cells_can_be_copied(shop: Any, db: Any) -> None:
    """F() of a column that is encrypted in the same way copies the token, also in Case, and None gives NULL."""
    from django.db.models import Case, F, Value, When

    shop.Pair.objects.create(left=1, right=2, one="one", two="two")

    shop.Pair.objects.update(one=F("two"))
    assert shop.Pair.objects.get().one == "two"
    field = shop.Pair._meta.get_field("one")
    shop.Pair.objects.update(one=Case(When(left=1, then=Value("new", output_field=field)), default=F("two")))
    assert shop.Pair.objects.get().one == "new"
    shop.Pair.objects.update(one=Value(None))
    assert shop.Pair.objects.get().one is None


def test_a_value_is_encrypted_in_an_annotation(shop: Any, db: Any) -> None:
    """A value that a query carries with this field as its type goes as a token, and comes back as the value."""
    from django.db import connection
    from django.db.models import Value
    from django.test.utils import CaptureQueriesContext

    shop.Account.objects.create()
    field = shop.Account._meta.get_field("api_key")

    with CaptureQueriesContext(connection) as queries:
        row = shop.Account.objects.annotate(key=Value("secret value", output_field=field)).get()

    assert row.key == "secret value"
    assert "secret value" not in str(queries.captured_queries)


def test_no_statement_holds_a_value(shop: Any, db: Any) -> None:
    """What Django logs of statements shows tokens alone."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        row = shop.Account.objects.create(api_key="secret value", options={"a": "secret value"}, email="secret value")
        row.save()
        shop.Account.objects.bulk_update([row], ["api_key", "options"])
        shop.Account.objects.filter(email_index="secret value").update(api_key="secret value")

    assert len(queries) >= 4
    assert "secret value" not in str(queries.captured_queries)


def test_the_error_of_a_read_is_not_a_comparison(shop: Any, db: Any) -> None:
    """A select over a subquery's column raises the error of the token, with the column, if it does not open."""
    from django.db.models import Subquery

    shop.Account.objects.create(email="x")
    db.execute("UPDATE accounts SET api_key = :cell", cell=Keyring(make_key("strange")).encrypt("x"))
    inner = shop.Account.objects.values("api_key")[:1]

    with pytest.raises(InvalidToken, match=r"^accounts\.api_key: ") as raised:
        list(shop.Account.objects.defer("api_key").annotate(key=Subquery(inner)))
    assert make_key(NEW).id in str(raised.value)
    assert make_key(OLD).id in str(raised.value)
