"""Encrypted model fields for Django. The fields need no settings and no app registry to be imported."""

from keyring_core.integrations.django.columns import EncryptedComparisonError, StaleIndexError
from keyring_core.integrations.django.fields import EncryptedBinaryField, EncryptedJSONField, EncryptedTextField
from keyring_core.integrations.django.index_field import BlindIndexField

__all__ = [
    "BlindIndexField",
    "EncryptedBinaryField",
    "EncryptedComparisonError",
    "EncryptedJSONField",
    "EncryptedTextField",
    "StaleIndexError",
]
