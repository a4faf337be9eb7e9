"""The redactor in force in this process."""

from __future__ import annotations

from functools import cache

from keyring_core.redaction.redactor import Redactor


@cache
def _default() -> Redactor:
    return Redactor()


_in_force: list[Redactor] = []


def get_redactor() -> Redactor:
    """The redactor of the last `configure_logging`, otherwise the default one, made on first use."""
    return _in_force[-1] if _in_force else _default()


def set_redactor(redactor: Redactor | None) -> None:
    """Puts *redactor* in force; None restores the default one."""
    _in_force[:] = [redactor] if redactor is not None else []
