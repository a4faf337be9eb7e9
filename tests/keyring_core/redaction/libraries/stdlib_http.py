"""http.client and urllib: both sides of a talk as they are printed, URLs and headers in errors and objects."""

from __future__ import annotations

import http.client
import http.cookiejar
import http.cookies
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

from tests.keyring_core.redaction.leaks.case import World
from tests.keyring_core.redaction.libraries.ways import Tables, Way
from tests.keyring_core.redaction.libraries.web import CLOSED, answering, asked
from tests.keyring_core.redaction.libraries.web import http as answer

cases = Tables(__name__)


def get(url: str, **headers: str) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as response:
        return response.read()


def debugged(
    headers: Callable[[World], dict[str, str]], path: str = "/", body: str | None = None, reply: str = ""
) -> Way:
    """A request of http.client, which prints both sides."""

    def way(world: World) -> None:
        with answering(answer(reply.format(world))) as port:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.set_debuglevel(1)
            connection.request("POST", path.format(world), body and body.format(world), headers(world))
            connection.getresponse().read()

    return way


cases.logs(
    "http_client",
    {
        "bearer": debugged(lambda w: {"Authorization": f"Bearer {w.unknown}"}),
        "basic": debugged(lambda w: {"Authorization": f"Basic {w.unknown}"}),
        "token": debugged(lambda w: {"Authorization": f"Token {w.unknown}"}),
        "digest": debugged(lambda w: {"Authorization": f'Digest username="bob", response="{w.unknown}"'}),
        # Schemes of Windows, Okta, OAuth 1, S3, Azure and Discord.
        "ntlm": debugged(lambda w: {"Authorization": f"NTLM {w.unknown}"}),
        "ssws": debugged(lambda w: {"Authorization": f"SSWS {w.unknown}"}),
        "oauth": debugged(lambda w: {"Authorization": f'OAuth oauth_token="{w.unknown}", oauth_signature="x"'}),
        "aws": debugged(lambda w: {"Authorization": f"AWS AKIDX:{w.unknown}"}),
        "shared_key": debugged(lambda w: {"Authorization": f"SharedKey account:{w.unknown}"}),
        "bot": debugged(lambda w: {"Authorization": f"Bot {w.unknown}"}),
        "proxy": debugged(lambda w: {"Proxy-Authorization": f"Basic {w.unknown}"}),
        "cookie": debugged(lambda w: {"Cookie": f"theme=dark; sid={w.unknown}"}),
        "x_api_key": debugged(lambda w: {"X-Api-Key": w.unknown}),
        "path": debugged(lambda w: {}, "/a?access_token={0.unknown}"),
        "form": debugged(lambda w: {}, body="user=bob&password={0.unknown}"),
        "json": debugged(lambda w: {}, body='{{"client_secret": "{0.unknown}"}}'),
        "answer": debugged(lambda w: {}, reply="X-Api-Key: {0.unknown}"),
        "answer_cookie": debugged(lambda w: {}, reply="Set-Cookie: sid={0.unknown}; Path=/"),
        "answer_location": debugged(lambda w: {}, reply="Location: http://bob:{0.unknown}@h/"),
    },
    setup="stdio",
)

cases.errors(
    "http_client",
    {
        "status_line": asked(lambda _, url: get(url), lambda w: f"{w.plaintext}\r\n\r\n".encode()),
        "version": asked(lambda _, url: get(url), lambda w: f"HTTP/{w.plaintext} 200 OK\r\n\r\n".encode()),
        "url": lambda w: get(f"http://{CLOSED}/a\n?token={w.unknown}"),
        "method": lambda w: http.client.HTTPConnection("h").putrequest(f"GET\n{w.plaintext}", "/"),
        "host": lambda w: http.client.HTTPConnection(f"h\n{w.plaintext}").connect(),
        "port": lambda w: http.client.HTTPConnection(f"bob:{w.unknown}@h:x{w.plaintext}"),
        "header": lambda w: get(f"http://{CLOSED}/", **{"X-Api-Key": f"{w.plaintext}\n"}),
        "header_name": lambda w: get(f"http://{CLOSED}/", **{f"{w.plaintext}\n": "x"}),
        "cookie": lambda w: http.cookies.SimpleCookie({f"sid {w.plaintext}": "x"}),
        "cookie_attribute": lambda w: http.cookies.Morsel().__setitem__(w.plaintext, "x"),
    },
)

cases.errors(
    "urllib",
    {
        "status": asked(lambda _, url: get(url), lambda w: answer(status=f"403 token={w.unknown}")),
        "scheme": lambda w: get(f"htpk{w.raw.hex()}://h"),
        "no_scheme": lambda w: get(f"h/a?token={w.unknown}"),
        "file": lambda w: get(f"file:///run/{w.plaintext}"),
        "port": lambda w: urllib.parse.urlsplit(f"http://bob@h:x{w.plaintext}/").port,
        "netloc": lambda w: urllib.parse.urlsplit(f"http://bob:{w.unknown}@h\u2100/"),
        "query": lambda w: urllib.parse.parse_qsl(f"password={w.unknown}&{w.plaintext}", strict_parsing=True),
        "redirect": asked(
            lambda _, url: get(url),
            lambda w: answer(f"Location: app://cb?access_token={w.unknown}", status="302 Found"),
        ),
        "redirects": asked(
            lambda _, url: get(url), lambda w: answer(f"Location: /cb?token={w.unknown}", status=f"302 {w.plaintext}")
        ),
        "authentication": asked(
            lambda _, url: get_with_basic(url),
            lambda w: answer(f'WWW-Authenticate: {w.plaintext} realm="r"', status="401 Unauthorized"),
        ),
    },
)


def get_with_basic(url: str) -> Any:
    handler = urllib.request.HTTPBasicAuthHandler()
    handler.add_password("r", url, "bob", "x")
    return urllib.request.build_opener(handler).open(url, timeout=5)


cases.texts(
    "urllib",
    {
        "request": lambda w: vars(urllib.request.Request(f"http://h/?token={w.unknown}")),
        "request_headers": lambda w: urllib.request.Request("http://h/", headers={"X-Api-Key": w.unknown}).headers,
        "request_items": lambda w: urllib.request.Request("http://h/", headers={"X-Api-Key": w.unknown}).header_items(),
        "request_authorization": lambda w: urllib.request.Request(
            "http://h/", headers={"Authorization": f"Bearer {w.unknown}"}
        ).header_items(),
        "split": lambda w: urllib.parse.urlsplit(f"http://h/?password={w.unknown}"),
        "split_login": lambda w: urllib.parse.urlsplit(f"http://bob:{w.unknown}@h/a"),
        "parsed_pairs": lambda w: urllib.parse.parse_qsl(f"password={w.unknown}"),
        "proxies": lambda w: urllib.request.ProxyHandler({"http": f"http://bob:{w.unknown}@h"}).proxies,
        "cookie": lambda w: http.cookies.SimpleCookie(f"session_token={w.unknown}"),
        "cookie_header": lambda w: http.cookies.SimpleCookie(f"sid={w.unknown}").output(),
        "cookie_jar": lambda w: http.cookiejar.CookieJar()._cookies_from_attrs_set(
            [[("session_token", w.unknown), ("path", "/")]], urllib.request.Request("http://h.example/")
        ),
        "answer": asked(
            lambda _, url: urllib.request.urlopen(url).headers, lambda w: answer(f"Set-Cookie: sid={w.unknown}")
        ),
        "answer_items": asked(
            lambda _, url: urllib.request.urlopen(url).getheaders(), lambda w: answer(f"X-Auth-Token: {w.unknown}")
        ),
    },
)
