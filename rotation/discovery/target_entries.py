"""Columns in, the `[[target]]` entries of rotation.toml out. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from rotation.discovery.token_column import TokenColumn
from rotation.model.declarations import Declaration, DeclaredColumn
from rotation.model.formats import Format
from rotation.model.targets import may_hold_password
from rotation.model.text import many


def target_entries(columns: Iterable[TokenColumn]) -> str:
    """The `[[target]]` entries of rotation.toml for those of *columns* that can be targets, ready to paste."""
    tables: dict[tuple[object, ...], list[TokenColumn]] = {}
    for column in columns:
        if column.proposed:
            key = column.database, column.url, column.table, column.key_columns, column.format, column.keys
            tables.setdefault(key, []).append(column)
    return "\n".join(map(_entry, tables.values()))


def model_entries(columns: Iterable[DeclaredColumn], url: str, database: str) -> str:
    """The entries by which the models of *columns* become targets; *url*, as it was written, is their *database*'s."""
    sources = dict.fromkeys(column.source for column in columns)
    return "\n".join(_of_models(source, url, database) for source in sources)


def _of_models(source: Declaration, url: str, database: str) -> str:
    if source.django is not None:
        return f"[[target]]\ndjango = {_toml(source.django)}\n"
    return f"[[target]]\nmodels = {_toml(source.models or '')}\nurl = {_url(source.url or url, database)}\n"


def _entry(columns: Sequence[TokenColumn]) -> str:
    """The entry of columns that differ in their names alone."""
    one = columns[0]
    names = _tomls([column.column for column in columns])
    lines = ["[[target]]", f"url = {_url(one.url, one.database)}", f"table = {_toml(one.table)}", f"columns = {names}"]
    if one.format is not Format.TOKEN:
        lines.append(f'format = "{one.format}"')
    lines += [f"# {_toml(column.column)}: {_left_out(column)}" for column in columns if column.unserved]
    if one.keys:
        lines.append(f"keys = {_toml(one.keys)}")
    if one.key_columns:
        lines.append(f"key_columns = {_tomls(one.key_columns)}")
    return "\n".join([*lines, ""])


def _left_out(column: TokenColumn) -> str:
    """What the entry's format does not rotate."""
    parts = ", ".join(f"{many(cells, 'cell')} of {part.kind}" for part, cells in column.unserved.items())
    return f"this format leaves {parts}"


def _url(written: str, database: str) -> str:
    """The url, or a variable to put it in if it may hold a password, or if no url names the database."""
    if written and not may_hold_password(written):
        return _toml(written)
    return f'"$DATABASE_URL"  # a variable that holds the url of the {"".join(filter(str.isprintable, database))}'


def _toml(text: str) -> str:
    # A basic string of TOML is one of JSON, except for the one control character that JSON does not escape.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _tomls(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(_toml, texts))}]"
