"""The settings of the project, as far as this example needs any."""

import os

from keyring_core import configure_logging, log_key_status

LOGGING_CONFIG = None  # Django leaves logging alone ...
configure_logging()  # ... and from here on logs mask keys, tokens and credentials
log_key_status()

SECRET_KEY = os.environ["SECRET_KEY"]  # signs Django's cookies; encrypted fields do not use it
ALLOWED_HOSTS = ["localhost"]
INSTALLED_APPS = ["keyring_core.integrations.django", "rotation.manage", "connections"]
ROOT_URLCONF = "connections.urls"
engine = f"django.db.backends.{os.environ.get('DB_ENGINE', 'sqlite3')}"
server = {name: os.environ.get(f"DB_{name}", "") for name in ("HOST", "PORT", "USER", "PASSWORD")}
DATABASES = {"default": {"ENGINE": engine, "NAME": os.environ.get("DB_NAME", "app.db"), **server}}
