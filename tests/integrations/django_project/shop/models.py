"""Models with encrypted fields, as applications declare them."""

from django.db import models
from simple_history.models import HistoricalRecords

from keyring_core.integrations.django import (
    BlindIndexField,
    EncryptedBinaryField,
    EncryptedJSONField,
    EncryptedTextField,
)
from keyring_core.legacy import Legacy
from tests.integrations.django_project.shop import typed

Note, Person, Twin = typed.Note, typed.Person, typed.Twin


class Account(models.Model):
    """Every kind of field, with and without a context."""

    name = models.CharField(max_length=50, default="")
    api_key = EncryptedTextField(context="accounts.api_key", null=True, blank=True)
    email = EncryptedTextField(max_length=60, default="", blank=True)
    email_index = BlindIndexField("email")
    certificate = EncryptedBinaryField(null=True, context=True)
    options = EncryptedJSONField(null=True, blank=True, context=True)
    token = EncryptedTextField(binary=True, null=True, blank=True)
    settings = EncryptedJSONField(binary=True, null=True, blank=True)

    class Meta:
        """The table has a name of its own."""

        db_table = "accounts"


class Lead(models.Model):
    """A value that may occur once, or be missing."""

    mail = EncryptedTextField(null=True)
    mail_index = BlindIndexField("mail", unique=True, normalize=str.casefold)


class Purchase(models.Model):
    """A row that leads to another one, whose primary key has the same name."""

    account = models.ForeignKey(Account, models.CASCADE)
    card = EncryptedTextField(default="")


class TakenOver(models.Model):
    """A column that older packages wrote, as it is read until it is rotated."""

    secret = EncryptedTextField(
        context="taken.secret",
        accept_unbound=True,
        accept_plaintext=True,
        legacy=Legacy("django-fernet-fields", secret="$OLD_SECRETS"),
    )


class Named(models.Model):
    """A base of several tables."""

    password = EncryptedTextField(context=True)

    class Meta:
        """Abstract."""

        abstract = True


class Router(Named):
    """A table of its own."""


class Switch(Named):
    """Another one."""


class Fast(Switch):
    """Rows of two tables."""

    pin = EncryptedTextField()


class SwitchProxy(Switch):
    """No table of its own."""

    class Meta:
        """A proxy."""

        proxy = True


class Customer(models.Model):
    """A model with a history table."""

    phone = EncryptedTextField(context=True)
    phone_index = BlindIndexField("phone", context="customers.phone")
    history = HistoricalRecords()


class Pair(models.Model):
    """Two columns that are encrypted alike, one that is not, and a plain one."""

    pk = models.CompositePrimaryKey("left", "right")
    left = models.IntegerField()
    right = models.IntegerField()
    one = EncryptedTextField(null=True)
    two = EncryptedTextField(null=True)
    bound = EncryptedTextField(null=True, context="pairs.bound")
    plain = models.TextField(null=True)
