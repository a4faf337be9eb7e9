"""rich: its handler for logging, and what it prints itself."""
# ruff: noqa: TRY301 - a case does what it should not

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import rich
from rich.console import Console
from rich.json import JSON
from rich.logging import RichHandler
from rich.panel import Panel
from rich.pretty import Pretty
from rich.table import Table

from tests.keyring_core.redaction.leaks.case import World
from tests.keyring_core.redaction.leaks.shapes import fill
from tests.keyring_core.redaction.libraries.ways import Tables, Way

cases = Tables(__name__)


def handled(act: Callable[[logging.Logger, World], Any], **options: Any) -> Way:
    """A logger with rich's handler."""

    def way(world: World) -> None:
        logger = logging.getLogger("rich")
        logger.handlers, logger.propagate = [RichHandler(console=Console(width=200), **options)], False
        act(logger, world)

    return way


def caught(logger: logging.Logger, world: World) -> None:
    try:
        raise ValueError(f"cannot use {world.key}")
    except ValueError:
        logger.exception("failed")


def traceback(world: World) -> None:
    try:
        raise ValueError(f"cannot use {world.key}")
    except ValueError:
        Console(width=200).print_exception()


def table(world: World) -> Table:
    made = Table("name", "value")
    made.add_row("cell", world.key)
    return made


def printed(make: Callable[[World], Any]) -> Way:
    return lambda world: Console(width=200).print(make(world))


cases.logs(
    "rich_handler",
    {
        "message": handled(lambda logger, w: logger.info(f"cannot open mysql://bob:{w.unknown}@h")),
        "argument": handled(lambda logger, w: logger.info("headers %s", {"X-Api-Key": w.unknown})),
        "named": handled(lambda logger, w: logger.info("login with %(password)s", {"password": w.unknown})),
        "exception": handled(caught),
        "markup": handled(lambda logger, w: logger.info(f"[red]password={fill(w, 20)}[/]"), markup=True),
        "keywords": handled(lambda logger, w: logger.info(f"GET /a?token={w.unknown}"), keywords=["token"]),
    },
)
cases.logs(
    "rich_handler_traceback",
    {
        "plain": handled(caught, rich_tracebacks=True),
        "locals": handled(caught, rich_tracebacks=True, tracebacks_show_locals=True),
    },
    setup="stdio",
)
cases.logs(
    "rich_print",
    {
        "text": lambda w: rich.print(f"password={w.unknown}"),
        "dict": lambda w: rich.print({"password": w.unknown}),
        "markup": printed(lambda w: f"[bold]mysql://bob:{w.unknown}@h[/]"),
        "json": printed(lambda w: JSON(f'{{"a": {{"client_secret": "{w.unknown}"}}}}')),
        "pretty": printed(lambda w: Pretty({"apiKey": w.unknown, "x": list(range(30))})),
        "panel": printed(lambda w: Panel(w.plaintext)),
        "table": printed(table),
        "log": lambda w: Console(width=200).log(f"token={w.unknown}"),
        "rule": lambda w: Console(width=200).rule(w.plaintext),
        "traceback": traceback,
        "error": lambda w: Console(width=200, stderr=True).print(f"password={w.unknown}"),
    },
    setup="stdio",
)
