"""Completion in a shell: answers to the script of bash, zsh or fish, and the values of some options."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from click.shell_completion import shell_complete

PROGRAM = "keyring-rotate"
"""The name as it is installed, which is the one that a shell completes."""
VARIABLE = "_KEYRING_ROTATE_COMPLETE"
"""`bash_source`, `zsh_source` or `fish_source` in it prints the script for that shell."""


def answer_shell(group: click.Group, environ: Mapping[str, str]) -> None:
    """Answers a shell that asks, and ends the process. Reads no key, opens no database and logs nothing."""
    if instruction := environ.get(VARIABLE):
        # What goes wrong meanwhile would stand in the middle of what the user types.
        sys.stderr = io.StringIO()
        sys.exit(shell_complete(group, {}, PROGRAM, VARIABLE, instruction))


def preset_names(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The applications that have a preset."""
    from rotation.configuration.presets import preset_names as names

    return [name for name in names() if name.startswith(incomplete)]


def key_set_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The key sets of the rotation.toml that the command line names so far."""
    from rotation.configuration.config_file import load_key_sets

    path = next(_given(context, "config"), None) or Path(os.environ.get("ROTATION_CONFIG") or "rotation.toml")
    with suppress(Exception):
        return [name for name in load_key_sets(path) if name.startswith(incomplete)]
    return []


def _given(context: click.Context | None, name: str) -> Iterator[Any]:
    """The values of an option behind the command, and before it."""
    while context:
        if value := context.params.get(name):
            yield value
        context = context.parent
