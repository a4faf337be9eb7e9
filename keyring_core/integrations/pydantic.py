"""A field of a Pydantic model that is a Secret in memory and a token in JSON.

    >>> from pydantic import BaseModel, ConfigDict
    >>> class Connection(BaseModel):
    ...     model_config = ConfigDict(hide_input_in_errors=True)
    ...     host: str
    ...     api_key: EncryptedStr
    >>> connection = Connection.model_validate({"host": "example.org", "api_key": "sk-live-1"})
    >>> connection, connection.api_key.reveal()
    (Connection(host='example.org', api_key=[REDACTED:api_key]), 'sk-live-1')
    >>> document = connection.model_dump(mode="json")  # with a token: what to store
    >>> Connection.model_validate(document, context={"at_rest": True})
    Connection(host='example.org', api_key=[REDACTED:api_key])

Input and storage: validation takes plaintext (a str or a Secret) and refuses a token, so that no client of an API can
pass one in. With the validation context `{"at_rest": True}` it takes a token (or a Secret) and refuses plaintext.
So a context that was forgotten is an error, and nothing is encrypted twice or stored in the clear.

Output: JSON always holds the token, under the primary key and another one at each call: `model_dump_json()`,
`model_dump(mode="json")`, and what FastAPI makes of a response model. A response never shows the plaintext, but its
reader has no use for a token: leave the field out, by a model for responses or `response_model_exclude={"api_key"}`.
`model_dump()` keeps the Secret. A Secret is not copied: `model_copy(deep=True)`, pickle, and a Secret as a default
raise TypeError; `Field(default_factory=...)` works.

Constraints: those of `= Field(min_length=...)`, and those before Encrypted, are of the text. Others raise TypeError as
the model is made; `EncryptedStr | None = Field(min_length=...)`, which Pydantic gives to the Secret, when it is used.

Errors: an error of this field shows neither value nor token. An error of another field may show all input, which no
type can prevent: "Field required" comes with all that was given. `hide_input_in_errors=True` hides that in
`str(error)`; `error.errors(include_input=False)` and `error.json(include_input=False)` leave it out. FastAPI answers
with `errors()`, to the client whose input it was: keep that out of logs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Annotated, Any

from annotated_types import BaseMetadata, Not, Predicate
from pydantic import (
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializationInfo,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from keyring_core.errors import KeyringError
from keyring_core.integrations.cells import Cells, ValueKind
from keyring_core.redaction import Secret, mask_of


class Encrypted:
    """Makes a field of type Secret an encrypted one: `Annotated[Secret, Encrypted("connections.api_key")]`.

    *context* binds the tokens to that use: one that was copied into another field does not open. Needs no key. Raises
    KeyConfigError for an empty name.
    """

    def __init__(self, context: str | None = None) -> None:
        self._cells = Cells(ValueKind.TEXT, context=False if context is None else context)
        self._cells.column = context or "an encrypted field"
        self._cells.read_unbound = "name no context, or store it again"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """For Pydantic: how to validate the field, and to write it as JSON. Raises TypeError for a constraint outside.

        Constraints that stand before this in `Annotated`, as those of `= Field(...)` do, are of the text.
        """
        _refuse_outer_constraints(sys._getframe(1))
        return core_schema.with_info_wrap_validator_function(
            self._validated,
            handler(str),
            serialization=core_schema.plain_serializer_function_ser_schema(self._written, info_arg=True),
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """For Pydantic: the field's description in documents of an API, with the constraints of the text."""
        return {**handler(schema["schema"]), "format": "password", "writeOnly": True}

    def _written(self, value: object, info: SerializationInfo) -> object:
        return self._cells.seal(value) if info.mode_is_json() else value

    def _validated(self, value: object, check: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Secret:
        faults: list[PydanticCustomError] = []
        try:
            at_rest = isinstance(info.context, Mapping) and info.context.get("at_rest")
            if at_rest and not isinstance(value, Secret):
                text = self._cells.open(value)  # type: ignore[arg-type]  # refuses what is no cell
            else:
                text = self._cells.plaintext_of(value).decode("utf-8")
            checked = check(text)
            return (
                value if isinstance(value, Secret) and checked == text else Secret(checked, info.field_name or "secret")
            )
        except ValidationError as error:
            faults += (PydanticCustomError(each["type"], each["msg"]) for each in error.errors(include_input=False))
        except (KeyringError, TypeError) as error:
            # AlreadyEncryptedError is "already_encrypted_error", in the style of Pydantic's types.
            kind = re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()
            faults.append(PydanticCustomError(kind, str(error)))
        # Pydantic takes over the lines of such an error; for any other one it would show the value as input.
        lines = [InitErrorDetails(type=fault, loc=(), input=mask_of("secret")) for fault in faults]
        raise ValidationError.from_exception_data("EncryptedStr", lines)

    def __repr__(self) -> str:
        return f"<Encrypted {self._cells.column}>" if self._cells.context else "<Encrypted>"


def _refuse_outer_constraints(frame: FrameType | None) -> None:
    """Raises TypeError for a constraint that Pydantic would apply to the Secret, whose errors would show its input.

    Pydantic shows an annotation those before it alone, so this looks at who asks for the schema.
    """
    while frame is not None and frame.f_code.co_name in {"new_handler", "__call__"}:
        given = frame.f_locals.get("annotation")
        if isinstance(given, BaseMetadata) and not isinstance(given, Predicate | Not):
            raise TypeError(
                f"{given}: the constraint would be of the Secret; write `= Field(...)` behind the field, or put it "
                "before Encrypted: Annotated[Secret, Field(...), Encrypted()]"
            )
        frame = frame.f_back


EncryptedStr = Annotated[Secret, Encrypted()]
"""The type of a field: a Secret in memory, a token in JSON."""
