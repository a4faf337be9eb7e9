"""DB-GPT's secrets: variables of flows (`dbgpt_serve_variables.value`), and credentials of connectors.

Key: `ENCRYPT_KEY`, any text, of which each row makes its own key with the salt beside it.
Its provider of variables and its service for connectors write and read, in tables that its models make.
"""

import os

from dbgpt.agent.resource.connector.credential import CredentialStore
from dbgpt.core.interface.variables import (
    FernetEncryption,
    StorageVariables,
    StorageVariablesProvider,
    VariablesIdentifier,
)
from dbgpt.storage.metadata import DatabaseManager, Model
from dbgpt.storage.metadata.db_storage import SQLAlchemyStorage
from dbgpt.util.serialization.json_serialization import JsonSerializer
from dbgpt_serve.connector.models.models import ConnectorInstanceEntity
from dbgpt_serve.flow.models.models import VariablesEntity
from dbgpt_serve.flow.models.variables_adapter import VariablesAdapter

SCOPE = {"key": "key", "scope": "global"}


def write(url, secrets):
    database, provider, store = _open(url)
    Model.metadata.create_all(database.engine, [VariablesEntity.__table__, ConnectorInstanceEntity.__table__])
    provider.save(StorageVariables(**SCOPE, name="common", label="no secret", value="plain text", value_type="str"))
    with database.session() as session:
        session.add(ConnectorInstanceEntity(connector_id="without credentials", connector_type="test"))
    for name, text in secrets.items():
        provider.save(StorageVariables(**SCOPE, name=name, label=name, value=text, value_type="str", category="secret"))
        salt = store.generate_salt()
        with database.session() as session:
            session.add(
                ConnectorInstanceEntity(
                    connector_id=name,
                    connector_type="test",
                    encrypted_credentials=store.encrypt({"token": text}, salt),
                    encryption_salt=salt,
                )
            )
    return _texts(database, provider, store)


def read(url):
    return _texts(*_open(url))


def _texts(database, provider, store):
    texts = {}
    with database.session() as session:
        for row in session.query(ConnectorInstanceEntity).filter(ConnectorInstanceEntity.encryption_salt.isnot(None)):
            credentials = store.decrypt(row.encrypted_credentials, row.encryption_salt)
            texts[f"connector_instance.encrypted_credentials/{row.connector_id}"] = credentials["token"]
        names = [row.name for row in session.query(VariablesEntity).filter(VariablesEntity.category == "secret")]
    for name in names:
        value = provider.get(VariablesIdentifier(**SCOPE, name=name).str_identifier)
        texts[f"dbgpt_serve_variables.value/{name}"] = value
    return texts


def _open(url):
    database = DatabaseManager()
    database.init_db(url.replace("postgresql:", "postgresql+psycopg:"))
    storage = SQLAlchemyStorage(database, VariablesEntity, VariablesAdapter(), JsonSerializer())
    provider = StorageVariablesProvider(storage, FernetEncryption(os.environ["ENCRYPT_KEY"]))
    return database, provider, CredentialStore()
