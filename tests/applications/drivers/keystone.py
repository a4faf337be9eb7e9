"""Keystone's secrets: `credential.encrypted_blob`, beside it `key_hash`, the SHA-1 of the key that encrypted it.

Keys: `OS_CREDENTIAL__KEY_REPOSITORY`, a directory of numbered files with a Fernet key each; the highest encrypts.
Keystone's migrations make the schema; its manager and its Fernet provider write and read.
"""

import keystone.conf
from keystone import catalog, credential
from keystone.common import cache, sql
from keystone.common.sql import upgrades


def write(url, secrets):
    _connect(url)
    upgrades.offline_sync_database_to_version()
    credentials = _credentials()
    owner = {"user_id": "user", "project_id": "project"}
    for name, text in secrets.items():
        totp, ec2 = f"totp-{name}", f"ec2-{name}"
        credentials.create_credential(totp, {"id": totp, "type": "totp", "blob": text, **owner})
        # The blob of an EC2 credential is JSON, and encrypted as one text.
        blob = {"access": name, "secret": text, "trust_id": None}
        credentials.create_credential(ec2, {"id": ec2, "type": "ec2", "blob": blob, **owner})
    return _texts(credentials)


def read(url):
    _connect(url)
    return _texts(_credentials())


def _texts(credentials):
    """As the application reads them: under another key CredentialEncryptionError for the whole list."""
    texts = {}
    for row in credentials.list_credentials():
        kind, _, name = row["id"].partition("-")
        texts[f"credential.encrypted_blob of {kind}/{name}"] = row["blob"]["secret"] if kind == "ec2" else row["blob"]
    return texts


def _credentials():
    cache.configure_cache()
    # Managers find each other by name: the credentials' encrypts with one, and names the service in its audit with one.
    credential.provider.Manager()
    catalog.Manager()
    return credential.Manager()


def _connect(url):
    config = keystone.conf.CONF
    keystone.conf.configure()
    config([], project="keystone", default_config_files=[])
    sql.initialize()
    config.set_override("connection", url.replace("postgresql:", "postgresql+psycopg2:"), group="database")
