"""Fields of Pydantic models: a Secret in memory, a token in JSON, and neither in any error."""

from __future__ import annotations

import dataclasses
import enum
import json
import logging
import os
import pickle
import subprocess
import sys
import traceback
from typing import Annotated

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

pydantic = pytest.importorskip("pydantic", reason="the extra pydantic")
from annotated_types import Len  # noqa: E402
from pydantic import (  # noqa: E402
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticSerializationError  # noqa: E402

from keyring_core import KeyConfigError, Keyring, config  # noqa: E402
from keyring_core.integrations import cells  # noqa: E402
from keyring_core.integrations.pydantic import Encrypted, EncryptedStr  # noqa: E402
from keyring_core.redaction import Secret  # noqa: E402
from keyring_core.reload import Reloader  # noqa: E402
from tests.fakes import token  # noqa: E402
from tests.keyring_core.test_errors import leaks, shown_by  # noqa: E402
from tests.keys import key_text  # noqa: E402

SECRET = "sk-live-Tr0ub4dor-4242"
TOKEN = token("new", SECRET)
FOREIGN = token("foreign", SECRET)
STOCK = Fernet(key_text("new"))
RING = Keyring(key_text("new"), [key_text("old")])
AT_REST = {"at_rest": True}


class Connection(BaseModel):
    host: str = "example.org"
    api_key: EncryptedStr


class Bound(BaseModel):
    api_key: Annotated[Secret, Encrypted("connections.api_key")]


class Hiding(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)
    host: str
    api_key: EncryptedStr


@dataclasses.dataclass
class Inner:
    api_key: EncryptedStr


class Outer(BaseModel):
    many: list[EncryptedStr]
    maybe: EncryptedStr | None
    inner: Inner


class Made(BaseModel):
    api_key: EncryptedStr = Field(default_factory=lambda: Secret(SECRET))


class Shared(BaseModel):
    api_key: EncryptedStr = Secret(SECRET)


class Colour(str, enum.Enum):  # noqa: UP042 - its str() is not its value
    RED = "red"


@pytest.fixture(autouse=True, scope="module")
def process_keys():
    """The keys of this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells, "get_keyring", type("Keys", (), {"__call__": lambda _: RING, "renew": lambda *_: None})())
        yield


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_comes_back_from_storage(text):
    """What is dumped as JSON opens in stock Fernet, and at rest it is read as the value that it was."""
    document = Connection(api_key=Secret(text)).model_dump(mode="json")

    assert STOCK.decrypt(document["api_key"]).decode() == text
    assert Connection.model_validate(document, context=AT_REST).api_key.reveal() == text
    assert Connection.model_validate_json(json.dumps(document), context=AT_REST).api_key.reveal() == text


@pytest.mark.parametrize("value", [SECRET, Secret(SECRET)], ids=["str", "Secret"])
def test_input_is_plaintext(value):
    """A str or a Secret becomes a Secret; a Secret stays the same object."""
    connection = Connection.model_validate({"api_key": value})

    assert type(connection.api_key) is Secret
    assert connection.api_key.reveal() == SECRET
    assert connection.api_key is value or value == SECRET
    assert connection == Connection(api_key=Secret(SECRET))


def test_a_member_of_an_enum_is_its_value():
    """And not the name that str() makes of it."""
    assert Connection.model_validate({"api_key": Colour.RED}).api_key.reveal() == "red"


def test_a_secret_is_taken_at_rest_too():
    """A Secret says by its type that it is plaintext: a default or a copied field is no cell."""
    assert Connection.model_validate({"api_key": Secret(SECRET)}, context=AT_REST).api_key.reveal() == SECRET


def test_each_way_of_json_writes_the_token():
    """In JSON there is no plaintext and no mask; in Python the Secret stays."""
    connection = Connection(api_key=Secret(SECRET))

    documents = [
        connection.model_dump(mode="json"),
        json.loads(connection.model_dump_json()),
        json.loads(TypeAdapter(list[Connection]).dump_json([connection]))[0],
    ]

    assert [STOCK.decrypt(document["api_key"]).decode() for document in documents] == [SECRET] * 3
    assert connection.model_dump()["api_key"] is connection.api_key


def test_nothing_that_shows_a_model_shows_the_text(caplog):
    """Repr, str, format, logs and the dumped model show a mask with the field's name."""
    connection = Connection.model_validate({"api_key": SECRET})

    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("%s %r %s", connection, connection, connection.model_dump())

    for shown in (f"{connection}", repr(connection), str(connection.model_dump()), caplog.text):
        assert not leaks(shown, SECRET)
        assert "[REDACTED:api_key]" in shown


BAD_INPUT = {
    "token": (TOKEN, "already_encrypted_error"),
    "token in a Secret": (Secret(TOKEN), "already_encrypted_error"),
    "foreign token": (FOREIGN, "already_encrypted_error"),
    "token with blanks": (f" {FOREIGN}\n", "already_encrypted_error"),
    "lone surrogate": (SECRET + "\ud800", "plaintext_error"),
    "bytes": (SECRET.encode(), "type_error"),
    "number": (4242424242424242, "type_error"),
    "list": ([SECRET], "type_error"),
}
BAD_STORAGE = {
    "plaintext": (SECRET, "malformed_token"),
    "cut token": (TOKEN[:-4], "malformed_token"),
    "quoted token": (f'"{TOKEN}"', "malformed_token"),
    "foreign token": (FOREIGN, "undecryptable_token"),
    "no text inside": (STOCK.encrypt(SECRET.encode() + b"\xff").decode(), "plaintext_error"),
    "number": (4242424242424242, "type_error"),
    "list": ([TOKEN], "type_error"),
}


def errors_of(model: type[BaseModel], document: object, context: object) -> tuple[ValidationError, str]:
    """The error of a validation, and all text that it shows."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate(document, context=context)
    error = caught.value
    report = "".join(traceback.format_exception(error))
    return error, f"{shown_by(error)}{error.errors()!r}{error.json()}{report}"


def test_what_is_refused_is_not_shown(named):
    """Neither the value nor the token is in the error's text, its list, its JSON or its traceback's message."""
    cases = [
        *((value, kind, context) for value, kind in BAD_INPUT.values() for context in (None, {}, {"at_rest": False})),
        *((value, kind, AT_REST) for value, kind in BAD_STORAGE.values()),
    ]

    for value, kind, context in cases:
        with named(value, kind, context):
            error, shown = errors_of(Connection, {"api_key": value, "host": 5}, context)

            assert [(line["type"], line["loc"]) for line in error.errors()] == [
                ("string_type", ("host",)),
                (kind, ("api_key",)),
            ]
            assert error.errors()[1]["input"] == "[REDACTED:secret]"
            assert not leaks(shown, value.reveal() if isinstance(value, Secret) else value)


@pytest.mark.parametrize(
    ("context", "value"),
    [(None, FOREIGN), (AT_REST, SECRET)],
    ids=["token", "text"],
)
def test_a_field_inside_another_type_hides_the_value(context, value):
    """The errors in lists, optional fields and dataclasses are those of the field."""
    error, shown = errors_of(Outer, {"many": [value], "maybe": value, "inner": {"api_key": value}}, context)

    assert error.error_count() == 3
    assert not leaks(shown, value)


@pytest.mark.parametrize(("value", "context"), [(SECRET, None), (TOKEN, AT_REST)], ids=["plaintext", "token"])
def test_a_missing_field_shows_all_input_unless_it_is_hidden(value, context):
    """What no type can prevent, and the settings that the docstring names for it."""
    error, shown = errors_of(Hiding, {"api_key": value}, context)

    assert leaks(shown, value)
    assert not leaks(str(error), value)
    assert not leaks("".join(traceback.format_exception(error)), value)
    assert not leaks(repr(error.errors(include_input=False)), value)
    assert not leaks(error.json(include_input=False), value)


def test_no_key_is_an_error_of_the_keys(monkeypatch):
    """Plaintext is taken without a key; writing and reading a token says which variable is missing, and no value."""
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(cells, "get_keyring", Reloader(config._load))

    connection = Connection.model_validate({"api_key": SECRET})
    error, shown = errors_of(Connection, {"api_key": TOKEN}, AT_REST)

    assert error.errors()[0]["type"] == "key_config_error"
    assert "ENCRYPTION_KEY" in shown
    assert not leaks(shown, TOKEN)
    with pytest.raises(PydanticSerializationError, match="ENCRYPTION_KEY") as caught:
        connection.model_dump_json()
    assert not leaks(shown_by(caught.value), SECRET)


@pytest.mark.parametrize("mode", ["construct", "assign"])
def test_a_value_that_nobody_validated_is_never_written_as_it_is(mode):
    """Without validation a str may stand in the field: plaintext is encrypted, and a token is refused."""

    def made(value: str) -> Connection:
        if mode == "construct":
            return Connection.model_construct(api_key=value)
        connection = Connection(api_key=Secret("x"))
        connection.api_key = value  # type: ignore[assignment]
        return connection

    assert STOCK.decrypt(made(SECRET).model_dump(mode="json")["api_key"]).decode() == SECRET
    with pytest.raises(PydanticSerializationError, match="AlreadyEncryptedError") as caught:
        made(FOREIGN).model_dump_json()
    assert not leaks(shown_by(caught.value), FOREIGN)


def test_a_context_keeps_fields_apart():
    """A token that was copied from another field does not open in this one."""
    document = Bound.model_validate({"api_key": SECRET}).model_dump(mode="json")

    assert RING.bind("connections.api_key").decrypt(document["api_key"]) == SECRET
    assert Bound.model_validate(document, context=AT_REST).api_key.reveal() == SECRET
    for model, other in ((Bound, TOKEN), (Connection, document["api_key"])):
        error, _ = errors_of(model, {"api_key": other}, AT_REST)
        assert error.errors()[0]["type"] == "undecryptable_token"
        advice = "it opens without a context: name no context" if model is Bound else "bound to a `context`"
        assert advice in error.errors()[0]["msg"]


def test_a_context_without_a_name_is_refused():
    """The mistake shows where the field is declared."""
    with pytest.raises(KeyConfigError, match="context"):
        Encrypted("")


@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_the_schema_is_that_of_a_password(mode):
    """Documents of an API show a password field, and nothing of keys or contexts."""
    schema = Connection.model_json_schema(mode=mode)

    assert schema["properties"]["api_key"] == {
        "type": "string",
        "format": "password",
        "writeOnly": True,
        "title": "Api Key",
    }


def test_a_secret_is_not_copied():
    """What the docstring says of copies: a shallow one works, a factory makes a default, all others raise."""
    made = Made()

    assert made.model_copy().api_key.reveal() == SECRET
    for action in (lambda: made.model_copy(deep=True), lambda: pickle.dumps(made), Shared):
        with pytest.raises(TypeError, match="pickled nor copied"):
            action()


def test_the_repr_shows_the_context():
    """Fields print their metadata; it holds no key."""
    assert repr(Encrypted()) == "<Encrypted>"
    assert repr(Encrypted("connections.api_key")) == "<Encrypted connections.api_key>"


def test_declaring_a_model_needs_no_key():
    """A process without any variable can import, declare, validate input and make the schema."""
    program = (
        "from pydantic import BaseModel\n"
        "from keyring_core.integrations.pydantic import EncryptedStr\n"
        "class Connection(BaseModel):\n"
        "    api_key: EncryptedStr\n"
        "Connection.model_json_schema()\n"
        "assert Connection.model_validate({'api_key': 'text'}).api_key.reveal() == 'text'\n"
    )

    subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": os.pathsep.join(sys.path)}, check=True)


class Strict(BaseModel):
    api_key: EncryptedStr = Field(min_length=8, pattern="^sk-")


class Cleaned(BaseModel):
    api_key: Annotated[Secret, StringConstraints(strip_whitespace=True, max_length=30), Encrypted()] | None = None


@pytest.mark.parametrize(
    ("text", "kind"), [("sk-", "string_too_short"), ("pk-live-Tr0ub4dor-4242", "string_pattern_mismatch")]
)
@pytest.mark.parametrize("given", [str, Secret], ids=["str", "Secret"])
def test_a_constraint_is_of_the_text_and_its_error_does_not_show_it(given, text, kind):
    """As for a plain str, with a mask as the input."""
    with pytest.raises(ValidationError) as caught:
        Strict(api_key=given(text))

    assert [error["type"] for error in caught.value.errors()] == [kind]
    assert not leaks(shown_by(caught.value), text)
    assert text not in str(caught.value)


def test_a_constraint_may_clean_the_text():
    """The Secret holds what the constraint made of it."""
    assert Cleaned(api_key=f" {SECRET} ").api_key.reveal() == SECRET


def test_constraints_hold_for_stored_text_and_stand_in_the_schema():
    """At rest, too; and documents of an API say them."""
    stored = Connection(api_key=Secret("sk-")).model_dump(mode="json")
    with pytest.raises(ValidationError, match="at least 8 characters"):
        Strict.model_validate(stored, context=AT_REST)

    schema = Strict.model_json_schema()["properties"]["api_key"]
    assert (schema["minLength"], schema["pattern"], schema["writeOnly"]) == (8, "^sk-", True)


@pytest.mark.parametrize(
    "constraint", [Field(min_length=3), Field(pattern="^sk-"), StringConstraints(max_length=3), Len(3)], ids=repr
)
def test_a_constraint_of_the_secret_itself_is_refused_when_the_model_is_made(constraint):
    """Pydantic would apply it to an object without a length, at each validation."""
    with pytest.raises(TypeError, match="before Encrypted"):
        TypeAdapter(Annotated[EncryptedStr, constraint])


def test_constraints_of_a_list_and_functions_are_none_of_the_secret():
    """Only what Pydantic would apply to the Secret is refused."""
    adapter = TypeAdapter(Annotated[list[Annotated[EncryptedStr, AfterValidator(lambda value: value)]], Len(1)])
    assert adapter.validate_python([SECRET])[0].reveal() == SECRET
