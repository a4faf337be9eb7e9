"""Starlette and FastAPI: requests and answers as objects, and what a route raises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fastapi
from fastapi import exceptions as fastapi_errors
from starlette import datastructures, requests, responses

from tests.keyring_core.redaction.leaks.case import World
from tests.keyring_core.redaction.libraries.ways import Tables, Way

cases = Tables(__name__)


def scope(world: World, **headers: str) -> dict[str, Any]:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": "http",
        "method": "GET",
        "path": "/a",
        "server": ("h", 80),
        "scheme": "http",
        "query_string": f"token={world.unknown}".encode(),
        "headers": raw,
    }


def request(world: World, **headers: str) -> requests.Request:
    return requests.Request(scope(world, **headers))


cases.texts(
    "starlette",
    {
        "url": lambda w: request(w).url,
        "url_repr": lambda w: repr(datastructures.URL(f"http://h/?token={w.unknown}")),
        "url_login": lambda w: str(datastructures.URL(f"postgresql://bob:{w.unknown}@h/")),
        "database_secret": lambda w: f"{datastructures.URL(f'redis://:{w.unknown}@h/0')}",
        "query": lambda w: repr(request(w).query_params),
        "query_text": lambda w: request(w).query_params,
        "headers": lambda w: request(w, **{"X-Api-Key": w.unknown}).headers,
        "headers_raw": lambda w: request(w, **{"X-Api-Key": w.unknown}).headers.raw,
        "headers_items": lambda w: request(w, **{"X-Auth-Token": w.unknown}).headers.items(),
        "headers_twice": lambda w: datastructures.Headers(
            raw=[(b"x-api-key", w.unknown.encode()), (b"x-api-key", b"x")]
        ),
        "cookies": lambda w: request(w, Cookie=f"session_token={w.unknown}").cookies,
        "scope": lambda w: request(w, Cookie=f"sid={w.unknown}").scope,
        "form": lambda w: repr(datastructures.FormData([("password", w.unknown)])),
        "response": lambda w: starlette_cookied(w).raw_headers,
        "response_headers": lambda w: starlette_cookied(w).headers,
        "state": lambda w: vars(datastructures.State({"access_token": w.unknown})),
    },
)


def starlette_cookied(world: World) -> responses.Response:
    response = responses.Response("x")
    response.set_cookie("session", world.unknown)
    return response


def by_fastapi(act: Callable[[World], Any]) -> Way:
    """A route of FastAPI gets a request; what it raises, the server logs."""

    async def way(world: World) -> None:
        app = fastapi.FastAPI()
        app.get("/a")(lambda: act(world))

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            pass

        await app(scope(world) | {"root_path": "", "http_version": "1.1"}, receive, send)

    return way


def invalid(world: World) -> Any:
    raise fastapi_errors.RequestValidationError(
        [{"type": "missing", "loc": ("body",), "msg": "x", "input": {"password": world.unknown}}], body={}
    )


def wrong(world: World) -> Any:
    raise fastapi_errors.ResponseValidationError(
        [{"type": "missing", "loc": ("body",), "msg": "x", "input": {"apiKey": world.unknown}}], body=None
    )


cases.errors(
    "fastapi",
    {
        "request_invalid": invalid,
        "response_invalid": wrong,
        "route_failed": by_fastapi(lambda w: int(w.plaintext)),
        "route_http": lambda w: raise_(fastapi.HTTPException(403, {"token": w.unknown})),
        "route": lambda w: fastapi.FastAPI().url_path_for(w.plaintext),
    },
)


def raise_(error: Exception) -> None:
    raise error
