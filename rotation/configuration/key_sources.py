"""One entry of a key set: where a secret is read, and how the key is made of it. Text in, keys out."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, NamedTuple

from keyring_core import Key, KeyConfigError, KeyState
from keyring_core.derivation import KINDS, Derivation, SaltForm, protect
from keyring_core.environment import ALLOW_WEAK_PREVIOUS
from keyring_core.errors import WeakKeyError
from keyring_core.key_text import split_key_list
from keyring_core.sources import COMMAND_SECONDS, SourceKind, is_missing, key_path, read_named, variable_in
from rotation.configuration.settings import Section, said

if TYPE_CHECKING:
    from keyring_core.row_keys import RowDerivation

LISTED = ("raw", "hex")
"""Derivations whose text may be a list of keys; a passphrase may hold a comma."""

_pepper = os.urandom(32)
FORMS = ("secret", "file", "command", "cell")
"""The settings of which each source has one."""


class SaltColumn(Section, frozen=True):
    """`salt` of a key that is made for each row."""

    column: Annotated[
        str, said("the column of the target's table that holds the salt: text, a number, a UUID or bytes", '"user_id"')
    ]
    form: Annotated[
        SaltForm,
        said(
            "what the salt is: `value`, what the column holds, or `uuid`, the text of the UUID whose number it holds",
            '"uuid"',
            enum=[str(each) for each in SaltForm],
        ),
    ] = SaltForm.VALUE


class KeySource(Section, frozen=True):
    """The origin of one key, or of several previous ones, and the derivation from the secret that is read there."""

    secret: Annotated[
        str | None,
        said(
            "`$NAME` of the variable that holds the secret",
            '"$NAME"',
            "this, `file`, `command` or `cell` is needed",
            pattern=r"^\$(\w+|\{\w+\})$",
        ),
    ] = None
    file: Annotated[
        str | None,
        said("the file that holds the secret", '"/run/secrets/key"', "this, `secret`, `command` or `cell` is needed"),
    ] = None
    command: Annotated[
        str | None,
        said(
            "the command that prints the secret, run without a shell",
            '"vault kv get -field=key app"',
            "this, `secret`, `file` or `cell` is needed",
        ),
    ] = None
    derive: Annotated[
        str,
        said(
            f"how the application makes its key of the secret: {', '.join(f'`{kind}`' for kind in KINDS)}",
            '"sha256"',
            enum=list(KINDS),
        ),
    ] = "raw"
    salt: Annotated[
        str | SaltColumn | None,
        said(
            "of `pbkdf2-sha256` and `hkdf-sha256`: a text, `$NAME` of a variable, or "
            '`{ column = "user_id" }` if each row has the salt of its key in a column',
            '"$SALT"',
        ),
    ] = None
    info: Annotated[str | None, said("of `hkdf-sha256`", '"app/encryption"')] = None
    iterations: Annotated[int | None, said("of `pbkdf2-sha256`", "600000", minimum=1)] = None
    cell: Annotated[
        str | None,
        said(
            "`[schema.]table.column` of the cell that holds the secret as a token",
            '"crypt_key.encrypted_key"',
            "this, `secret`, `file` or `command` is needed",
        ),
    ] = None
    keys: Annotated[
        str | None, said("of `cell`, which needs it: the key set that opens the token", '"master"', "none")
    ] = None
    where: Annotated[
        str | None,
        said("of `cell`: the SQL condition that chooses its row", "\"id = '0b9d'\"", "the table has one row"),
    ] = None
    url: Annotated[
        str | None,
        said(
            "of `cell`: its database, a URL, or `$NAME` of a variable that holds it",
            '"$DATABASE_URL"',
            "the one of the targets that have the key set",
        ),
    ] = None

    @property
    def variable(self) -> str | None:
        """The variable that holds the secret."""
        return variable_in(self.secret or "")

    @property
    def place(self) -> str:
        """The place of the secret, in words."""
        return self.secret or self.file or (self.cell and f"cell {self.cell}") or "command"

    @property
    def salt_variable(self) -> str | None:
        """The variable that holds the salt."""
        return variable_in(self.salt) if isinstance(self.salt, str) else None

    @property
    def rule(self) -> tuple[object, ...]:
        """The rule of derivation: two sources with the same rule make the same key of a secret."""
        return self.derive, self.salt, self.info, self.iterations

    def origin(self, environ: Mapping[str, str]) -> str:
        """The holder of the secret: equal for all sources that read the same variable, file or command."""
        if self.file is not None:
            return str(key_path(self.file, environ, "file").resolve())
        if self.cell is not None:
            # A url may hold a password, and a condition a token: messages show nothing by which a guess can be tested.
            chosen = sha256(_pepper + f"{self.url}\0{self.where}".encode("utf-8", "surrogateescape")).hexdigest()
            return f"cell {self.cell} ({chosen[:16]})"
        return f"${self.variable}" if self.variable else f"`{self.command}`"

    def derivation(self, environ: Mapping[str, str], where: str) -> Derivation | RowDerivation:
        """The derivation of the key from the secret; of the root key, if each row has a salt. Raises KeyConfigError."""
        salt = self.salt
        if isinstance(salt, SaltColumn):
            from keyring_core.row_keys import RowDerivation  # noqa: PLC0415 - few sets have such a salt

            return RowDerivation(self.derive, salt.column, self.info, self.iterations, salt.form)
        if name := self.salt_variable:
            salt = environ.get(name)
            if salt is None:
                raise KeyConfigError(f"{where}: its salt is {self.salt}, and that variable is not set")
            # In a variable it may be secret: Mathesar's is its SECRET_KEY.
            protect(salt, "salt")
        return Derivation(self.derive, salt=salt, info=self.info, iterations=self.iterations)

    def new_text(self) -> str:
        """A new secret for a key of this kind, of 192 random bits or more."""
        if self.derive == "hex":
            return secrets.token_hex(32)
        if self.derive.startswith("raw"):
            return Key.generate().reveal().removesuffix("=" if self.derive == "raw-unpadded" else "")
        # 32 characters, which is what `text32` takes.
        return secrets.token_urlsafe(24)

    def faults(self) -> Iterator[str]:
        """The faults in its settings, in words that hold no value."""
        given = [name for name in FORMS if getattr(self, name) is not None]
        if len(given) != 1:
            yield f"takes one of {', '.join(FORMS)}, and has {' and '.join(given) or 'none'}"
        if self.secret is not None and self.variable is None:
            yield 'secret is "$NAME" of a variable; a secret does not belong into this file'
        if isinstance(self.salt, SaltColumn) and not self.salt.column.strip():
            yield "salt names no column"
        yield from self._faults_of_cell()
        try:
            # Whatever a variable or a column holds, it is a salt.
            salt = "" if isinstance(self.salt, SaltColumn) else self.salt
            Derivation(self.derive, salt=salt, info=self.info, iterations=self.iterations)
        except KeyConfigError as error:
            yield str(error)

    def _faults_of_cell(self) -> Iterator[str]:
        if self.cell is None:
            if needless := [name for name in ("keys", "where", "url") if getattr(self, name) is not None]:
                yield f"has {' and '.join(needless)}, which only a cell takes"
            return
        table, _, column = self.cell.rpartition(".")
        if not table or not column:
            yield 'cell is "table.column" or "schema.table.column"'
        if self.keys is None:
            yield 'cell needs keys = "NAME", the key set that opens its token'
        if self.url is None:
            yield (
                "cell needs a url: the targets that have this key set are in no database or in several, so add "
                'url = "$NAME" of the variable that holds the url of the database'
            )


KEY_ITSELF = KeySource()
"""The source of a key that is its own text."""


class ReadKey(NamedTuple):
    """A key, where it was read, and the text that it was made of."""

    state: KeyState
    key: Key
    place: str
    source: KeySource
    text: str

    def __repr__(self) -> str:
        return f"<ReadKey {self.key.id} {self.state} {self.place}>"


class KeyCell(NamedTuple):
    """A cell of a database that holds a key as a token, and all that is needed to find it."""

    source: KeySource
    state: KeyState
    place: str
    """The setting that names it, in words."""
    environ: Mapping[str, str]
    folder: str
    """The folder from which a relative path in its url counts."""

    def __repr__(self) -> str:
        return f"<KeyCell {self.place}>"


def keys_of_source(
    source: KeySource,
    state: KeyState,
    where: str,
    environ: Mapping[str, str],
    open_cell: Callable[[], bytes | None],
) -> Iterator[ReadKey]:
    """The keys that *source* leads to now; *where* names it in messages. Gives warnings.

    *open_cell* returns the plaintext of its cell, if it is in one. Raises KeyConfigError, and what that raises.
    """
    whole = _read(source, state, where, environ) if source.cell is None else open_cell()
    if whole is None or not whole.strip():
        if state is KeyState.PRIMARY and source.derive in LISTED:
            Key.parse(whole, where)
        if state is KeyState.PRIMARY:
            fault = "not set" if whole is None else "empty"
            raise KeyConfigError(
                f"{where}: {fault}. Set the secret that the application uses, or name its dotenv file with --env-file."
            )
        # A deployment that has nothing to stage, or no older key, leaves the variable unset or empty.
        return
    derivation = source.derivation(environ, where)
    text = whole if isinstance(whole, str) else whole.decode("utf-8", "surrogateescape")
    listed = state.is_superseded and source.derive in LISTED
    for item, place in split_key_list(text, where) if listed else [(text, where)]:
        yield ReadKey(state, _made(derivation, item, place, state, environ), place, source, item)


def _made(
    derivation: Derivation | RowDerivation, text: str, place: str, state: KeyState, environ: Mapping[str, str]
) -> Key:
    if not state.is_superseded:
        return derivation.key(text, place)
    try:
        return derivation.key(text, place, allow_weak=environ.get(ALLOW_WEAK_PREVIOUS) == "1")
    except WeakKeyError as error:
        refusal = str(error)
    raise WeakKeyError(f"{refusal}\nIf data is stored under it, {ALLOW_WEAK_PREVIOUS}=1 admits it.")


def _read(source: KeySource, state: KeyState, where: str, environ: Mapping[str, str]) -> str | bytes | None:
    if source.variable:
        return environ.get(source.variable)
    kind, value = (SourceKind.COMMAND, source.command) if source.file is None else (SourceKind.FILE, source.file)
    made = state in {KeyState.STAGED, KeyState.SUSPENDED}
    if kind is SourceKind.FILE and made and is_missing(key_path(source.file or "", environ, where)):
        # `keys stage` and `keys suspend` make the file.
        return None
    return read_named(kind, value or "", where, environ, COMMAND_SECONDS, comments=source.derive in LISTED).text
