"""keyring_core/integrations/django/fields.py: values to the database and back."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyring_core import (
    AlreadyEncryptedError,
    KeyConfigError,
    Keyring,
)
from keyring_core.redaction.secret import Secret
from tests.conftest import NEW, OLD, Named
from tests.integrations.conftest import use_keys
from tests.keys import key_text, make_key

pytestmark = pytest.mark.xdist_group("django")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
EXAMPLES = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def keyring() -> Keyring:
    return Keyring(make_key(NEW), previous=[make_key(OLD)])


def cell(db: Any, column: str, table: str = "accounts") -> Any:
    """The one cell of the column, as it is stored."""
    ((found,),) = db.rows(f"SELECT {column} FROM {table}")
    return found


@EXAMPLES
@given(text=st.text(), data=st.binary(), value=JSON)
def test_every_value_comes_back(shop: Any, db: Any, text: str, data: bytes, value: Any) -> None:
    """Any text, bytes and JSON come back as they were, of the same types, in both kinds of columns."""
    written = {"api_key": text, "email": text, "token": text, "certificate": data, "options": value, "settings": value}

    row = shop.Account.objects.create(**written)

    read = shop.Account.objects.values(*written).get(pk=row.pk)
    assert [(type(each), each) for each in read.values()] == [(type(each), each) for each in written.values()]


def test_falsy_json_is_no_null(shop: Any, db: Any, named: Named) -> None:
    """JSON values that are false are stored, and keep their type."""
    for value in (0, 1, True, False, "", [], {}, 0.0, "0", {"a": [None, False, 0, ""]}):
        with named(value):
            shop.Account.objects.all().delete()
            row = shop.Account.objects.create(options=value)

            row.refresh_from_db()
            assert (type(row.options), row.options) == (type(value), value)
            assert cell(db, "options") is not None


def test_none_is_null(shop: Any, db: Any) -> None:
    """None is NULL in the column, of JSON, too, and comes back as None."""
    row = shop.Account.objects.create(api_key=None, certificate=None, options=None, token=None, settings=None)

    row.refresh_from_db()
    assert {row.api_key, row.certificate, row.options, row.token, row.settings} == {None}
    assert cell(db, "api_key") is cell(db, "options") is cell(db, "token") is cell(db, "settings") is None


def test_cells_are_bare_tokens(shop: Any, db: Any) -> None:
    """A cell is a Fernet token in a text column, its bytes in a binary one; the keyring opens it without Django."""
    shop.Account.objects.create(api_key="a", email="b", certificate=b"c", options={"d": 1}, token="e", settings=[2])

    ring = keyring()
    bound = ring.bind("accounts.api_key")
    assert bound.decrypt(cell(db, "api_key")) == "a"
    assert ring.decrypt(cell(db, "email")) == "b"
    assert ring.bind("accounts.certificate").decrypt_bytes(cell(db, "certificate")) == b"c"
    assert ring.bind("accounts.options").decrypt(cell(db, "options")) == '{"d":1}'
    assert (ring.decrypt(cell(db, "token")), ring.decrypt(cell(db, "settings"))) == ("e", "[2]")
    kinds = {
        column: bytes if isinstance(cell(db, column), bytes | memoryview) else str for column in ("email", "token")
    }
    assert kinds == {"email": str, "token": bytes}


def test_columns_have_names(shop: Any) -> None:
    """Each concrete model has cells of its own, named by its table and column, also for `context=True`."""
    names = {
        model: model._meta.get_field(field).cells.column
        for model, field in [
            (shop.Account, "api_key"),
            (shop.Router, "password"),
            (shop.Switch, "password"),
            (shop.SwitchProxy, "password"),
            (shop.Fast, "password"),
            (shop.Customer, "phone"),
            (shop.Customer.history.model, "phone"),
        ]
    }

    assert [*names.values()] == [
        "accounts.api_key",
        "shop_router.password",
        "shop_switch.password",
        "shop_switch.password",
        "shop_switch.password",
        "shop_customer.phone",
        "shop_historicalcustomer.phone",
    ]


def test_inherited_fields_work(shop: Any, db: Any) -> None:
    """A child of an abstract model, of a concrete one, and a proxy read what they wrote."""
    shop.Router.objects.create(password="router")
    shop.SwitchProxy.objects.create(password="switch")
    shop.Fast.objects.create(password="fast", pin="1234")

    assert shop.Router.objects.get().password == "router"
    assert {each.password for each in shop.Switch.objects.all()} == {"switch", "fast"}
    assert (shop.Fast.objects.get().password, shop.Fast.objects.get().pin) == ("fast", "1234")


def test_fields_take_secrets(shop: Any, db: Any) -> None:
    """A Secret is stored as what it holds, after full_clean, too; and its length is that of the text."""
    row = shop.Account(name="n", api_key=Secret("sk-live-1"), email=Secret("e" * 60))

    row.full_clean()
    row.save()

    row.refresh_from_db()
    assert (row.api_key, row.email) == ("sk-live-1", "e" * 60)


@pytest.mark.parametrize(
    ("field", "value"), [("api_key", 5), ("api_key", b"x"), ("certificate", "x"), ("options", {1})]
)
def test_other_types_are_refused(shop: Any, db: Any, field: str, value: Any) -> None:
    """A value of another type raises TypeError with the column, and nothing is written."""
    with pytest.raises(TypeError, match=rf"accounts\.{field}"):
        shop.Account.objects.create(**{field: value})

    assert not shop.Account.objects.exists()


def test_tokens_are_refused(shop: Any, db: Any) -> None:
    """A value that is a token already raises on save, whatever its key."""
    token = Keyring(key_text("strange")).encrypt("sk-live-1")

    for write in (lambda: shop.Account.objects.create(api_key=token), lambda: shop.Account(api_key=token).save()):
        with pytest.raises(AlreadyEncryptedError, match=r"accounts\.api_key") as raised:
            write()
        assert token not in str(raised.value)


def test_older_cells_are_read(shop: Any, db: Any) -> None:
    """Plaintext, unbound tokens and another package's cells are read where the field says so, and rotate on save."""
    secret = "first old secret"
    from keyring_core import Derivation

    hkdf = Derivation("hkdf-sha256", salt="django-fernet-fields-hkdf-salt", info="django-fernet-fields")
    cells = ["plain", keyring().encrypt("unbound"), Keyring(hkdf.key(secret)).encrypt("older")]
    for number, each in enumerate(cells, 1):
        db.insert("shop_takenover", [{"id": number, "secret": each}])

    rows = [*shop.TakenOver.objects.order_by("id")]
    for row in rows:
        row.save()

    assert [row.secret for row in rows] == ["plain", "unbound", "older"]
    bound = keyring().bind("taken.secret")
    assert [bound.decrypt(each) for (each,) in db.rows("SELECT secret FROM shop_takenover ORDER BY id")] == [
        "plain",
        "unbound",
        "older",
    ]


