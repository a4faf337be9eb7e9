"""What leaves a `redacting` block and becomes text later: an exception on its way out, a record that a handler keeps.

Either takes the block's masks along for as long as it lives; nothing else holds them.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from inspect import currentframe
from types import FrameType, FunctionType, TracebackType
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from keyring_core.redaction.qgrams import GramMatcher
from keyring_core.redaction.redactor import block_matchers

Text = TypeVar("Text")

_kept: WeakKeyDictionary[logging.LogRecord, tuple[GramMatcher, ...]] = WeakKeyDictionary()


def leave_with(error: BaseException, matcher: GramMatcher) -> None:
    """Lets *error* take *matcher* along: in its traceback, which every frame that it passes adds a line to.

    An exception of Python's own takes no weak reference, and an attribute would be a change to the caller's object.
    """
    # In the frame's globals: its locals are cleared by whoever clears those of a traceback.
    frame = FunctionType(_still_redacting.__code__, {"currentframe": currentframe, "matcher": matcher})()
    try:
        if frame is not None:
            error.with_traceback(TracebackType(error.__traceback__, frame, frame.f_lasti, frame.f_lineno))
    finally:
        # The frame knows who called it, and that would know the error: a circle, which only the collector ends.
        del error, frame


def _still_redacting() -> FrameType | None:
    return currentframe()  # what left the block stays masked


def keep(record: logging.LogRecord) -> logging.LogRecord:
    """*record*, which is shown later as it would be now."""
    matchers = block_matchers.get()
    if matchers:
        _kept[record] = matchers
    return record


def show_record(record: logging.LogRecord, show: Callable[..., Text], *args: Any) -> Text:
    """``show(*args)``, what there is to see of *record*, with the masks that it and its exception took along."""
    told = record.exc_info or (record.msg.get("exc_info") if isinstance(record.msg, dict) else None)
    return show_masked(told, show, *args, masks=_kept.get(record, ()) if _kept else ())


def show_masked(told: Any, show: Callable[..., Text], *args: Any, masks: tuple[GramMatcher, ...] = ()) -> Text:
    """``show(*args)`` with *masks* and those of an exception: *told*, an ``exc_info``, or the one that is handled."""
    handled = sys.exception()
    if told or handled is not None:
        masks += tuple(_taken_along([told[1] if isinstance(told, tuple) and len(told) > 1 else told, handled]))
    if not masks:
        return show(*args)
    before = block_matchers.set(block_matchers.get() + masks)
    try:
        return show(*args)
    finally:
        block_matchers.reset(before)


def _taken_along(errors: list[Any]) -> Iterator[GramMatcher]:
    """The masks of *errors*, and of all that they are chained to."""
    seen: set[int] = set()
    while errors:
        error = errors.pop()
        if not isinstance(error, BaseException) or id(error) in seen:
            continue
        seen.add(id(error))
        traceback = error.__traceback__
        while traceback is not None:
            if traceback.tb_frame.f_code is _still_redacting.__code__:
                yield from filter(None, [traceback.tb_frame.f_globals.get("matcher")])
            traceback = traceback.tb_next
        errors += (error.__cause__, error.__context__)
        if isinstance(error, BaseExceptionGroup):
            errors += error.exceptions
