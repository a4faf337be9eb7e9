"""Queries, writes and models of Django that cannot work with encrypted fields.

`python -m tests.error_messages.of_django` prints the errors as JSON: a process has the settings of one project.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.error_messages import Raised, raised_by


def causes(_folder: Path) -> Iterator[Callable[[], object]]:
    """Each call ends with an error or a warning. Sets up Django in this process."""
    import django
    from django.conf import settings
    from django.db import connection, models
    from django.db.models import F, Value
    from django.db.models.functions import Lower

    database = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
    settings.configure(USE_TZ=True, DATABASES=database, INSTALLED_APPS=["tests.error_messages"])
    django.setup()
    from keyring_core import get_keyring
    from keyring_core.integrations import django as fields

    class User(models.Model):
        api_key = fields.EncryptedTextField(null=True)
        email = fields.EncryptedTextField(default="")
        email_index = fields.BlindIndexField("email")
        phone = fields.EncryptedTextField(default="")
        phone_index = fields.BlindIndexField("phone")
        born = fields.EncryptedDateTimeField(null=True)
        logo = fields.EncryptedBinaryField(null=True)

        class Meta:
            app_label, db_table = "error_messages", "users"

    class Order(models.Model):
        user = models.ForeignKey(User, models.CASCADE)
        card = fields.EncryptedTextField()

        class Meta:
            app_label, db_table = "error_messages", "orders"

    class Item(models.Model):
        order = models.ForeignKey(Order, models.CASCADE)

        class Meta:
            app_label, db_table = "error_messages", "items"

    class Unmigrated(models.Model):
        born = fields.EncryptedTextField()

        class Meta:
            app_label, db_table = "error_messages", "unmigrated"

    with connection.schema_editor() as editor:
        for model in (User, Order, Item):
            editor.create_model(model)
    rows, token = User.objects, get_keyring().encrypt("sk-live-4242")
    yield partial(rows.filter, api_key="sk-live-4242")
    yield lambda: list(rows.order_by("api_key"))
    yield partial(rows.filter, email_index__contains="a")
    yield lambda: list(rows.filter(email_index=F("phone_index")))
    yield lambda: rows.update(api_key=Lower(Value("X")))
    yield lambda: User(email=Lower(Value("X"))).email_index
    yield lambda: rows.filter(email_index=User(phone="1").phone_index).exists()
    yield lambda: rows.create(email="a@b.c").save(update_fields=["email"])
    yield lambda: rows.update(email="a@b.c", email_index="d@e.f")
    yield partial(rows.create, email="a@b.c", email_index="d@e.f")
    yield partial(rows.create, api_key=token)
    yield lambda: User(api_key=token).full_clean()
    yield partial(rows.create, born="2026-11-29T06:12:00")
    yield lambda: User(born="not a date").full_clean()
    yield lambda: User._meta.get_field("logo").to_python("not base64")
    yield partial(fields.EncryptedJSONField, encoder=object)
    yield fields.BlindIndexField("email", normalize=lambda text: text).deconstruct
    yield lambda: _with(settings, USE_TZ=False)(partial(rows.create, born="2026-11-29T06:12:00+01:00"))
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO users (id, api_key, email, phone) VALUES (812, NULL, '', '')")
        cursor.execute("INSERT INTO orders (id, user_id, card) VALUES (7, 812, 'sk-live-4242')")
        cursor.execute("CREATE TABLE unmigrated (id INTEGER, born INTEGER)")
        cursor.execute("INSERT INTO unmigrated VALUES (1, 1990)")
    yield lambda: list(Order.objects.all())
    yield Order.objects.filter(pk=7).delete
    yield lambda: list(Unmigrated.objects.all())


def _with(settings: Any, **changed: object) -> Callable[[Callable[[], object]], object]:
    def call(cause: Callable[[], object]) -> object:
        before = {name: getattr(settings, name) for name in changed}
        for name, value in changed.items():
            setattr(settings, name, value)
        try:
            return cause()
        finally:
            for name, value in before.items():
                setattr(settings, name, value)

    return call


def main() -> None:
    """Prints class and message of each."""
    with tempfile.TemporaryDirectory() as folder:
        found: list[Raised] = [each for cause in causes(Path(folder)) for each in raised_by(cause)]
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
