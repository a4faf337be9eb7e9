"""The settings of a [[target]] in, targets out; what contradicts itself is refused."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keyring_core import KeyConfigError
from keyring_core.keys import check_context
from keyring_core.sources import variable_in
from rotation.configuration.companions import VALUES
from rotation.configuration.condition import fault_of
from rotation.configuration.relative_urls import from_folder, located
from rotation.model.failures import UsageError
from rotation.model.target import Format, Index, Target

if TYPE_CHECKING:
    from keyring_core.legacy import Legacy


def make_targets(  # noqa: PLR0913 - the settings of one [[target]]
    *,
    url: str,
    table: str,
    columns: Sequence[str],
    key_columns: Sequence[str] = (),
    where: str | None = None,
    context: str | None = None,
    format: str = Format.TOKEN,  # noqa: A002 - the setting's name
    keys: str | None = None,
    set: Mapping[str, str] | None = None,  # noqa: A002 - as above
    optional: bool = False,
    source: Mapping[str, Any] | None = None,
    index: Mapping[str, str] | None = None,
    name: str | None = None,
    environ: Mapping[str, str],
    folder: Path | None = None,
) -> list[Target]:
    """One target per column. A relative path in the url counts from *folder*; None: from the current one.

    Raises UsageError if a setting is empty or a variable is not set.
    """
    if not table or not columns or not all(columns):
        raise UsageError("a target needs a table and at least one column")
    if where is not None and not where.strip():
        raise UsageError(f"target {table}: where is empty; leave it out to take every row")
    if context is not None:
        _check_context(context, table)
    given, name, key_columns = expand_url(url, environ, f"target {table}"), name or table, tuple(key_columns)
    folder = (folder or Path()).absolute()
    resolved = located(given, folder, f"target {table}")
    if where is not None:
        _check_condition(where, resolved, table)
    each = Target(
        resolved,
        table,
        "",
        name,
        key_columns,
        where,
        context,
        _format_of(format, table),
        keys,
        _companions_of(set or {}, {*columns, *key_columns}, table),
        optional,
        None if source is None else _source_of(source, format, table),
        None if index is None else _index_of(index, columns, format, {*(set or {}), *key_columns}, table),
        written=url,
        given=given,
        folder=str(folder),
    )
    return [replace(each, column=column) for column in columns]


def _format_of(name: str, table: str) -> Format:
    if name not in list(Format):
        raise UsageError(f"target {table}: format is one of {', '.join(Format)}")
    return Format(name)


def _source_of(settings: Mapping[str, Any], format_: str, table: str) -> Legacy:
    if format_ != Format.TOKEN:
        raise UsageError(
            f"target {table}: from and format exclude each other: a cell of another package becomes a token"
        )
    from keyring_core.legacy import Legacy  # noqa: PLC0415 - most files take nothing over
    from rotation.configuration.setting_faults import unknown  # noqa: PLC0415 - as above
    from rotation.configuration.settings import FROM, NEEDED  # noqa: PLC0415 - as above

    for name in (name for name in settings if name not in FROM):
        raise UsageError(f"target {table}, from: {unknown(name, FROM)}")
    for name in [name for name, each in FROM.items() if each.default == NEEDED and name not in settings]:
        raise UsageError(f"target {table}, from: `{name}` is missing; add {name} = {FROM[name].example}")
    try:
        return Legacy(**settings)
    except KeyConfigError as error:
        # Its messages hold names of settings, and no secret.
        fault = str(error)
    raise UsageError(f"target {table}: from: {fault}")


def _index_of(
    settings: Mapping[str, str], columns: Sequence[str], format_: str, taken: Collection[str], table: str
) -> Index:
    if format_ != Format.TOKEN:
        raise UsageError(
            f"target {table}: index and format exclude each other: an index is of a cell that is one token"
        )
    if len(columns) != 1:
        raise UsageError(
            f"target {table}: index is of one column; give each of {', '.join(columns)} its own [[target]]"
        )
    if set(settings) != set(Index._fields):
        raise UsageError(f'target {table}: index is {{ column = "...", context = "..." }}')
    _check_context(settings["context"], table)
    if settings["column"] == columns[0]:
        raise UsageError(f"target {table}: index names the column of the tokens; it is a column beside it")
    if settings["column"] in taken:
        raise UsageError(f"target {table}: index names {settings['column']}, which is a key column or one of set")
    return Index(**settings)


def _companions_of(given: Mapping[str, str], taken: Collection[str], table: str) -> tuple[tuple[str, str], ...]:
    for column, name in given.items():
        if column in taken:
            raise UsageError(f"target {table}: set names {column}, which holds the tokens or the key of a row")
        if name not in VALUES:
            raise UsageError(f"target {table}: set {column}: a value is one of {', '.join(VALUES)}")
    return tuple(sorted(given.items()))


def unsealed(target: Target, environ: Mapping[str, str]) -> Target:
    """*target* with the url as it works in this process, from *environ*. Raises UsageError if it holds none."""
    given = target.given or target.url or expand_url(target.written, environ, f"target {target.table}")
    return replace(target, url=from_folder(given, Path(target.folder)), given=given)


def without_repeats(targets: Iterable[Target]) -> list[Target]:
    """*targets* in their order, each column once for each `where`."""
    return list({(*_place(target), *_way(target)): target for target in targets}.values())


def own_targets(targets: Sequence[Target], key_set: str | None) -> list[Target]:
    """Those of *targets* that have the keys of that set. Raises UsageError if none has."""
    own = [target for target in targets if target.keys == key_set]
    if own:
        return own
    if key_set is not None:
        raise UsageError(f'no target has keys = "{key_set}", so there is nothing to count')
    names = " or ".join(f"--keys {name}" for name in dict.fromkeys(target.keys for target in targets))
    raise UsageError(f"every target has a key set of rotation.toml; name one: {names}")


def columns_of(targets: Sequence[Target]) -> str:
    """The scope of a report: `the 2 columns named in rotation.toml`."""
    number = len({(target.url, target.label) for target in targets})
    named = "named in rotation.toml" if all(target.listed for target in targets) else "named on the command line"
    if all(target.declared and not target.listed for target in targets):
        named = "declared by the models"
    if len(sets := {target.keys for target in targets}) == 1 and (name := sets.pop()):
        named += f' with keys = "{name}"'
    rows = " (only the rows of their `where`)" if any(target.where for target in targets) else ""
    return f"{'the column' if number == 1 else f'the {number:,} columns'} {named}{rows}"


def _place(target: Target) -> tuple[str | None, ...]:
    return target.url, target.table, target.column, target.where


def _way(target: Target) -> tuple[object, ...]:
    """How its cells are read."""
    return target.context, target.format, target.keys, target.companions, target.source, target.index


def _check_condition(where: str, url: str, table: str) -> None:
    """A condition is put between parentheses; one that closes them would choose other rows."""
    if re.match(r"\s*where\b", where, re.IGNORECASE):
        raise UsageError(f"target {table}: where begins with the word WHERE; write the condition alone")
    if where.rstrip().endswith(";"):
        raise UsageError(f"target {table}: where ends with a semicolon; leave it out")
    if fault := fault_of(where, re.split(r"[+:]", url, maxsplit=1)[0]):
        raise UsageError(f"target {table}: where, character {fault.position}: it {fault.words}")


def _check_context(context: str, table: str) -> None:
    fault = None
    try:
        check_context(context)
    except KeyConfigError as error:
        fault = str(error)
    if fault:
        raise UsageError(f"target {table}: {fault}")


def refuse_rivals(targets: Sequence[Target]) -> None:
    """Raises UsageError for the same cells in two ways: each would find the other's tokens unreadable.

    And for a companion, or an index, of two columns: while one is rotated, it would not fit the other.
    """
    owners: dict[tuple[str, ...], str] = {}
    for target in targets:
        beside = [(name, "set", "a companion") for name, _ in target.companions]
        beside += [(target.index.column, "index", "it")] if target.index else []
        for name, setting, words in beside:
            if (owner := owners.setdefault((target.url, target.table, name), target.column)) != target.column:
                raise UsageError(
                    f"table {target.table}, {setting}: {name} cannot change with {owner} and with {target.column}; "
                    f"{words} belongs to one column"
                )
    ways: dict[tuple[str | None, ...], tuple[object, ...]] = {}
    for target in targets:
        if ways.setdefault(_place(target), _way(target)) != _way(target):
            raise UsageError(
                f"{target.label} is named twice, with different contexts, formats, keys, companions, sources or "
                "indexes; give each a `where` of its own, or drop one"
            )


def may_hold_password(url: str) -> bool:
    """Whether *url*, as it was written, may hold a password, and so is neither shown nor written to a file."""
    return re.search(r"[@?]", url) is not None and not url.startswith(("$", "sqlite"))


def holds_password(url: str) -> bool:
    """Whether *url*, as it was written, holds a password: `://user:password@`, or one behind the `?`."""
    found = re.search(r"://[^@]*:.*@|[?&](password|passwd|sslpassword)=", url)
    return found is not None and not url.startswith("sqlite")


def find_url(url: str, environ: Mapping[str, str], whose: str, folder: Path) -> str:
    """As `expand_url`, for a url of rotation.toml in *folder*, from which a relative path counts. Raises UsageError."""
    return located(expand_url(url, environ, whose), folder, whose)


def expand_url(url: str, environ: Mapping[str, str], whose: str) -> str:
    """*url*, or the value of the variable if it is `$NAME`. Raises UsageError, which says *whose* url it is."""
    name = variable_in(url)
    if name is None:
        if not url.strip():
            raise UsageError(f"{whose}: the url is empty")
        return url
    if not environ.get(name):
        raise UsageError(f"{whose}: its url is ${name}, and that variable is not set")
    return environ[name]
