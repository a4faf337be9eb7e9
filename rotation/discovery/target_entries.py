"""Columns in, the `[[target]]` entries of rotation.toml out. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from keyring_core.names import printable
from rotation.configuration.declarations import DeclaredColumn
from rotation.configuration.sections import Declaration
from rotation.configuration.urls import may_hold_password
from rotation.discovery.token_column import TokenColumn
from rotation.model.target import Format
from rotation.model.text import many


def target_entries(columns: Iterable[TokenColumn]) -> str:
    """The `[[target]]` entries of rotation.toml for the *columns* that can be targets, ready to paste."""
    return "\n".join(map(entry_of, by_entry(columns)))


def by_entry(columns: Iterable[TokenColumn]) -> list[list[TokenColumn]]:
    """The *columns* that can be targets, grouped by entry."""
    tables: dict[tuple[object, ...], list[TokenColumn]] = {}
    for column in columns:
        if column.proposed:
            key = column.database, column.url, column.table, column.key_columns, column.format, column.keys
            tables.setdefault(key, []).append(column)
    return list(tables.values())


def model_entries(
    uncovered: Iterable[DeclaredColumn], declared: Iterable[DeclaredColumn], url: str, database: str
) -> str:
    """The entries by which the models of *uncovered* become targets; *url*, as it was written, is their *database*'s.

    Each covers all columns that its models declare: the ones of *declared* that have a target already are named.
    """
    sources: dict[Declaration, set[str]] = {column.source: set() for column in uncovered}
    left = {column.label for column in uncovered}
    for column in declared:
        if column.source in sources and column.label not in left:
            sources[column.source].add(column.label)
    return "\n".join(_of_models(source, sorted(others), url, database) for source, others in sources.items())


def _of_models(source: Declaration, others: Sequence[str], url: str, database: str) -> str:
    lines = ["[[target]]"]
    if others:
        lines.append(f"# Covers {', '.join(map(as_comment, others))}, too: remove the entries that name these columns.")
    if source.django is not None:
        return "\n".join([*lines, f"django = {as_toml(source.django)}", ""])
    return "\n".join(
        [*lines, f"models = {as_toml(source.models or '')}", f"url = {_url(source.url or url, database)}", ""]
    )


def entry_of(columns: Sequence[TokenColumn]) -> str:
    """The entry of columns that differ in their names alone."""
    one = columns[0]
    names = _tomls([column.column for column in columns])
    url = _url(one.url, one.database)
    lines = ["[[target]]", f"url = {url}", f"table = {as_toml(one.table)}", f"columns = {names}"]
    if one.format is not Format.TOKEN:
        lines.append(f'format = "{one.format}"')
    lines += [f"# {as_toml(column.column)}: {_left_out(column)}" for column in columns if column.unserved]
    if one.keys:
        lines.append(f"keys = {as_toml(one.keys)}")
    if one.key_columns:
        lines.append(f"key_columns = {_tomls(one.key_columns)}")
    return "\n".join([*lines, ""])


def _left_out(column: TokenColumn) -> str:
    """The cells that the entry's format does not rotate."""
    parts = ", ".join(f"{many(cells, 'cell')} of {part.kind}" for part, cells in column.unserved.items())
    return f"this format leaves {parts}"


def _url(written: str, database: str) -> str:
    """The url, or a variable to put it in if it may hold a password, or if no url names the database."""
    if written and not may_hold_password(written):
        return as_toml(written)
    return f'"$DATABASE_URL"  # a variable that holds the url of the {as_comment(database)}'


def as_comment(text: str) -> str:
    """*text* in a comment: a name in a database can hold a line's end."""
    return printable(text)


def as_toml(text: str) -> str:
    """*text* as a string of TOML; what nobody sees, or a terminal obeys, is escaped in it."""
    # A basic string of TOML is one of JSON, but for what JSON may leave as it is.
    text = json.dumps(text, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"


def _tomls(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(as_toml, texts))}]"
