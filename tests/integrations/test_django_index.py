"""keyring_core/integrations/django/index_field.py: rows found by a value, and an index that is never stale."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from keyring_core import ComparisonError, KeyConfigError, Keyring
from keyring_core.blind_index import BlindIndex
from keyring_core.redaction.secret import Secret
from rotation.job.loop import rotate
from rotation.job.options import RunOptions
from rotation.model.target import Index, Target
from rotation.stores.store import Store
from tests.conftest import NEW, OLD, Named
from tests.fakes import Silence
from tests.integrations.conftest import table_of, use_keys
from tests.keys import key_text, make_key

pytestmark = pytest.mark.xdist_group("django")

BOTH = ["email", "email_index"]


def index(value: str, label: str = NEW, context: str = "accounts.email") -> str:
    return BlindIndex(context).of(Keyring(make_key(label)), value)


def stored(db: Any) -> list[str | None]:
    return [text for (text,) in db.rows("SELECT email_index FROM accounts ORDER BY id")]


def stale(write: Callable[[], object], name: str = "mail_index") -> None:
    """Proves that the write raises an error that says what to write, too."""
    from django.core.exceptions import FieldError

    from keyring_core.integrations.django import StaleIndexError

    with pytest.raises(StaleIndexError, match=name) as raised:
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


def test_an_old_query_uses_the_keys_of_today(shop: Any, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A queryset that was made before a key came in finds the rows that are under it."""
    use_keys(monkeypatch, OLD)
    found = shop.Account.objects.filter(email_index="a@b.c")
    use_keys(monkeypatch, NEW, OLD)
    shop.Account.objects.create(email="a@b.c")

    assert found.count() == 1


def test_other_lookups_raise(shop: Any, db: Any, named: Named) -> None:
    """What an HMAC cannot answer raises."""
    for lookup in ("iexact", "contains", "startswith", "gt", "range", "regex", "length"):
        with named(lookup), pytest.raises(ComparisonError, match=r"^accounts\.email_index"):
            shop.Account.objects.filter(**{f"email_index__{lookup}": "a"})


def words(**options: Any) -> dict[str, Any]:
    """Fields of a model with two indexes of one context, and two of other ones."""
    from django.db import models

    from keyring_core.integrations.django import BlindIndexField, EncryptedTextField

    fields = {each: EncryptedTextField(null=True) for each in ("one", "two", "lower", "bound")}
    return fields | {
        "name": models.CharField(max_length=9, default=""),
        "one_index": BlindIndexField("one", context="words"),
        "two_index": BlindIndexField("two", context="words"),
        "lower_index": BlindIndexField("lower", context="words", normalize="lower"),
        "bound_index": BlindIndexField("bound"),
    }


def test_columns_with_one_context_can_be_compared(shop: Any, db: Any) -> None:
    """F, OuterRef and subqueries find equal values of two columns whose indexes are made alike."""
    from django.db.models import Exists, F, OuterRef, Q, Subquery

    with table_of("Words", **words()) as model:
        objects = model.objects
        for name, one, two in (("same", "a", "a"), ("other", "a", "b"), ("third", "c", None)):
            objects.create(name=name, one=one, two=two)
        same = model.objects.filter(one_index=OuterRef("one_index")).exclude(pk=OuterRef("pk"))

        for found, names in (
            (objects.filter(one_index=F("two_index")), ["same"]),
            (objects.exclude(one_index=F("two_index")), ["other", "third"]),
            (objects.filter(Exists(same)), ["same", "other"]),
            (objects.filter(one_index__in=objects.values("two_index")), ["same", "other"]),
            (objects.filter(one_index__in=Subquery(objects.values_list("two_index"))), ["same", "other"]),
            (objects.filter(one_index=objects.filter(name="third").values("one_index")[:1]), ["third"]),
            (objects.filter(Q(one_index="c") | Q(one_index=F("two_index"))), ["same", "third"]),
            (objects.annotate(copy=F("two_index")).filter(copy=F("one_index")), ["same"]),
        ):
            assert [each.name for each in found.order_by("id")] == names


def test_comparing_with_other_columns_raises(shop: Any, db: Any) -> None:
    """Indexes of two columns that are not made alike never match, so such a comparison is refused."""
    from django.db.models import Exists, F, Max, OuterRef, Value

    objects = shop.Account.objects
    for condition in (
        {"email_index": F("name")},
        {"email_index": F("email")},
        {"email_index": Value("a@b.c")},
        {"email_index__in": [F("name")]},
        {"email_index__in": [F("email_index")]},
        {"email_index__in": objects.values("name")},
        {"email_index__in": objects.all()},
        {"email_index": shop.Lead.objects.values("mail_index")[:1]},
        {"email_index": Max("email_index")},
    ):
        with pytest.raises(ComparisonError, match=r"^accounts\.email_index: "):
            list(objects.filter(**condition))
    inner = objects.filter(email_index=OuterRef("mail_index"))
    with pytest.raises(ComparisonError, match=r"^accounts\.email_index: "):
        list(shop.Lead.objects.filter(Exists(inner)))
    with table_of("Words", **words()) as model:
        for other in ("lower_index", "bound_index"):
            with pytest.raises(ComparisonError, match=r"^words\.one_index: "):
                list(model.objects.filter(one_index=F(other)))


