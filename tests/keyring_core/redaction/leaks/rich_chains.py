"""The console that structlog has by default, which prints the locals of every frame if rich is installed."""

from __future__ import annotations

import structlog

from tests.keyring_core.redaction.leaks.case import World, leak


def fail(world: World) -> None:
    note = world.key
    shown = world.plaintext
    raise ValueError(f"no {len(note) + len(shown)}")


@leak("parts")
def existing_console_with_locals(world: World) -> None:
    """The default console renderer in an existing configuration."""
    log = world.structlog_chain(structlog.dev.ConsoleRenderer(colors=False))
    try:
        fail(world)
    except ValueError:
        log.error("failed", exc_info=True, note=world.key)


@leak("console")
def console_with_locals(world: World) -> None:
    """The console of `configure_logging`, on a machine with rich."""
    try:
        fail(world)
    except ValueError:
        world.log.exception("failed", note=world.key)


@leak("parts")
def dict_tracebacks_cut_at_80(world: World) -> None:
    """A local that structlog cut at 80 characters before we see it."""
    log = world.structlog_chain(structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer())

    def deeper(note: str) -> None:
        raise ValueError(len(note))

    try:
        deeper(world.long)
    except ValueError:
        log.error("failed", exc_info=True)
