"""In place of `django_cryptography.fields`: `encrypt` gives the field under test that has the given one's values."""

from __future__ import annotations

from typing import Any

from django.db import models

from keyring_core.integrations import django

Expired = object()
"""Imported by the tests. Nothing expires here."""

PickledField = models.BinaryField
"""Imported by the models. Its own tests are left out."""


def encrypt(field: Any, key: object = None, ttl: object = None) -> Any:
    """The field under test: of the type and the options of *field* or, if that is a class, a class of its name."""
    if isinstance(field, type):
        return type(field.__name__, (_encrypted(field.__base__),), {"__module__": field.__module__})
    _, _, args, options = field.deconstruct()
    return _encrypted(type(field))(*args, **options)


def _encrypted(kind: type) -> Any:
    return getattr(django, f"Encrypted{kind.__name__}")
