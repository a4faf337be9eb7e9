"""Reads a dotenv file, whose variables override an environment."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path

from keyring_core.sources import read_regular
from rotation.model.failures import UsageError
from rotation.model.outputs import Holds, Kind

OPTION = "--env-file"
"""The option that names a dotenv file; what names one otherwise is a setting."""


_KEY = re.compile(r"[\w-]{43}=")


def _fault(data: bytes) -> str | None:
    """The reason against adding variables to a file that holds *data*; None without one."""
    from dotenv.parser import parse_stream  # noqa: PLC0415 - as below

    bindings = list(parse_stream(io.StringIO(data.decode("utf-8", "surrogateescape"), newline=None)))
    if any(_KEY.fullmatch(binding.original.string.strip()) for binding in bindings):
        return "is a file of keys, and no dotenv file"
    # A comment is no content, and a line that is no assignment does no harm beside one.
    content = any(binding.key is not None or binding.error for binding in bindings)
    return "is no dotenv file" if content and all(binding.value is None for binding in bindings) else None


DOTENV = Kind(_fault, adds_to=Holds.VARIABLES)
"""A dotenv file to add variables to."""


def environment(base: Mapping[str, str], env_file: Path | None, named_by: str = OPTION) -> dict[str, str]:
    """*base*, overridden by what *env_file* sets. Raises UsageError as `read_env_file` does."""
    return {**base, **(read_env_file(env_file, named_by) if env_file else {})}


def read_env_file(path: Path, named_by: str = OPTION) -> dict[str, str]:
    """The variables that the dotenv file sets. Raises UsageError if it cannot be read.

    The message gives the path, the fault, and *named_by*: the option or the setting that names the file.
    """
    from dotenv import dotenv_values  # noqa: PLC0415 - most runs read none

    text, fault = "", None
    try:
        # A comment in another encoding must not stop the command.
        text = read_regular(path, "dotenv file")[0].decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        fault = "there is no such file"
    except OSError as error:
        fault = error.strerror or "cannot be read"
    if "\0" in text:
        fault = "has NUL characters; write it in UTF-8, not in UTF-16"
    if fault:
        raise UsageError(f"{named_by} {path}: {fault}")
    # A `$` in a value stays a `$`: interpolation would change a secret silently.
    values = dotenv_values(stream=io.StringIO(text, newline=None), interpolate=False)
    return {name: value for name, value in values.items() if value is not None}
