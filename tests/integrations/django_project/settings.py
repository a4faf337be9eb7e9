"""The settings of the test project. Its database comes from the environment, if a command of its own runs it."""

import json
import os

SECRET_KEY = "not a key of encrypted fields"
DEBUG = False
ALLOWED_HOSTS = ["testserver"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "tests.integrations.django_project.urls"
# Django would configure logging for the whole process.
LOGGING_CONFIG = None
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
OLD_SECRETS = ["first old secret", "second old secret"]
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "simple_history",
    "rest_framework",
    "keyring_core.integrations.django",
    "tests.integrations.django_project.shop",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = json.loads(os.environ.get("DJANGO_PROJECT_DATABASES", '{"default": {}}'))
# Without migrations `migrate` makes the tables as the models are, in one step.
MIGRATION_MODULES = dict.fromkeys(["admin", "auth", "contenttypes", "sessions"]) | {
    "shop": os.environ.get("DJANGO_PROJECT_MIGRATIONS")
}
