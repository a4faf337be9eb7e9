"""subprocess, asyncio, concurrent.futures, multiprocessing, threading, warnings and files: what they report."""

from __future__ import annotations

import asyncio
import concurrent.futures
import ctypes
import gc
import importlib
import logging
import multiprocessing
import multiprocessing.util
import os
import pickle
import shutil
import sqlite3
import subprocess
import tarfile
import threading
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.keyring_core.redaction.leaks.case import World, leak
from tests.keyring_core.redaction.libraries.ways import Tables

cases = Tables(__name__)

FORK = multiprocessing.get_context("fork")


def fail(text: str) -> None:
    raise ValueError(text)


cases.errors(
    "subprocess",
    {
        "arguments": lambda w: subprocess.run(["false", "--password", w.unknown], check=True),
        "arguments_equals": lambda w: subprocess.run(["false", f"--password={w.unknown}"], check=True),
        "arguments_registered": lambda w: subprocess.run(["false", w.plaintext], check=True),
        "arguments_bytes": lambda w: subprocess.run([b"false", b"--token", w.unknown.encode()], check=True),
        "url": lambda w: subprocess.run(["false", f"postgresql://bob:{w.unknown}@h/app"], check=True),
        "shell": lambda w: subprocess.run(f"PGPASSWORD={w.unknown} false", shell=True, check=True),
        "shell_quoted": lambda w: subprocess.run(f"false --password '{w.unknown}'", shell=True, check=True),
        "header": lambda w: subprocess.run(["false", "-H", f"Authorization: Bearer {w.unknown}"], check=True),
        "header_api_key": lambda w: subprocess.run(["false", "-H", f"X-Api-Key: {w.unknown}"], check=True),
        "signal": lambda w: subprocess.check_call(["sh", "-c", "kill -9 $$", "sh", "--password", w.unknown]),
        "no_program": lambda w: subprocess.run([f"/run/{w.plaintext}"], check=True),
        "no_folder": lambda w: subprocess.run(["true"], cwd=f"/run/{w.plaintext}", check=True),
        "time": lambda w: subprocess.run(
            ["sh", "-c", "exec sleep 60", "sh", f"--password={w.unknown}"], timeout=0.05, check=True
        ),
        "login": lambda w: subprocess.run(["false", "-u", f"bob:{w.unknown}@h"], check=True),
        "variables": lambda w: subprocess.run(["env", f"RABBITMQ_DEFAULT_PASS={w.unknown}", "false"], check=True),
        "variables_auth": lambda w: subprocess.run(["env", f"REDISCLI_AUTH={w.unknown}", "false"], check=True),
        "output": lambda w: refused(["sh", "-c", f"echo 'password={w.unknown}'; false"]),
        "environment": lambda w: os.environ[w.plaintext],
    },
)


def refused(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"failed: {error.stdout!r}") from None


async def program(*command: str) -> None:
    await asyncio.create_subprocess_exec(*command)


async def grouped(world: World) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(fail, f"password={world.unknown}"))


async def gathered(world: World) -> None:
    await asyncio.gather(asyncio.to_thread(int, world.plaintext))


def in_pool(pool: Any, function: Callable[..., Any], *args: Any) -> None:
    with pool:
        pool.submit(function, *args).result()


def in_workers(function: Callable[..., Any], *args: Any) -> None:
    with FORK.Pool(1) as pool:
        pool.apply(function, args)


def processes() -> concurrent.futures.ProcessPoolExecutor:
    return concurrent.futures.ProcessPoolExecutor(1, mp_context=FORK)


cases.errors(
    "asyncio",
    {
        "program": lambda w: program(f"/run/{w.plaintext}", "--password", w.unknown),
        "group": grouped,
        "gather": gathered,
        "thread_pool": lambda w: in_pool(concurrent.futures.ThreadPoolExecutor(1), fail, f"token={w.unknown}"),
        "process_pool": lambda w: in_pool(processes(), fail, f"token={w.unknown}"),
        "process_pool_key": lambda w: in_pool(processes(), int, w.key),
        "workers": lambda w: in_workers(fail, f"mysql://bob:{w.unknown}@h"),
        "unpicklable": lambda w: pickle.dumps(type(f"x{w.raw.hex()}", (), {})()),
    },
)

