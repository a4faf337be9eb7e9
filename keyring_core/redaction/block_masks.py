"""Masks a decrypted value in a block, and on exceptions, log records and half-written lines that outlive the block."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator, suppress
from typing import Any, NoReturn, TypeVar
from weakref import WeakKeyDictionary

from keyring_core.redaction.encodings import forms_of, trimmed, unfit
from keyring_core.redaction.qgrams import GramMatcher
from keyring_core.redaction.redactor import block_matchers
from keyring_core.redaction.secret import Secret, revealed

Text = TypeVar("Text")

_ATTRIBUTE = "__keyring_core_masks__"
MOST_MASKS = 16
"""Blocks whose masks one exception keeps, the last ones: an instance that is raised again and again must not grow."""
_kept: WeakKeyDictionary[logging.LogRecord, tuple[GramMatcher, ...]] = WeakKeyDictionary()


class redacting(ContextDecorator):  # noqa: N801 - it reads as a verb where it is used
    """Masks *secrets* in everything that this thread or task logs in the block, but not in other contexts.

    An exception that leaves the block stays masked. Ignores a value that is too short or too common to be masked, since
    the caller cannot choose what a token holds. Raises TypeError for anything but str, bytes, Secret or None.

    Examples:
        >>> with redacting("a decrypted value"):
        ...     get_redactor().redact("it is a decrypted value")
        'it is [REDACTED:secret]'
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
        errors = [] if error is None else [error]
        for one in errors:
            attributes = _attributes(one)
            if self._matcher not in (masks := attributes.get(_ATTRIBUTE, ())):
                attributes[_ATTRIBUTE] = _Masks((*masks, self._matcher)[-MOST_MASKS:])
            if isinstance(one, BaseExceptionGroup):  # `except*` makes new groups of its members
                errors += one.exceptions


class _Masks(tuple[GramMatcher, ...]):
    """The masks on an exception. A copy that is pickled has none: they hold the block's secrets."""

    __slots__ = ()

    def __reduce__(self) -> tuple[type[tuple[()]], tuple[()]]:
        # A plain tuple, so that a process without this package can read it.
        return tuple, ()


def _attributes(error: BaseException) -> dict[str, Any]:
    """The attributes of *error*, past a class that refuses or makes up attributes."""
    return object.__getattribute__(error, "__dict__")  # type: ignore[no-any-return]


def keep(record: logging.LogRecord) -> logging.LogRecord:
    """*record*, which is shown later as it would be now."""
    if masks := masks_in_force():
        _kept[record] = masks
    return record


def show_record(record: logging.LogRecord, show: Callable[..., Text], *args: Any) -> Text:
    """``show(*args)``, the text of *record*, with the masks that were kept for it and its exception."""
    given = record.exc_info or (record.msg.get("exc_info") if isinstance(record.msg, dict) else None)
    return show_masked(given, show, *args, masks=_kept.get(record, ()) if _kept else ())


def show_masked(given: Any, show: Callable[..., Text], *args: Any, masks: tuple[GramMatcher, ...] = ()) -> Text:
    """``show(*args)`` with *masks*, the masks of the ``exc_info`` *given*, and the masks in force."""
    masks += masks_in_force(given)
    if masks == block_matchers.get():
        return show(*args)
    token = block_matchers.set(tuple(dict.fromkeys(masks)))
    try:
        return show(*args)
    finally:
        block_matchers.reset(token)


def masks_in_force(given: Any = None) -> tuple[GramMatcher, ...]:
    """The masks of this context's blocks, of the ``exc_info`` *given*, and of the exception being handled."""
    masks, handled = block_matchers.get(), sys.exception()
    if given or handled is not None:
        masks += tuple(_kept_on([given[1] if isinstance(given, tuple) and len(given) > 1 else given, handled]))
    return masks


def _kept_on(errors: list[Any]) -> Iterator[GramMatcher]:
    """The masks of *errors*, and of all that they are chained to."""
    seen: set[int] = set()
    for error in errors:
        if not isinstance(error, BaseException) or id(error) in seen:
            continue
        seen.add(id(error))
        yield from _attributes(error).get(_ATTRIBUTE, ())
        errors += (error.__cause__, error.__context__)
        if isinstance(error, BaseExceptionGroup):
            errors += error.exceptions
