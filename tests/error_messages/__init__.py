"""Code that leads to each error and warning of keyring_core, for docs/reference/errors.md."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple


class Raised(NamedTuple):
    """An error or a warning."""

    kind: str
    """The name of its class."""
    message: str


def raised_by(cause: Callable[[], object]) -> list[Raised]:
    """The warnings and the error of a call; AssertionError if there is neither."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            cause()
        except Exception as error:
            errors = [error]
        else:
            errors = []
    shown = [each.message for each in caught if issubclass(each.category, UserWarning | RuntimeWarning)]
    assert shown or errors, f"{cause} raises nothing"
    return [Raised(type(each).__name__, str(each)) for each in (*shown, *errors)]
