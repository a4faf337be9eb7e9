"""keyring_core/integrations/django/fields.py: values to the database and back."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyring_core import (
    Keyring,
)
from tests.conftest import NEW, OLD
from tests.keys import make_key

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
