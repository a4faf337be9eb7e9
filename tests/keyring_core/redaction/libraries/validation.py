"""pydantic, msgspec and attrs: the values that they refuse, and their objects as text."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Callable
from typing import Annotated, Any

import attrs
import msgspec
import pydantic

from tests.keyring_core.redaction.libraries.ways import Tables

cases = Tables(__name__)


class Model(pydantic.BaseModel, extra="forbid"):
    """Every field refuses a text that is no number."""

    number: int = 0
    password: int = 0
    api_key: str = pydantic.Field("x", max_length=3)
    at: datetime.datetime | None = None
    kinds: list[int] = []
    url: pydantic.HttpUrl | None = None
    database: pydantic.PostgresDsn | None = None
    secret: pydantic.SecretStr | None = None
    inner: dict[str, int] = {}


class Strict(pydantic.BaseModel, frozen=True):
    token: str

    @pydantic.field_validator("token")
    @classmethod
    def refuse(cls, value: str) -> str:
        raise ValueError(f"token={value} is not a token")


class Assertion(pydantic.BaseModel):
    token: str

    @pydantic.model_validator(mode="after")
    def check(self) -> Assertion:
        assert not self.token, f"cannot use {self!r}"
        return self


class Struct(msgspec.Struct, forbid_unknown_fields=True):
    number: int = 0
    token: str = "x"


class Choice(enum.Enum):
    A = "a"


@attrs.define
class Attrs:
    password: str = attrs.field(default="x")
    number: int = attrs.field(default=0, validator=attrs.validators.instance_of(int))
    kind: str = attrs.field(default="a", validator=attrs.validators.in_(["a"]))
    name: str = attrs.field(default="a", validator=attrs.validators.matches_re("a"))


@attrs.define
class Apart:
    api_key: str


cases.errors(
    "pydantic",
    {
        "number": lambda w: Model(number=w.plaintext),
        "number_key": lambda w: Model.model_validate({"number": w.key}),
        "long": lambda w: Model(number=w.long),
        "lines": lambda w: Model(number=w.letter),
        "accents": lambda w: Model(number=w.accented),
        "dict": lambda w: Model(number={"password": w.unknown}),
        "list": lambda w: Model(kinds=[w.plaintext]),
        "inner_key": lambda w: Model(inner={w.plaintext: "x"}),
        "too_long": lambda w: Model(api_key=w.plaintext),
        "date": lambda w: Model(at=w.plaintext),
        "url": lambda w: Model(url=f"htp://bob:{w.unknown}@h"),
        "url_query": lambda w: Model(url=f"htp://h/?token={w.unknown}"),
        "dsn": lambda w: Model(database=f"mysql://bob:{w.unknown}@h/app"),
        "extra": lambda w: Model(**{w.plaintext: 1}),
        "json": lambda w: Model.model_validate_json(f'{{"number": "{w.plaintext}"}}'),
        "json_syntax": lambda w: Model.model_validate_json(f'{{"password": "{w.unknown}"'),
        "own_error": lambda w: Strict(token=w.plaintext),
        "own_assertion": lambda w: Assertion(token=w.unknown),
        "frozen": lambda w: setattr(Strict.model_construct(token="x"), "token", w.plaintext),
        "attribute": lambda w: getattr(Model(), w.plaintext),
        "union": lambda w: pydantic.TypeAdapter(int | bool | None).validate_python(w.plaintext),
        "literal": lambda w: pydantic.TypeAdapter(Choice).validate_python(w.plaintext),
        "pattern": lambda w: pydantic.TypeAdapter(
            Annotated[str, pydantic.StringConstraints(pattern="^a$")]
        ).validate_python(w.plaintext),
        "call": lambda w: pydantic.validate_call(_login)("bob", w.plaintext),
        "settings_json": lambda w: pydantic.TypeAdapter(pydantic.Json[Any]).validate_python(
            f'{{"password": "{w.unknown}"'
        ),
        "serializer": lambda w: pydantic.TypeAdapter(Any).dump_json(type(f"x{w.raw.hex()}", (), {})()),
        "errors_listed": lambda w: _listed(lambda: Model(number={"password": w.unknown})),
        "errors_json": lambda w: _listed(lambda: Model(number={"api_key": w.unknown}), as_json=True),
    },
)


@dataclasses.dataclass
class ListedError(Exception):
    """A service's own error, which shows what pydantic found."""

    found: object

    def __str__(self) -> str:
        return f"invalid: {self.found}"


def _listed(make: Callable[[], Any], *, as_json: bool = False) -> None:
    try:
        make()
    except pydantic.ValidationError as error:
        raise ListedError(error.json() if as_json else error.errors()) from None


def _login(name: str, number: int) -> None: ...


cases.texts(
    "pydantic",
    {
        "model": lambda w: Strict.model_construct(token=w.unknown),
        "model_repr": lambda w: repr(Strict.model_construct(token=w.unknown)),
        "model_json": lambda w: Strict.model_construct(token=w.unknown).model_dump_json(),
        "model_indented": lambda w: Strict.model_construct(token=w.unknown).model_dump_json(indent=2),
        "model_dict": lambda w: Strict.model_construct(token=w.unknown).model_dump(),
        "url": lambda w: Model(url=f"http://bob:{w.unknown}@h"),
        "dsn": lambda w: Model(database=f"postgresql://bob:{w.unknown}@h/app").database,
        "secret_value": lambda w: f"password={Model(secret=w.unknown).secret.get_secret_value()}",
        "schema_default": lambda w: pydantic.create_model("M", api_key=(str, w.plaintext)).model_json_schema(),
    },
)

cases.errors(
    "msgspec",
    {
        "choice": lambda w: msgspec.convert(w.plaintext, Choice),
        "field": lambda w: msgspec.json.decode(f'{{"{w.plaintext}": 1}}', type=Struct),
        "tag": lambda w: msgspec.convert({w.key: 1}, Struct),
        "attribute": lambda w: setattr(Struct(), w.plaintext, 1),
    },
)

cases.texts(
    "msgspec",
    {
        "struct": lambda w: Struct(token=w.unknown),
        "struct_json": lambda w: msgspec.json.encode(Struct(token=w.unknown)),
        "struct_yaml": lambda w: msgspec.yaml.encode({"password": w.unknown}).decode(),
        "struct_dict": lambda w: msgspec.structs.asdict(Struct(token=w.unknown)),
        "bytes": lambda w: msgspec.json.encode({"x": w.plaintext.encode()}),
    },
)

cases.errors(
    "attrs",
    {
        "type": lambda w: Attrs(number=w.plaintext),
        "choice": lambda w: Attrs(kind=w.plaintext),
        "pattern": lambda w: Attrs(name=w.plaintext),
        "argument": lambda w: Attrs(**{w.plaintext: 1}),
        "attribute": lambda w: setattr(Attrs(), w.plaintext, 1),
        "evolved": lambda w: attrs.evolve(Apart(w.unknown), **{w.plaintext: 1}),
    },
)

cases.texts(
    "attrs",
    {
        "object": lambda w: Attrs(password=w.unknown),
        "one_field": lambda w: repr(Apart(w.unknown)),
        "dict": lambda w: attrs.asdict(Attrs(password=w.unknown)),
    },
)
