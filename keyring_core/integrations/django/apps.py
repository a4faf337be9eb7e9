"""The Django app: checks of the process's key and of the admin. The fields work without it."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks

from keyring_core.integrations.django.admin_checks import check_admin
from keyring_core.integrations.django.checks import check_key, check_settings


class EncryptedFieldsConfig(AppConfig):
    """`INSTALLED_APPS = [..., "keyring_core.integrations.django"]`."""

    name = "keyring_core.integrations.django"
    label = "keyring_core"
    verbose_name = "Encrypted fields"

    def ready(self) -> None:
        """Registers the checks."""
        checks.register(check_key, checks.Tags.security)
        checks.register(check_settings, checks.Tags.security)
        checks.register(check_admin, checks.Tags.admin)
