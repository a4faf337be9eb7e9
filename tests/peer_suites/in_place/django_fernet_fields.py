"""In place of `fernet_fields.fields`: the fields under test have the same names."""

from __future__ import annotations

import os

from cryptography.fernet import Fernet

from keyring_core.integrations.django import (
    EncryptedCharField,
    EncryptedDateField,
    EncryptedDateTimeField,
    EncryptedEmailField,
    EncryptedIntegerField,
    EncryptedTextField,
)
from keyring_core.integrations.django.fields import EncryptedField

__all__ = [
    "EncryptedCharField",
    "EncryptedDateField",
    "EncryptedDateTimeField",
    "EncryptedEmailField",
    "EncryptedIntegerField",
    "EncryptedTextField",
]

# The tests open cells with it: stock Fernet does.
EncryptedField.fernet = Fernet(os.environ["ENCRYPTION_KEY"])
