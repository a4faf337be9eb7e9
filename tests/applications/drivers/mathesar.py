"""Mathesar's encrypted columns: `mathesar_configuredrole.password` and `mathesar_downloadlink.fsspec_kwargs`.

Secret: `SECRET_KEY`, any text, which is also the salt (`SALT_KEY`) of the key derived from it. There is one.
Mathesar is no package: these are the two columns, of the fields and with the settings that it uses.
"""

import os

import dj_database_url
import django
from django.conf import settings


def write(url, secrets):
    from django.db import connection

    models = role, link = _models(url)
    with connection.schema_editor() as editor:
        for model in models:
            editor.create_model(model)
    role.objects.create(name="a role without a password")
    link.objects.create(uri="file:///a/link/without/options")
    for name, text in secrets.items():
        role.objects.create(name=name, password=text)
        options = {"key": "AKIA", "secret": text, "client_kwargs": {"endpoint_url": "https://s3.test"}}
        link.objects.create(uri=name, fsspec_kwargs=options)
    return _texts(*models)


def read(url):
    return _texts(*_models(url))


def _texts(role, link):
    """As the application reads them: under another key the ciphertext, and no error."""
    texts = {}
    for row in role.objects.exclude(password=None):
        texts[f"mathesar_configuredrole.password/{row.name}"] = row.password
    for row in link.objects.exclude(uri__startswith="file:"):
        options = row.fsspec_kwargs
        texts[f"mathesar_downloadlink.fsspec_kwargs/{row.uri}"] = (
            options["secret"] if isinstance(options, dict) else options
        )
    return texts


def _models(url):
    settings.configure(
        DATABASES={"default": dj_database_url.parse(url)},
        SECRET_KEY=os.environ["SECRET_KEY"],
        SALT_KEY=os.environ["SECRET_KEY"],
        USE_TZ=True,
    )
    django.setup()
    # Django takes models once it is set up, and not before.
    from django.db import models
    from encrypted_fields.fields import EncryptedCharField, EncryptedJSONField

    class ConfiguredRole(models.Model):
        id = models.AutoField(primary_key=True)
        created_at = models.DateTimeField(auto_now_add=True)
        updated_at = models.DateTimeField(auto_now=True)
        name = models.CharField(max_length=255)
        password = EncryptedCharField(max_length=255, null=True, blank=True)

        class Meta:
            app_label = "mathesar"

    class DownloadLink(models.Model):
        id = models.AutoField(primary_key=True)
        created_at = models.DateTimeField(auto_now_add=True)
        updated_at = models.DateTimeField(auto_now=True)
        uri = models.CharField(max_length=1000)
        fsspec_kwargs = EncryptedJSONField(blank=True, default=dict)

        class Meta:
            app_label = "mathesar"
            constraints = (models.UniqueConstraint(fields=["uri", "fsspec_kwargs"], name="one_uri_copy_per_backend"),)

    return ConfiguredRole, DownloadLink
