"""keyring_core/integrations/django/fields.py: a cell that does not open raises, is named by its row, and is kept."""

from __future__ import annotations

from typing import Any

import pytest

from keyring_core import InvalidToken, PlaintextError, SuspendedKey, UndecryptableToken
from keyring_core.key_reads import key_reads
from tests.conftest import NEW, OLD
from tests.integrations.conftest import use_keys
from tests.integrations.test_django_fields import cell, keyring
from tests.keys import key_text, make_key

pytestmark = pytest.mark.xdist_group("django")


def test_an_unreadable_cell_names_column_and_row(shop: Any, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a token of a lost key raises with column, primary key and key ids; the cell stays, and is never shown."""
    row = shop.Account.objects.create(api_key="sk-live-1")
    stored = cell(db, "api_key")
    use_keys(monkeypatch, OLD)

    for read in (
        shop.Account.objects.get,
        lambda: list(shop.Account.objects.only("api_key")),
        lambda: list(shop.Account.objects.values_list("api_key", "name", "id")),
        lambda: list(shop.Account.objects.filter(name="").all()),
        lambda: row.refresh_from_db(fields=["api_key"]),
        lambda: shop.Account.objects.only("name").get().api_key,
    ):
        with pytest.raises(UndecryptableToken) as raised:
            read()
        words = f"accounts.api_key, id={row.pk}: no key opens this token (tried {make_key(OLD).id}, "
        assert str(raised.value).startswith(words)
        assert stored not in str(raised.value)
    assert cell(db, "api_key") == stored


def test_a_suspended_key_refuses_every_field(shop: Any, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a context and without, of every type; each read counts once; what is written is under the new key."""
    account = {"api_key": "a", "email": "b", "certificate": b"c", "options": {"d": 1}, "token": "e", "settings": [2]}
    use_keys(monkeypatch, OLD)
    rows = [shop.Account.objects.create(**account), shop.Person.objects.create(mail="f", born="1984-02-29", age=3)]
    monkeypatch.setenv("ENCRYPTION_SUSPENDED_KEYS", key_text(OLD))
    use_keys(monkeypatch, NEW)
    before = key_reads()[make_key(OLD).id]

    fields = [field for row in rows for field in row._meta.concrete_fields if hasattr(field, "cells")]
    read = [field for field in fields if field.model.objects.filter(**{f"{field.name}__isnull": False}).exists()]
    for field in read:
        with pytest.raises(SuspendedKey, match=field.cells.column):
            list(field.model.objects.values_list(field.name))
    after = key_reads()[make_key(OLD).id]
    assert (after.opened, after.refused) == (before.opened, before.refused + len(read))
    assert len(read) > len(account) + 3

    with pytest.raises(SuspendedKey):
        shop.Account.objects.get(email_index="b")
    shop.Account.objects.filter(email_index="b").update(**account, email_index="b")
    assert shop.Account.objects.values(*account).get(email_index="b") == account


def test_an_unreadable_cell_without_its_row(shop: Any, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the primary key was not read, the error names the column, and the command that lists the rows."""
    shop.Account.objects.create(api_key="sk-live-1")
    use_keys(monkeypatch, OLD)

    for read in (
        lambda: list(shop.Account.objects.values_list("api_key")),
        lambda: list(shop.Account.objects.raw("SELECT id, api_key FROM accounts")),
    ):
        with pytest.raises(UndecryptableToken, match=r"^accounts\.api_key: .*keyring-rotate status"):
            read()


def test_an_unreadable_cell_of_a_composite_key(shop: Any, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every column of a composite primary key is named, and in a join the key of the row's own table."""
    account = shop.Account.objects.create(api_key="x")
    purchase = shop.Purchase.objects.create(id=account.pk + 1000, account=account)
    joined = shop.Purchase.objects.select_related("account")
    shop.Pair.objects.create(left=3, right=4, one="x")
    fast = shop.Fast.objects.create(password="x", pin="1")
    use_keys(monkeypatch, OLD)

    with pytest.raises(UndecryptableToken, match=r"^shop_pair\.one, left=3, right=4: "):
        shop.Pair.objects.get()
    with pytest.raises(UndecryptableToken, match=rf"^shop_switch\.password, id={fast.pk}: "):
        shop.Fast.objects.get()
    with pytest.raises(UndecryptableToken, match=rf"^accounts\.api_key, id={account.pk}: "):
        joined.defer("card").get()
    with pytest.raises(UndecryptableToken, match=rf"^shop_purchase\.card, id={purchase.pk}: "):
        joined.get()


@pytest.mark.parametrize("text", ["sk-live-plain", "gAAAAAcut"])
def test_plaintext_in_a_cell_raises(shop: Any, db: Any, text: str) -> None:
    """A cell that is no token raises, and is never read as a value."""
    shop.Account.objects.create()
    db.execute("UPDATE accounts SET api_key = :text", text=text)

    with pytest.raises(InvalidToken, match=r"^accounts\.api_key, id=") as raised:
        shop.Account.objects.get()
    assert text not in str(raised.value)


def test_a_token_of_another_value_raises(shop: Any, db: Any) -> None:
    """A token that opens, but holds no JSON, raises and is no value."""
    shop.Account.objects.create()
    db.execute("UPDATE accounts SET options = :cell", cell=keyring().bind("accounts.options").encrypt("{"))

    with pytest.raises(PlaintextError, match=r"^accounts\.options"):
        shop.Account.objects.get()


def test_a_failed_read_cannot_be_saved(shop: Any, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed read no instance exists, and saving a row that deferred the column leaves the token as it was."""
    shop.Account.objects.create(api_key="sk-live-1", name="before")
    stored = cell(db, "api_key")
    use_keys(monkeypatch, OLD)

    row = shop.Account.objects.only("name").get()
    with pytest.raises(UndecryptableToken):
        row.api_key  # noqa: B018 - the read is what fails
    row.name = "after"
    row.save()

    assert (cell(db, "api_key"), cell(db, "name")) == (stored, "after")


def test_a_context_is_kept_apart(shop: Any, db: Any) -> None:
    """A token that was moved here from another column does not open."""
    shop.Account.objects.create(email="x")
    db.execute("UPDATE accounts SET api_key = email")

    with pytest.raises(UndecryptableToken, match=r"^accounts\.api_key"):
        shop.Account.objects.get()
