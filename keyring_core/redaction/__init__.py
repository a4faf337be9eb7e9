"""Keeps secrets out of logs: masks them by type, name, value and shape, in every channel of a service."""

from __future__ import annotations

from keyring_core.redaction.block_masks import redacting
from keyring_core.redaction.configure import configure_logging, reset_logging
from keyring_core.redaction.credentials import find_credentials as find_credentials
from keyring_core.redaction.encodings import trimmed as trimmed
from keyring_core.redaction.encodings import unfit as unfit
from keyring_core.redaction.log_records import RedactingFormatter
from keyring_core.redaction.redactor import Redactor, UnfitSecretError, get_redactor
from keyring_core.redaction.render import redact_processor
from keyring_core.redaction.secret import Secret
from keyring_core.redaction.secret import revealed as revealed
from keyring_core.redaction.spans import mask_of as mask_of

# The promise; the other names are for `keyring_core` and `rotation`.
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
