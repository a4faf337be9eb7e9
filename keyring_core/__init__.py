"""Encrypts credentials with keys that can be rotated, and keeps those keys out of every log."""

from keyring_core.config import get_keyring, keyring_status, log_key_status, reload_keyring
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
    UndecryptableToken,
)
from keyring_core.keyring import Keyring
from keyring_core.keys import Key, KeyState
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
    "UndecryptableToken",
    "configure_logging",
    "get_encryption_service",
    "get_keyring",
    "keyring_status",
    "log_key_status",
    "reload_keyring",
]
