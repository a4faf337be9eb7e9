"""Encrypted model fields for Django. The fields need no settings and no app registry to be imported."""

from keyring_core.integrations.django.fields import EncryptedBinaryField, EncryptedJSONField, EncryptedTextField
from keyring_core.integrations.django.index_field import BlindIndexField
from keyring_core.integrations.django.query_refusals import EncryptedComparisonError, StaleIndexError
from keyring_core.integrations.django.typed_fields import (
    EncryptedBooleanField,
    EncryptedCharField,
    EncryptedDateField,
    EncryptedDateTimeField,
    EncryptedDecimalField,
    EncryptedDurationField,
    EncryptedEmailField,
    EncryptedFloatField,
    EncryptedGenericIPAddressField,
    EncryptedIntegerField,
    EncryptedTimeField,
    EncryptedURLField,
    EncryptedUUIDField,
)

__all__ = [
    "BlindIndexField",
    "EncryptedBinaryField",
    "EncryptedBooleanField",
    "EncryptedCharField",
    "EncryptedComparisonError",
    "EncryptedDateField",
    "EncryptedDateTimeField",
    "EncryptedDecimalField",
    "EncryptedDurationField",
    "EncryptedEmailField",
    "EncryptedFloatField",
    "EncryptedGenericIPAddressField",
    "EncryptedIntegerField",
    "EncryptedJSONField",
    "EncryptedTextField",
    "EncryptedTimeField",
    "EncryptedURLField",
    "EncryptedUUIDField",
    "StaleIndexError",
]
