"""Pulp's encrypted columns: texts of remotes and upstream Pulps, JSON of domains, tasks and task schedules.

Keys: `PULP_DB_ENCRYPTION_KEY`, the path of a file with a Fernet key on each line, of which the first encrypts.
Pulp's migrations make the schema, on PostgreSQL only; its models write and read.
"""

import json
import os
from urllib.parse import urlsplit

import django

TEXTS = {
    "Remote": ("client_key", "username", "password", "proxy_username", "proxy_password"),
    "UpstreamPulp": ("client_key", "username", "password"),
}


def write(url, secrets):
    models = _models(url)
    from django.core.management import call_command
    from django.utils import timezone

    call_command("migrate", verbosity=0)
    remote = {"url": "https://remote.test", "pulp_type": "file.file"}
    upstream = {"base_url": "https://pulp.test", "api_root": "pulp", "domain": "default"}
    models.Remote.objects.create(name="without secrets", **remote)
    for name, text in secrets.items():
        models.Remote.objects.create(name=name, **remote, **dict.fromkeys(TEXTS["Remote"], text))
        models.UpstreamPulp.objects.create(name=name, **upstream, **dict.fromkeys(TEXTS["UpstreamPulp"], text))
        models.Domain.objects.create(
            name=name,
            storage_class="storages.backends.s3.S3Storage",
            storage_settings={"secret_key": text, "options": {"secure": True, "hosts": ["one", "two"]}},
        )
        models.Task.objects.create(
            name=name, state="completed", enc_args=[text, None], enc_kwargs={"password": text, "retries": 3}
        )
        models.TaskSchedule.objects.create(
            name=name,
            next_dispatch=timezone.now(),
            task_name="sync",
            task_args=[text],
            task_kwargs={"password": text},
        )
    return _texts(models)


def read(url):
    return _texts(_models(url))


def _texts(models):
    """As the application reads them: under another key InvalidToken for the whole query."""
    texts = {}
    for model, columns in TEXTS.items():
        for row in getattr(models, model).objects.exclude(password=None):
            for column in columns:
                texts[f"{row._meta.db_table}.{column}/{row.name}"] = getattr(row, column)
    for row in models.Domain.objects.exclude(name="default"):
        texts[f"core_domain.storage_settings/{row.name}"] = row.storage_settings["secret_key"]
    for row in models.Task.objects.exclude(enc_args=None):
        texts[f"core_task.enc_args/{row.name}"] = row.enc_args[0]
        texts[f"core_task.enc_kwargs/{row.name}"] = row.enc_kwargs["password"]
    for row in models.TaskSchedule.objects.filter(task_name="sync"):
        texts[f"core_taskschedule.task_args/{row.name}"] = row.task_args[0]
        texts[f"core_taskschedule.task_kwargs/{row.name}"] = row.task_kwargs["password"]
    return texts


def _models(url):
    server = urlsplit(url)
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": server.hostname,
        "PORT": str(server.port or 5432),
        "USER": server.username or "",
        "PASSWORD": server.password or "",
        "NAME": server.path.lstrip("/"),
    }
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "pulpcore.app.settings",
        "PULP_SETTINGS": os.devnull,
        "PULP_CONTENT_ORIGIN": "http://pulp.test",
        "PULP_SECRET_KEY": "not used: nobody logs in",
        "PULP_DATABASES": "@json " + json.dumps({"default": database}),
    }
    django.setup()
    from pulpcore.app import models

    return models
