"""Langflow's encrypted columns, of texts and of JSON; not those under AES-GCM (`sso_config`).

Secret: `LANGFLOW_SECRET_KEY`: a Fernet key, with or without its `=`, or a text of under 32 characters, whose SHA-256
is the key. There is one.
Langflow's models make the schema; its functions for API keys, projects and MCP servers encrypt and decrypt.
"""

import os
from datetime import UTC, datetime
from uuid import uuid4

os.environ.setdefault("LANGFLOW_CONFIG_DIR", os.environ["HOME"])

from langflow.services.auth.mcp_encryption import (
    decrypt_auth_settings,
    decrypt_mcp_config,
    encrypt_auth_settings,
    encrypt_mcp_config,
)
from langflow.services.auth.utils import decrypt_api_key, encrypt_api_key
from langflow.services.database import models
from langflow.services.database.models.connection.model import Connection, ConnectionSecret
from langflow.services.database.models.connection.oauth import ConnectionOAuth
from langflow.services.database.models.deployment_provider_account.model import DeploymentProviderAccount
from langflow.services.database.models.mcp_server.model import MCPServer
from langflow.services.database.models.trigger.model import Trigger, TriggerCleanup
from langflow.services.variable.constants import CREDENTIAL_TYPE, GENERIC_TYPE
from sqlmodel import Session, SQLModel, create_engine, select


def write(url, secrets):
    with _session(url) as session:
        SQLModel.metadata.create_all(session.get_bind())
        for name, text in secrets.items():
            for row in _rows(name, text):
                session.add(row)
                session.flush()
        session.commit()
        return _texts(session)


def read(url):
    with _session(url) as session:
        return _texts(session)


def _rows(name, text):
    """One user with a secret in each encrypted column; what is referred to comes first."""
    user = models.User(id=uuid4(), username=name, password="not a hash", store_api_key=encrypt_api_key(text))
    owner = {"user_id": user.id}
    connection = Connection(id=uuid4(), provider_key="github", name=name, display_name=name, owner_id=user.id)
    flow = models.Flow(id=uuid4(), name=name, data={}, **owner)
    account = {"provider_key": "watsonx-orchestrate", "provider_url": "https://provider.test"}
    cleanup = {"provider": "github", "kind": "webhook", "provider_subscription_id": name, "trigger_id": uuid4()}
    consent = {"registration_id": "id", "config_digest": "digest", "expires_at": datetime.now(UTC)}
    server = {"command": "uvx", "env": {"TOKEN": text}, "args": ["mcp-proxy", "--headers", "Authorization", text]}
    return [
        user,
        connection,
        flow,
        models.Variable(name=name, value=encrypt_api_key(text), type=CREDENTIAL_TYPE, **owner),
        models.Variable(name=f"{name}, not secret", value="plain", type=GENERIC_TYPE, **owner),
        models.ApiKey(name=name, api_key=encrypt_api_key(text), **owner),
        DeploymentProviderAccount(name=name, api_key=encrypt_api_key(text), **account, **owner),
        ConnectionSecret(connection_id=connection.id, encrypted_payload=encrypt_api_key(text)),
        ConnectionOAuth(connection_id=connection.id, encrypted_verifier=encrypt_api_key(text), **consent, **owner),
        Trigger(name=name, kind="webhook", flow_id=flow.id, signing_secret_encrypted=encrypt_api_key(text), **owner),
        TriggerCleanup(id=uuid4(), encrypted_credential=encrypt_api_key(text), **cleanup, **owner),
        models.Folder(
            name=name, auth_settings=encrypt_auth_settings({"auth_type": "apikey", "api_key": text}), **owner
        ),
        MCPServer(name=name, config=encrypt_mcp_config(server), **owner),
    ]


def _texts(session):
    """As the application reads them: under another key empty texts, an error for a project's settings."""
    texts = {}
    for user in session.exec(select(models.User)):
        texts[f"user.store_api_key/{user.username}"] = decrypt_api_key(user.store_api_key)
    for row in session.exec(select(models.Variable).where(models.Variable.type == CREDENTIAL_TYPE)):
        texts[f"variable.value/{row.name}"] = decrypt_api_key(row.value)
    for row in session.exec(select(models.ApiKey)):
        texts[f"apikey.api_key/{row.name}"] = decrypt_api_key(row.api_key)
    for row in session.exec(select(DeploymentProviderAccount)):
        texts[f"deployment_provider_account.api_key/{row.name}"] = decrypt_api_key(row.api_key)
    for row in session.exec(select(Connection)):
        texts[f"connection_secret.encrypted_payload/{row.name}"] = decrypt_api_key(row.secret.encrypted_payload)
        verifier = row.oauth_binding.encrypted_verifier
        texts[f"connection_oauth.encrypted_verifier/{row.name}"] = decrypt_api_key(verifier)
    for row in session.exec(select(Trigger)):
        texts[f"trigger.signing_secret_encrypted/{row.name}"] = decrypt_api_key(row.signing_secret_encrypted)
    for row in session.exec(select(TriggerCleanup)):
        credential = decrypt_api_key(row.encrypted_credential)
        texts[f"trigger_cleanup.encrypted_credential/{row.provider_subscription_id}"] = credential
    for row in session.exec(select(MCPServer)):
        config = decrypt_mcp_config(row.config)
        texts[f"mcp_server.config.env/{row.name}"] = config["env"]["TOKEN"]
        texts[f"mcp_server.config.args/{row.name}"] = config["args"][3]
    for row in session.exec(select(models.Folder)):
        texts[f"folder.auth_settings/{row.name}"] = decrypt_auth_settings(row.auth_settings)["api_key"]
    return texts


def _session(url):
    return Session(create_engine(url.replace("postgresql:", "postgresql+psycopg:")))
