"""The settings of a [[target]] in, targets out; what contradicts itself is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from keyring_core import Key, KeyConfigError
from keyring_core.blind_index import NORMAL_FORMS, normal_form
from keyring_core.keys import check_context
from rotation.configuration.application import imported, in_application
from rotation.configuration.sections import VALUES, TargetEntry
from rotation.configuration.urls import expand_url, from_folder, located
from rotation.model.failures import UsageError
from rotation.model.target import Format, Index, Target

if TYPE_CHECKING:
    from keyring_core.legacy import Legacy

T = TypeVar("T")


def make_targets(entry: TargetEntry, *, environ: Mapping[str, str], folder: Path | None = None) -> list[Target]:
    """One target per column. A relative path in the url counts from *folder*; None: from the current one.

    Raises UsageError if a setting is empty, a variable is not set, or the function of an index cannot be imported.
    """
    table, columns, where = entry.table, entry.columns, entry.where
    if not table or not columns or not all(columns):
        raise UsageError("a target needs a table and at least one column")
    if where is not None and not where.strip():
        raise UsageError(f"target {table}: where is empty; leave it out to take every row")
    if entry.context is not None:
        _checked(f"target {table}", partial(check_context, entry.context))
    given, folder = expand_url(entry.url, environ, f"target {table}"), (folder or Path()).absolute()
    resolved = located(given, folder, f"target {table}")
    if where is not None:
        _check_condition(where, resolved, table)
    if entry.others is not None:
        _check_others(entry)
    each = Target(
        resolved,
        table,
        "",
        entry.name or table,
        entry.key_columns,
        where,
        entry.context,
        entry.format,
        entry.keys,
        _companions_of(entry),
        entry.optional,
        _source_of(entry),
        _index_of(entry, environ, folder),
        others=entry.others,
        written=entry.url,
        given=given,
        folder=str(folder),
    )
    return [replace(each, column=column) for column in columns]


def _check_others(entry: TargetEntry) -> None:
    """A column of one token a cell needs no `others`: a cell is under one key set, which `where` or `keys` chooses."""
    for name, given in (("from", entry.source), ("index", entry.index)):
        if given is not None:
            raise UsageError(
                f"target {entry.table}: others and {name} exclude each other: {name} is of cells that are one token"
            )
    if entry.format is Format.TOKEN:
        raise UsageError(
            f"target {entry.table}: others needs a format: embedded, base64 or hex. With the format token a cell is "
            "one token: choose the rows of these keys with `where`, or name the key set with `keys`"
        )


def _source_of(entry: TargetEntry) -> Legacy | None:
    if entry.source is None:
        return None
    if entry.format is not Format.TOKEN:
        raise UsageError(
            f"target {entry.table}: from and format exclude each other: a cell of another package becomes a token"
        )
    from keyring_core.legacy import Legacy  # noqa: PLC0415 - most files take nothing over

    settings = msgspec.structs.asdict(entry.source)
    # Its messages hold names of settings, and no secret.
    return _checked(f"target {entry.table}: from", lambda: Legacy(**settings))


def _index_of(entry: TargetEntry, environ: Mapping[str, str], folder: Path) -> Index | None:
    index, table = entry.index, entry.table
    if index is None:
        return None
    if entry.format is not Format.TOKEN:
        raise UsageError(
            f"target {table}: index and format exclude each other: an index is of a cell that is one token"
        )
    if len(entry.columns) != 1:
        raise UsageError(
            f"target {table}: index is of one column; give each of {', '.join(entry.columns)} its own [[target]]"
        )
    _checked(f"target {table}", partial(check_context, index.context))
    if index.column == entry.columns[0]:
        raise UsageError(f"target {table}: index names the column of the tokens; it is a column beside it")
    if index.column in {*entry.set, *entry.key_columns}:
        raise UsageError(f"target {table}: index names {index.column}, which is a key column or one of set")
    if index.normalize is None or index.normalize in NORMAL_FORMS:
        return Index(index.column, index.context, normal_form(index.normalize))
    place, spelling = f"target {table}: index", index.normalize
    return Index(
        index.column, index.context, in_application(folder, environ, place, lambda: _function(spelling, place))
    )


def _function(spelling: str, place: str) -> Callable[[str], str] | None:
    """The function that *spelling* names. Raises UsageError, or whatever its module raises."""
    module, _, name = spelling.partition(":")
    if module and name:
        imported(module, place)
    return _checked(place, lambda: normal_form(spelling))


def _checked(place: str, make: Callable[[], T]) -> T:
    """The result of *make*. Raises UsageError, which begins with *place*, for its KeyConfigError."""
    try:
        return make()
    except KeyConfigError as error:
        fault = str(error)
    raise UsageError(f"{place}: {fault}")


def _companions_of(entry: TargetEntry) -> tuple[tuple[str, str], ...]:
    for column, name in entry.set.items():
        if column in {*entry.columns, *entry.key_columns}:
            raise UsageError(f"target {entry.table}: set names {column}, which holds the tokens or the key of a row")
        if name not in VALUES:
            raise UsageError(f"target {entry.table}: set {column}: a value is one of {', '.join(VALUES)}")
    return tuple(sorted(entry.set.items()))


def unsealed(target: Target, environ: Mapping[str, str]) -> Target:
    """*target* with the url as it works in this process, from *environ*. Raises UsageError if it holds none."""
    given = target.given or target.url or expand_url(target.written, environ, f"target {target.table}")
    return replace(target, url=from_folder(given, Path(target.folder)), given=given)


def without_repeats(targets: Iterable[Target]) -> list[Target]:
    """*targets* in their order, each column once for each `where`."""
    return list({(*_place(target), *_way(target)): target for target in targets}.values())


def own_targets(targets: Sequence[Target], key_set: str | None) -> list[Target]:
    """The *targets* that have the keys of that set. Raises UsageError without any."""
    own = [target for target in targets if target.keys == key_set]
    if own:
        return own
    if key_set is not None:
        raise UsageError(f'no target has keys = "{key_set}", so there is nothing to count')
    names = " or ".join(f"--keys {name}" for name in dict.fromkeys(target.keys for target in targets))
    raise UsageError(f"every target has a key set of rotation.toml; name one: {names}")


def scope_of(targets: Sequence[Target]) -> str:
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
    """The settings by which its cells are read."""
    settings = (target.context, target.format, target.keys, target.companions, target.source, target.others)
    if (index := target.index) is None:
        return settings
    # Two methods are one if their objects are equal; for Python these have to be the same.
    function = getattr(index.normalize, "__func__", index.normalize), getattr(index.normalize, "__self__", None)
    return *settings, index.column, index.context, *function


def _check_condition(where: str, url: str, table: str) -> None:
    """A condition is put between parentheses; one that closes them would choose other rows."""
    if re.match(r"\s*where\b", where, re.IGNORECASE):
        raise UsageError(f"target {table}: where begins with the word WHERE; write the condition alone")
    if where.rstrip().endswith(";"):
        raise UsageError(f"target {table}: where ends with a semicolon; leave it out")
    if fault := fault_of(where, re.split(r"[+:]", url, maxsplit=1)[0]):
        raise UsageError(f"target {table}: where, character {fault.position}: it {fault.words}")


def refuse_rivals(targets: Sequence[Target]) -> None:
    """Raises UsageError for the same cells in two ways: each would find the other's tokens unreadable.

    Targets of two key sets may share cells if both leave the tokens of others.

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
    ways: dict[tuple[object, ...], object] = {}
    for target in targets:
        place = _place(target)
        own = (*place, target.keys) if target.others else place
        agrees = ways.setdefault((*place, "others"), target.others) == target.others
        if not agrees or ways.setdefault((own, "way"), _way(target)) != _way(target):
            raise UsageError(
                f"{target.label} is named twice, with different contexts, formats, keys, companions, sources, others "
                "or indexes; give each a `where` of its own, or drop one"
            )


