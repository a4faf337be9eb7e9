"""Models whose encrypted fields hold dates, numbers and other values, beside the plain fields of the same kinds."""

from __future__ import annotations

from typing import Any

from django.db import models
from simple_history.models import HistoricalRecords

from keyring_core.integrations import django as encrypted


class Colour(models.TextChoices):
    """Choices of text."""

    RED = "red", "Red wine"
    BLUE = "blue", "Blue sky"


class Level(models.IntegerChoices):
    """Choices of numbers."""

    LOW = 1, "Low tide"
    HIGH = 2, "High noon"


OPTIONAL: dict[str, Any] = {"null": True, "blank": True}
FIELDS: dict[str, tuple[str, dict[str, Any]]] = {
    "name": ("CharField", {"max_length": 20, "default": "", "blank": True}),
    "mail": ("EmailField", OPTIONAL),
    "site": ("URLField", {"default": "", "blank": True}),
    "address": ("GenericIPAddressField", OPTIONAL),
    "born": ("DateField", OPTIONAL),
    "seen": ("DateTimeField", OPTIONAL),
    "wakes": ("TimeField", OPTIONAL),
    "shift": ("DurationField", OPTIONAL),
    "age": ("IntegerField", OPTIONAL),
    "score": ("FloatField", OPTIONAL),
    "active": ("BooleanField", {"default": False}),
    "member": ("BooleanField", OPTIONAL),
    "income": ("DecimalField", {"max_digits": 8, "decimal_places": 2, **OPTIONAL}),
    "ref": ("UUIDField", OPTIONAL),
    "colour": ("CharField", {"max_length": 10, "choices": Colour.choices, "default": Colour.RED}),
    "level": ("IntegerField", {"choices": Level.choices, **OPTIONAL}),
    "made": ("DateField", {"auto_now_add": True}),
    "changed": ("DateTimeField", {"auto_now": True}),
}
"""Each field of Person: the plain class and its options."""
OWN: dict[str, dict[str, Any]] = {
    "born": {"context": True},
    "ref": {"binary": True},
    "level": {"binary": True},
}


class Person(models.Model):
    """Every kind of field."""

    for _name, (_kind, _options) in FIELDS.items():
        locals()[_name] = getattr(encrypted, f"Encrypted{_kind}")(**_options, **OWN.get(_name, {}))
    history = HistoricalRecords()


class Twin(models.Model):
    """Two columns that are encrypted alike."""

    one = encrypted.EncryptedDateField(null=True)
    two = encrypted.EncryptedDateField(null=True)
    text = encrypted.EncryptedCharField(null=True)


class Note(models.Model):
    """A row that leads to a twin."""

    twin = models.ForeignKey(Twin, models.CASCADE)
