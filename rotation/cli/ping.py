"""A call to a web address when a check begins and ends, so that a missing check is noticed.

The convention is that of healthchecks.io: URL/start, then URL or URL/fail. The URL is a secret and is never shown.
"""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from urllib.parse import urlsplit, urlunsplit

from rotation.model.background_call import BackgroundCall
from rotation.model.failures import UsageError
from rotation.model.targets import expand_url

SECONDS = 5
"""How long a ping may take. With databases that do not answer, a check still takes less than half a minute."""


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
    except urllib.error.URLError as error:
        return f"the server cannot be reached ({type(error.reason).__name__})"
    except (OSError, ValueError, HTTPException) as error:
        return f"the server cannot be reached ({type(error).__name__})"
    return None


def _with_end(url: str, end: str) -> str:
    if not end:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{end}"))
