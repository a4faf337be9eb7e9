"""Encrypts credentials with keys that can be rotated, and keeps those keys out of every log.

A service needs three lines, and the key in the variable ENCRYPTION_KEY:

    from keyring_core import configure_logging, get_encryption_service

    configure_logging()  # masks keys, tokens and passwords in logs
    service = get_encryption_service()  # has encrypt and decrypt, both from str to str

Every token is an ordinary Fernet token. A keyring encrypts with its primary key, and decrypts with each of its keys.

    environment, sources, key_text  from a variable, a file or a command to 32 bytes, or to an error that says the fault
    keys, keyring, tokens, bulk     one key; all keys of a process; one token; many at once
    config, reload                  the keyrings of this process, which follow their files
    key_reads, metrics              how often this process read with each key, and when last
    redaction                       masks what must not be in a log
    integrations, legacy            encrypted columns and fields; what other packages have encrypted

`__all__` is the promise; other names may change.
"""

from keyring_core.config import get_keyring, key_set, keyring_status, log_key_status, reload_keyring
from keyring_core.derivation import Derivation
from keyring_core.encryption_service import CredentialEncryptionService, get_encryption_service
from keyring_core.errors import (
    AlreadyEncryptedError,
    ComparisonError,
    DamagedToken,
    ExpiredToken,
    InvalidToken,
    KeyConfigError,
    KeyConfigWarning,
    KeyringError,
    Malformed,
    MalformedToken,
    PlaintextError,
    StaleIndexError,
    SuspendedKey,
    UndecryptableToken,
)
from keyring_core.keyring import Keyring
from keyring_core.keys import Key, KeyState
from keyring_core.metrics import reads_metrics
from keyring_core.redaction import configure_logging

__all__ = [
    "AlreadyEncryptedError",
    "ComparisonError",
    "CredentialEncryptionService",
    "DamagedToken",
    "Derivation",
    "ExpiredToken",
    "InvalidToken",
    "Key",
    "KeyConfigError",
    "KeyConfigWarning",
    "KeyState",
    "Keyring",
    "KeyringError",
    "Malformed",
    "MalformedToken",
    "PlaintextError",
    "StaleIndexError",
    "SuspendedKey",
    "UndecryptableToken",
    "configure_logging",
    "get_encryption_service",
    "get_keyring",
    "key_set",
    "keyring_status",
    "log_key_status",
    "reads_metrics",
    "reload_keyring",
]
