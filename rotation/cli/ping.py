"""A call to a web address when a check begins and ends, so that a missing check is noticed.

The convention is that of healthchecks.io: URL/start, then URL or URL/fail. The URL is a secret and is never shown.
"""

from __future__ import annotations

import re
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException, InvalidURL
from urllib.parse import urlsplit, urlunsplit

from rotation.configuration.urls import expand_url
from rotation.model.failures import UsageError
from rotation.stores.watchdog import BackgroundCall

SECONDS = 5
"""How long a ping may take. With databases that do not answer, a check still takes less than half a minute."""


_CAUSES: Mapping[type[Exception], str] = {
    socket.gaierror: "unknown host",
    ConnectionRefusedError: "it refuses the connection",
    TimeoutError: "it does not answer",
    ssl.SSLCertVerificationError: "its TLS certificate is not valid here",
    ssl.SSLError: "TLS failed",
    ConnectionError: "it ended the connection",
    InvalidURL: "the url is malformed",
    HTTPException: "its answer is not HTTP",
    ValueError: "the url is malformed",
}


def ping_url(text: str, environ: Mapping[str, str]) -> str:
    """The URL in *text*, or in the variable that it names as `$NAME`. Raises UsageError, which shows no URL."""
    url = expand_url(text, environ, "--ping")
    if not re.fullmatch(r"https?://[\x21-\x7e]+", url):
        raise UsageError("--ping: a url begins with http:// or https:// and has no blanks in it")
    return url


def ping(url: str, end: str = "") -> str | None:
    """Calls *url* with *end* added to its path. Returns None, or why that failed, in words that do not show it."""
    # The timeout of urlopen is per read, and does not bound the name server: this bounds the whole call.
    call = BackgroundCall(lambda: _call(url, end))
    return call.result() if call.done(SECONDS + 1) else "the server does not answer"


def _call(url: str, end: str) -> str | None:
    try:
        with urllib.request.urlopen(_with_end(url, end), timeout=SECONDS) as answer:  # noqa: S310 - http only
            answer.read(1024)
    except urllib.error.HTTPError as error:
        error.close()
        return f"the server answered with code {error.code}"
    except (OSError, ValueError, HTTPException) as error:
        # Of a URLError the reason, which may be a text.
        return f"the server cannot be reached: {_words(getattr(error, 'reason', error))}"
    return None


def _words(cause: object) -> str:
    """Why a call failed, in words that show nothing of its address."""
    return next((words for kind, words in _CAUSES.items() if isinstance(cause, kind)), type(cause).__name__)


def _with_end(url: str, end: str) -> str:
    if not end:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{end}"))
