"""Exceptions and records that left a `redacting` block are masked when they become text later."""
# ruff: noqa: B904, TRY400 - what services do

from __future__ import annotations

import asyncio
import copy
import gc
import io
import logging
import logging.handlers
import pickle
import queue
import secrets
import traceback
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import structlog

from keyring_core.redaction import (
    RedactingFormatter,
    Redactor,
    configure_logging,
    redact_processor,
    redacting,
)
from keyring_core.redaction.block_masks import MOST_MASKS
from keyring_core.redaction.guarded_streams import GuardedStream
from keyring_core.redaction.qgrams import GramMatcher
from keyring_core.redaction.redactor import block_matchers

VALUE = "decrypted-" + secrets.token_urlsafe(12)


def fail() -> None:
    """Raises, out of a block, what the block masks."""
    with redacting(VALUE, label="plaintext"):
        raise ValueError(f"bad credential {VALUE}")


def fail_with_cause() -> None:
    try:
        fail()
    except ValueError as error:
        raise RuntimeError(f"cannot go on: {error}") from error


def fail_in_a_handler() -> None:
    try:
        fail()
    except ValueError as error:
        raise RuntimeError(f"cannot go on: {error}")


def fail_in_a_group() -> None:
    try:
        fail()
    except ValueError as error:
        raise ExceptionGroup("several", [error]) from None


def fail_in_a_split_group() -> None:
    try:
        with redacting(VALUE, label="plaintext"):
            raise ExceptionGroup(f"several: {VALUE}", [ValueError("one"), TypeError("two")])
    except* TypeError:
        pass


def fail_in_a_context_manager() -> None:
    @contextmanager
    def session() -> Iterator[None]:
        with redacting(VALUE, label="plaintext"):
            yield

    with session():
        raise ValueError(f"bad credential {VALUE}")


def fail_in_two_blocks() -> None:
    with redacting("another-" + secrets.token_urlsafe(12)):
        fail()


def fail_in_a_task() -> None:
    async def work() -> None:
        fail()

    async def main() -> None:
        await asyncio.create_task(work())

    asyncio.run(main())


def caught() -> BaseException:
    """What `fail` raises."""
    with pytest.raises(ValueError, match="bad credential") as info:
        fail()
    return info.value


FAILURES = pytest.mark.parametrize(
    "failing",
    [
        fail,
        fail_with_cause,
        fail_in_a_handler,
        fail_in_a_group,
        fail_in_a_split_group,
        fail_in_a_context_manager,
        fail_in_two_blocks,
        fail_in_a_task,
    ],
)


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    configure_logging(Redactor(), stream=stream)
    return stream


@FAILURES
@pytest.mark.parametrize("renderer", ["json", "console"])
def test_a_catch_all_outside_the_block_shows_no_value(failing: Callable[[], None], renderer: str) -> None:
    """An exception that left the block is masked when a service logs it: by structlog, stdlib and in a message."""
    stream = io.StringIO()
    configure_logging(Redactor(), stream=stream, renderer=renderer)

    try:
        failing()
    except Exception as error:
        structlog.get_logger().exception("request failed")
        logging.getLogger("svc").exception("request failed")
        logging.getLogger("svc").error("request failed: %r", error)

    assert "[REDACTED:plaintext]" in stream.getvalue()
    assert VALUE not in stream.getvalue()


def test_a_foreign_handler_shows_no_value(stream: io.StringIO) -> None:
    """A foreign handler, `RedactingFormatter` and `redact_processor` mask the exception too."""
    foreign = io.StringIO()
    handler = logging.StreamHandler(foreign)
    logging.getLogger().addHandler(handler)
    try:
        fail()
    except ValueError as error:
        logging.getLogger("svc").exception("request failed")
        info = (type(error), error, error.__traceback__)
    logging.getLogger().removeHandler(handler)

    record = logging.makeLogRecord({"msg": "request failed", "exc_info": info})
    alone = RedactingFormatter().format(record)
    event = redact_processor(None, "error", {"event": "request failed", "exc_info": info})

    for shown in (foreign.getvalue(), alone, repr(event)):
        assert "bad credential [REDACTED:plaintext]" in shown
        assert VALUE not in shown


