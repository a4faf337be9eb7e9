"""Which redactor is in force in this process."""

from __future__ import annotations

from functools import cache

from keyring_core.redaction.redactor import Redactor


@cache
def _default() -> Redactor:
    return Redactor()


_in_force: list[Redactor] = []


def get_redactor() -> Redactor:
    """The redactor that `configure_logging` was given last, else the process-wide one, made on first use."""
    return _in_force[-1] if _in_force else _default()


def set_redactor(redactor: Redactor | None) -> None:
    """Puts *redactor* in force; None puts the process-wide one back."""
    _in_force[:] = [redactor] if redactor is not None else []
