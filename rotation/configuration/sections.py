"""The sections of rotation.toml: a type each, whose settings have their words, examples and defaults beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from keyring_core import Key
from rotation.configuration.key_sets import KeySet
from rotation.configuration.key_sources import KeySource, SaltColumn
from rotation.configuration.policy import Policy
from rotation.configuration.settings import NEEDED, Section, said
from rotation.configuration.urls import find_url
from rotation.model.failures import UsageError
from rotation.model.target import Format


class Top(Section, frozen=True):
    """The file. Its tables are read one by one, so that a message can name them."""

    env_file: Annotated[
        str | None,
        said("a dotenv file with variables; a relative path counts from the folder of rotation.toml", '".env"'),
    ] = None
    ledger: Annotated[
        str | None,
        said(
            "the database of the ledger: `$NAME` of a variable, or a URL without a password",
            '"$DATABASE_URL"',
            "the SQLite file `rotation-ledger.db` beside rotation.toml",
        ),
    ] = None
    models: Annotated[
        tuple[str, ...],
        said("SQLAlchemy models that `check` and `discover` compare with your targets", '["app.models:Base.metadata"]'),
    ] = ()
    django: Annotated[
        str | None,
        said("settings of a Django project that `check` and `discover` compare with your targets", '"site.settings"'),
    ] = None
    target: Annotated[
        tuple[Any, ...], said("each `[[target]]`: the columns of one table that hold tokens", "[[target]]")
    ] = ()
    app: Annotated[tuple[Any, ...], said("each `[[app]]`: all columns and keys of a known application", "[[app]]")] = ()
    keys: Annotated[
        dict[str, Any], said("each `[keys.NAME]`: a key set, for targets that have keys of their own", "[keys.NAME]")
    ] = msgspec.field(default_factory=dict)
    policy: Annotated[
        dict[str, Any],
        said("`[policy]`: how old keys, tokens and runs may become", "[policy]", "each limit has its own"),
    ] = msgspec.field(default_factory=dict)
    ignore: Annotated[tuple[Any, ...], said("each `[[ignore]]`: columns that are somebody else's", "[[ignore]]")] = ()


VALUES: Mapping[str, Callable[[Key], str]] = {
    "primary-key-id": lambda key: key.id,
    # Keystone finds the key of a credential by it: keystone/credential/providers/fernet/core.py, `key_hash`.
    "sha1-of-primary-key-text": lambda key: hashlib.sha1(key.reveal().encode(), usedforsecurity=False).hexdigest(),
    "sha256-of-primary-key-text": lambda key: hashlib.sha256(key.reveal().encode()).hexdigest(),
}
"""Values of `set`, which another column of the row holds and which change with the key, by their names."""


DATABASE = said(
    "the database: a URL, or `$NAME` of a variable that holds it", '"$DATABASE_URL"', f"{NEEDED}, but not with `django`"
)
NAME = said("what reports call it", '"credentials"', "the table")
KEYS = said(
    "the key set that the tokens are under: `[keys.NAME]` of this file, or the variables of services",
    '"redash"',
    "the environment's own keys",
)
OPTIONAL = said("`true`: leave the target out, and say so, if the database lacks its table or column", "true")


Names: TypeAlias = Annotated[list[str], msgspec.Meta(extra_json_schema={"minItems": 1})]


class IndexEntry(Section, frozen=True):
    """`index` of a `[[target]]`."""

    column: Annotated[str, said("the column beside the tokens", '"email_index"')]
    context: Annotated[str, said("the context that the index was made with", '"users.email"')]
    normalize: Annotated[
        str | None,
        said(
            "what the index is made of: `casefold` or `lower` of a value, or `module:function` of the application's "
            "code, which is imported",
            '"casefold"',
            "the value as it is",
        ),
    ] = None


class LegacyEntry(Section, frozen=True):
    """`from` of a `[[target]]`: the settings of `keyring_core.legacy.Legacy`, which checks them."""

    package: Annotated[str, said("its name, as on PyPI", '"advanced-alchemy"')]
    secret: Annotated[
        str | Names,
        said("its key: `$NAME` of a variable, or a list of such names, tried in order", '"$OLD_SECRET"'),
    ]
    salt: Annotated[
        str | Names | None, said("its salt: a text, `$NAME` of a variable, or a list of them", '"$SALT_KEY"')
    ] = None
    engine: Annotated[
        str | None, said("of sqlalchemy-utils: `fernet`, `aes` or `aes-gcm`", '"fernet"', "its own: `aes`")
    ] = None
    padding: Annotated[str | None, said("of the engine `aes`", '"naive"', "`naive`")] = None
    check: Annotated[
        str | None,
        said(
            "of the engine `aes`, which needs it: `json`, or a regular expression that every plaintext matches as a "
            "whole",
            '"json"',
        ),
    ] = None
    hkdf: Annotated[bool, said("`FERNET_USE_HKDF` of django-fernet-fields and its successors", "false")] = True
    prefix: Annotated[str | None, said("`DJFERNET_PREFIX` of djfernet, as text", '"djfernet"')] = None
    encryption_secret: Annotated[
        str | Names | None,
        said(
            "`CRYPTOGRAPHY_KEY` of django-cryptography, if it was set: `$NAME` of a variable", '"$OLD_KEY"', "`secret`"
        ),
    ] = None
    key: Annotated[
        str | Names | None,
        said(
            "of django-cryptography: the `key` of the field itself: `$NAME` of a variable, which holds it as text, in "
            "hex digits or in base64",
            '"$FIELD_KEY"',
            "the field has none",
        ),
    ] = None
    unpickle: Annotated[
        bool,
        said(
            "of django-cryptography: load pickles, as of lists and dicts, which runs code if somebody who knows the "
            "secret put code in",
            "true",
        ),
    ] = False


class TargetEntry(Section, frozen=True, kw_only=True):
    """A `[[target]]` that names its columns, in rotation.toml, in a preset or in options."""

    url: Annotated[str, DATABASE]
    table: Annotated[str, said("`table`, or `schema.table`", '"user_credentials"')]
    columns: Annotated[tuple[str, ...], said("the columns that hold tokens: text or binary", '["api_key"]', minItems=1)]
    name: Annotated[str | None, NAME] = None
    key_columns: Annotated[tuple[str, ...], said("columns of a unique key", '["id"]', "the primary key")] = ()
    where: Annotated[
        str | None,
        said(
            "the SQL condition on the rows to look at, without the word `WHERE`, comments and semicolons; every "
            "parenthesis and quote is closed",
            "\"provider = 'github'\"",
            "all rows",
        ),
    ] = None
    context: Annotated[
        str | None,
        said(
            'what the tokens are bound to, as in `keyring.bind("users.api_key")`; `run` binds unbound tokens',
            '"users.api_key"',
            "tokens are not bound",
        ),
    ] = None
    format: Annotated[
        Format,
        said(
            "how a cell holds tokens: `token` (a cell is one), `embedded` (inside JSON, YAML, a URL, behind a prefix; "
            "JSON and JSONB columns too), `base64` or `hex` (a token encoded again, alone or inside text)",
            '"embedded"',
            enum=[str(each) for each in Format],
        ),
    ] = Format.TOKEN
    others: Annotated[
        Literal["leave"] | None,
        said(
            "`leave`: in a cell with a token under a key of this target, tokens of other keys stay as they are; for a "
            "wrapped key beside what it encrypts, with a format other than `token`",
            '"leave"',
            "no cell moves that holds a token of another key",
        ),
    ] = None
    keys: Annotated[str | None, KEYS] = None
    optional: Annotated[bool, OPTIONAL] = False
    source: Annotated[
        LegacyEntry | None,
        said(
            "the package that wrote the cells, to take the column over",
            '{ package = "advanced-alchemy", secret = "$OLD_SECRET" }',
            "there are tokens only",
        ),
    ] = msgspec.field(default=None, name="from")
    index: Annotated[
        IndexEntry | None,
        said(
            "the column of the blind index, which `run` keeps right",
            '{ column = "email_index", context = "users.email", normalize = "casefold" }',
        ),
    ] = None
    set: Annotated[
        dict[str, str],
        said(
            "columns that change with the key, written in the same statement; a value is one of "
            f"{', '.join(f'`{name}`' for name in VALUES)}",
            '{ key_hash = "sha1-of-primary-key-text" }',
            additionalProperties={"enum": list(VALUES)},
        ),
    ] = msgspec.field(default_factory=dict)


class Declaration(Section, frozen=True, kw_only=True):
    """A `[[target]]` whose tables and columns models name. Raises ValueError if its settings do not fit together."""

    url: Annotated[str | None, DATABASE] = None
    """The database of *models*; a Django project names its own."""
    models: Annotated[
        str | None,
        said(
            "in place of `table` and `columns`: SQLAlchemy models, each encrypted column of which is a target",
            '"app.models:Base.metadata"',
        ),
    ] = None
    """`module:attribute` of a MetaData, or of anything with `.metadata`."""
    django: Annotated[
        str | None,
        said(
            "in place of `url`, `table` and `columns`: the settings of a Django project, each encrypted field of which "
            "is a target in its databases",
            '"site.settings"',
        ),
    ] = None
    name: Annotated[str | None, NAME] = None
    keys: Annotated[str | None, KEYS] = None
    optional: Annotated[bool, OPTIONAL] = False

    def __post_init__(self) -> None:
        if (self.models is None) == (self.django is None):
            raise ValueError("a [[target]] has models or django, not both")
        if self.django is not None and self.url is not None:
            raise ValueError("a [[target]] with django takes no url: the settings name the databases")

    @property
    def place(self) -> str:
        """The name in messages: `models app.models:Base.metadata`."""
        return f"models {self.models}" if self.models is not None else f"django {self.django}"


class Ignored(Section, frozen=True, kw_only=True):
    """`[[ignore]]`: columns of one table that no target has to cover.

    A token under one of the environment's keys, or a key set's, keeps that key all the same.
    """

    table: Annotated[str, said("the table, as in a target", '"billing_tokens"')]
    columns: Annotated[
        tuple[str, ...] | None, said("the columns to ignore", '["secret"]', "all columns of the table", minItems=1)
    ] = None
    reason: Annotated[
        str, said("why no target has to cover them; every output shows it", '"of the billing team"', minLength=1)
    ]
    url: Annotated[
        str | None,
        said(
            "the database: a URL, or `$NAME` of a variable that holds it",
            '"$BILLING_URL"',
            "every database that is searched",
        ),
    ] = None

    def __repr__(self) -> str:
        # The url may hold a password.
        return f"Ignored(table={self.table!r}, columns={self.columns!r}, reason={self.reason!r})"

    def resolved(self, environ: Mapping[str, str], folder: Path) -> Ignored:
        """The entry with the url that works in this process; a relative path counts from *folder*, rotation.toml's.

        Raises UsageError if a setting is empty or a variable is not set.
        """
        if not self.table.strip():
            raise UsageError("an [[ignore]] needs a table")
        if self.columns is not None and not (self.columns and all(self.columns)):
            raise UsageError(f"ignore {self.table}: columns is empty; leave it out to ignore all columns of the table")
        if not self.reason.strip():
            raise UsageError(f"ignore {self.table}: give a reason why its columns are ignored")
        if self.url is None:
            return self
        return msgspec.structs.replace(self, url=find_url(self.url, environ, f"ignore {self.table}", folder))


class App(Section, frozen=True):
    """`[[app]]` of rotation.toml."""

    name: Annotated[str, said("its name, as `keyring-rotate init --app` lists it", '"airflow"')]
    url: Annotated[str, said("its database: a URL, or `$NAME` of a variable that holds it", '"$AIRFLOW_DATABASE_URL"')]


class AppEntries(Section, frozen=True, kw_only=True):
    """The entries of rotation.toml that an `[[app]]` stands for."""

    name: str
    keys: dict[str, KeySet]
    target: list[TargetEntry]
    ignore: tuple[Ignored, ...] = ()


EntriesOf: TypeAlias = Callable[[Iterable[Any]], Sequence[AppEntries]]
"""Returns the entries that each `[[app]]` stands for, as they are in the file. Raises SettingError."""

SECTIONS: Mapping[str, tuple[type[Section], ...]] = {
    "top": (Top,),
    "target": (TargetEntry, Declaration),
    "from": (LegacyEntry,),
    "index": (IndexEntry,),
    "app": (App,),
    "keys": (KeySet,),
    "key": (KeySource,),
    "salt": (SaltColumn,),
    "policy": (Policy,),
    "ignore": (Ignored,),
}
"""The types of each section of rotation.toml, by the section's name in its schema and its reference page."""
