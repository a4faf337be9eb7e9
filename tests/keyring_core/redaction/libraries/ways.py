"""Tables of cases: the ways of one library to let a secret out, by their names."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tests.keyring_core.redaction.leaks.case import World, leak

Way = Callable[[World], Any]
Ways = Mapping[str, Way]


@dataclass(frozen=True)
class Tables:
    """Registers tables of cases for the module of that name."""

    module: str

    def errors(self, library: str, ways: Ways, setup: str = "json") -> None:
        """Each of *ways* raises: the service logs it with its traceback."""

        def show(world: World, way: Way) -> None:
            try:
                finish(way(world))
            except (Exception, SystemExit):
                world.std.exception("failed")

        self._register(f"{library}_error", ways, show, setup)

    def logs(self, library: str, ways: Ways, setup: str = "json") -> None:
        """In each of *ways* the library logs by itself, down to DEBUG. What it raises besides is not shown."""

        def show(world: World, way: Way) -> None:
            logging.getLogger().setLevel(logging.DEBUG)
            with suppress(Exception, SystemExit):
                finish(way(world))

        self._register(f"{library}_log", ways, show, setup)

    def texts(self, library: str, ways: Ways, setup: str = "json") -> None:
        """Each of *ways* returns an object or a text that the service puts into its message."""
        self._register(f"{library}_text", ways, lambda world, way: world.std.info(f"got {finish(way(world))}"), setup)

    def _register(self, prefix: str, ways: Ways, show: Callable[[World, Way], Any], setup: str) -> None:
        for name, way in ways.items():
            leak(setup, name=f"{prefix}_{name}", alone=False)(self._case(way, show))

    def _case(self, way: Way, show: Callable[[World, Way], Any]) -> Way:
        def run(world: World) -> None:
            logging.getLogger().setLevel(logging.INFO)
            show(world, way)

        run.__module__ = self.module
        return run


def finish(result: Any) -> Any:
    """*result*, after a coroutine has run."""
    return asyncio.run(result) if inspect.iscoroutine(result) else result
