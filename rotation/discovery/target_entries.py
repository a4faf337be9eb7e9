"""Columns in, the `[[target]]` entries of rotation.toml out. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from rotation.discovery.token_column import TokenColumn


def target_entries(columns: Iterable[TokenColumn]) -> str:
    """The `[[target]]` entries of rotation.toml for those of *columns* that can be targets, ready to paste."""
    tables: dict[tuple[str, str, str, tuple[str, ...]], list[str]] = {}
    for column in columns:
        if column.proposed:
            key = column.database, column.url, column.table, column.key_columns
            tables.setdefault(key, []).append(column.column)
    return "\n".join(_entry(*table, names) for table, names in tables.items())


def _entry(database: str, url: str, table: str, key_columns: Sequence[str], columns: Sequence[str]) -> str:
    lines = ["[[target]]", f"url = {_url(url, database)}", f"table = {_toml(table)}", f"columns = {_tomls(columns)}"]
    return "\n".join([*lines, *([f"key_columns = {_tomls(key_columns)}"] if key_columns else []), ""])


def _url(written: str, database: str) -> str:
    """The url, or a variable to put it in if it may hold a password, or if no url names the database."""
    if written and (written.startswith(("$", "sqlite")) or not re.search(r"[@?]", written)):
        return _toml(written)
    return f'"$DATABASE_URL"  # a variable that holds the url of the {"".join(filter(str.isprintable, database))}'


def _toml(text: str) -> str:
    # A basic string of TOML is one of JSON, except for the one control character that JSON does not escape.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _tomls(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(_toml, texts))}]"
