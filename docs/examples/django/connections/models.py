"""The table."""

from django.db import models

from keyring_core.integrations.django import EncryptedTextField


class Connection(models.Model):
    """How to reach another service."""

    name = models.CharField(max_length=50, primary_key=True)
    api_key = EncryptedTextField()
