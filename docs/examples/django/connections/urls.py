"""Stores a connection, and shows one."""

import json

import structlog
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from django.views.decorators.http import require_POST

from .models import Connection

log = structlog.get_logger(__name__)


@require_POST
def store(request: HttpRequest) -> JsonResponse:
    """POST {"name": ..., "api_key": ...}."""
    body = json.loads(request.body)
    connection = Connection.objects.create(name=body["name"], api_key=body["api_key"])
    log.info("connection.stored", name=connection.name)
    return JsonResponse({"name": connection.name}, status=201)


def show(_request: HttpRequest, name: str) -> JsonResponse:
    """The last four characters of the key."""
    connection = get_object_or_404(Connection, name=name)
    return JsonResponse({"name": connection.name, "api_key": f"...{connection.api_key[-4:]}"})


urlpatterns = [path("connections", store), path("connections/<name>", show)]
