"""Places in an event that can hold a secret, and what happens to it on its way."""
# ruff: noqa: TRY301 - a case does what it should not

from __future__ import annotations

import asyncio
import logging

import structlog

from tests.keyring_core.redaction.leaks.case import World, leak


@leak()
def event_text(world: World) -> None:
    """The event itself."""
    world.log.info(f"loaded {world.key}")


@leak()
def positional_argument(world: World) -> None:
    """A ``%s`` argument."""
    world.log.info("loaded %s", world.key)


@leak()
def positional_argument_cut(world: World) -> None:
    """A ``%.9s`` argument: what is left equals no value any more."""
    world.log.info("loaded %.9s", world.plaintext[6:])


@leak()
def field_name(world: World) -> None:
    """The name of a field."""
    world.log.info("loaded", **{world.key: 1})


@leak()
def bound_context(world: World) -> None:
    """A bound logger's context."""
    world.log.bind(note=world.key).info("loaded")


@leak()
def context_variables(world: World) -> None:
    """Context variables of structlog."""
    structlog.contextvars.bind_contextvars(note=world.key)
    world.log.info("loaded")


@leak()
def context_variables_in_stdlib(world: World) -> None:
    """Context variables of structlog, in a stdlib record."""
    structlog.contextvars.bind_contextvars(note=world.key)
    world.log.info("loaded", note=world.key)
    world.std.info("loaded")


@leak()
def logger_name(world: World) -> None:
    """A logger's name."""
    logging.getLogger(f"tenant.{world.plaintext}").error("loaded %s", world.plaintext)


@leak()
def asynchronous(world: World) -> None:
    """A log call from asyncio."""
    asyncio.run(world.log.ainfo("loaded", note=world.key))


@leak()
def stack(world: World) -> None:
    """A log call with its stack, whose source line holds a password."""
    world.log.info("loaded", stack_info=True, note=world.key)


@leak()
def several_lines_and_a_key(world: World) -> None:
    """Right behind an escape: the newline's letter joins the secret in JSON."""
    world.log.info("loaded\n" + world.key + "\t" + world.password)


@leak()
def overlapping(world: World) -> None:
    """Two secrets that share characters."""
    if world.redacting:
        from keyring_core.redaction import get_redactor

        get_redactor().add(world.long[:60])
        get_redactor().add(world.long[40:100])
    world.log.info("loaded", note=world.long[:100])


@leak()
def decrypted_for_a_while(world: World) -> None:
    """A decrypted value in a block that masks it."""
    if world.redacting:
        from keyring_core.redaction import redacting

        with redacting(world.unknown):
            world.log.info("loaded", note=world.unknown, kept="REDACTED")
    else:
        world.log.info("loaded", note=world.unknown)


@leak()
def decrypted_in_a_task(world: World) -> None:
    """A decrypted value in a task that a masking block started."""

    async def work() -> None:
        world.log.info("loaded", note=world.unknown)

    async def main() -> None:
        if world.redacting:
            from keyring_core.redaction import redacting

            with redacting(world.unknown):
                await asyncio.create_task(work())
        else:
            await work()

    asyncio.run(main())


@leak("console")
def console_event(world: World) -> None:
    """The console: event, field, nested field."""
    world.log.info(f"loaded {world.key}", note=world.password, nested={"a": [world.raw]})


@leak("console")
def console_multiline(world: World) -> None:
    """The console, with a secret of several lines."""
    world.log.info("loaded", note=world.letter)


@leak("console")
def console_exception(world: World) -> None:
    """The console, with a traceback."""
    try:
        raise ValueError(world.key, world.letter)
    except ValueError:
        world.log.exception("failed")


@leak("console")
def console_stdlib(world: World) -> None:
    """The console, with a stdlib record."""
    world.std.warning("loaded %s", world.accented, extra={"note": world.raw})


def _chain_case(name: str, *processors: object) -> None:
    def run(world: World) -> None:
        log = world.structlog_chain(*processors)
        log.info("loaded " + world.key, note=world.password, nested={"a": [world.raw, {world.plaintext}]})
        try:
            raise ValueError(world.long)
        except ValueError:
            log.error("failed", exc_info=True)

    run.__module__ = __name__
    leak("parts", name=name)(run)


_chain_case("existing_json", structlog.processors.JSONRenderer())
_chain_case("existing_json_with_tracebacks", structlog.processors.format_exc_info, structlog.processors.JSONRenderer())
_chain_case("existing_json_with_locals", structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer())
_chain_case("existing_key_value", structlog.processors.KeyValueRenderer())
_chain_case("existing_logfmt", structlog.processors.EventRenamer("msg"), structlog.processors.KeyValueRenderer())
_chain_case("existing_console", structlog.dev.ConsoleRenderer(colors=False))
_chain_case("existing_colours", structlog.dev.ConsoleRenderer(colors=True))


@leak("parts")
def existing_processor_adds_late(world: World) -> None:
    """A renderer that adds to the event."""

    def render(_logger: object, _method: str, event: dict[str, object]) -> str:
        return f"{event} {world.key}"

    world.structlog_chain(render).info("loaded")


@leak("parts")
def existing_bytes(world: World) -> None:
    """A renderer that returns bytes."""
    import sys

    import orjson

    log = world.structlog_chain(
        structlog.processors.JSONRenderer(serializer=orjson.dumps),
        factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
    )
    log.info("loaded", note=world.key, other=world.password)
    sys.stdout.flush()
