"""QFieldCloud's encrypted column: `core_secret.value`.

Secrets: `SECRET_KEY`, any text, and `SALT_KEY`, the salt of the key derived from it. There is one of each.
QFieldCloud is no package: this is the model with the column, of the field and with the settings that it uses.
"""

import os

import dj_database_url
import django
from django.conf import settings


def write(url, secrets):
    from django.db import connection

    secret = _model(url)
    with connection.schema_editor() as editor:
        editor.create_model(secret)
    for name, text in secrets.items():
        secret.objects.create(name=name, type="envvar", value=text)
    return _texts(secret)


def read(url):
    return _texts(_model(url))


def _texts(secret):
    """As the application reads them: under another key the ciphertext, and no error."""
    return {f"core_secret.value/{row.name}": row.value for row in secret.objects.all()}


def _model(url):
    settings.configure(
        DATABASES={"default": dj_database_url.parse(url)},
        SECRET_KEY=os.environ["SECRET_KEY"],
        SALT_KEY=[os.environ["SALT_KEY"]],
        USE_TZ=True,
    )
    django.setup()
    # Django takes models once it is set up, and not before.
    from django.db import models
    from encrypted_fields.fields import EncryptedTextField

    class Secret(models.Model):
        id = models.AutoField(primary_key=True)
        name = models.TextField(max_length=255)
        type = models.CharField(max_length=32)
        project_id = models.UUIDField(null=True)
        created_at = models.DateTimeField(auto_now_add=True)
        value = EncryptedTextField()

        class Meta:
            app_label = "core"

    return Secret
