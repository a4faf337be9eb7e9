"""gunicorn, werkzeug, wsgiref and http.server: access logs, error logs and refused requests."""

from __future__ import annotations

import http.server
import io
import socket
import sys
import wsgiref.handlers
from collections.abc import Callable
from typing import Any

import werkzeug.serving
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.sync import SyncWorker

from tests.keyring_core.redaction.leaks.case import World
from tests.keyring_core.redaction.libraries.ways import Tables, Way
from tests.keyring_core.redaction.libraries.web import COMBINED, REFUSED, REQUESTS, Raw, each, line, refuse, some

cases = Tables(__name__)


def by_gunicorn(raw: Raw, format_: str = "", app: Callable[[World, Any], Any] | None = None) -> Way:
    """Gunicorn's worker gets *raw* bytes."""

    def serve(world: World) -> None:
        config = Config()
        config.set("accesslog", "-")
        config.set("loglevel", "debug")
        if format_:
            config.set("access_log_format", format_)
        worker = SyncWorker(1, 1, [], None, 30, config, Logger(config))
        worker.alive = True

        def wsgi(environ: Any, start_response: Any) -> list[bytes]:
            if app is not None:
                app(world, environ)
            start_response("200 OK", [("X-Auth-Token", "x")])
            return [b"x"]

        worker.wsgi = wsgi
        ours, theirs = socket.socketpair()
        with socket.create_server(("127.0.0.1", 0)) as listener, ours:
            ours.sendall(raw(world))
            ours.shutdown(socket.SHUT_WR)
            worker.handle(listener, theirs, ("127.0.0.1", 5))

    return serve


WITH_ID = '%(h)s "%(r)s" %({x-request-id}i)s'

cases.logs(
    "gunicorn",
    each(REQUESTS | COMBINED, by_gunicorn)
    | each(some(REFUSED, "refused_line refused_header refused_header_name refused_method"), by_gunicorn)
    | {
        "failed": by_gunicorn(lambda w: line("/"), app=refuse),
        "failed_uri": by_gunicorn(REQUESTS["query"], app=lambda w, _: 1 / 0),
        "environ": by_gunicorn(
            lambda w: line("/", f"X-Api-Key: {w.unknown}"), app=lambda w, environ: refuse_with(environ)
        ),
        "authorization": by_gunicorn(
            lambda w: line("/", f"Authorization: Bearer {w.unknown}"), "Authorization: %({authorization}i)s"
        ),
        "cookie": by_gunicorn(lambda w: line("/", f"Cookie: sid={w.unknown}"), "Cookie: %({cookie}i)s"),
        "api_key": by_gunicorn(lambda w: line("/", f"X-Api-Key: {w.unknown}"), '"x-api-key": "%({x-api-key}i)s"'),
        "query_string": by_gunicorn(REQUESTS["query"], "%(U)s %(q)s"),
        "environment": by_gunicorn(
            lambda w: line("/", f"X-Api-Key: {w.unknown}"), "HTTP_X_API_KEY=%({http_x_api_key}e)s"
        ),
        # The line of a request with a header to mask, and without one that the format names.
        "id_and_authorization": by_gunicorn(
            lambda w: line(f"/?token={w.unknown}", f"Authorization: Bearer {w.unknown}"), WITH_ID
        ),
        "id_and_cookie": by_gunicorn(lambda w: line(f"/?token={w.unknown}", f"Cookie: sid={w.unknown}"), WITH_ID),
    },
)


def refuse_with(what: object) -> None:
    raise ValueError(f"cannot use {what}")


def handled(handler: type[Any], server: Any) -> Callable[[Raw], Way]:
    """A handler of the standard library's kind gets raw bytes."""

    def way(raw: Raw) -> Way:
        def serve(world: World) -> None:
            ours, theirs = socket.socketpair()
            with ours, theirs:
                ours.sendall(raw(world))
                ours.shutdown(socket.SHUT_WR)
                handler(theirs, ("127.0.0.1", 5), server)

        return serve

    return way


class Logging(http.server.BaseHTTPRequestHandler):
    """A handler whose lines go to stderr, as those of http.server do."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()


cases.logs(
    "http_server",
    each(
        REQUESTS | some(REFUSED, "refused_line refused_method refused_version"),
        handled(Logging, None),
    ),
    setup="stdio",
)


def wsgi_hello(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"x"]


with werkzeug.serving.make_server("127.0.0.1", 0, wsgi_hello) as WERKZEUG:
    """Handlers ask it for the application; it does not listen."""

cases.logs(
    "werkzeug",
    each(
        REQUESTS | some(REFUSED, "refused_line refused_method"),
        handled(werkzeug.serving.WSGIRequestHandler, WERKZEUG),
    ),
)


def by_wsgiref(app: Callable[[World], Any]) -> Way:
    """Wsgiref prints what an application raises."""

    def serve(world: World) -> None:
        def failing(environ: Any, start_response: Any) -> Any:
            app(world)

        wsgiref.handlers.SimpleHandler(io.BytesIO(), io.BytesIO(), sys.stderr, {"REQUEST_METHOD": "GET"}).run(failing)

    return serve


cases.logs("wsgiref", {"failed": by_wsgiref(refuse), "failed_value": by_wsgiref(lambda w: int(w.key))}, setup="stdio")
