"""Duplicates of a unique blind index are errors of the encrypted field, in forms and by `full_clean`.

A form leaves the index out, and Django what a form leaves out. Two requests at once are left to the database.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import wraps
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models
from django.utils.text import capfirst, get_text_list
from django.utils.translation import gettext as _


def check_by_index(model: type[models.Model], sources_of: Callable[[models.Model], dict[str, Any]]) -> None:
    """Makes the two public methods of *model* that look for duplicates take each index for its encrypted field.

    *sources_of* gives that field for the name of each index of an instance.
    """
    for name in ("validate_unique", "validate_constraints"):
        setattr(model, name, _by_index(getattr(model, name), sources_of))


def _by_index(
    validate: Callable[..., None], sources_of: Callable[[models.Model], dict[str, Any]]
) -> Callable[..., None]:
    @wraps(validate)
    def checked(self: models.Model, exclude: Collection[str] | None = None) -> None:
        sources, excluded = sources_of(self), {*(exclude or ())}
        hidden = {name for name, source in sources.items() if source.name in excluded}
        try:
            validate(self, exclude=(excluded - {*sources}) | hidden)
            return
        except ValidationError as error:
            found = error.update_error_dict({})
        raise ValidationError(_named_after(sources, found))

    return checked


def _named_after(sources: dict[str, Any], found: dict[str, list[ValidationError]]) -> dict[str, list[ValidationError]]:
    """The errors *found*, under the names of the encrypted fields, and with their labels."""
    named: dict[str, list[ValidationError]] = {}
    for name, errors in found.items():
        for error in errors:
            params = getattr(error, "params", None) or {}
            check = params.get("unique_check", ())
            indexes = [each for each in check if each in sources]
            if indexes:
                options = params["model_class"]._meta
                labels = [capfirst(sources.get(each, options.get_field(each)).verbose_name) for each in check]
                params |= {"field_label": labels[0], "field_labels": get_text_list(labels, _("and"))}
            place = sources[name].name if name in sources else name
            if place == NON_FIELD_ERRORS and indexes:
                place = sources[indexes[0]].name
            named.setdefault(place, []).append(error)
    return named
