"""Superset's nine encrypted columns, once a `FernetEngine` adapter is configured.

Secret: `SUPERSET_SECRET_KEY`, any text, whose SHA-256 is the key. There is one. The default adapter is another cipher
(AES with a fixed IV), so the driver's configuration sets `SQLALCHEMY_ENCRYPTED_FIELD_TYPE_ADAPTER`.
"""

import os
from pathlib import Path

CONFIGURATION = """
from sqlalchemy_utils.types.encrypted.encrypted_type import FernetEngine
from superset.utils.encrypt import AbstractEncryptedFieldAdapter, EncryptedType


class FernetAdapter(AbstractEncryptedFieldAdapter):
    def create(self, app_config, *args, **kwargs):
        return EncryptedType(*args, lambda: app_config["SECRET_KEY"], engine=FernetEngine, **kwargs)


SQLALCHEMY_ENCRYPTED_FIELD_TYPE_ADAPTER = FernetAdapter
SQLALCHEMY_DATABASE_URI = {url!r}
FAB_UPDATE_PERMS = False
"""
DBS = ("password", "encrypted_extra", "server_cert")
TUNNELS = ("username", "password", "private_key", "private_key_password")
OAUTH2 = ("access_token", "refresh_token")


def write(url, secrets):
    with _application(url):
        from flask_appbuilder import Model
        from superset.databases.ssh_tunnel.models import SSHTunnel
        from superset.extensions import db, security_manager
        from superset.models.core import Database, DatabaseUserOAuth2Tokens

        Model.metadata.create_all(db.engine)
        for name, text in secrets.items():
            user = security_manager.user_model(first_name=name, last_name=name, username=name, email=name)
            database = Database(database_name=name, sqlalchemy_uri="sqlite://", **dict.fromkeys(DBS, text))
            tunnel = SSHTunnel(database=database, **dict.fromkeys(TUNNELS, text))
            tokens = DatabaseUserOAuth2Tokens(user=user, database=database, **dict.fromkeys(OAUTH2, text))
            db.session.add_all([user, database, tunnel, tokens])
        db.session.commit()
        return _texts()


def read(url):
    with _application(url):
        return _texts()


def _texts():
    from superset.databases.ssh_tunnel.models import SSHTunnel
    from superset.extensions import db
    from superset.models.core import Database, DatabaseUserOAuth2Tokens

    db.session.expire_all()
    texts = {}
    for model, columns in (Database, DBS), (SSHTunnel, TUNNELS), (DatabaseUserOAuth2Tokens, OAUTH2):
        for row in db.session.query(model):
            name = getattr(row, "database", row).database_name
            texts |= {f"{model.__tablename__}.{column}/{name}": getattr(row, column) for column in columns}
    return texts


def _application(url):
    path = Path.home() / "superset_config.py"
    path.write_text(CONFIGURATION.format(url=url.replace("postgresql:", "postgresql+psycopg2:")))
    os.environ |= {"SUPERSET_CONFIG_PATH": str(path), "SUPERSET_HOME": str(Path.home())}
    from superset.app import create_app

    return create_app().app_context()
