"""The errors of encrypted fields in queries. Django's own handlers of FieldError see them, too."""

from __future__ import annotations

from django.core.exceptions import FieldError

from keyring_core import errors


class EncryptedComparisonError(errors.ComparisonError, FieldError):
    """A query compares, orders or computes with an encrypted column, which has another token for each row."""


class StaleIndexError(errors.StaleIndexError, FieldError):
    """An UPDATE would write a column, and not the blind index of it."""


def refusal(column: str, what: str) -> EncryptedComparisonError:
    """The error for a query that does *what* with the encrypted *column*."""
    return EncryptedComparisonError(
        f"{column}: {what} cannot work on an encrypted column, since equal values have different tokens; isnull works. "
        "To find rows by their value, add a BlindIndexField and filter by that"
    )
