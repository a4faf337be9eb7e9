"""Encrypted fields of Pydantic models, as a caller declares them. Checked by `mypy --strict` without the plugin."""

from __future__ import annotations

from typing import Annotated, Any, assert_type

from pydantic import BaseModel, TypeAdapter

from keyring_core.integrations.pydantic import Encrypted, EncryptedStr
from keyring_core.redaction import Secret


class Connection(BaseModel):
    api_key: EncryptedStr
    password: Annotated[Secret, Encrypted("connections.password")]
    token: EncryptedStr | None = None
    others: list[EncryptedStr] = []


def fields(document: dict[str, Any]) -> None:
    connection = Connection(api_key=Secret("text"), password=Secret("text"), token=None, others=[Secret("text")])
    assert_type(connection.api_key, Secret)
    assert_type(connection.password.reveal(), str)
    assert_type(connection.token, Secret | None)
    assert_type(connection.others, list[Secret])
    assert_type(Connection.model_validate(document, context={"at_rest": True}), Connection)
    assert_type(TypeAdapter[Secret](EncryptedStr).validate_python("text"), Secret)


def mistakes(connection: Connection) -> str:
    Connection(api_key="text", password=Secret("text"))  # type: ignore[arg-type]
    connection.api_key = "text"  # type: ignore[assignment]
    Encrypted(True)  # type: ignore[arg-type]
    return connection.api_key  # type: ignore[return-value]
