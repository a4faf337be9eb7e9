"""The checks of keys and of encrypted fields for `manage.py check`; docs/reference/django-fields.md lists the ids."""

from __future__ import annotations

import base64
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's name
from django.db import connections, router
from django.db.models import F, Q
from django.db.models.constants import LOOKUP_SEP
from django.db.models.lookups import IsNull

from keyring_core.blind_index import name_of_normal_form, normal_form
from keyring_core.config import get_keyring
from keyring_core.environment import KEY_VARIABLES, names_primary, variables_of
from keyring_core.errors import MAKE_KEY_COMMAND, KeyConfigError, KeyringError
from keyring_core.integrations.cells import Cells, ValueKind
from keyring_core.loaded_keys import is_loaded
from keyring_core.reload import Reloader
from keyring_core.tokens import token_length

_BLIND_INDEX = "Index a BlindIndexField of it instead: that finds equal values, and can be unique."
_TEXT_OF_MYSQL = 65535
_BYTEA = 17
"""The number of PostgreSQL's type."""
_CHARACTER = 4
"""Bytes of the longest character in UTF-8."""


def check_key(**_: object) -> list[CheckMessage]:
    """W001: there is no key. E001: it is malformed. Migrations need none, so a missing one is no error.

    Of each key set that fields have, and of the keys in none unless every field has a set.
    """
    found = []
    for name, reloader in _keys_in_use().items():
        variables = KEY_VARIABLES if name is None else variables_of(name)
        if not names_primary(os.environ, variables):
            fault = f"{variables.primary} is not set: encrypted fields can be neither read nor written."
            found.append(message("W001", fault, f"Set it in the environment. This makes a key: {MAKE_KEY_COMMAND}"))
            continue
        try:
            reloader()
        except KeyringError as error:
            found.append(message("E001", str(error), "Correct the variable in the environment."))
    return found


def _keys_in_use() -> dict[str | None, Reloader]:
    fields = [field for model in apps.get_models(include_auto_created=True) for field in model._meta.local_fields]
    every = [cells for field in fields if isinstance(cells := getattr(field, "cells", None), Cells)]
    # A project without encrypted fields may encrypt by itself.
    return {cells.keys: cells.reloader for cells in every} or {None: get_keyring}


def check_settings(**_: object) -> list[CheckMessage]:
    """W002: a key stands in Django's settings, where error pages and other packages find it."""
    used = _keys_in_use()
    for reloader in (get_keyring, *used.values()):
        with suppress(KeyringError):
            # Its keys are those to look for.
            reloader()
    variables = {*KEY_VARIABLES, *(each for name in used if name is not None for each in variables_of(name))}
    found = []
    hint = "Take it out of the settings: keys are read from the environment, which no error page shows."
    for name in filter(str.isupper, dir(settings)):
        # Some warn that they are deprecated if they are read: not here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = getattr(settings, name, None)
        if name in variables or any(map(_is_key, _texts(value))):
            found.append(
                message("W002", f"The setting {name} holds a key of encrypted fields, or is named as one.", hint)
            )
    return found


def _texts(value: object) -> Iterator[str | bytes]:
    if isinstance(value, str | bytes):
        yield value
    elif isinstance(value, Mapping | list | tuple | set | frozenset):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(each)


def _is_key(text: str | bytes) -> bool:
    with suppress(ValueError):
        return is_loaded(base64.urlsafe_b64decode(text))
    return False


def faults_of_encrypted(field: Any, databases: Iterable[str]) -> list[CheckMessage]:
    """E002 to E004 of an encrypted *field*, and W003 and W004 for each of *databases*."""
    found: list[CheckMessage] = []
    if words := ", ".join(_indexes_with(field)):
        found.append(message("E002", f"An encrypted column cannot have {words}.", _BLIND_INDEX, field))
    options = field.model._meta
    if field.name in {*_names(options.ordering), *_names(options.get_latest_by or ())}:
        hint = "Take the field out of Meta.ordering and Meta.get_latest_by."
        found.append(message("E003", "Rows cannot be ordered by an encrypted column.", hint, field))
    if field.has_db_default():
        found.append(message("E004", "The database cannot encrypt a default.", "Use default.", field))
    return [*found, *(fault for alias in databases for fault in _faults_of_column(field, alias))]


def _names(value: Any) -> list[str]:
    return [each.removeprefix("-") for each in ([value] if isinstance(value, str) else value) if isinstance(each, str)]


def _indexes_with(field: Any) -> Iterator[str]:
    options = field.model._meta
    if field.primary_key:
        yield "primary_key"
    elif field.unique:
        yield "unique"
    if field.db_index:
        yield "db_index"
    for other in options.fields:
        for name in ("unique_for_date", "unique_for_month", "unique_for_year"):
            if (date := getattr(other, name)) and field.name in {other.name, date}:
                yield name if other.name == field.name else f"{name} of {other.name}"
    if any(field.name in together for together in options.unique_together):
        yield "unique_together"
    for each in (*options.indexes, *options.constraints):
        # It compares or holds these, also in expressions.
        plain = [name.removeprefix("-") for name in (*getattr(each, "fields", ()), *getattr(each, "include", ()))]
        computed = compared_in([*getattr(each, "expressions", ()), getattr(each, "condition", None)])
        if field.name in (*plain, *computed):
            yield f"{type(each).__name__} {each.name}"


