"""In place of `fernet_fields.fields`: its names, and the fields under test behind them."""

from __future__ import annotations

import os

from cryptography.fernet import Fernet

from keyring_core.integrations import django

__all__ = [
    "EncryptedCharField",
    "EncryptedDateField",
    "EncryptedDateTimeField",
    "EncryptedEmailField",
    "EncryptedIntegerField",
    "EncryptedTextField",
]


class _ReadByTests:
    """What the tests read cells with."""

    @property
    def fernet(self) -> Fernet:
        """Stock Fernet under the process's key."""
        return Fernet(os.environ["ENCRYPTION_KEY"])


class EncryptedTextField(_ReadByTests, django.EncryptedTextField):
    """The field under test."""


class EncryptedCharField(_ReadByTests, django.EncryptedCharField):
    """The field under test."""


class EncryptedEmailField(_ReadByTests, django.EncryptedEmailField):
    """The field under test."""


class EncryptedIntegerField(_ReadByTests, django.EncryptedIntegerField):
    """The field under test."""


class EncryptedDateField(_ReadByTests, django.EncryptedDateField):
    """The field under test."""


class EncryptedDateTimeField(_ReadByTests, django.EncryptedDateTimeField):
    """The field under test."""