def test_the_index_of_an_instance_is_looked_up_in_columns_of_its_context(shop: Any, db: Any) -> None:
    """In another one it would find nothing."""
    with table_of("Words", **words()) as model:
        row = model.objects.create(name="first", one="a", two="a", bound="a")

        assert model.objects.get(one_index=row.two_index) == row
        for condition in ({"bound_index": row.one_index}, {"one_index__in": [row.bound_index]}):
            with pytest.raises(ComparisonError, match=r"^words\."):
                list(model.objects.filter(**condition))


def test_an_expression_of_indexes_is_compared_if_they_are_made_alike(shop: Any, db: Any) -> None:
    """One that mixes columns that are not, or changes the text of an index, finds nothing, so it is refused."""
    from django.db.models import Case, F, When
    from django.db.models.functions import Coalesce, Lower, Trim, Upper

    with table_of("Words", **words()) as model:
        model.objects.create(name="first", one="a", two="b")
        model.objects.create(name="second", two="b")
        for alike in (Coalesce("one_index", "two_index"), Case(When(bound_index=None, then=F("two_index")))):
            assert [each.name for each in model.objects.alias(key=alike).filter(key="b")][-1] == "second"
        for other in (
            Lower("one_index"),
            Upper(Trim("one_index")),
            Coalesce("one_index", "lower_index"),
            Coalesce(Lower("one_index"), "two_index"),
            Case(When(name="first", then="one_index"), default="bound_index"),
            Case(When(name="first", then="bound_index"), default=Coalesce("one_index", "two_index")),
        ):
            with pytest.raises(ComparisonError, match=r"^words\."):
                list(model.objects.alias(key=other).filter(key="b"))


def own_fields() -> dict[str, Any]:
    """An application's own fields over one of these, each of which stores lower case."""
    from keyring_core.integrations.django import EncryptedTextField

    class Prepared(EncryptedTextField):
        def get_prep_value(self, value: Any) -> Any:
            made = super().get_prep_value(value)
            return made and made.lower()

    class Saved(EncryptedTextField):
        def pre_save(self, model_instance: Any, add: bool) -> Any:
            made = super().pre_save(model_instance, add)
            return made and made.lower()

    return {"prepared": Prepared(null=True), "saved": Saved(null=True)}


def run_over(model: Any, name: str, db: Any, keyring: Keyring) -> Any:
    """The report of a run over the encrypted field *name* and its index, as the model declares them."""
    from rotation.declared.django_models import _index_of

    table = model._meta.db_table
    target = Target(db.url, table, name, table, index=_index_of(model, name))
    return rotate(
        [target], keyring, lambda each: Store(each, read_only=False, sleep=time.sleep), RunOptions(), Silence()
    )


