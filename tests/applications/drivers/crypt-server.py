"""Crypt Server's encrypted column: `server_secret.secret`.

Key: `FIELD_ENCRYPTION_KEY`, a Fernet key. There is one.
Crypt Server is no package: these are two of its models, of the field that it uses.
"""

import os

import dj_database_url
import django
from django.conf import settings


def write(url, secrets):
    from django.db import connection

    computer, secret = models = _models(url)
    with connection.schema_editor() as editor:
        for model in models:
            editor.create_model(model)
    for name, text in secrets.items():
        owner = computer.objects.create(serial=name, username="ada", computername=name)
        secret.objects.create(computer=owner, secret=text)
    return _texts(secret)


def read(url):
    return _texts(_models(url)[1])


def _texts(secret):
    """As the application reads them: under another key the ciphertext, and no error."""
    return {f"server_secret.secret/{row.computer.serial}": row.secret for row in secret.objects.all()}


def _models(url):
    settings.configure(
        DATABASES={"default": dj_database_url.parse(url)},
        FIELD_ENCRYPTION_KEY=os.environ["FIELD_ENCRYPTION_KEY"],
    )
    django.setup()
    # Django takes models once it is set up, and not before.
    from django.db import models
    from encrypted_model_fields.fields import EncryptedCharField

    class Computer(models.Model):
        id = models.AutoField(primary_key=True)
        serial = models.CharField(max_length=200, unique=True)
        username = models.CharField(max_length=200)
        computername = models.CharField(max_length=200)
        last_checkin = models.DateTimeField(blank=True, null=True)

        class Meta:
            app_label = "server"

    class Secret(models.Model):
        id = models.AutoField(primary_key=True)
        computer = models.ForeignKey(Computer, on_delete=models.CASCADE)
        secret = EncryptedCharField(max_length=256)
        secret_type = models.CharField(max_length=256, default="recovery_key")
        date_escrowed = models.DateTimeField(auto_now_add=True)
        rotation_required = models.BooleanField(default=False)

        class Meta:
            app_label = "server"

    return Computer, Secret
