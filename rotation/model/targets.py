"""Targets: which columns of which tables hold tokens, and what tells them apart."""

from __future__ import annotations

import enum
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from keyring_core import KeyConfigError, Keyring
from keyring_core.binding import check_context
from keyring_core.names import printable
from keyring_core.sources import variable_in
from rotation.model.companions import VALUES
from rotation.model.condition import fault_of
from rotation.model.failures import UsageError
from rotation.model.formats import Format
from rotation.model.relative_urls import from_folder, located

if TYPE_CHECKING:
    from keyring_core.legacy import Legacy


class Adopts(enum.Enum):
    """Which cells that are no token become one."""

    NOTHING = enum.auto()
    PLAINTEXT = enum.auto()
    """What is legible as it stands."""
    RANDOM = enum.auto()
    """Random-looking text and bytes, too: keys that were stored as they are, or another cipher's output."""


class Index(NamedTuple):
    """A column that holds the blind index of a target's values; see `keyring_core.blind_index`."""

    column: str
    context: str


@dataclass(frozen=True)
class Target:
    """One column of one table that holds tokens."""

    url: str = field(repr=False)
    """May hold a password, and so is in no repr."""
    table: str
    column: str
    name: str
    key_columns: tuple[str, ...] = ()
    """Empty: the table's primary key."""
    where: str | None = None
    """An SQL condition; other rows are not scanned."""
    context: str | None = None
    """The use that its tokens are bound to; a run binds tokens that are not bound yet."""
    format: Format = Format.TOKEN
    keys: str | None = None
    """The key set of rotation.toml that its tokens are under; None: the environment's own keys."""
    companions: tuple[tuple[str, str], ...] = ()
    """Columns that change with the key, each with the name of its value; see `rotation.model.companions`."""
    optional: bool = False
    """Whether the table or the column may be missing, as in some version of an application."""
    source: Legacy | None = None
    """The package that wrote its cells until now; a run makes tokens of them. None: there are tokens only."""
    index: Index | None = None
    """The column beside it that holds its blind index, which a run keeps right."""
    adopts: Adopts = Adopts.NOTHING
    """What `adopt` makes tokens of."""
    written: str = field(default="", repr=False, compare=False)
    """The url as it was written, such as `$DATABASE_URL`."""
    given: str = field(default="", repr=False, compare=False)
    """The url that this stands for. *url* is the same, unless a relative path in it counts from another folder: then
    the ledger and other machines know the database by this one."""
    folder: str = field(default="", compare=False)
    """What a relative path in the url counts from; empty: the current folder."""
    listed: bool = field(default=False, compare=False)
    """Whether rotation.toml names it, or the models that declare it, and not the command line."""
    declared: bool = field(default=False, compare=False)
    """Whether a model of the application declares it."""
    binary: bool = field(default=False, compare=False)
    """Whether that model declares a column of bytes."""
    local: bool = field(default=False, compare=False)
    """Whether secrets of its `source` are in this process alone, so that no other one can do it."""

    def keyring(self, keyring: Keyring) -> Keyring:
        """*keyring*, bound to the context if there is one. Then no token to move is under the primary key."""
        return keyring if self.context is None else keyring.bind(self.context, accept_unbound=True)

    @property
    def takes_over(self) -> bool:
        """Whether its cells may be something else than tokens, which a run is to make tokens of."""
        return self.source is not None or self.adopts is not Adopts.NOTHING

    def sealed(self) -> Target:
        """Without the url if a variable holds it, so that it may be sent to a worker."""
        return replace(self, url="", given="") if variable_in(self.written) else self

    def unsealed(self, environ: Mapping[str, str]) -> Target:
        """With the url as it works in this process, from *environ*. Raises UsageError if it holds none."""
        given = self.given or self.url or expand_url(self.written, environ, f"target {self.table}")
        return replace(self, url=from_folder(given, Path(self.folder)), given=given)

    @property
    def label(self) -> str:
        """What messages call it: `user_credentials.api_key`."""
        return printable(f"{self.table}.{self.column}")


@dataclass(frozen=True)
class TargetId:
    """Which cells a target stands for: equal on every machine, and without a secret. `stores.open.identify` makes it.

    Messages, the ledger's censuses, checkpoints, metrics, certificates and workers all name a target by it.
    """

    database: str
    """In words that hold no password; empty if the url cannot work."""
    digest: str
    """A digest of the url without its passwords; empty if the url cannot work."""
    table: str
    column: str
    where: str | None = None
    """The condition, with secrets masked."""
    context: str | None = None

    @property
    def label(self) -> str:
        """What messages call it: `user_credentials.api_key`."""
        return printable(f"{self.table}.{self.column}")

    @property
    def words(self) -> str:
        """The label with database and condition."""
        database = f" in {self.database}" if self.database else ""
        return printable(f"{self.label}{database}{f', rows where {self.where}' if self.where else ''}")


def distinct_labels(ids: Sequence[TargetId]) -> list[str]:
    """A title for each target, no two alike: its label; with database and condition if several have that label."""
    labels = Counter(each.label for each in ids)
    found: list[str] = []
    for number, each in enumerate(ids, 1):
        title = each.label if labels[each.label] == 1 else each.words
        found.append(title if title not in found else f"{title} (target {number})")
    return found


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
    from rotation.model.setting_faults import unknown  # noqa: PLC0415 - as above
    from rotation.model.settings import FROM, NEEDED  # noqa: PLC0415 - as above

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