def test_the_index_is_of_what_the_cell_holds(shop: Any, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that changes its value has the index of what it stores, by every way of writing, as after a run."""
    from keyring_core.integrations.django import BlindIndexField

    indexes = {"prepared_index": BlindIndexField("prepared"), "saved_index": BlindIndexField("saved")}
    # The index may be declared first.
    with table_of("Owned", **indexes, **own_fields()) as model:
        use_keys(monkeypatch, OLD)
        objects = model.objects
        objects.create(prepared="A", saved="A")
        objects.bulk_create([model(prepared="B", saved="B")])
        row = objects.create(prepared="x", saved="x")
        row.prepared = "C"
        objects.bulk_update([row], ["prepared", "prepared_index"])
        objects.filter(pk=row.pk).update(prepared="D", prepared_index="d")
        objects.update_or_create(prepared_index="E", defaults={"prepared": "E", "saved": "E"})
        assert not objects.get_or_create(prepared_index="e", defaults={"prepared": "e"})[1]
        use_keys(monkeypatch, NEW, OLD)
        keyring = Keyring(make_key(NEW), previous=[make_key(OLD)])

        def found() -> dict[str, str]:
            lookups = {value: objects.filter(prepared_index=value) for value in "aAbBdDeEcx"}
            lookups |= {f"saved {value}": objects.filter(saved_index=value) for value in "abex"}
            return {name: "".join(each.prepared for each in rows) for name, rows in lookups.items()}

        before = found()
        ended = [run_over(model, name, db, keyring) for name in ("prepared", "saved")]

        assert before == found()
        assert before == dict(zip("aAbBdDeEcx", "aabbddee", strict=False)) | {"c": "", "x": ""} | {
            "saved a": "a",
            "saved b": "b",
            "saved e": "e",
            "saved x": "d",
        }
        assert [each.exit_code for each in ended] == [0, 0]
        cells = db.rows("SELECT prepared, prepared_index, saved, saved_index FROM owned")
        for prepared, prepared_index, saved, saved_index in cells:
            assert prepared_index == index(keyring.decrypt(prepared), context="owned.prepared")
            assert saved_index == index(keyring.decrypt(saved), context="owned.saved")


def test_a_normal_form(shop: Any, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values with one normal form have one index, for lookups, every write, and a run; the cell keeps the value."""
    use_keys(monkeypatch, OLD)
    objects = shop.Lead.objects
    row = objects.create(mail="Straße@b.c")
    assert objects.get(mail_index="STRASSE@B.C").mail == "Straße@b.c"
    assert not objects.get_or_create(mail_index="strasse@b.c", defaults={"mail": "strasse@b.c"})[1]
    objects.update(mail="A@b.c", mail_index="a@B.c")
    assert objects.get(mail_index__in=["a@b.C"]).mail == "A@b.c"
    stale(lambda: objects.update(mail="b@b.c", mail_index="A@b.c"))
    use_keys(monkeypatch, NEW, OLD)

    ended = run_over(shop.Lead, "mail", db, Keyring(make_key(NEW), previous=[make_key(OLD)]))

    assert ended.exit_code == 0
    assert objects.get(mail_index="A@B.C") == row
    ((stored_index,),) = db.rows("SELECT mail_index FROM shop_lead")
    assert stored_index == index("a@b.c", context="shop_lead.mail")


def test_an_index_of_typed_values(shop: Any, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A date is found as a date and as a form spells it, and written with its own index alone, as after a run."""
    from datetime import date

    from keyring_core.integrations.django import BlindIndexField, EncryptedDateField

    fields = {"born": EncryptedDateField(null=True), "born_index": BlindIndexField("born")}
    with table_of("Born", **fields) as model:
        objects, day = model.objects, date(2001, 2, 3)
        use_keys(monkeypatch, OLD)
        objects.create(born=day)
        objects.create(born="2001-2-3")
        # As another program may have written it.
        db.execute("UPDATE born SET born = :cell WHERE id = 1", cell=Keyring(make_key(OLD)).encrypt("20010203"))
        use_keys(monkeypatch, NEW, OLD)

        ended = run_over(model, "born", db, Keyring(make_key(NEW), previous=[make_key(OLD)]))

        assert ended.exit_code == 0
        for value in (day, "2001-02-03", Secret(day)):
            assert objects.filter(born_index=value).count() == 2
        objects.update(born=date(2002, 1, 1), born_index="2002-1-1")
        assert objects.filter(born_index=date(2002, 1, 1)).count() == 2
        stale(lambda: objects.update(born=day, born_index=date(2001, 2, 4)), "born_index")


def test_an_index_is_under_the_keys_of_its_field(shop: Any, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index of a field with a key set is under that set's keys, and is compared with no index under others."""
    from django.db.models import F

    from keyring_core import key_set
    from keyring_core.integrations.django import BlindIndexField, EncryptedTextField

    monkeypatch.setenv("BILLING_ENCRYPTION_KEY", key_text("billing"))
    key_set("billing").reset()
    fields = {
        "card": EncryptedTextField(keys="billing"),
        "card_index": BlindIndexField("card", context="cards"),
        "name": EncryptedTextField(default=""),
        "name_index": BlindIndexField("name", context="cards"),
    }
    with table_of("Billed", **fields) as model:
        model.objects.create(card="4242")

        assert model.objects.get(card_index="4242").card_index == index("4242", "billing", "cards")
        with pytest.raises(ComparisonError, match=r"^billed\.card_index: "):
            list(model.objects.filter(card_index=F("name_index")))
    key_set("billing").reset()


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


def test_rotation_reads_the_normal_form(shop: Any) -> None:
    """What a run computes of a cell has the same function as the field."""
    from rotation.declared.django_models import _index_of

    assert _index_of(shop.Lead, "mail") == Index("mail_index", "shop_lead.mail", str.casefold)
    assert _index_of(shop.Account, "email") == Index("email_index", "accounts.email")


def test_the_index_of_a_row_is_found_under_every_key(shop: Any, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index that a row shows stands for its value, so that it finds equal ones under an older key, too."""
    use_keys(monkeypatch, OLD)
    shop.Account.objects.create(email="a@b.c")
    use_keys(monkeypatch, NEW, OLD)
    row = shop.Account.objects.create(email="a@b.c")

    assert row.email_index == index("a@b.c")
    assert shop.Account.objects.filter(email_index=row.email_index).count() == 2


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


def test_a_row_is_not_made_of_its_index_alone(shop: Any, db: Any) -> None:
    """A new row whose index is given as another value than its own raises: what was looked for would be lost."""
    objects = shop.Lead.objects

    stale(lambda: objects.get_or_create(mail_index="b@b.c"))
    stale(lambda: objects.update_or_create(mail_index="b@b.c", defaults={"mail": "c@b.c"}))
    stale(lambda: objects.bulk_create([shop.Lead(mail_index="b@b.c")]))
    stale(lambda: shop.Account.objects.get_or_create(email_index="b@b.c"), "email_index=x, defaults=")
    assert not objects.exists()

    row, _ = objects.get_or_create(mail_index="B@b.c", defaults={"mail": "b@b.c"})
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
    for write in (row.save, lambda: shop.Account.objects.bulk_update([row], BOTH)):
        with pytest.raises(ComparisonError, match="email_index"):
            write()


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
