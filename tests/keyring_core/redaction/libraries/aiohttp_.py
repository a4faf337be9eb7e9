"""aiohttp as a client and as a server, with yarl and multidict: URLs and headers in errors, logs and objects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import multidict
import yarl
from aiohttp import web

from tests.keyring_core.redaction.leaks.case import World
from tests.keyring_core.redaction.libraries.ways import Tables, Way
from tests.keyring_core.redaction.libraries.web import asked, http

cases = Tables(__name__)


async def get(url: Any, **options: Any) -> Any:
    async with aiohttp.ClientSession(raise_for_status=True) as session, session.get(url, **options) as response:
        return await response.json()


async def info(url: str, **headers: str) -> Any:
    """What a refused request was, as its error keeps it."""
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.request_info


async def answer_of(url: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response


def served(
    raw: Callable[[World], bytes], handler: Callable[[World, web.Request], Any] | None = None, **options: Any
) -> Way:
    """A server of aiohttp's gets *raw* bytes."""

    async def serve(world: World) -> None:
        async def handle(request: web.Request) -> web.StreamResponse:
            if handler is not None:
                handler(world, request)
            return web.Response(text="x")

        runner = web.ServerRunner(web.Server(handle, **options))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        reader, writer = await asyncio.open_connection(*runner.addresses[0])
        writer.write(raw(world))
        await reader.read()
        writer.close()
        await runner.cleanup()

    return serve


def line(target: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: h", "Connection: close", *headers, "", ""]).encode()


def fail(text: str) -> None:
    raise ValueError(text)


cases.errors(
    "aiohttp",
    {
        "status": asked(lambda w, url: get(f"{url}/a?token={w.unknown}"), lambda _: http(status="403 Forbidden")),
        "status_path": asked(lambda w, url: get(f"{url}/keys/{w.key}"), lambda _: http(status="404 Not Found")),
        "reason": asked(lambda _, url: get(url), lambda w: http(status=f"401 password={w.unknown}")),
        "content_type": asked(
            lambda w, url: get(f"{url}/?api_key={w.unknown}"), lambda _: http("Content-Type: text/css")
        ),
        "content_type_header": asked(lambda _, url: get(url), lambda w: http(f"Content-Type: text/{w.plaintext}")),
        "redirect": asked(
            lambda _, url: get(url), lambda w: http(f"Location: app://cb?access_token={w.unknown}", status="302 Found")
        ),
        "redirects": asked(
            lambda w, url: get(f"{url}/a?token={w.unknown}", max_redirects=1),
            lambda w: http(f"Location: /cb?token={w.unknown}", status="302 Found"),
        ),
        "malformed_header": asked(lambda _, url: get(url), lambda w: http(f"{w.plaintext} oops")),
        "malformed_line": asked(lambda _, url: get(url), lambda w: f"{w.plaintext}\r\n\r\n".encode()),
        "url": lambda w: get(f"http:///{w.plaintext}"),
        "url_port": lambda w: get(f"http://bob:{w.unknown}@h:99999999/a"),
        "url_scheme": lambda w: get(f"htp://bob:{w.unknown}@h/?token={w.unknown}"),
        "no_host": lambda w: get(f"h/a?token={w.unknown}"),
        "resolved": lambda w: get(f"http://{w.plaintext}.invalid/"),
        "option": lambda w: get("http://h/", **{w.plaintext: 1}),
        "yarl_host": lambda w: yarl.URL.build(scheme="http", host=f"{w.plaintext} x"),
        "multidict": lambda w: multidict.CIMultiDict({"a": 1})[w.plaintext],
    },
)

cases.texts(
    "aiohttp",
    {
        "request_info": asked(lambda w, url: info(f"{url}/?token={w.unknown}")),
        "request_headers": asked(lambda w, url: info(url, **{"X-Api-Key": w.unknown})),
        "request_authorization": asked(lambda w, url: info(url, Authorization=f"Bearer {w.unknown}")),
        "request_cookie": asked(lambda w, url: info(url, Cookie=f"sid={w.unknown}")),
        "answer": asked(lambda _, url: answer_of(url), lambda w: http(f"Set-Cookie: sid={w.unknown}; Path=/")),
        "answer_header": asked(lambda _, url: answer_of(url), lambda w: http(f"X-Auth-Token: {w.unknown}")),
        "basic": lambda w: aiohttp.BasicAuth("bob", w.plaintext),
        "basic_named": lambda w: repr(aiohttp.BasicAuth("bob", w.unknown)),
        "basic_encoded": lambda w: {"Authorization": aiohttp.BasicAuth("bob", w.unknown).encode()},
        "form": lambda w: aiohttp.FormData({"password": w.unknown})()._value,
        "yarl": lambda w: yarl.URL(f"http://bob:{w.unknown}@h/a"),
        "yarl_repr": lambda w: repr(yarl.URL("http://h/") % {"access_token": w.unknown}),
        "yarl_query": lambda w: yarl.URL(f"http://h/?password={w.unknown}").query,
        "multidict": lambda w: repr(multidict.CIMultiDict({"X-Api-Key": w.unknown})),
        "multidict_cookie": lambda w: repr(multidict.CIMultiDict({"Cookie": f"sid={w.unknown}"})),
    },
)

cases.logs(
    "aiohttp",
    {
        "access": served(lambda w: line(f"/a?token={w.unknown}")),
        "access_path": served(lambda w: line(f"/keys/{w.key}")),
        "access_referer": served(lambda w: line("/", f"Referer: http://h/cb?access_token={w.unknown}")),
        "access_agent": served(lambda w: line("/", f"User-Agent: x {w.plaintext}")),
        "access_cookie": served(
            lambda w: line("/", f"Cookie: sid={w.unknown}"), access_log_format="%r Cookie: %{Cookie}i"
        ),
        "access_authorization": served(
            lambda w: line("/", f"Authorization: Bearer {w.unknown}"),
            access_log_format="Authorization: %{Authorization}i",
        ),
        "access_digest": served(
            lambda w: line("/", f'Authorization: Digest username="bob", response="{w.unknown}"'),
            access_log_format="Authorization: %{Authorization}i",
        ),
        "malformed": served(lambda w: f"GET / HTTP/1.1\r\n{w.plaintext} oops: x\r\n\r\n".encode()),
        "malformed_line": served(lambda w: f"{w.plaintext}\r\n\r\n".encode()),
        "handler": served(lambda w: line("/"), lambda w, _: fail(f"password={w.unknown}")),
        "handler_headers": served(
            lambda w: line("/", f"X-Api-Key: {w.unknown}"), lambda w, request: fail(f"{request.headers}")
        ),
        "handler_raw_headers": served(
            lambda w: line("/", f"X-Api-Key: {w.unknown}"), lambda w, request: fail(f"{request.raw_headers}")
        ),
    },
)


async def unclosed(world: World) -> None:
    """The event loop reports a session that nobody closed."""
    session = aiohttp.ClientSession(headers={"X-Api-Key": world.unknown})
    asyncio.get_running_loop().call_exception_handler(
        {"message": "Unclosed client session", "client_session": session, "headers": session.headers}
    )
    await session.close()


cases.logs("aiohttp_loop", {"unclosed": unclosed})
