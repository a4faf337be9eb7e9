"""A table `records` whose `value` is a field of a Django package that encrypts.

Variables: `FIELD` is the field, as module and name; `SETTINGS` is JSON, with Django's SECRET_KEY in it. For
django-cryptography, whose `encrypt` takes another field, `PLAINTEXT` is that field, and `FIELD_KEY` its own key in hex.
Values are texts or what JSON has; for other ones `VALUES` is the plain field that reads their text.
"""

import datetime
import decimal
import importlib
import json
import os
import uuid

import dj_database_url
import django
from django.conf import settings


def write(url, values):
    model = _model(url)
    from django.db import connection, models

    read_text = getattr(models, os.environ.get("VALUES", "JSONField"))().to_python
    with connection.schema_editor() as editor:
        editor.create_model(model)
    model.objects.bulk_create(model(id=int(key), value=read_text(value)) for key, value in values.items())
    return _values(model)


def read(url):
    return _values(_model(url))


def _values(model):
    return {str(record.id): _as_json(record.value) for record in model.objects.all()}


def _as_json(value):
    """What JSON has, or text; a time with a zone is in UTC."""
    if isinstance(value, datetime.datetime) and value.tzinfo:
        value = value.astimezone(datetime.UTC)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value) if isinstance(value, (datetime.timedelta, decimal.Decimal, uuid.UUID)) else value


def _model(url):
    given = json.loads(os.environ["SETTINGS"])
    # JSON has no bytes.
    given |= {name: text.encode() for name, text in given.items() if name == "DJFERNET_PREFIX"}
    databases = {"default": dj_database_url.parse(url)}
    settings.configure(DATABASES=databases, DEFAULT_AUTO_FIELD="django.db.models.AutoField", **given)
    django.setup()
    # Django takes models once it is set up, and not before.
    from django.db import models

    module, _, name = os.environ["FIELD"].rpartition(".")
    field = getattr(importlib.import_module(module), name)
    plaintext = os.environ.get("PLAINTEXT")
    arguments = {"max_length": 2000} if name.endswith("CharField") else {}
    if plaintext:
        digits = {"max_digits": 9, "decimal_places": 2} if plaintext == "DecimalField" else {}
        own = {"key": bytes.fromhex(os.environ["FIELD_KEY"])} if "FIELD_KEY" in os.environ else {}
        value = field(getattr(models, plaintext)(null=True, **digits), **own)
    else:
        value = field(null=True, **arguments)
    meta = type("Meta", (), {"app_label": "legacy", "db_table": "records"})
    columns = {"id": models.IntegerField(primary_key=True), "value": value}
    return type("Record", (models.Model,), {"__module__": __name__, "Meta": meta, **columns})
