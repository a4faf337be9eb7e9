"""A WSGI service, for uWSGI, gunicorn and waitress. It announces its keys when its module is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tests.served.reader import keep, open_token

keep()


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """The id of the process that opened the token."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % open_token()]