def refuse_changing_salts(targets: Sequence[Target], salts: Mapping[str, Sequence[str]]) -> None:
    """Raises UsageError if a run would change a salt: no key would open the token beside it any more.

    *salts*: the columns with the salts of each key set's targets.
    """
    changed: dict[tuple[str, ...], str] = {}
    for target in targets:
        index = [target.index.column] if target.index else []
        for name in (target.column, *(name for name, _ in target.companions), *index):
            changed[target.url, target.table, name] = target.label
    for target in targets:
        for name in salts.get(target.keys or "", ()):
            by = changed.get((target.url, target.table, name), target.label)
            if by != target.label:
                raise UsageError(
                    f"[keys.{target.keys}] salt: {name} is a salt of {target.label}, and the target {by} changes it: "
                    "no key would open these tokens any more; drop that target"
                )


def companion_values(companions: Mapping[str, str], primary: Key) -> dict[str, str]:
    """The value of each column beside a token under *primary*; *companions* names the kind of each value."""
    return {column: VALUES[name](primary) for column, name in companions.items()}


_DOUBLED = r"{0}(?:[^{0}]|{0}{0})*+{0}"
_ESCAPED = r"{0}(?:[^{0}\\]|{0}{0}|\\.)*+{0}"


def _reading(*parts: str, comments: str = r"--|/\*") -> str:
    """A pattern for the parts of one database's SQL that matter here; a quote that it leaves over is unterminated.

    As text: most commands check no condition, and to compile these patterns takes 30 ms.
    """
    whole = "|".join(f"(?:{part})" for part in parts)
    return rf"(?P<comment>{comments})|{whole}|(?P<sign>[();])|(?P<quote>['\"`\[$])"


