"""Galaxy's vault in its database: `vault.value`.

Keys: `encryption_keys` in the file of its setting `vault_config_file`, a list of Fernet keys of which the first
encrypts. Galaxy has no variable for them: the driver writes that file from `GALAXY_VAULT_KEYS`, commas between keys.
"""

import os
import tempfile
from types import SimpleNamespace

import yaml
from galaxy.model import Vault, mapping
from galaxy.security.vault import VaultFactory


def write(url, secrets):
    model = _model(url, create_tables=True)
    vault = _vault(model)
    for name, text in secrets.items():
        vault.write_secret(f"preferences/{name}", text)
    return _texts(model)


def read(url):
    return _texts(_model(url))


def _texts(model):
    vault = _vault(model)
    keys = [row.key for row in model.context.query(Vault).filter(Vault.value.is_not(None))]
    return {f"vault.value{key}": vault.read_secret(key.removeprefix("/galaxy/")) for key in keys}


def _model(url, **options):
    return mapping.init(tempfile.gettempdir(), url.replace("postgresql:", "postgresql+psycopg2:"), **options)


def _vault(model):
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        yaml.safe_dump({"type": "database", "encryption_keys": os.environ["GALAXY_VAULT_KEYS"].split(",")}, file)
        file.flush()
        return VaultFactory.from_app(SimpleNamespace(config=SimpleNamespace(vault_config_file=file.name), model=model))