def compared_in(expression: Any) -> Iterator[str]:
    """The fields that *expression*, or a list of them, does more with than to look for NULL."""
    parts: Iterable[Any] = expression if isinstance(expression, list | tuple) else ()
    if isinstance(expression, F):
        yield vars(expression)["name"].partition(LOOKUP_SEP)[0]
    elif isinstance(expression, Q):
        for path, _value in [each for each in expression.children if isinstance(each, tuple)]:
            name, _, lookup = path.partition(LOOKUP_SEP)
            if lookup != "isnull":
                yield name
        parts = [each[1] if isinstance(each, tuple) else each for each in expression.children]
    elif hasattr(expression, "get_source_expressions"):
        found = expression.get_source_expressions()
        parts = [each for each in found if not (isinstance(expression, IsNull) and isinstance(each, F))]
    for each in parts:
        yield from compared_in(each)


def _faults_of_column(field: Any, alias: str) -> Iterator[CheckMessage]:
    """W003 and W004. Warnings, since an error would keep `migrate` from changing the column."""
    connection, table = connections[alias], field.model._meta.db_table
    # SQLite holds no column to its type.
    if connection.vendor == "sqlite" or not router.allow_migrate_model(alias, field.model):
        return
    with connection.cursor() as cursor:
        if table not in connection.introspection.table_names(cursor):
            return
        columns = connection.introspection.get_table_description(cursor, table)
    column = next((each for each in columns if each.name == field.column), None)
    if column is None:
        return
    place = f"The column {field.cells.column} of the database {alias}"
    holds_bytes, writes_bytes = column.type_code == _BYTEA, field.binary or field.cells.kind is ValueKind.BYTES
    # PostgreSQL refuses text for a column of bytes, and the reverse.
    if connection.vendor == "postgresql" and holds_bytes is not writes_bytes:
        words = "bytea, and the field writes text" if holds_bytes else "no bytea, and the field writes bytes"
        hint = "Declare binary=True." if holds_bytes else "Run makemigrations and migrate, or drop binary=True."
        yield message("W004", f"{place} is {words}.", hint, field)
    longest, size = longest_token(field), column.display_size
    if size is not None and 0 < size < (longest or _TEXT_OF_MYSQL):
        why = f"a token may have {longest}" if longest else "its values have no bound"
        hint = "Run makemigrations and migrate, so that the column has the type of the field."
        yield message("W003", f"{place} holds {size} characters; {why}.", hint, field)


def longest_token(field: Any) -> int | None:
    """The length of a token of the longest value that *field* takes; None if there is no bound."""
    if field.max_length is None:
        return None
    return token_length(field.max_length * (1 if field.cells.kind is ValueKind.BYTES else _CHARACTER))


def faults_of_index(field: Any) -> list[CheckMessage]:
    """E005: a BlindIndexField is not of an encrypted field of its own table. E006: it has a `normalize` in vain."""
    fields = (other for other in field.model._meta.local_concrete_fields if other.name == field.of)
    source = next(fields, None)
    cells = getattr(source, "cells", None)
    # Each call of its pre_save gives another time: the index would be of another value than the cell.
    is_clock = getattr(source, "auto_now", False) or getattr(source, "auto_now_add", False)
    if not isinstance(cells, Cells) or cells.kind is ValueKind.JSON or is_clock:
        fault = f'"{field.of}" is no encrypted field of this model\'s own table, or one of JSON or with auto_now.'
        return [message("E005", fault, "Name the field whose values the index is of.", field)]
    if field.spelling is None:
        return []
    if cells.of is not None:
        fault = f"The values of {field.of} have one text each: they need no normalize."
        return [message("E006", fault, "Take normalize out.", field)]
    if importable_name(field.spelling) is None:
        hint = 'Give a function of a module, also as "module:function", or "casefold" or "lower".'
        return [message("E006", "A migration cannot import normalize.", hint, field)]
    return []


def importable_name(normalize: str | Callable[[str], str]) -> str | None:
    """The name that leads to the function *normalize*, or is it; None for a lambda, or a function in one."""
    name = normalize if isinstance(normalize, str) else name_of_normal_form(normalize)
    with suppress(KeyConfigError, ImportError):
        return name if normal_form(name) == normalize or name == normalize else None
    return None


def message(number: str, fault: str, hint: str, place: Any = None) -> CheckMessage:
    """The message of the check *number*, an error or a warning, about *place*, a field or a class."""
    kind = Error if number.startswith("E") else Warning
    return kind(fault, hint=hint, obj=place, id=f"keyring_core.{number}")
