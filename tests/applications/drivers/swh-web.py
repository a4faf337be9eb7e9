"""Software Heritage's swh-web: `oidc_user_offline_tokens.offline_token`, the bearer tokens of users.

Secret: `secret_key` in its configuration, of which each user's key is made with their id in Keycloak as the salt.
Its model makes the table; its views decrypt, and what they call encrypts.
"""

import os
from pathlib import Path

import dj_database_url
import django
from django.conf import settings

USERS = "4f1c9a6e-58a3-4f0e-9d6c-{:012d}"


def write(url, secrets):
    model, views = _open(url)
    from django.db import connection
    from swh.auth.django.utils import keycloak_uuid_to_django_id
    from swh.web.auth.utils import encrypt_data
    from swh.web.config import get_config

    with connection.schema_editor() as editor:
        editor.create_model(model)
    secret = get_config()["secret_key"].encode()
    for number, (name, text) in enumerate(secrets.items()):
        sub = USERS.format(number)
        # As `oidc_generate_bearer_token_complete` does, once Keycloak has answered.
        token = encrypt_data(f"{name}/{text}".encode(), secret, sub.encode())
        model.objects.create(user_id=str(keycloak_uuid_to_django_id(sub)), offline_token=token)
    return _texts(model, views)


def read(url):
    return _texts(*_open(url))


def _texts(model, views):
    from swh.auth.django.utils import django_id_to_keycloak_uuid

    texts = {}
    for row in model.objects.all():
        sub = django_id_to_keycloak_uuid(int(row.user_id))
        name, _, text = views._decrypt_user_token(row, salt=sub.encode()).decode().partition("/")
        texts[f"oidc_user_offline_tokens.offline_token/{name}"] = text
    return texts


def _open(url):
    path = Path(os.environ["HOME"]) / "swh.yml"
    path.write_text(f"secret_key: {os.environ['SECRET_KEY']}\n")
    os.environ["SWH_CONFIG_FILENAME"] = str(path)
    settings.configure(
        DATABASES={"default": dj_database_url.parse(url)},
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
        SECRET_KEY=os.environ["SECRET_KEY"],
        USE_TZ=True,
    )
    django.setup()
    # Django takes models once it is set up, and not before.
    from swh.web.auth import views
    from swh.web.auth.models import OIDCUserOfflineTokens

    return OIDCUserOfflineTokens, views
