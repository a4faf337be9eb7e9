"""The options of `init`, and its questions on a terminal: each has an option, and no answer is a secret of its own."""

from __future__ import annotations

import shutil
import signal
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import click

from keyring_core.errors import printable
from rotation.configuration.urls import may_hold_password
from rotation.model.failures import StoppedError, UsageError


class Wanted(NamedTuple):
    """The values of the options. *asks*: the rest can be asked for."""

    url: str | None
    config: Path
    env_file: Path | None
    new_key: bool
    append: bool
    asks: bool


def checked_url(url: str | None) -> str | None:
    """*url*. Raises UsageError if it may hold a password: rotation.toml is no place for one."""
    if url and may_hold_password(url):
        raise UsageError("--url: it may hold a password; put it into a variable, and write --url '$NAME'")
    return url


def ask(question: str, default: str = "", *, check: Callable[[str], object]) -> str:
    """The answer, or *default* if it is empty; asks again if *check* raises a UsageError, and says why.

    Raises StoppedError for Ctrl-C, and at the end of the input.
    """

    def checked(answer: str) -> str:
        fault = None
        try:
            check(answer.strip())
        except UsageError as error:
            fault = str(error)
        if fault:
            raise click.UsageError(_wrapped(fault, len("Error: ")))
        return answer.strip()

    with _asking():
        shown = printable(f"{question} [{default}]" if default else question)
        return str(click.prompt(_wrapped(shown), default, show_default=False, value_proc=checked))


def ask_whether(question: str, *, default: bool) -> bool:
    """True if the answer is yes. Raises StoppedError, as `ask` does."""
    with _asking():
        return click.confirm(_wrapped(printable(question)), default=default)


def _wrapped(text: str, before: int = 0) -> str:
    """*text* in lines that fit the terminal, broken between words; *before*: the characters that stand before it."""
    # Room for the colon.
    width = max(20, shutil.get_terminal_size().columns - before - 3)
    return "\n".join(textwrap.wrap(text, width, break_on_hyphens=False))


@contextmanager
def _asking() -> Iterator[None]:
    """Lets Ctrl-C end a question: elsewhere a first one only asks a run to stop."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    stopped = False
    try:
        yield
    except click.Abort:
        stopped = True
    finally:
        signal.signal(signal.SIGINT, handler)
    if stopped:
        raise StoppedError("stopped. Nothing was written.")
