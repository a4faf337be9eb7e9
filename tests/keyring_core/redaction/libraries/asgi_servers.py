"""uvicorn and tornado: access logs, and what an application shows of its request."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
import uvicorn.config
import uvicorn.server
from tornado import httpserver, web

from tests.keyring_core.redaction.leaks.case import World
from tests.keyring_core.redaction.libraries.ways import Tables, Way
from tests.keyring_core.redaction.libraries.web import REQUESTS, Raw, each, line, refuse

cases = Tables(__name__)


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x"})


def by_uvicorn(raw: Raw, act: Callable[[World, Any], Any] | None = None, **options: Any) -> Way:
    """Uvicorn's protocol gets *raw* bytes; its application does *act* with the scope."""

    async def serve(world: World) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if act is not None:
                act(world, scope)
            await hello(scope, receive, send)

        config = uvicorn.Config(app, lifespan="off", http="h11", **{"log_config": None, **options})
        config.load()
        state = uvicorn.server.ServerState()
        server = await asyncio.get_running_loop().create_server(
            lambda: config.http_protocol_class(config=config, server_state=state, app_state={}), "127.0.0.1", 0
        )
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(raw(world))
            await reader.read()
            writer.close()
        for name in ("uvicorn", "uvicorn.access", "uvicorn.error"):
            # Other cases have no handlers of uvicorn's own.
            logging.getLogger(name).handlers.clear()
            logging.getLogger(name).propagate = True

    return serve


def show(text: Callable[[Any], object]) -> Callable[[World, Any], None]:
    """An application that fails, and shows a part of its scope."""

    def act(world: World, scope: Any) -> None:
        raise ValueError(f"cannot use {text(scope)}")

    return act


HEADERS = show(lambda scope: scope["headers"])

cases.logs(
    "uvicorn",
    each(REQUESTS, by_uvicorn)
    | {
        "own_handlers": by_uvicorn(REQUESTS["query"], log_config=uvicorn.config.LOGGING_CONFIG),
        "own_handlers_path": by_uvicorn(REQUESTS["path_key"], log_config=uvicorn.config.LOGGING_CONFIG),
        "trace": by_uvicorn(REQUESTS["query"], log_level="trace"),
        "trace_own_handlers": by_uvicorn(
            REQUESTS["query"], log_config=uvicorn.config.LOGGING_CONFIG, log_level="trace"
        ),
        "failed": by_uvicorn(lambda w: line("/"), refuse),
        "failed_own_handlers": by_uvicorn(lambda w: line("/"), refuse, log_config=uvicorn.config.LOGGING_CONFIG),
        "scope": by_uvicorn(lambda w: line("/", f"X-Api-Key: {w.unknown}"), show(lambda scope: scope)),
        "scope_query": by_uvicorn(REQUESTS["query"], show(lambda scope: scope["query_string"])),
        "headers_api_key": by_uvicorn(lambda w: line("/", f"X-Api-Key: {w.unknown}"), HEADERS),
        "headers_cookie": by_uvicorn(lambda w: line("/", f"Cookie: theme=dark; sid={w.unknown}"), HEADERS),
        "headers_bearer": by_uvicorn(lambda w: line("/", f"Authorization: Bearer {w.unknown}"), HEADERS),
        "headers_basic": by_uvicorn(lambda w: line("/", f"Authorization: Basic {w.unknown}"), HEADERS),
        "headers_token": by_uvicorn(lambda w: line("/", f"Authorization: Token {w.unknown}"), HEADERS),
        "headers_digest": by_uvicorn(
            lambda w: line("/", f'Authorization: Digest username="bob", response="{w.unknown}"'), HEADERS
        ),
        "headers_csrf": by_uvicorn(lambda w: line("/", f"X-CSRF-Token: {w.unknown}"), HEADERS),
        "headers_structured": by_uvicorn(
            lambda w: line("/", f"X-Api-Key: {w.unknown}"),
            lambda w, scope: w.log.info("asked", headers=scope["headers"]),
        ),
        "headers_cookie_structured": by_uvicorn(
            lambda w: line("/", f"Cookie: sid={w.unknown}"), lambda w, scope: w.log.info("asked", scope=scope)
        ),
        "headers_argument": by_uvicorn(
            lambda w: line("/", f"X-Auth-Token: {w.unknown}"), lambda w, scope: w.std.info("%s", scope["headers"])
        ),
    },
)


def by_tornado(uri: Callable[[World], str], act: Callable[[World], Any], method: str = "GET") -> Way:
    """Tornado gets a request; its handler does *act*."""

    async def serve(world: World) -> None:
        class Handler(web.RequestHandler):
            def get(self) -> None:
                act(world)

        server = httpserver.HTTPServer(web.Application([(".*", Handler)]))
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        server.add_socket(listener)
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(line(uri(world), f"X-Api-Key: {world.unknown}", method=method))
        await reader.read()
        writer.close()
        server.stop()

    return serve


def forbid(world: World) -> None:
    raise web.HTTPError(403, f"token={world.unknown}")


cases.logs(
    "tornado",
    {
        "access": by_tornado(lambda w: f"/a?token={w.unknown}", bool),
        "access_path": by_tornado(lambda w: f"/keys/{w.key}", bool),
        "refused_method": by_tornado(lambda w: f"/a?token={w.unknown}", bool, method="PUT"),
        "failed": by_tornado(lambda w: "/", refuse),
        "failed_uri": by_tornado(lambda w: f"/a?password={w.unknown}", lambda w: 1 / 0),
        "http_error": by_tornado(lambda w: "/", forbid),
    },
)
