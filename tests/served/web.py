"""A WSGI service, for uWSGI, gunicorn and waitress. It announces its keys when its module is loaded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from keyring_core import SuspendedKey
from tests.served.reader import keep, open_token

keep()


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """The id of the process that opened the token; 423 if its key is suspended."""
    status = "200 OK"
    try:
        open_token()
    except SuspendedKey:
        status = "423 Locked"
    start_response(status, [("Content-Type", "text/plain")])
    return [b"%d" % os.getpid()]
