"""Ways around every logger: uncaught exceptions, warnings, stdout and stderr."""
# ruff: noqa: B904, T201, T203 - a case does what it should not

from __future__ import annotations

import asyncio
import atexit
import gc
import logging
import logging.config
import multiprocessing
import pprint
import sys
import threading
import traceback
import warnings
from concurrent.futures import Future, ThreadPoolExecutor

from tests.keyring_core.redaction.leaks.case import World, leak


def fail(world: World) -> None:
    raise ValueError(f"cannot use {world.key}")


@leak()
def uncaught(world: World) -> None:
    """An uncaught exception in the main thread."""
    fail(world)


@leak("console")
def uncaught_on_console(world: World) -> None:
    """The same, on the console."""
    fail(world)


@leak()
def uncaught_with_cause(world: World) -> None:
    """An uncaught exception whose cause holds the secret."""
    try:
        fail(world)
    except ValueError as error:
        raise RuntimeError("outer") from error


@leak()
def uncaught_keyboard_interrupt(world: World) -> None:
    """Ctrl-C while another exception is handled."""
    try:
        fail(world)
    except ValueError:
        raise KeyboardInterrupt


@leak()
def uncaught_in_thread(world: World) -> None:
    """An uncaught exception in a thread."""
    thread = threading.Thread(target=fail, args=(world,))
    thread.start()
    thread.join()


@leak()
def thread_name(world: World) -> None:
    """A thread that is named after a secret."""
    thread = threading.Thread(target=fail, args=(world,), name=f"worker {world.plaintext}")
    thread.start()
    thread.join()


@leak()
def task_never_retrieved(world: World) -> None:
    """An asyncio task whose exception nobody asks for."""

    async def failing() -> None:
        fail(world)

    async def main() -> None:
        task = asyncio.create_task(failing())
        await asyncio.sleep(0)
        del task
        gc.collect()

    asyncio.run(main())


@leak()
def callback(world: World) -> None:
    """An exception in an asyncio callback."""

    async def main() -> None:
        asyncio.get_running_loop().call_soon(fail, world)
        await asyncio.sleep(0.01)

    asyncio.run(main())


@leak()
def loop_exception_handler(world: World) -> None:
    """A direct call of the event loop's exception handler."""

    async def main() -> None:
        asyncio.get_running_loop().call_exception_handler({"message": f"lost {world.key}"})

    asyncio.run(main())


@leak()
def unraisable_in_del(world: World) -> None:
    """An exception in ``__del__``."""

    class Leaky:
        def __del__(self) -> None:
            fail(world)

    Leaky()
    gc.collect()


@leak()
def unraisable_object(world: World) -> None:
    """An exception in ``__del__`` of an object whose repr is a secret."""

    class Method:
        def __repr__(self) -> str:
            return f"<Method {world.key}>"

        def __call__(self) -> None:
            fail(world)

    class Leaky:
        __del__ = Method()

    Leaky()
    gc.collect()


@leak()
def unraisable_at_exit(world: World) -> None:
    """An exception in an exit handler."""
    atexit.register(fail, world)


@leak()
def future_callback(world: World) -> None:
    """An exception in a future's callback."""

    def done(_future: Future[None]) -> None:
        fail(world)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: None).add_done_callback(done)


@leak()
def warning(world: World) -> None:
    """A warning's text."""
    warnings.warn(f"weak key {world.key}", stacklevel=1)


@leak()
def warning_of_a_category(world: World) -> None:
    """A warning of another category, shown on another source line."""
    warnings.warn_explicit(f"old {world.password}", RuntimeWarning, f"/srv/{world.plaintext}.py", 1)


DICT_CONFIG = {
    "version": 1,
    "handlers": {"h": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["h"]},
}
FILE_CONFIG = """
[loggers]
keys=root
[handlers]
keys=h
[formatters]
keys=
[logger_root]
handlers=h
[handler_h]
class=StreamHandler
args=()
"""


@leak()
def uncaught_after_dict_config(world: World) -> None:
    """An uncaught exception after a dictConfig, which disables every logger that is there."""
    logging.config.dictConfig(DICT_CONFIG)
    fail(world)


@leak()
def uncaught_after_file_config(world: World) -> None:
    """The same after a fileConfig."""
    path = world.folder.parent / "logging.ini"
    path.write_text(FILE_CONFIG)
    logging.config.fileConfig(path)
    fail(world)