cases.errors(
    "files",
    {
        "open": lambda w: Path(f"/run/{w.plaintext}").read_text(),
        "rename": lambda w: Path("/nothing").rename(f"/run/{w.plaintext}"),
        "copy": lambda w: shutil.copytree(f"/run/{w.plaintext}", "/run/x"),
        "unpack": lambda w: shutil.unpack_archive(f"/run/{w.plaintext}"),
        "tar": lambda w: tarfile.TarFile(f"/run/{w.plaintext}"),
        "zip": lambda w: zipfile.ZipFile(f"/run/{w.plaintext}"),
        "import": lambda w: importlib.import_module(w.plaintext),
        "library": lambda w: ctypes.CDLL(f"/run/{w.plaintext}.so"),
        "sqlite": lambda w: sqlite3.connect(":memory:").execute(f"SELECT '{w.plaintext}' FROM \"{w.plaintext}\""),
        "resolve": lambda w: Path(w.plaintext).resolve(strict=True),
        "decode": lambda w: raise_(UnicodeDecodeError("utf-8", w.plaintext.encode(), 0, 1, f"password={w.unknown}")),
    },
)


def raise_(error: Exception) -> None:
    raise error


def debugged(act: Callable[[World], Any]) -> Callable[[World], None]:
    """An event loop in its debug mode, which shows calls with their arguments."""

    def way(world: World) -> None:
        async def main() -> None:
            asyncio.get_running_loop().slow_callback_duration = 0
            act(world)
            await asyncio.sleep(0.01)
            gc.collect()

        asyncio.run(main(), debug=True)

    return way


async def coroutine(text: str) -> None:
    fail(text)


def lose_task(world: World) -> None:
    asyncio.get_running_loop().create_task(coroutine(f"password={world.unknown}"), name=f"task {world.plaintext}")


def lose_future(world: World) -> None:
    future = asyncio.get_running_loop().create_future()
    future.set_exception(ValueError(f"mysql://bob:{world.unknown}@h"))


async def resolved(world: World) -> None:
    """In debug mode the loop logs the names that it looks up."""
    asyncio.get_running_loop().set_debug(enabled=True)
    await asyncio.get_running_loop().getaddrinfo(f"{world.plaintext}.invalid", 1)


cases.logs(
    "asyncio",
    {
        "slow_call": debugged(lambda w: asyncio.get_running_loop().call_soon(int, w.plaintext, 36)),
        "slow_call_dict": debugged(lambda w: asyncio.get_running_loop().call_soon(len, {"password": w.unknown})),
        "failed_call": debugged(lambda w: asyncio.get_running_loop().call_soon(fail, f"token={w.unknown}")),
        "lost_task": debugged(lose_task),
        "lost_future": debugged(lose_future),
        "handler": debugged(
            lambda w: asyncio.get_running_loop().call_exception_handler({"message": "x", "password": w.unknown})
        ),
        "resolved": resolved,
    },
)


def finished(text: str) -> None:
    """A future that logs its callback's error."""
    future: concurrent.futures.Future[int] = concurrent.futures.Future()
    future.add_done_callback(lambda _: fail(text))
    future.set_result(1)


def warned(text: str, kind: type[Warning] = UserWarning) -> None:
    warnings.warn(text, kind, stacklevel=1)


def unclosed(world: World) -> None:
    """A file that nobody closes."""
    warnings.simplefilter("always")
    path = world.folder.parent / world.plaintext
    path.write_text("x")
    path.open()
    gc.collect()


def run_thread(world: World) -> None:
    thread = threading.Thread(target=fail, args=(f"mysql://bob:{world.unknown}@h",))
    thread.start()
    thread.join()


cases.logs(
    "warnings",
    {
        "url": lambda w: warned(f"cannot open mysql://bob:{w.unknown}@h"),
        "name": lambda w: warned(f"password={w.unknown} is deprecated"),
        "registered": lambda w: warned(f"{w.key} is old", RuntimeWarning),
        "unclosed": unclosed,
        "callback": lambda w: finished(f"password={w.unknown}"),
        "thread": run_thread,
    },
)


@leak("stdio")
def multiprocessing_log(world: World) -> None:
    """The logger of multiprocessing, on its own handler."""
    multiprocessing.util.log_to_stderr(logging.DEBUG)
    multiprocessing.util.info(f"password={world.unknown}")
    multiprocessing.util.sub_warning(f"cannot open mysql://bob:{world.unknown}@h")


@leak("stdio")
def multiprocessing_child(world: World) -> None:
    """A forked process whose function fails: it prints its traceback."""
    child = FORK.Process(target=fail, args=(f"password={world.unknown}",), name=f"worker {world.plaintext}")
    child.start()
    child.join()


@leak()
def uncaught_called_process(world: World) -> None:
    """An uncaught error of a command."""
    subprocess.run(["false", "--password", world.unknown], check=True)


@leak()
def uncaught_group(world: World) -> None:
    """An uncaught group of exceptions of tasks."""
    asyncio.run(grouped(world))
