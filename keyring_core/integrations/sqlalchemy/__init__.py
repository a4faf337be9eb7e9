"""Column types for SQLAlchemy 2 whose values are encrypted in the database, and blind indexes to look them up by."""

from keyring_core.blind_index import IndexText
from keyring_core.integrations.sqlalchemy.encrypted import EncryptedBytes, EncryptedJSON, EncryptedText
from keyring_core.integrations.sqlalchemy.index_column import BlindIndexOf
from keyring_core.integrations.sqlalchemy.statement_checks import listen as _listen

__all__ = ["BlindIndexOf", "EncryptedBytes", "EncryptedJSON", "EncryptedText", "IndexText"]

_listen()  # to every engine and mapper, once a process
