"""Redash's encrypted columns: `encrypted_options` of `data_sources` and of `notification_destinations`.

Redash is no package: these are its two columns, of the same type, engine and key, in the releases that it pins.
Secret: `REDASH_SECRET_KEY`, otherwise `REDASH_COOKIE_SECRET`; any text, whose SHA-256 is the key. There is one.
"""

import json
import os

import sqlalchemy as sa
from sqlalchemy.ext.declarative import declarative_base
from sqlalchemy.orm import Session
from sqlalchemy_utils import EncryptedType
from sqlalchemy_utils.types.encrypted.encrypted_type import FernetEngine

SECRET = os.environ.get("REDASH_SECRET_KEY") or os.environ["REDASH_COOKIE_SECRET"]
Base = declarative_base()


class Options(EncryptedType):
    """A dict, stored as the encrypted text of its JSON."""

    def process_bind_param(self, value, dialect):
        return super().process_bind_param(json.dumps(value, sort_keys=True), dialect)

    def process_result_value(self, value, dialect):
        return json.loads(super().process_result_value(value, dialect))


class DataSource(Base):
    __tablename__ = "data_sources"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(255))
    options = sa.Column("encrypted_options", Options(sa.Text, SECRET, FernetEngine))


class NotificationDestination(Base):
    __tablename__ = "notification_destinations"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(255))
    options = sa.Column("encrypted_options", Options(sa.Text, SECRET, FernetEngine))


MODELS = (DataSource, NotificationDestination)


def write(url, secrets):
    session = _session(url)
    Base.metadata.create_all(session.get_bind())
    for model in MODELS:
        session.add_all(model(name=name, options={"password": text}) for name, text in secrets.items())
    session.commit()
    return {f"{model.__tablename__}.encrypted_options/{n}": text for model in MODELS for n, text in secrets.items()}


def read(url):
    session = _session(url)
    return {
        f"{model.__tablename__}.encrypted_options/{row.name}": row.options["password"]
        for model in MODELS
        for row in session.query(model)
    }


def _session(url):
    return Session(sa.create_engine(url.replace("postgresql:", "postgresql+psycopg2:")))