@leak()
def uncaught_in_thread_after_dict_config(world: World) -> None:
    """The same in a thread."""
    logging.config.dictConfig(DICT_CONFIG)
    uncaught_in_thread(world)


@leak()
def unraisable_after_dict_config(world: World) -> None:
    """The same in ``__del__``."""
    logging.config.dictConfig(DICT_CONFIG)
    unraisable_in_del(world)


@leak()
def warning_after_dict_config(world: World) -> None:
    """A warning after a dictConfig that disabled the logger of an earlier one."""
    warnings.warn("an earlier one", stacklevel=1)
    logging.config.dictConfig(DICT_CONFIG)
    warning(world)


@leak()
def uncaught_while_logging_is_off(world: World) -> None:
    """An uncaught exception while logging is switched off."""
    logging.disable()
    fail(world)


@leak()
def uncaught_without_a_handler(world: World) -> None:
    """An uncaught exception, when the only handler prints nothing."""
    logging.basicConfig(force=True, handlers=[logging.NullHandler()])
    fail(world)


@leak()
def uncaught_below_the_level(world: World) -> None:
    """An uncaught exception, when the only handler takes higher levels."""
    logging.getLogger().handlers.clear()
    handler = logging.StreamHandler()
    handler.setLevel(logging.CRITICAL + 1)
    logging.getLogger().addHandler(handler)
    fail(world)


@leak()
def uncaught_before_a_handler_that_raises(world: World) -> None:
    """An uncaught exception that a handler fails to write: the interpreter would print both."""

    class Raising(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("no space")

    logging.getLogger().addHandler(Raising())
    fail(world)


@leak()
def uncaught_out_of_a_block(world: World) -> None:
    """An uncaught exception with a value that was decrypted for a while."""
    from keyring_core.redaction import redacting

    with redacting(world.unknown):
        raise ValueError(f"cannot use {world.unknown}")


@leak("stdio")
def printed(world: World) -> None:
    """``print``."""
    print("key", world.key)


@leak("stdio")
def printed_in_parts(world: World) -> None:
    """``print`` in several writes on one line."""
    for character in world.key:
        print(character, end="")
    print()


@leak("stdio")
def printed_to_stderr(world: World) -> None:
    """``print`` to stderr."""
    print(world.password, file=sys.stderr)


@leak("stdio")
def printed_without_newline(world: World) -> None:
    """Text that only the interpreter's end flushes."""
    sys.stdout.write(f"prompt {world.key}")


@leak("stdio")
def pretty_printed(world: World) -> None:
    """``pprint``."""
    pprint.pprint({"a": [world.raw, world.plaintext]})


@leak("stdio")
def written_bytes(world: World) -> None:
    """Bytes to stdout."""
    sys.stdout.buffer.write(world.key.encode() + b"\n")
    sys.stdout.buffer.flush()


@leak("stdio")
def written_lines(world: World) -> None:
    """``writelines``."""
    sys.stdout.writelines([world.key[:20], world.key[20:], "\n"])


@leak("stdio")
def print_exc(world: World) -> None:
    """``traceback.print_exc``."""
    try:
        fail(world)
    except ValueError:
        traceback.print_exc()


@leak("stdio")
def print_stack_of_group(world: World) -> None:
    """``traceback.print_exception`` of a group, to stdout."""
    traceback.print_exception(ExceptionGroup("several", [ValueError(world.key)]), file=sys.stdout)


@leak("stdio")
def exit_message(world: World) -> None:
    """``sys.exit(message)``."""
    sys.exit(f"cannot use {world.key}")


@leak("stdio")
def warning_past_logging(world: World) -> None:
    """A warning, after other code restored the original function."""
    warnings.showwarning = warnings._showwarning_orig  # type: ignore[attr-defined]
    warnings.warn(f"weak key {world.key}", stacklevel=1)


@leak("stdio")
def excepthook_put_back(world: World) -> None:
    """An uncaught exception after somebody put the original hook back."""
    sys.excepthook = sys.__excepthook__
    fail(world)


@leak("stdio")
def forked_process(world: World) -> None:
    """The traceback of a forked worker."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        process = multiprocessing.get_context("fork").Process(target=fail, args=(world,))
        process.start()
        process.join()


@leak("stdio")
def displayed(world: World) -> None:
    """The interactive interpreter's echo."""
    sys.displayhook(world.key)