def test_secrets_come_from_environment_or_settings(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable comes first, then the setting, a list included; anything else is missing."""
    from keyring_core.integrations.django.fields import VariablesAndSettings

    found = VariablesAndSettings()
    assert found["OLD_SECRETS"] == ["first old secret", "second old secret"]
    assert found.get("USE_TZ") is found.get("NO_SUCH_SETTING") is None
    # What is listed goes into the environment of a command that prints a secret.
    assert "PATH" in {*found}
    assert "OLD_SECRETS" not in {*found}
    assert len(found) == len([*found])

    monkeypatch.setenv("OLD_SECRETS", "of the environment")
    assert found["OLD_SECRETS"] == "of the environment"


def test_no_key(shop: Any, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key writing raises with what to set, and nothing is written; other columns can be read and written."""
    use_keys(monkeypatch, None)

    with pytest.raises(KeyConfigError, match="ENCRYPTION_KEY"):
        shop.Account.objects.create(api_key="x")
    assert not shop.Account.objects.exists()
    assert shop.TakenOver.objects.count() == 0


def test_bulk_writes(shop: Any, db: Any) -> None:
    """bulk_create, bulk_update, update and get_or_create write tokens, one for each row."""
    objects = shop.Account.objects
    rows = objects.bulk_create([shop.Account(name=str(n), api_key=f"key {n}", token=f"t{n}") for n in range(3)])
    rows = [*objects.order_by("id")]
    assert [(row.api_key, row.token) for row in rows] == [(f"key {n}", f"t{n}") for n in range(3)]

    for row in rows:
        row.api_key, row.token, row.options, row.settings = f"new {row.name}", None, {"n": row.name}, [row.name]
    objects.bulk_update(rows, ["api_key", "token", "options", "settings"])
    read = [(row.api_key, row.token, row.options, row.settings) for row in objects.order_by("id")]
    assert read == [(f"new {n}", None, {"n": str(n)}, [str(n)]) for n in range(3)]

    objects.update(api_key="x", token="y", options=None)
    assert {(row.api_key, row.token, row.options) for row in objects.all()} == {("x", "y", None)}
    row, made = objects.get_or_create(name="another", defaults={"api_key": "z", "email": "e"})
    again, made_again = objects.get_or_create(name="another", defaults={"api_key": "other"})
    assert (made, made_again, again.api_key, again.email) == (True, False, "z", "e")
    row, made = objects.update_or_create(name="another", defaults={"api_key": "w", "email": "f"})
    row.refresh_from_db()
    assert (made, row.api_key, row.email) == (False, "w", "f")
    assert not any("key" in str(each) or each in {"x", "y"} for each in db.rows("SELECT api_key, token FROM accounts"))


def test_a_default_is_encrypted(shop: Any, db: Any) -> None:
    """A field's default is stored as a token."""
    shop.Account.objects.create()

    assert keyring().decrypt(cell(db, "email")) == ""


def test_fields_can_be_copied_and_pickled(shop: Any, db: Any) -> None:
    """Querysets, instances and fields can be copied and pickled after use, and take no key along."""
    shop.Account.objects.create(api_key="x")
    field = shop.Account._meta.get_field("api_key")

    rows = pickle.loads(pickle.dumps(shop.Account.objects.all()))
    query = pickle.loads(pickle.dumps(shop.Account.objects.filter(api_key__isnull=False).query))

    assert [row.api_key for row in rows] == ["x"]
    again = shop.Account.objects.all()
    again.query = query
    assert again.get().api_key == "x"
    assert copy.deepcopy(field).cells.column == "accounts.api_key"


def test_json_takes_no_encoder(shop: Any) -> None:
    """An encoder, which would be ignored, is refused."""
    from django.core.serializers.json import DjangoJSONEncoder

    from keyring_core.integrations.django import EncryptedJSONField

    with pytest.raises(TypeError, match="encoder"):
        EncryptedJSONField(encoder=DjangoJSONEncoder)


@pytest.mark.parametrize("text", ["Geheïm", "abcde"])
def test_bytes_that_a_form_cannot_read_are_not_in_its_error(shop: Any, text: str) -> None:
    """A ValidationError says what to enter; no error behind it holds the text."""
    from django.core.exceptions import ValidationError

    with pytest.raises(ValidationError, match="base64") as caught:
        shop.Account._meta.get_field("certificate").to_python(text)

    assert caught.value.__context__ is None
