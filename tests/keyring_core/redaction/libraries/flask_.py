"""Flask, Werkzeug and Jinja2: requests in a log of Flask's, in objects, and what a template shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask
import jinja2
import werkzeug.datastructures
import werkzeug.exceptions
import werkzeug.routing
import werkzeug.test

from tests.keyring_core.redaction.leaks.case import World
from tests.keyring_core.redaction.libraries.ways import Tables, Way

cases = Tables(__name__)


def by_flask(show: Callable[[World], Any], target: str = "/", **options: Any) -> Way:
    """A view that fails with what *show* makes of its request: Flask logs it."""

    def way(world: World) -> None:
        app = flask.Flask("app")
        app.secret_key = "x"

        @app.route("/", methods=["GET", "POST"])
        def view() -> str:
            raise ValueError(f"cannot use {show(world)}")

        given = {name: value(world) if callable(value) else value for name, value in options.items()}
        app.test_client(use_cookies=False).open(target.format(world), **given)

    return way


def header(name: str, value: str = "{0.unknown}") -> Callable[[World], dict[str, str]]:
    return lambda world: {name: value.format(world)}


def environ(world: World, **headers: str) -> dict[str, Any]:
    return werkzeug.test.EnvironBuilder(query_string=f"token={world.unknown}", headers=headers).get_environ()


cases.logs(
    "flask",
    {
        "failed": by_flask(lambda w: f"password={w.unknown}"),
        "path": by_flask(lambda w: flask.request.full_path, "/?token={0.unknown}"),
        "url": by_flask(lambda w: flask.request.url, "/?access_token={0.unknown}"),
        "request": by_flask(lambda w: flask.request, "/?api_key={0.unknown}"),
        "headers": by_flask(lambda w: flask.request.headers, headers=header("X-Api-Key")),
        "headers_cookie": by_flask(lambda w: flask.request.headers, headers=header("Cookie", "sid={0.unknown}")),
        "headers_bearer": by_flask(
            lambda w: flask.request.headers, headers=header("Authorization", "Bearer {0.unknown}")
        ),
        "headers_digest": by_flask(
            lambda w: flask.request.headers,
            headers=header("Authorization", 'Digest username="bob", response="{0.unknown}"'),
        ),
        "header_list": by_flask(lambda w: repr(flask.request.headers), headers=header("X-Auth-Token")),
        "authorization": by_flask(
            lambda w: flask.request.authorization, headers=header("Authorization", "Bearer {0.unknown}")
        ),
        "environ": by_flask(lambda w: flask.request.environ, headers=header("X-Api-Key")),
        "environ_cookie": by_flask(lambda w: flask.request.environ, headers=header("Cookie", "sid={0.unknown}")),
        "cookies": by_flask(lambda w: flask.request.cookies, headers=header("Cookie", "session_token={0.unknown}")),
        "form": by_flask(lambda w: flask.request.form, method="POST", data=lambda w: {"password": w.unknown}),
        "form_dict": by_flask(
            lambda w: flask.request.form.to_dict(), method="POST", data=lambda w: {"password": w.unknown}
        ),
        "body": by_flask(lambda w: flask.request.get_data(), method="POST", data=lambda w: {"password": w.unknown}),
        "body_new_password": by_flask(
            lambda w: flask.request.get_data(), method="POST", data=lambda w: {"newpassword": w.unknown}
        ),
        "json": by_flask(lambda w: flask.request.json, method="POST", json=lambda w: {"client_secret": w.unknown}),
        "json_body": by_flask(
            lambda w: flask.request.get_data(as_text=True),
            method="POST",
            json=lambda w: {"keys": {"apiKey": w.unknown}},
        ),
        "values": by_flask(lambda w: flask.request.values, "/?password={0.unknown}"),
        "query": by_flask(lambda w: flask.request.query_string, "/?password={0.unknown}"),
        "session": by_flask(lambda w: flask.session.update(access_token=w.unknown) or flask.session),
        "config": by_flask(
            lambda w: flask.current_app.config.update(DB_PASSWORD=w.unknown) or flask.current_app.config
        ),
        "build": by_flask(lambda w: flask.url_for("view", _anchor=flask.url_for(w.plaintext))),
        "template": by_flask(lambda w: flask.render_template_string(f"{{% k{w.raw.hex()} %}}")),
        "status": by_flask(lambda w: werkzeug.exceptions.abort(int(w.plaintext))),
    },
)

cases.texts(
    "werkzeug",
    {
        "environ": lambda w: environ(w, **{"X-Api-Key": w.unknown}),
        "headers": lambda w: werkzeug.datastructures.Headers([("X-Api-Key", w.unknown)]),
        "headers_repr": lambda w: repr(werkzeug.datastructures.Headers({"X-Vault-Token": w.unknown})),
        "basic": lambda w: repr(
            werkzeug.datastructures.Authorization("basic", {"username": "b", "password": w.unknown})
        ),
        "basic_header": lambda w: {
            "Authorization": werkzeug.datastructures.Authorization(
                "basic", {"username": "b", "password": w.unknown}
            ).to_header()
        },
        "digest": lambda w: (
            "Authorization: "
            + werkzeug.datastructures.Authorization("digest", {"username": "b", "response": w.unknown}).to_header()
        ),
        "multi_dict": lambda w: werkzeug.datastructures.MultiDict({"password": w.unknown}),
        "combined": lambda w: werkzeug.datastructures.CombinedMultiDict([{"password": w.unknown}]),
        "response": lambda w: cookied(w).headers,
        "not_found": lambda w: werkzeug.exceptions.NotFound(f"no cell at ?token={w.unknown}"),
        "rule": lambda w: werkzeug.routing.Map([werkzeug.routing.Rule(f"/{w.plaintext}/<int:a>", endpoint="x")]),
        "url": lambda w: werkzeug.test.EnvironBuilder(base_url=f"http://bob:{w.unknown}@h/").base_url,
    },
)


def cookied(world: World) -> flask.Response:
    response = flask.Response("x")
    response.set_cookie("session", world.unknown)
    return response


STRICT = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=True)


def render(text: str, environment: jinja2.Environment = STRICT, **context: Any) -> str:
    return environment.from_string(text).render(context)


def show_line(world: World) -> None:
    """A traceback shows the line of the template in which it was raised."""
    (world.folder.parent / "x.html").write_text(f"{{{{ 1 / 0 }}}} password={world.unknown}")
    jinja2.Environment(loader=jinja2.FileSystemLoader(world.folder.parent)).get_template("x.html").render()


cases.errors(
    "jinja2",
    {
        "attribute": lambda w: render("{{ a[b] }}", a={}, b=w.plaintext),
        "method": lambda w: render("{{ a[b]() }}", a={"x": w.unknown}, b=w.key),
        "syntax": lambda w: render(f"{{% k{w.raw.hex()} %}}"),
        "filter": lambda w: render(f"{{{{ a|k{w.raw.hex()} }}}}"),
        "source_line": show_line,
        "template": lambda w: jinja2.Environment(loader=jinja2.DictLoader({})).get_template(f"{w.plaintext}.html"),
        "templates": lambda w: jinja2.Environment(loader=jinja2.DictLoader({})).select_template([w.key, "x"]),
    },
)
