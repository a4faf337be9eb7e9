"""Lemur's columns of its type Vault: `certificates.private_key`, `pending_certs.private_key`, `roles.password`,
`dns_providers.credentials`; and the key of an ACME account in the JSON of `authorities.options`.

Keys: `LEMUR_ENCRYPTION_KEYS` in lemur.conf.py, a list of Fernet keys of which the first encrypts. Lemur has no variable
for them: here it is `LEMUR_ENCRYPTION_KEYS`, as JSON.
"""

import json
import os
import sys
import types

# Only a login through LDAP needs python-ldap, which pip can build where OpenLDAP's headers are.
sys.modules["lemur.auth.ldap"] = types.ModuleType("ldap")

from flask import Flask  # noqa: E402
from lemur.authorities.models import Authority  # noqa: E402
from lemur.certificates.models import Certificate  # noqa: E402
from lemur.common.utils import data_decrypt, data_encrypt  # noqa: E402
from lemur.dns_providers.models import DnsProvider  # noqa: E402
from lemur.extensions import db  # noqa: E402
from lemur.pending_certificates.models import PendingCertificate  # noqa: E402
from lemur.roles.models import Role  # noqa: E402

COLUMNS = (
    (Certificate, "private_key"),
    (PendingCertificate, "private_key"),
    (Role, "password"),
    (DnsProvider, "credentials"),
)
KEY = "acme_private_key"


def write(url, secrets):
    with _app(url).app_context():
        # Its migrations make them, too; an index of the certificates' names takes the first.
        db.engine.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        db.create_all()
        for number, (name, text) in enumerate(secrets.items()):
            for model, column in COLUMNS:
                _insert(model, id=number, name=name, **{column: text})
            options = [{"name": "acme_url", "value": "https://localhost"}, {"name": KEY, "value": data_encrypt(text)}]
            _insert(Authority, id=number, name=name, options=json.dumps(options))
        db.session.commit()
        return _texts()


def read(url):
    with _app(url).app_context():
        return _texts()


def _texts():
    """As the application reads them: under another key InvalidToken for the whole query."""
    texts = {}
    for model, column in COLUMNS:
        table = model.__table__
        for name, text in db.session.query(table.c.name, table.c[column]):
            texts[f"{table.name}.{column}/{name}"] = text
    for name, options in db.session.query(Authority.name, Authority.options):
        [token] = [option["value"] for option in json.loads(options) if option["name"] == KEY]
        texts[f"authorities.options/{name}"] = data_decrypt(token)
    return texts


def _insert(model, **row):
    """A row without a model, which wants a certificate that it can parse. The column's type encrypts here, too."""
    table = model.__table__
    given = {each.name for each in table.c if each.nullable or each.default or each.server_default} | {*row}
    needed = dict.fromkeys({*table.c.keys()} - given, "")
    db.session.execute(table.insert().values(**needed, **row))


def _app(url):
    app = Flask("lemur")
    app.config["LEMUR_ENCRYPTION_KEYS"] = json.loads(os.environ["LEMUR_ENCRYPTION_KEYS"])
    app.config |= {"SQLALCHEMY_DATABASE_URI": url, "SQLALCHEMY_TRACK_MODIFICATIONS": False}
    db.init_app(app)
    return app
