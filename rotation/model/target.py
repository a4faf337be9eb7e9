"""Targets: the columns that hold tokens and their format, and the identity of each."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, NamedTuple

from keyring_core import Keyring
from keyring_core.errors import printable
from keyring_core.sources import variable_in
from rotation.model.failures import UsageError

if TYPE_CHECKING:
    from keyring_core.legacy import Legacy


class Format(StrEnum):
    """The format of a target's cells."""

    TOKEN = "token"  # noqa: S105 - a format's name
    """A cell is one token."""
    EMBEDDED = "embedded"
    """Tokens stand inside longer text: JSON, YAML, a URL, behind a prefix."""
    BASE64 = "base64"
    """Each token's text was encoded again, in base64; alone or inside longer text."""
    HEX = "hex"
    """Each token's text was encoded again, in hex digits; alone or inside longer text."""


class Adopts(enum.Enum):
    """The cells without a token that become tokens."""

    NOTHING = enum.auto()
    PLAINTEXT = enum.auto()
    """Those that are legible as they stand."""
    RANDOM = enum.auto()
    """Random-looking text and bytes, too: keys that were stored as they are, or another cipher's output."""


class Index(NamedTuple):
    """A column that holds the blind index of a target's values; see `keyring_core.blind_index`."""

    column: str
    context: str
    normalize: Callable[[str], str] | None = None
    """Makes the text that the index is of; None: the value itself."""


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
    """Columns that change with the key, each with the name of its value in `configuration.sections.VALUES`."""
    optional: bool = False
    """True if the table or the column may be missing, as in some version of an application."""
    source: Legacy | None = None
    """The package that wrote its cells until now; a run makes tokens of them. None: there are tokens only."""
    index: Index | None = None
    """The column beside it that holds its blind index, which a run keeps right."""
    adopts: Adopts = Adopts.NOTHING
    """The cells that `adopt` makes tokens of."""
    others: Literal["leave"] | None = None
    """`leave`: tokens of other keys stay in a cell that holds a token of the target's keys, as in an envelope."""
    written: str = field(default="", repr=False, compare=False)
    """The url as it was written, such as `$DATABASE_URL`."""
    given: str = field(default="", repr=False, compare=False)
    """The url that this stands for. *url* is the same, unless a relative path in it counts from another folder: then
    the ledger and other machines know the database by this one."""
    folder: str = field(default="", compare=False)
    """The folder from which a relative path in the url counts; empty: the current folder."""
    listed: bool = field(default=False, compare=False)
    """True if rotation.toml names it, or the models that declare it, and not the command line."""
    app: str = field(default="", compare=False)
    """The known application that it belongs to, if an `[[app]]` of rotation.toml names it."""
    declared: bool = field(default=False, compare=False)
    """True if a model of the application declares it."""
    binary: bool = field(default=False, compare=False)
    """True if that model declares a column of bytes."""
    local: bool = field(default=False, compare=False)
    """True if secrets of its `source` are in this process alone, so that no other one can do it."""
    label: str = field(init=False, repr=False, compare=False)
    """The name in messages: `user_credentials.api_key`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", printable(f"{self.table}.{self.column}"))

    def keyring(self, keyring: Keyring) -> Keyring:
        """*keyring*, bound to the context if there is one. Then no token to move is under the primary key.

        Raises UsageError if its keys are made for each row, and this target has what does not go with that.
        """
        if columns := keyring.salt_columns:
            settings = {"context": self.context, "from": self.source, "index": self.index, "set": self.companions}
            if beside := [name for name, value in settings.items() if value]:
                raise UsageError(
                    f"{self.label}: {' and '.join(beside)} cannot go with keys whose salt is in a column "
                    f"({', '.join(columns)}); leave it out, or give the target other keys"
                )
        return keyring if self.context is None else keyring.bind(self.context, accept_unbound=True)

    @property
    def takes_over(self) -> bool:
        """True if its cells may be something else than tokens; a run makes tokens of them."""
        return self.source is not None or self.adopts is not Adopts.NOTHING

    def sealed(self) -> Target:
        """Without the url if a variable holds it, so that it may be sent to a worker."""
        return replace(self, url="", given="") if variable_in(self.written) else self


@dataclass(frozen=True)
class TargetId:
    """The cells that a target stands for: equal on every machine, without a secret. `stores.databases` makes it.

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
        """The name in messages: `user_credentials.api_key`."""
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
