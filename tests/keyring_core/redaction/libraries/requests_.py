"""requests and urllib3: URLs, headers and bodies in their errors, their log and their objects."""

from __future__ import annotations

from typing import Any

import requests
import urllib3
from requests.auth import HTTPDigestAuth
from requests.cookies import RequestsCookieJar, create_cookie

from tests.keyring_core.redaction.leaks.case import World
from tests.keyring_core.redaction.libraries.ways import Tables
from tests.keyring_core.redaction.libraries.web import CLOSED, asked, http, of_urls

cases = Tables(__name__)


def get(url: str, **options: Any) -> requests.Response:
    return requests.get(url, timeout=5, **options)


def get_urllib3(url: str, **options: Any) -> Any:
    with urllib3.PoolManager(retries=options.pop("retries", urllib3.Retry(0))) as pool:
        return pool.request("GET", url, **options)


def prepared(**options: Any) -> requests.PreparedRequest:
    return requests.Request("POST", options.pop("url", "http://h/"), **options).prepare()


def jar(value: str, name: str = "sid") -> RequestsCookieJar:
    cookies = RequestsCookieJar()
    for domain in ("a.example", "b.example"):
        cookies.set(name, value, domain=domain)
    return cookies


def digest(world: World) -> Any:
    """The header that answers a server's challenge: a password can be guessed from its response."""
    auth = HTTPDigestAuth("bob", world.unknown)
    auth.init_per_thread_state()
    auth._thread_local.chal = {"realm": "r", "nonce": "n", "qop": "auth", "opaque": world.unknown}
    return {"sent": f"Authorization: {auth.build_digest_header('GET', 'http://h/')}"}


def refused(url: str) -> None:
    get(url).raise_for_status()


cases.errors(
    "requests",
    of_urls(get)
    | {
        "login_scheme": lambda w: get(f"htp://bob:{w.unknown}@h/a"),
        "no_scheme": lambda w: get(f"h/a?token={w.unknown}"),
        "status": asked(lambda w, url: refused(f"{url}/a?token={w.unknown}"), lambda _: http(status="403 Forbidden")),
        "status_path": asked(lambda w, url: refused(f"{url}/{w.plaintext}"), lambda _: http(status="500 Error")),
        "reason": asked(lambda _, url: refused(url), lambda w: http(status=f"401 password={w.unknown}")),
        "header_value": lambda w: get("http://h/", headers={"X-Api-Key": f"{w.plaintext}\n"}),
        "header_type": lambda w: get("http://h/", headers={"Authorization": [w.plaintext]}),
        "header_name": lambda w: get("http://h/", headers={f"{w.plaintext}\n": "x"}),
        "many_cookies": lambda w: jar("x", w.plaintext)[w.plaintext],
        "redirects": asked(
            lambda _, url: get(url),
            lambda w: http(f"Location: http://{CLOSED}/cb?access_token={w.unknown}", status="302 Found"),
        ),
        "redirect_scheme": asked(
            lambda _, url: get(url), lambda w: http(f"Location: app://cb?access_token={w.unknown}", status="302 Found")
        ),
        "cookie": lambda w: create_cookie("sid", "x", **{w.plaintext: 1}),
        "certificate": lambda w: get("https://127.0.0.1:1/", verify=f"/run/{w.plaintext}"),
        "adapter": lambda w: requests.Session().get_adapter(f"app://bob:{w.unknown}@h"),
    },
)

cases.errors(
    "urllib3",
    of_urls(get_urllib3, "query path signature fernet_token")
    | {
        "retries": lambda w: get_urllib3(f"http://{CLOSED}/a?password={w.unknown}", retries=urllib3.Retry(1)),
        "host": lambda w: urllib3.connectionpool.connection_from_url(f"http://{w.plaintext}").request("GET", "//x y"),
        "other_host": lambda w: urllib3.HTTPConnectionPool("h").request("GET", f"http://b/?token={w.unknown}"),
        "retry_option": lambda w: urllib3.Retry(**{w.plaintext: 1}),
        "chunk": asked(
            lambda _, url: get_urllib3(url),
            lambda w: f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{w.plaintext}\r\n".encode(),
        ),
        "status_line": asked(lambda _, url: get_urllib3(url), lambda w: f"{w.plaintext}\r\n\r\n".encode()),
    },
)

cases.logs(
    "requests",
    {
        "request_line": asked(lambda w, url: get(f"{url}/a?password={w.unknown}")),
        "request_line_encoded": asked(lambda w, url: get(f"{url}/a", params={"q": f"password={w.unknown}"})),
        "request_line_path": asked(lambda w, url: get(f"{url}/keys/{w.token}")),
        "request_line_json": asked(lambda w, url: get(f"{url}/a", params={"q": f'{{"token": "{w.unknown}"}}'})),
        "retried": lambda w: get_urllib3(f"http://{CLOSED}/a?token={w.unknown}", retries=urllib3.Retry(1)),
        "redirected": asked(
            lambda _, url: get_urllib3(url, retries=1),
            lambda w: http(f"Location: http://{CLOSED}/cb?access_token={w.unknown}", status="302 Found"),
        ),
        "resolved": lambda w: get(f"http://{w.plaintext}.invalid/a?token={w.unknown}"),
        "malformed_header": asked(lambda _, url: get_urllib3(url), lambda w: http(f"{w.plaintext} oops")),
    },
)

cases.texts(
    "requests",
    {
        "bearer": lambda w: prepared(headers={"Authorization": f"Bearer {w.unknown}"}).headers,
        "basic": lambda w: prepared(auth=("bob", w.unknown)).headers,
        "digest": digest,
        "cookies": lambda w: prepared(cookies={"sid": w.unknown}).headers,
        "form": lambda w: prepared(data={"user": "bob", "password": w.unknown}).body,
        "json": lambda w: prepared(json={"client_secret": w.unknown}).body,
        "url": lambda w: prepared(url="http://h/", params={"api_key": w.unknown}).url,
        "arguments": lambda w: vars(prepared(headers={"X-Api-Key": w.unknown})),
        "cookie_jar": lambda w: jar(w.plaintext),
        "cookie_jar_named": lambda w: jar(w.unknown, "session_token"),
        "cookie_dict": lambda w: jar(w.unknown, "auth_token").get_dict("a.example"),
        "set_cookie": asked(lambda _, url: get(url).headers, lambda w: http(f"Set-Cookie: sid={w.unknown}; Path=/")),
        "answer_headers": asked(lambda _, url: get(url).headers, lambda w: http(f"X-Auth-Token: {w.unknown}")),
        "answer": asked(lambda _, url: get(url).text, lambda w: http(body=f'{{"access_token": "{w.unknown}"}}')),
        "answer_bytes": asked(lambda _, url: get(url).content, lambda w: http(body=f'{{"password": "{w.unknown}"}}')),
        "answer_json": asked(
            lambda _, url: get(url).json(), lambda w: http(body=f'{{"keys": [{{"secret": "{w.unknown}"}}]}}')
        ),
    },
)

cases.texts(
    "urllib3",
    {
        "url": lambda w: urllib3.util.parse_url(f"http://bob:{w.unknown}@h/a"),
        "url_fields": lambda w: repr(urllib3.util.parse_url(f"http://bob:{w.plaintext}@h/a?token={w.unknown}")),
        "headers": lambda w: urllib3.HTTPHeaderDict({"Set-Cookie": f"sid={w.unknown}; Path=/"}),
        "headers_repr": lambda w: repr(urllib3.HTTPHeaderDict({"Authorization": f"Token {w.unknown}"})),
    },
)
