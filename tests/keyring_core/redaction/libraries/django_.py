"""Django and Django REST framework: requests, statements and values in their loggers, errors and objects."""

from __future__ import annotations

from typing import Any

import django
from django import forms
from django.conf import settings
from django.core import exceptions, serializers, signing, validators
from django.db import connection, models
from django.db.utils import ConnectionHandler
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template import engines
from django.test import Client, RequestFactory
from django.urls import path, resolve, reverse

from tests.keyring_core.redaction.leaks.case import World
from tests.keyring_core.redaction.libraries.ways import Tables

settings.configure(
    SECRET_KEY="x",
    DEBUG=False,
    ALLOWED_HOSTS=["h", "testserver"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    LOGGING_CONFIG=None,
    USE_TZ=True,
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    REST_FRAMEWORK={"UNAUTHENTICATED_USER": None, "DEFAULT_AUTHENTICATION_CLASSES": []},
)
django.setup()
# Logs statements, as DEBUG does.
connection.force_debug_cursor = True

from rest_framework import exceptions as drf  # noqa: E402 - after Django is set up
from rest_framework import serializers as rest  # noqa: E402
from rest_framework.request import Request  # noqa: E402

cases = Tables(__name__)


class Cell(models.Model):
    token = models.CharField(max_length=300, unique=True)
    number = models.IntegerField(null=True)
    password = models.CharField(max_length=300, default="x")

    class Meta:
        """Belongs to no installed app."""

        app_label = "cells"


class Login(forms.Form):
    password = forms.CharField()
    kind = forms.ChoiceField(choices=[("a", "a")])


class LoginSerializer(rest.Serializer[Any]):
    password = rest.CharField()
    number = rest.IntegerField()


def view(request: HttpRequest, key: str = "") -> HttpResponse:
    """Fails as it is asked to."""
    if "fail" in request.GET:
        raise ValueError(f"cannot use {getattr(request, request.GET['fail'])}")
    if "deny" in request.GET:
        raise exceptions.PermissionDenied(request.GET["deny"])
    if "suspect" in request.GET:
        raise exceptions.SuspiciousOperation(request.GET["suspect"])
    return HttpResponse("x")


urlpatterns = [path("view/", view), path("keys/<int:key>/", view, name="key")]


def get(target: str, **headers: str) -> None:
    Client(raise_request_exception=False).get(target, headers=headers)


def request(world: World, **headers: str) -> HttpRequest:
    return RequestFactory().get(f"/view/?token={world.unknown}", headers=headers)


def in_table(*values: str, **options: Any) -> None:
    with connection.schema_editor() as editor:
        editor.create_model(Cell)
    try:
        for value in values:
            Cell.objects.create(token=value, **options)
        Cell.objects.filter(token=values[0]).get(number=7)
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(Cell)


def render(text: str, **context: Any) -> str:
    return engines["django"].from_string(text).render(context)


cases.logs(
    "django",
    {
        "not_found": lambda w: get(f"/keys/{w.key}/"),
        "not_found_query": lambda w: get(f"/nothing/?token={w.unknown}"),
        "denied": lambda w: get(f"/view/?deny=password={w.unknown}"),
        "suspect": lambda w: get(f"/view/?suspect=token={w.unknown}"),
        "failed_headers": lambda w: get("/view/?fail=headers", **{"X-Api-Key": w.unknown}),
        "failed_authorization": lambda w: get("/view/?fail=headers", Authorization=f"Bearer {w.unknown}"),
        "failed_meta": lambda w: get("/view/?fail=META", **{"X-Api-Key": w.unknown}),
        "failed_cookies": lambda w: get("/view/?fail=COOKIES", Cookie=f"session_token={w.unknown}"),
        "failed_meta_cookie": lambda w: get("/view/?fail=META", Cookie=f"sid={w.unknown}"),
        "failed_path": lambda w: get(f"/view/?fail=get_full_path&password={w.unknown}"),
        "statement": lambda w: in_table(w.plaintext),
        "statement_bytes": lambda w: connection.cursor().execute("SELECT %s", [w.key]),
        "statement_failed": lambda w: connection.cursor().execute(f"SELECT '{w.plaintext}' FROM nothing"),
        "template": lambda w: render("{{ a.x }}", a={"password": w.unknown}),
        "template_missing": lambda w: render("{{ a.b.c }}", a={"b": w.plaintext}),
    },
)

cases.errors(
    "django",
    {
        "no_row": lambda w: Cell.objects.none().get(**{w.plaintext: 1}),
        "lookup": lambda w: Cell.objects.filter(**{f"token__{w.plaintext}": 1}),
        "field": lambda w: Cell(**{w.plaintext: 1}),
        "number": lambda w: in_table("t", number=w.plaintext),
        "clean_fields": lambda w: models.IntegerField().clean(w.plaintext, None),
        "date": lambda w: models.DateField().to_python(w.plaintext),
        "email": lambda w: validators.EmailValidator(message=f"{w.plaintext} is no address")("x"),
        "uuid": lambda w: models.UUIDField().to_python(w.plaintext),
        "signature": lambda w: signing.Signer().unsign(f"x:{w.plaintext}"),
        "reverse": lambda w: reverse("key", kwargs={"token": w.unknown}),
        "reverse_name": lambda w: reverse(w.plaintext),
        "reverse_arguments": lambda w: reverse("key", args=[w.plaintext]),
        "resolve": lambda w: resolve(f"/keys/{w.key}/x"),
        "template_syntax": lambda w: render(f"{{% k{w.raw.hex()} %}}"),
        "template_filter": lambda w: render(f"{{{{ a|k{w.raw.hex()} }}}}"),
        "template_value": lambda w: render("{% widthratio a 1 b %}", a=1, b=w.plaintext),
        "host": lambda w: RequestFactory().get("/", headers={"host": f"{w.plaintext}_"}).get_host(),
        "query": lambda w: QueryDict(f"password={w.unknown}")[w.plaintext],
        "database": lambda w: ConnectionHandler({"default": {"ENGINE": w.plaintext}})["default"],
        "rest_choice": lambda w: rest.ChoiceField(["a"]).run_validation(w.plaintext),
        "rest_invalid": lambda w: raise_(drf.ValidationError(f"{{'password': '{w.unknown}'}}")),
        "rest_denied": lambda w: raise_(drf.AuthenticationFailed(f"wrong password: {w.unknown}9")),
        "rest_parse": lambda w: raise_(drf.ParseError(f'{{"password": "{w.unknown}"}}')),
        "rest_media": lambda w: raise_(drf.UnsupportedMediaType(w.plaintext)),
        "rest_date": lambda w: rest.SlugRelatedField("token", queryset=Cell.objects.all()).fail(
            "does_not_exist", slug_name="token", value=w.plaintext
        ),
    },
)


def raise_(error: Exception) -> None:
    raise error


cases.texts(
    "django",
    {
        "headers": lambda w: request(w, **{"X-Api-Key": w.unknown}).headers,
        "meta": lambda w: request(w, **{"X-Api-Key": w.unknown}).META,
        "meta_cookie": lambda w: request(w, Cookie=f"sid={w.unknown}").META,
        "meta_own_scheme": lambda w: request(w, Authorization=f"SSWS {w.unknown}").META,
        "meta_authorization": lambda w: request(w, Authorization=f"Basic {w.unknown}").META,
        "request": lambda w: repr(request(w)),
        "path": lambda w: request(w).build_absolute_uri(),
        "cookies": lambda w: request(w, Cookie=f"session_token={w.unknown}").COOKIES,
        "query_encoded": lambda w: QueryDict(f"password={w.unknown}").urlencode(),
        "query_dict": lambda w: QueryDict(f"password={w.unknown}").dict(),
        "query_items": lambda w: list(QueryDict(f"password={w.unknown}").items()),
        "answer_cookies": lambda w: cookied(w).cookies,
        "answer_headers": lambda w: vars(HttpResponse("x", headers={"X-Auth-Token": w.unknown})),
        "form": lambda w: Login({"password": w.unknown, "kind": "a"}).as_p(),
        "form_data": lambda w: Login({"password": w.unknown}).data,
        "form_errors": lambda w: Login({"kind": w.plaintext, "password": "x"}).errors.as_json(),
        "model": lambda w: vars(Cell(token=w.unknown)),
        "values": lambda w: {"password": Cell(password=w.unknown).password},
        "serialized": lambda w: serializers.serialize("json", [Cell(password=w.unknown)]),
        "serialized_xml": lambda w: serializers.serialize("xml", [Cell(token=w.plaintext)]),
        "statement": lambda w: Cell.objects.filter(token=w.plaintext).query,
        "condition": lambda w: models.Q(password=w.unknown),
        "rest_serializer": lambda w: repr(LoginSerializer(data={"password": w.unknown})),
        "rest_data": lambda w: LoginSerializer({"password": w.unknown, "number": 1}).data,
        "rest_request": lambda w: Request(request(w, Authorization=f"Token {w.unknown}")).META,
    },
)


def cookied(world: World) -> HttpResponse:
    response = HttpResponse("x")
    response.set_cookie("sessionid", world.unknown)
    return response
