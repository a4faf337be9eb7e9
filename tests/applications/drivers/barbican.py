"""Barbican's project keys, `kek_data.plugin_meta`, under the master key; the secrets are under the project keys.

Keys: option `kek` of section `simple_crypto_plugin`, given several times: Fernet keys, of which the first encrypts.
Barbican has no variable for them: the driver takes them from `BARBICAN_KEKS`, commas between keys.
Barbican's models make the schema; its plugin encrypts and decrypts. SQLite only: on PostgreSQL, psycopg would store
the plugin's bytes as hex in these text columns.
"""

import base64
import os

from barbican.common.utils import generate_fullname_for
from barbican.model import models
from barbican.plugin.crypto import base as crypto
from barbican.plugin.crypto.simple_crypto import CONF, SimpleCryptoPlugin
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session


def write(url, secrets):
    with _session(url) as session:
        models.BASE.metadata.create_all(session.get_bind())
        plugin = _plugin()
        for name, text in secrets.items():
            _add(session, plugin, name, text)
        session.commit()
        return _texts(session)


def read(url):
    with _session(url) as session:
        return _texts(session)


def _add(session, plugin, name, text):
    """A project with a key of its own, and a secret under it."""
    project = models.Project()
    project.external_id = name
    session.add(project)
    session.flush()
    kek = models.KEKDatum()
    kek.project_id, kek.kek_label, kek.active = project.id, name, True
    kek.plugin_name = generate_fullname_for(plugin)
    kek.plugin_meta = plugin.bind_kek_metadata(crypto.KEKMetaDTO(kek)).plugin_meta
    secret = models.Secret()
    secret.project_id, secret.name = project.id, name
    session.add_all([kek, secret])
    session.flush()
    token = plugin.encrypt(crypto.EncryptDTO(text.encode()), crypto.KEKMetaDTO(kek), name).cypher_text
    datum = models.EncryptedDatum(secret, kek)
    datum.cypher_text = base64.b64encode(token)
    session.add(datum)


def _texts(session):
    """As the application reads them: under another key InvalidToken."""
    plugin = _plugin()
    texts = {}
    for datum in session.scalars(select(models.EncryptedDatum)):
        kek = datum.kek_meta_project
        token = crypto.DecryptDTO(base64.b64decode(datum.cypher_text))
        text = plugin.decrypt(token, crypto.KEKMetaDTO(kek), datum.kek_meta_extended, kek.kek_label)
        texts[f"kek_data.plugin_meta/{kek.kek_label}"] = text.decode()
    return texts


def _plugin():
    CONF.set_override("kek", os.environ["BARBICAN_KEKS"].split(","), group="simple_crypto_plugin")
    return SimpleCryptoPlugin(CONF)


def _session(url):
    return Session(create_engine(url))
