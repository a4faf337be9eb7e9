"""A table `records` whose `value` is a SQLAlchemy type that encrypts: of sqlalchemy-utils or of advanced-alchemy.

Variables: `TYPE` is the type, `SECRET` its key; for sqlalchemy-utils `ENGINE`, `PADDING` and the type of the plaintext.
"""

import os

import sqlalchemy as sa
from advanced_alchemy.types import encrypted_string
from sqlalchemy_utils.types.encrypted import encrypted_type


def write(url, values):
    engine, records = _records(url)
    records.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(records.insert(), [{"id": int(key), "value": _python(each)} for key, each in values.items()])
    return read(url)


def read(url):
    engine, records = _records(url)
    with engine.connect() as connection:
        return {str(key): _plain(value) for key, value in connection.execute(sa.select(records))}


def _records(url):
    id_column = sa.Column("id", sa.Integer, primary_key=True)
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    return engine, sa.Table("records", sa.MetaData(), id_column, sa.Column("value", _type()))


def _type():
    name, secret = os.environ["TYPE"], os.environ["SECRET"]
    if hasattr(encrypted_string, name):
        return getattr(encrypted_string, name)(key=secret)
    engine = getattr(encrypted_type, os.environ["ENGINE"])
    return getattr(encrypted_type, name)(_plaintext_type(), secret, engine, os.environ.get("PADDING"))


def _plaintext_type():
    return getattr(sa, os.environ.get("PLAINTEXT", "Unicode"))()


def _python(value):
    kind = _plaintext_type().python_type
    return kind.fromisoformat(value) if hasattr(kind, "fromisoformat") else value


def _plain(value):
    return value.isoformat() if hasattr(value, "isoformat") else value
