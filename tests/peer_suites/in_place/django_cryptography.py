"""In place of `django_cryptography.fields`: `encrypt` gives the field under test that holds what the given one does."""

from __future__ import annotations

from typing import Any

from django.db import models

from keyring_core.integrations import django

Expired = object()
"""Named by the tests. Nothing expires here."""

PickledField = models.BinaryField
"""Named by models beside those under test; its own tests are left out."""

FIELDS = {
    models.CharField: django.EncryptedCharField,
    models.DateField: django.EncryptedDateField,
    models.DateTimeField: django.EncryptedDateTimeField,
    models.DecimalField: django.EncryptedDecimalField,
    models.IntegerField: django.EncryptedIntegerField,
    models.UUIDField: django.EncryptedUUIDField,
}


def encrypt(field: Any, key: object = None, ttl: object = None) -> Any:
    """The field under test. If *field* is a class, a class like it; a field without its like holds text."""
    if isinstance(field, type):
        return type(field.__name__, (_like(field.__mro__[1]),), {"__module__": field.__module__})
    _, _, args, options = field.deconstruct()
    return _like(type(field))(*args, **options)


def _like(field: type) -> Any:
    return FIELDS.get(field, django.EncryptedTextField)
