"""Keeps secrets out of logs: masks them by type, name, value and shape, in every channel of a service."""

from __future__ import annotations

from keyring_core.redaction.configure import configure_logging, reset_logging
from keyring_core.redaction.log_records import RedactingFormatter
from keyring_core.redaction.redacting import redacting
from keyring_core.redaction.redactor import Redactor, UnfitSecretError, get_redactor
from keyring_core.redaction.render import redact_processor
from keyring_core.redaction.secret import Secret

__all__ = [
    "RedactingFormatter",
    "Redactor",
    "Secret",
    "UnfitSecretError",
    "configure_logging",
    "get_redactor",
    "redact_processor",
    "redacting",
    "reset_logging",
]
