"""Values come back as they were: of any type, on each database."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from keyring_core import Keyring, get_keyring
from keyring_core.redaction.secret import Secret
from tests.conftest import NEW, Named
from tests.integrations.sqlalchemy.models import User, Values
from tests.keys import key_text, make_key

pytestmark = pytest.mark.database

TEXTS = st.text()
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
JSONS = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=10)


def stored(session: Session, **values: object) -> Values:
    """A new row with *values*, as another session reads it."""
    row = Values(**values)
    session.add(row)
    session.flush()
    number = row.id
    session.commit()
    session.expunge_all()
    return session.get_one(Values, number)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS, raw=st.binary(), value=JSONS)
def test_any_value_comes_back(session: Session, text: str, raw: bytes, value: Any) -> None:
    """Any text, bytes and JSON come back equal and of the same type, from TEXT and from binary columns."""
    kept = {"text": text, "text_binary": text, "raw": raw, "raw_binary": raw, "json": value, "json_binary": value}

    row = stored(session, **kept)

    for name, expected in kept.items():
        found = getattr(row, name)
        assert (repr(found), type(found)) == (
            repr(json.loads(json.dumps(expected)) if "json" in name else expected),
            type(expected),
        )


def test_false_values_stay(session: Session, named: Named) -> None:
    """What counts as false is a value, and not NULL."""
    values = ["", 0, False, [], {}, 0.0, -0.0, "null", [None], math.pi]
    for number, value in enumerate(values, 1):
        with named(repr(value)):
            row = stored(session, json=value)

            assert repr(row.json) == repr(value)
            assert session.scalar(sa.select(sa.func.count()).where(Values.json.is_not(None))) == number


def test_none_is_null(session: Session, tables: Any) -> None:
    """None is NULL in each column, in the database and back."""
    row = stored(session)

    assert tables.rows("SELECT text, text_binary, raw, raw_binary, json, json_binary, settings FROM all_values") == [
        (None,) * 7
    ]
    assert (row.text, row.text_binary, row.raw, row.raw_binary, row.json, row.json_binary) == (None,) * 6


def test_cells_are_stock_tokens(session: Session, tables: Any) -> None:
    """A cell is one Fernet token, as text or as the same bytes; a bound one is under the key of its context."""
    stored(session, text="sk-live", raw_binary=b"\0\xff", json={"a": 0})

    [(text, raw, bound)] = tables.rows("SELECT text, raw_binary, json FROM all_values")
    assert Fernet(key_text(NEW)).decrypt(text) == b"sk-live"
    assert Fernet(key_text(NEW)).decrypt(bytes(raw)) == b"\0\xff"
    assert Keyring(make_key(NEW)).bind("all_values.json").decrypt(bound) == '{"a":0}'


def test_changes_inside_a_mutable_dict_are_stored(session: Session) -> None:
    """MutableDict.as_mutable works on EncryptedJSON."""
    row = stored(session, settings={"a": 0})
    row.settings["b"] = False
    session.commit()

    assert row.settings == {"a": 0, "b": False}


def test_a_secret_is_stored_as_its_text(session: Session) -> None:
    """A Secret is a value like the text that it holds."""
    assert stored(session, text=Secret("sk-live")).text == "sk-live"


def test_keys_are_those_of_the_process(session: Session, tables: Any, use_keys: Any) -> None:
    """Types take the process's keyring at each value: new keys apply at once, without a new type or engine."""
    session.add(User(id=1, email="a"))
    session.commit()
    use_keys("third", NEW)
    session.add(User(id=2, email="b"))
    session.commit()
    session.expunge_all()

    assert [user.email for user in session.scalars(sa.select(User).order_by(User.id))] == ["a", "b"]
    [(first,), (second,)] = tables.rows("SELECT email FROM users ORDER BY id")
    assert get_keyring().key_for(first) == make_key(NEW)
    assert get_keyring().key_for(second) == make_key("third")