def test_another_thread_shows_no_value(stream: io.StringIO) -> None:
    """The exception carries its masks wherever it goes."""
    with ThreadPoolExecutor(1) as pool:
        error = pool.submit(caught).result()

    logging.getLogger("svc").error("failed", exc_info=error)

    assert "bad credential [REDACTED:plaintext]" in stream.getvalue()
    assert VALUE not in stream.getvalue()


def test_the_exception_stays_as_it_is() -> None:
    """Arguments, notes, chain and traceback are the caller's; one attribute more holds the masks, and shows nothing."""
    error = caught()

    assert error.args == (f"bad credential {VALUE}",)
    assert not hasattr(error, "__notes__")
    assert list(vars(error)) == ["__keyring_core_masks__"]
    assert VALUE not in repr(vars(error))
    assert (error.__cause__, error.__context__) == (None, None)
    assert [frame.name for frame in traceback.extract_tb(error.__traceback__)] == ["caught", "fail"]


def test_an_exception_that_is_pickled_takes_no_mask_along() -> None:
    """Another process gets the exception alone: the masks hold the value in all its forms."""
    with pytest.raises(ValueError, match="no credential") as info, redacting(VALUE):
        raise ValueError("no credential")

    sent = pickle.dumps(info.value)

    assert VALUE.lower().encode() not in sent.lower()
    # The other process may not have this package: nothing in the pickle is imported from it.
    assert b"keyring_core.redaction.block_masks" not in sent
    assert str(pickle.loads(sent)) == "no credential"


def test_an_exception_that_is_raised_again_and_again_keeps_the_last_masks() -> None:
    """An instance that a module keeps does not collect the masks of all blocks that it ever left."""
    kept = ValueError("no credential")
    for number in range(2 * MOST_MASKS):
        with pytest.raises(ValueError, match="no credential"), redacting(f"{VALUE}-{number}"):
            raise kept

    [masks] = vars(kept).values()
    assert len(masks) == MOST_MASKS


def test_a_frozen_exception_leaves_the_block() -> None:
    """An exception that refuses new attributes passes too, and is masked later."""

    @dataclass(frozen=True)
    class FrozenError(Exception):
        value: str

    with pytest.raises(FrozenError) as info, redacting(VALUE):
        raise FrozenError(VALUE)

    record = logging.makeLogRecord({"msg": "failed", "exc_info": (FrozenError, info.value, None)})
    assert "FrozenError: [REDACTED:secret]" in RedactingFormatter().format(record)


def test_the_exception_goes_with_its_last_name() -> None:
    """No circle keeps it, and all that its frames hold, until a garbage collection."""
    gc.disable()
    try:
        assert _left()() is None
    finally:
        gc.enable()


class OwnError(Exception):
    """Takes a weak reference."""


def _left() -> weakref.ref[OwnError]:
    @redacting(VALUE)
    def lose() -> None:
        raise OwnError(VALUE)

    try:
        lose()
    except OwnError as error:
        return weakref.ref(error)
    raise AssertionError


def test_cleared_frames_show_no_value(stream: io.StringIO) -> None:
    """Clearing the locals of a traceback, as unittest does, does not clear the masks."""
    error = caught()
    traceback.clear_frames(error.__traceback__)
    logging.getLogger("svc").error("failed", exc_info=error)

    assert "[REDACTED:plaintext]" in stream.getvalue()
    assert VALUE not in stream.getvalue()


