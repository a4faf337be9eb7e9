"""httpx, httpcore and hpack: URLs, and headers as pairs of bytes, in their log at DEBUG, in errors and in objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hpack
import httpcore
import httpx

from tests.keyring_core.redaction.leaks.case import World
from tests.keyring_core.redaction.libraries.ways import Tables, Way
from tests.keyring_core.redaction.libraries.web import CLOSED, asked, http

cases = Tables(__name__)

# Headers of an answer: httpcore logs them as pairs of bytes.
ANSWERED: dict[str, Callable[[World], str]] = {
    "set_cookie": lambda w: f"Set-Cookie: sid={w.unknown}; Path=/; HttpOnly",
    "two_cookies": lambda w: f"Set-Cookie: theme=dark\nSet-Cookie: sid={w.unknown}",
    "set_cookie_small": lambda w: f"set-cookie: sid={w.unknown}",
    "x_auth_token": lambda w: f"X-Auth-Token: {w.unknown}",
    "x_api_key": lambda w: f"X-Api-Key: {w.unknown}",
    "vault_token": lambda w: f"X-Vault-Token: {w.unknown}",
    "csrf_token": lambda w: f"X-CSRF-Token: {w.unknown}",
    "authorization": lambda w: f"Authorization: Bearer {w.unknown}",
    "digest": lambda w: f'Authorization: Digest username="bob", realm="r", response="{w.unknown}"',
    "hmac": lambda w: f"Authorization: Hawk id=x, mac={w.unknown}",
    "location": lambda w: f"Location: http://{CLOSED}/cb?access_token={w.unknown}",
    "location_login": lambda w: f"Location: http://bob:{w.unknown}@{CLOSED}/",
    "link": lambda w: f"Link: <http://h/a?page=2&api_key={w.unknown}>; rel=next",
    "json": lambda w: f'X-Context: {{"password": "{w.unknown}"}}',
    "registered": lambda w: f"X-Echo: {w.plaintext}",
    "fernet_token": lambda w: f"X-Cell: {w.token}",
}


def get(url: str, **options: Any) -> httpx.Response:
    with httpx.Client(timeout=5) as client:
        return client.request(options.pop("method", "GET"), url, **options)


async def get_async(url: str, **options: Any) -> httpx.Response:
    async with httpx.AsyncClient(timeout=5) as client:
        return await client.get(url, **options)


def answered(headers: Callable[[World], str]) -> Way:
    return asked(lambda _, url: get(url), lambda w: http(headers(w)))


def request(world: World, url: str = "http://h/", **options: Any) -> httpx.Request:
    return httpx.Request("POST", url, **options)


def response(world: World, **options: Any) -> httpx.Response:
    return httpx.Response(403, request=request(world, f"http://h/?token={world.unknown}"), **options)


def encoded(*headers: tuple[str, str]) -> None:
    """What HTTP/2 compresses: its encoder logs every header."""
    block = hpack.Encoder().encode(headers)
    hpack.Decoder().decode(block)


cases.logs(
    "httpx",
    {name: answered(headers) for name, headers in ANSWERED.items()}
    | {
        "request": asked(lambda w, url: get(f"{url}/a?access_token={w.unknown}")),
        "request_encoded": asked(lambda w, url: get(f"{url}/a", params={"next": f"/x?password={w.unknown}"})),
        "request_json": asked(lambda w, url: get(f"{url}/a", params={"q": f'{{"secret": "{w.unknown}"}}'})),
        "request_path": asked(lambda w, url: get(f"{url}/keys/{w.key}")),
        "request_login": asked(lambda w, url: get(url.replace("//", f"//bob:{w.plaintext}@") + f"/?token={w.unknown}")),
        "reason": asked(lambda _, url: get(url), lambda w: http(status=f"401 password={w.unknown}")),
        "async": asked(
            lambda w, url: get_async(f"{url}/a?token={w.unknown}"), lambda w: http(f"X-Api-Key: {w.unknown}")
        ),
        "proxy": asked(
            lambda w, url: httpx.get(f"http://h/?token={w.unknown}", proxy=url.replace("//", f"//bob:{w.unknown}@"))
        ),
        "malformed": asked(lambda _, url: get(url), lambda w: f"{w.plaintext}\r\n\r\n".encode()),
        "resolved": lambda w: get(f"http://{w.plaintext}.invalid/"),
        "unix_socket": lambda w: httpcore.ConnectionPool(uds=f"/run/{w.plaintext}").request("GET", "http://h/"),
    },
)

cases.logs(
    "hpack",
    {
        "authorization": lambda w: encoded(("authorization", f"Bearer {w.unknown}")),
        "basic": lambda w: encoded(("authorization", f"Basic {w.unknown}")),
        "cookie": lambda w: encoded(("cookie", f"sid={w.unknown}")),
        "x_api_key": lambda w: encoded(("x-api-key", w.unknown)),
        "path": lambda w: encoded((":path", f"/a?access_token={w.unknown}")),
        "registered": lambda w: encoded(("x-echo", w.plaintext)),
    },
)

cases.errors(
    "httpx",
    {
        "status": lambda w: response(w).raise_for_status(),
        "status_location": lambda w: httpx.Response(
            302, request=request(w), headers={"Location": f"/cb?access_token={w.unknown}"}
        ).raise_for_status(),
        "port": lambda w: get(f"http://bob@h:{w.plaintext}/"),
        "host": lambda w: get(f"http://{w.plaintext}é$/"),
        "url_type": lambda w: get([w.plaintext]),
        "proxy_port": lambda w: httpx.get("http://h/", proxy=f"http://bob:x@h:{w.plaintext}"),
        "cookies": lambda w: two_cookies(w)[w.plaintext],
        "redirect": asked(
            lambda _, url: get(url, follow_redirects=True),
            lambda w: http(f"Location: app{w.plaintext}://cb", status="302 Found"),
        ),
        "option": lambda w: get("http://h/", **{w.plaintext: 1}),
    },
)


def two_cookies(world: World) -> httpx.Cookies:
    cookies = httpx.Cookies()
    for domain in ("a.example", "b.example"):
        cookies.set(world.plaintext, "x", domain=domain)
    return cookies


cases.texts(
    "httpx",
    {
        "request": lambda w: request(w, f"http://h/?password={w.unknown}"),
        "headers": lambda w: request(w, headers={"X-Api-Key": w.unknown}).headers,
        "raw_headers": lambda w: request(w, headers={"X-Api-Key": w.unknown}).headers.raw,
        "raw_cookie": lambda w: request(w, cookies={"sid": w.unknown}).headers.raw,
        "raw_authorization": lambda w: request(w, headers={"Authorization": f"Token {w.unknown}"}).headers.raw,
        "header_items": lambda w: request(w, headers={"X-Auth-Token": w.unknown}).headers.multi_items(),
        "body": lambda w: request(w, json={"password": w.unknown}).content,
        "form": lambda w: request(w, data={"client_secret": w.unknown, "x": "1"}).content,
        "url": lambda w: str(httpx.URL(f"http://bob:{w.unknown}@h/")),
        "url_repr": lambda w: repr(httpx.URL(f"http://h/?token={w.unknown}")),
        "parameters": lambda w: repr(httpx.QueryParams({"password": w.unknown})),
        "basic": lambda w: next(httpx.BasicAuth("bob", w.unknown).auth_flow(request(w))).headers.raw,
        "cookies": lambda w: httpx.Cookies({"session_token": w.unknown}),
        "httpcore_request": lambda w: vars(httpcore.Request("GET", f"http://h/?token={w.unknown}")),
        "httpcore_headers": lambda w: httpcore.Request("GET", "http://h/", headers={"X-Api-Key": w.unknown}).headers,
    },
)
