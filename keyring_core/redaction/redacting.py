"""Masks a decrypted value while it is in use, and forgets it afterwards."""

from __future__ import annotations

from contextlib import ContextDecorator, suppress
from typing import NoReturn

from keyring_core.redaction.deferred import leave_with
from keyring_core.redaction.encodings import forms_of, trimmed
from keyring_core.redaction.qgrams import GramMatcher
from keyring_core.redaction.redactor import block_matchers
from keyring_core.redaction.registrable import unfit
from keyring_core.redaction.secret import Secret, revealed


class redacting(ContextDecorator):  # noqa: N801 - it reads as a verb where it is used
    """Masks *secrets* in everything that this thread or task logs in the block, but not in other contexts.

    An exception that leaves the block stays masked. Ignores a value that is too short or too common to be masked, since
    the caller cannot choose what a token holds. Raises TypeError for anything but str, bytes, Secret or None.
    """

    def __init__(self, *secrets: str | bytes | Secret | None, label: str = "secret") -> None:
        self._matcher = GramMatcher()
        for secret in secrets:
            value = b"" if secret is None else revealed(secret)
            if unfit(value) is None:
                for form in forms_of(trimmed(value), label):
                    self._matcher.add(form)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a redacting block holds secrets: it can be neither pickled nor copied")

    def __enter__(self) -> None:
        block_matchers.set((*block_matchers.get(), self._matcher))

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        matchers = list(block_matchers.get())
        with suppress(ValueError):  # a generator may be entered in one context and left in another
            matchers.remove(self._matcher)
        block_matchers.set(tuple(matchers))
        if error is not None:
            leave_with(error, self._matcher)
