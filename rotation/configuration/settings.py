"""What each setting of rotation.toml means: for messages, for the schema that editors read, and for the documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from keyring_core.derivation import KINDS
from rotation.configuration.companions import VALUES
from rotation.model.target import Format

NEEDED = "needed"
"""In place of a default, for a setting without one."""
_VARIABLE = {"pattern": r"^\$(\w+|\{\w+\})$"}
_SPAN = {"pattern": "^[0-9]{1,12}[smhdw]$"}


class Setting(NamedTuple):
    """One setting."""

    words: str
    """What it means, in Markdown without links."""
    default: str
    """What holds without it, in Markdown, or NEEDED."""
    example: str
    """A value, as it is written in TOML."""
    schema: Mapping[str, Any] = {}
    """What a JSON schema says of its values, beside their type."""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


TOP = {
    "env_file": Setting(
        "a dotenv file with variables; a relative path counts from the folder of rotation.toml", "none", '".env"'
    ),
    "ledger": Setting(
        "the database of the ledger: `$NAME` of a variable, or a URL without a password",
        "the SQLite file `rotation-ledger.db` beside rotation.toml",
        '"$DATABASE_URL"',
    ),
    "models": Setting(
        "SQLAlchemy models that `check` and `discover` compare with your targets",
        "none",
        '["app.models:Base.metadata"]',
    ),
    "django": Setting(
        "settings of a Django project that `check` and `discover` compare with your targets", "none", '"site.settings"'
    ),
    "target": Setting("each `[[target]]`: the columns of one table that hold tokens", "none", "[[target]]"),
    "app": Setting("each `[[app]]`: all columns and keys of a known application", "none", "[[app]]"),
    "keys": Setting("each `[keys.NAME]`: a key set, for targets that have keys of their own", "none", "[keys.NAME]"),
    "policy": Setting("`[policy]`: how old keys, tokens and runs may become", "each limit has its own", "[policy]"),
    "ignore": Setting("each `[[ignore]]`: columns that are somebody else's", "none", "[[ignore]]"),
}

TARGET = {
    "url": Setting(
        "the database: a URL, or `$NAME` of a variable that holds it",
        f"{NEEDED}, but not with `django`",
        '"$DATABASE_URL"',
    ),
    "table": Setting("`table`, or `schema.table`", NEEDED, '"user_credentials"'),
    "columns": Setting("the columns that hold tokens: text or binary", NEEDED, '["api_key"]', {"minItems": 1}),
    "models": Setting(
        "in place of `table` and `columns`: SQLAlchemy models, each encrypted column of which is a target",
        "none",
        '"app.models:Base.metadata"',
    ),
    "django": Setting(
        "in place of `url`, `table` and `columns`: the settings of a Django project, each encrypted field of which is "
        "a target in its databases",
        "none",
        '"site.settings"',
    ),
    "name": Setting("what reports call it", "the table", '"credentials"'),
    "key_columns": Setting("columns of a unique key", "the primary key", '["id"]'),
    "where": Setting(
        "the SQL condition on the rows to look at, without the word `WHERE`, comments and semicolons; every "
        "parenthesis and quote is closed",
        "all rows",
        "\"provider = 'github'\"",
    ),
    "context": Setting(
        'what the tokens are bound to, as in `keyring.bind("users.api_key")`; `run` binds unbound tokens',
        "tokens are not bound",
        '"users.api_key"',
    ),
    "format": Setting(
        "how a cell holds tokens: `token` (a cell is one), `embedded` (inside JSON, YAML, a URL, behind a prefix; JSON "
        "and JSONB columns too), `base64` or `hex` (a token encoded again, alone or inside text)",
        "`token`",
        '"embedded"',
        {"enum": [str(each) for each in Format]},
    ),
    "keys": Setting(
        "the key set of this file, `[keys.NAME]`, that the tokens are under", "the environment's own keys", '"redash"'
    ),
    "optional": Setting(
        "`true`: leave the target out, and say so, if the database lacks its table or column", "`false`", "true"
    ),
    "from": Setting(
        "the package that wrote the cells, to take the column over",
        "there are tokens only",
        '{ package = "advanced-alchemy", secret = "$OLD_SECRET" }',
    ),
    "index": Setting(
        "the column of the blind index, which `run` keeps right",
        "none",
        '{ column = "email_index", context = "users.email" }',
    ),
    "set": Setting(
        f"columns that change with the key, written in the same statement; a value is one of {_listed(VALUES)}",
        "none",
        '{ key_hash = "sha1-of-primary-key-text" }',
        {"additionalProperties": {"enum": list(VALUES)}},
    ),
}

FROM = {
    "package": Setting("its name, as on PyPI", NEEDED, '"advanced-alchemy"'),
    "secret": Setting(
        "its key: `$NAME` of a variable, or a list of such names, tried in order", NEEDED, '"$OLD_SECRET"'
    ),
    "salt": Setting("its salt: a text, `$NAME` of a variable, or a list of them", "none", '"$SALT_KEY"'),
    "engine": Setting("of sqlalchemy-utils: `fernet`, `aes` or `aes-gcm`", "its own: `aes`", '"fernet"'),
    "padding": Setting("of the engine `aes`", "`naive`", '"naive"'),
    "check": Setting(
        "of the engine `aes`, which needs it: `json`, or a regular expression that every plaintext matches as a whole",
        "none",
        '"json"',
    ),
    "hkdf": Setting("`FERNET_USE_HKDF` of django-fernet-fields and its successors", "`true`", "false"),
    "prefix": Setting("`DJFERNET_PREFIX` of djfernet, as text", "none", '"djfernet"'),
    "encryption_secret": Setting(
        "`CRYPTOGRAPHY_KEY` of django-cryptography, if it was set: `$NAME` of a variable", "`secret`", '"$OLD_KEY"'
    ),
    "unpickle": Setting(
        "of django-cryptography: load pickles, which runs code if somebody who knows the secret put code in",
        "`false`",
        "true",
    ),
}

INDEX = {
    "column": Setting("the column beside the tokens", NEEDED, '"email_index"'),
    "context": Setting("the context that the index was made with", NEEDED, '"users.email"'),
}

APP = {
    "name": Setting("its name, as `keyring-rotate init --app` lists it", NEEDED, '"airflow"'),
    "url": Setting("its database: a URL, or `$NAME` of a variable that holds it", NEEDED, '"$AIRFLOW_DATABASE_URL"'),
}

KEY_SET = {
    "primary": Setting("the key that encrypts", NEEDED, '{ secret = "$NAME" }'),
    "previous": Setting("a list of older keys, newest first", "none", '[{ secret = "$OLD_NAME" }]'),
    "staged": Setting("the next key", "none", '{ secret = "$NEXT_NAME" }'),
}

KEY = {
    "secret": Setting(
        "`$NAME` of the variable that holds the secret",
        "this, `file` or `command` is needed",
        '"$NAME"',
        _VARIABLE,
    ),
    "file": Setting("the file that holds the secret", "this, `secret` or `command` is needed", '"/run/secrets/key"'),
    "command": Setting(
        "the command that prints the secret, run without a shell",
        "this, `secret` or `file` is needed",
        '"vault kv get -field=key app"',
    ),
    "derive": Setting(
        f"how the application makes its key of the secret: {_listed(KINDS)}",
        "`raw`",
        '"sha256"',
        {"enum": list(KINDS)},
    ),
    "salt": Setting("of `pbkdf2-sha256` and `hkdf-sha256`: a text, or `$NAME` of a variable", "none", '"$SALT"'),
    "info": Setting("of `hkdf-sha256`", "none", '"app/encryption"'),
    "iterations": Setting("of `pbkdf2-sha256`", "none", "600000", {"minimum": 1}),
}

POLICY = {
    "max_key_age": Setting("age of the primary key, since its promotion: CRITICAL beyond", "`365d`", '"90d"', _SPAN),
    "warn_before": Setting("how long before that limit to warn", "`30d`", '"14d"', _SPAN),
    "max_staged_age": Setting("age of a staged key", "`14d`", '"7d"', _SPAN),
    "max_left_age": Setting("how long tokens may stay under previous keys, since the promotion", "`7d`", '"2d"', _SPAN),
    "max_previous_age": Setting("a previous key, since the next one took over", "`90d`", '"30d"', _SPAN),
    "max_reload_age": Setting(
        "how long after a promotion a service may still write under the key before", "`1h`", '"10m"', _SPAN
    ),
    "max_run_age": Setting("since the last run came to its end", "`32d`", '"8d"', _SPAN),
    "max_clock_skew": Setting("difference of two machines' clocks", "`60s`", '"5s"', _SPAN),
    "off": Setting(
        "checks to turn off, each with the reason, which every output shows",
        "none",
        # The redactor would mask the value of a name such as `plaintext`, in the messages that show this example.
        '{ clock = "until May" }',
    ),
    "unsearched_databases": Setting(
        "databases of your PostgreSQL or MariaDB server that a search leaves out, each with the reason, which every "
        "output shows; `*` and `?` stand for any letters; a database that a target names is searched all the same",
        "none",
        '{ "zabbix*" = "of the monitoring team" }',
    ),
}

IGNORE = {
    "table": Setting("the table, as in a target", NEEDED, '"billing_tokens"'),
    "columns": Setting("the columns to ignore", "all columns of the table", '["secret"]', {"minItems": 1}),
    "reason": Setting(
        "why no target has to cover them; every output shows it", NEEDED, '"of the billing team"', {"minLength": 1}
    ),
    "url": Setting(
        "the database: a URL, or `$NAME` of a variable that holds it",
        "every database that is searched",
        '"$BILLING_URL"',
    ),
}

SECTIONS: Mapping[str, Mapping[str, Setting]] = {
    "": TOP,
    "target": TARGET,
    "from": FROM,
    "index": INDEX,
    "app": APP,
    "keys": KEY_SET,
    "key": KEY,
    "policy": POLICY,
    "ignore": IGNORE,
}
"""Every section by its name."""