def test_a_handler_that_formats_by_itself_shows_no_value() -> None:
    """A handler that uses getMessage, and a guarded stream that prints the handled exception, mask the value."""
    shown: list[str] = []

    class Own(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            shown.append(record.getMessage())

    configure_logging(Redactor())
    logger, memory = logging.getLogger("own"), logging.handlers.MemoryHandler(10, target=Own())
    logger.handlers = [Own(), memory]
    printed = io.StringIO()
    try:
        fail()
    except ValueError as error:
        logger.error("failed: %s", error)
        print(traceback.format_exc(), file=GuardedStream(printed, Redactor()))
    with redacting(VALUE):
        logger.error("got %s", VALUE)
    memory.flush()
    logger.handlers = []

    assert len(shown) == 4
    assert VALUE not in "".join(shown) + printed.getvalue()


def test_the_masks_end_with_the_exception(stream: io.StringIO) -> None:
    """Once the exception is gone, nothing of the block is kept, and its value is masked no more."""
    kept: list[weakref.ref[redacting]] = []

    def leave() -> None:
        block = redacting(VALUE)
        kept.append(weakref.ref(block))
        with block:
            raise ValueError(VALUE)

    def matchers() -> int:
        gc.collect()
        # Not isinstance: it would ask each object, and Django has some that make themselves then.
        return sum(type(one) is GramMatcher for one in gc.get_objects())

    before = matchers()
    with pytest.raises(ValueError, match="decrypted"):
        leave()
    after = matchers()
    logging.getLogger("svc").error("shown: %s", VALUE)

    assert kept[0]() is None
    assert after == before
    assert VALUE in stream.getvalue()


def test_leaving_in_another_context() -> None:
    """A generator that is entered in one context and left in another raises nothing, and leaves nothing behind."""

    async def dependency() -> object:
        with redacting(VALUE):
            yield

    async def main() -> tuple[object, ...]:
        steps = dependency()
        await asyncio.create_task(steps.__anext__())  # type: ignore[attr-defined]
        await asyncio.create_task(steps.aclose())  # type: ignore[attr-defined]
        return block_matchers.get()

    assert asyncio.run(main()) == ()


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_block_is_not_pickled_or_copied(take: Callable[[object], object]) -> None:
    """Its masks hold the value, and would leave the process; a function that it decorates is pickled by its name."""
    with pytest.raises(TypeError, match="neither pickled nor copied") as caught_error:
        take(redacting(VALUE))

    assert VALUE not in str(caught_error.value)


def test_as_a_decorator() -> None:
    """It is a decorator, too, also of a function that calls itself."""
    redactor = Redactor()

    @redacting(VALUE)
    def shown(depth: int) -> list[str]:
        return [*(shown(depth - 1) if depth else []), redactor.redact(VALUE)]

    assert shown(2) == ["[REDACTED:secret]"] * 3
    assert redactor.redact(VALUE) == VALUE


def test_a_record_that_is_shown_later_shows_no_value(stream: io.StringIO) -> None:
    """What a handler keeps in memory or in a queue is masked as it would have been in the block, `extra` too."""
    foreign = io.StringIO()
    target = logging.StreamHandler(foreign)
    target.setFormatter(logging.Formatter("%(message)s %(note)s"))
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    memory = logging.handlers.MemoryHandler(10, target=target)
    logger = logging.getLogger("later")
    logger.handlers = [memory, logging.handlers.QueueHandler(records)]  # type: ignore[arg-type]

    with redacting(VALUE):
        logger.info("got %s", VALUE, extra={"note": VALUE})
    record = memory.buffer[0]
    memory.flush()
    listener = logging.handlers.QueueListener(records, target)  # type: ignore[arg-type]
    listener.start()
    listener.stop()
    logger.handlers = []

    assert foreign.getvalue() == "got [REDACTED:secret] [REDACTED:secret]\n" * 2
    assert (record.args, record.note) == ((VALUE,), VALUE)  # type: ignore[attr-defined]


def test_a_record_of_an_exception_s_text_that_is_shown_later_shows_no_value(stream: io.StringIO) -> None:
    """A record that holds the exception's text alone keeps the masks of the exception that was handled then."""
    foreign = io.StringIO()
    memory = logging.handlers.MemoryHandler(10, target=logging.StreamHandler(foreign))
    logger = logging.getLogger("later")
    logger.handlers = [memory]

    try:
        fail()
    except ValueError as error:
        logger.warning(f"failed: {error}")
    memory.flush()
    logger.handlers = []

    assert foreign.getvalue() == "failed: bad credential [REDACTED:plaintext]\n"
