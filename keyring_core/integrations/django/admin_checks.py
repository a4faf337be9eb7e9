"""The check of the admin's pages: options that would search, filter or order by an encrypted column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models.constants import LOOKUP_SEP

from keyring_core.integrations.cells import Cells, ValueKind
from keyring_core.integrations.django.checks import compared_in, message
from keyring_core.integrations.django.index_field import BlindIndexField

_TAKE_OUT = "Take it out."
_SHOW = (
    "Show it by a method with @admin.display: an address with ?o= orders by every field in list_display, whatever "
    "sortable_by says."
)


def check_admin(**_: object) -> list[CheckMessage]:
    """W005, of each model that is registered with a site of the admin."""
    if not apps.is_installed("django.contrib.admin"):
        return []
    from django.contrib.admin.sites import all_sites  # noqa: PLC0415 - imports models of other apps

    pages = [
        (model, site.get_model_admin(model))
        for site in all_sites
        for model in apps.get_models()
        if site.is_registered(model)
    ]
    return [
        message("W005", f"{option} has {name}: that page would fail.", hint, type(page))
        for model, page in pages
        for option, name, hint in _faults(model, page)
    ]


def _faults(model: type[models.Model], page: Any) -> Iterator[tuple[str, str, str]]:
    """Each option, the name in it, and what to do."""
    for name in page.search_fields:
        if hint := _fault_of_search(model, name):
            yield "search_fields", name, hint
    for each in page.list_filter:
        # A filter of the application's own may look for NULL alone.
        name, kind = each if isinstance(each, list | tuple) else (each, None)
        if isinstance(name, str) and (kind is None or kind.__module__.startswith("django.contrib.admin.")):
            field, _ = _field_at(model, name)
            if _is_encrypted(field) or isinstance(field, BlindIndexField):
                yield "list_filter", name, _TAKE_OUT
    if page.date_hierarchy and _is_encrypted(_field_at(model, page.date_hierarchy)[0]):
        yield "date_hierarchy", page.date_hierarchy, _TAKE_OUT
    for name in _encrypted_in(model, page.ordering or ()):
        yield "ordering", name, _TAKE_OUT
    for each in page.list_display:
        if isinstance(each, str) and _is_encrypted(_field_at(model, each)[0]):
            yield "list_display", each, _SHOW
        shown = (getattr(page, each, None) or getattr(model, each, None)) if isinstance(each, str) else each
        for name in _encrypted_in(model, [getattr(shown, "admin_order_field", None) or ()]):
            yield "admin_order_field", name, _TAKE_OUT


def _fault_of_search(model: type[models.Model], name: str) -> str | None:
    """What to do about *name* in `search_fields`, whose words are text; None if it works."""
    path = name.lstrip("^=@")
    field, lookups = _field_at(model, path)
    if _is_encrypted(field):
        return "Search by a BlindIndexField of it: its name and __exact."
    if not isinstance(field, BlindIndexField):
        return None
    cells = field.source.cells
    if cells.kind is not ValueKind.TEXT or cells.of is not None:
        return "Take it out: the words of a search are text, and its values are not."
    if name == path and lookups == ["exact"]:
        return None
    end = LOOKUP_SEP.join(["", *lookups])
    return f'Write "{path.removesuffix(end)}__exact": an index finds equal values alone.'


def _encrypted_in(model: type[models.Model], ordering: Any) -> list[str]:
    """The encrypted fields that *ordering*, names or expressions, orders by."""
    names = [each.removeprefix("-") if isinstance(each, str) else [*compared_in(each)] for each in ordering]
    flat = [name for each in names for name in ([each] if isinstance(each, str) else each)]
    return [name for name in flat if _is_encrypted(_field_at(model, name)[0])]


def _is_encrypted(field: object) -> bool:
    return isinstance(getattr(field, "cells", None), Cells)


def _field_at(model: type[models.Model] | None, path: str) -> tuple[Any, list[str]]:
    """The field that *path* leads to, and the lookups behind it; None if it leads to no field."""
    field: Any = None
    parts = path.split(LOOKUP_SEP)
    while parts and model is not None:
        try:
            field = model._meta.pk if parts[0] == "pk" else model._meta.get_field(parts[0])
        except FieldDoesNotExist:
            break
        model = field.related_model if field.is_relation else None
        del parts[0]
    return field, parts
