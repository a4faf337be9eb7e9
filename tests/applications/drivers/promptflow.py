"""Prompt flow's local connections: fields of the JSON in `connection.configs` and `connection.customConfigs`.

Key: `encryption_key` of `promptflow` in the keyring of the operating system. There is one.
Here the keyring is a variable; everything else is Prompt flow's own, but for the place of its database.
"""

import os
from pathlib import Path
from urllib.parse import urlparse

import keyring
from keyring.backend import KeyringBackend


class Variable(KeyringBackend):
    priority = 1

    def get_password(self, service, username):
        return os.environ["PROMPTFLOW_KEY"] if (service, username) == ("promptflow", "encryption_key") else None

    def set_password(self, service, username, password):
        raise NotImplementedError


keyring.set_keyring(Variable())


def write(url, secrets):
    connections = _connections(url)
    from promptflow.entities import AzureOpenAIConnection, CustomConnection

    for name, text in secrets.items():
        azure = AzureOpenAIConnection(name=f"azure-{name}", api_key=text, api_base="https://example.com")
        custom = CustomConnection(name=f"custom-{name}", configs={"endpoint": "example.com"}, secrets={"k": text})
        for connection in (azure, custom):
            connections.create_or_update(connection)
    return _texts(connections)


def read(url):
    return _texts(_connections(url))


def _texts(connections):
    """As the application reads them: a list leaves out those that the key does not open."""
    texts = {}
    for listed in connections.list(all_results=True):
        kind, _, name = listed.name.partition("-")
        secrets = connections.get(listed.name, with_secrets=True).secrets
        column = "configs" if kind == "azure" else "customConfigs"
        texts[f"connection.{column}/{name}"] = secrets["api_key" if kind == "azure" else "k"]
    return texts


def _connections(url):
    from promptflow._sdk._configuration import Configuration
    from promptflow._sdk._orm import session
    from promptflow.client import PFClient

    Configuration.get_instance().set_telemetry_consent(False)
    session.LOCAL_MGMT_DB_PATH = Path(urlparse(url).path[1:])
    return PFClient().connections