_SINGLE, _DOUBLE, _BACK = (_DOUBLED.format(quote) for quote in "'\"`")
_SINGLE_ESCAPED, _DOUBLE_ESCAPED = (_ESCAPED.format(quote) for quote in "'\"")
# A string on the next line continues such a string.
_E_TEXT = rf"[eE]{_SINGLE_ESCAPED}(?:[ \t\f\v]*[\n\r]\s*{_SINGLE_ESCAPED})*"
_LETTER = r"A-Za-z_\x80-\U0010ffff"
_NAME = rf"[{_LETTER}][{_LETTER}0-9$]*"
_TAG = rf"(?:[{_LETTER}][{_LETTER}0-9]*)?"
_DOLLARS = rf"\$(?P<tag>{_TAG})\$.*?\$(?P=tag)\$"
_NO_TAG = rf"\$(?!{_TAG}\$)"

_SQLITE = (_reading(_SINGLE, _DOUBLE, _BACK, r"\[[^\]]*\]", r"\$"),)
_POSTGRESQL = tuple(
    _reading(_E_TEXT, _NAME, text, _DOUBLE, _DOLLARS, _NO_TAG, r"[\[`]")
    for text in (_SINGLE, _SINGLE_ESCAPED)  # standard_conforming_strings on, off
)
_MYSQL = tuple(
    _reading(single, double, _BACK, r"[\[$]", comments=r"--|/\*|\#")
    for single, double in (
        (_SINGLE_ESCAPED, _DOUBLE_ESCAPED),
        (_SINGLE_ESCAPED, _DOUBLE),  # ANSI_QUOTES
        (_SINGLE, _DOUBLE),  # NO_BACKSLASH_ESCAPES
    )
)
READINGS = {
    "sqlite": _SQLITE,
    "postgresql": _POSTGRESQL,
    "postgres": _POSTGRESQL,
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
}
"""The ways in which a database may read the quotes of a condition, by the kind of its url."""


_BACKSLASH = "if a server's settings give a backslash another meaning; write a quote within a text as ''"


class ConditionFault(NamedTuple):
    """A fault in a condition, in words that quote nothing of it: a condition may contain a token."""

    position: int
    """From 1."""
    words: str
    escapes: bool
    """True if the rest would leave the condition."""


def fault_of(condition: str, database: str) -> ConditionFault | None:
    """The fault of *condition* on a *database* such as `postgresql`; None if it may stand between parentheses.

    Unknown databases are read as SQLite.
    """
    usual, *others = READINGS.get(database, _SQLITE)
    if fault := _fault(condition, usual):
        return fault
    # Under another setting a string may be unterminated: then the server refuses the statement, and nothing leaks out.
    found = (_fault(condition, reading) for reading in others)
    escape = next((fault for fault in found if fault and fault.escapes), None)
    return escape and escape._replace(words=f"{escape.words}, {_BACKSLASH}")


def _fault(condition: str, reading: str) -> ConditionFault | None:
    opened: list[int] = []
    for part in re.finditer(reading, condition, re.DOTALL):
        sign, position = part[0], part.start() + 1
        if part["comment"]:
            return ConditionFault(position, "begins a comment, which would hide what follows", escapes=True)
        if part["quote"]:
            return ConditionFault(position, "begins a text or a name that has no end", escapes=False)
        if sign == ";" and part["sign"]:
            return ConditionFault(position, "ends the statement", escapes=True)
        if sign == "(" and part["sign"]:
            opened.append(position)
        elif sign == ")" and part["sign"]:
            if not opened:
                return ConditionFault(position, "closes a parenthesis that is not open", escapes=True)
            opened.pop()
    return ConditionFault(opened[-1], "opens a parenthesis that is never closed", escapes=False) if opened else None
