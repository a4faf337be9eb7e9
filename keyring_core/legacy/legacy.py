"""A package, its options and the names of its secrets in; a reader of its cells out."""

from __future__ import annotations

import base64
import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from typing import NamedTuple, final

from keyring_core.derivation import Derivation, protect
from keyring_core.errors import KeyConfigError, without_frames
from keyring_core.key_commands import keep_from_commands
from keyring_core.key_text import split_key_list
from keyring_core.keys import Key
from keyring_core.legacy.aes_cells import PADDINGS, AesCells, GcmCells, check_of
from keyring_core.legacy.django_cryptography import ITERATIONS, SALT, DjangoCryptographyCells, aes_keys
from keyring_core.legacy.package_cells import LegacyReader, TokenCells, TokenOrJsonCells
from keyring_core.sources import FORMS, FoundText, KeyOrigin, SourceKind, read_source, variable_in

_SHA256 = Derivation("sha256")
_RAW = Derivation("raw")
_VARIABLE = KeyOrigin(SourceKind.VARIABLE)
_ENGINES = {"aes": "AES", "aes-gcm": "AES-GCM", "fernet": "Fernet"}
_NAMES = ("secret", "encryption_secret", "key")
"""Options that are names of variables."""
_LISTS = (*_NAMES, "salt")
"""Options that may have several values."""
_TYPES = {
    **dict.fromkeys(("hkdf", "unpickle"), (bool, "true or false")),
    **dict.fromkeys(("package", "engine", "padding", "check", "prefix"), (str | None, "text")),
    **dict.fromkeys(_LISTS, (Sequence | None, "text, or a list of texts")),
    "secret": (Sequence, "text, or a list of texts"),
}

Environ = Mapping[str, str | Sequence[str]]
"""Variables, or an application's settings, in which a list is several secrets."""


@final
@dataclass(frozen=True, slots=True, repr=False)
class Legacy:
    """Cells of a column that the *package*, named as on PyPI, wrote. Holds the names of secrets, and no secret.

    A secret is spelled `$NAME`: its text is in that variable, in the file that `NAME_FILE` names, or is what the
    command in `NAME_COMMAND` prints. Several names, or a variable that is a list, are several keys, tried in order.

    Raises KeyConfigError for an unknown package, a secret in place of a name, and options that the package lacks.

    Examples:
        >>> cells = Legacy("django-encrypted-model-fields", secret="$FIELD_ENCRYPTION_KEY")
        >>> cells.reader({"FIELD_ENCRYPTION_KEY": keyring.primary.reveal()}).open(keyring.encrypt("sk-live-1"))
        <LegacyPlaintext of 9 bytes>
    """

    package: str
    """One of `PACKAGES`."""
    _: KW_ONLY
    secret: str | Sequence[str]
    """The package's key: `SECRET_KEY`, `FERNET_KEYS`, `FIELD_ENCRYPTION_KEY` or the *key* of a SQLAlchemy type."""
    salt: str | Sequence[str] | None = None
    """`SALT_KEY` of django-fernet-encrypted-fields, `CRYPTOGRAPHY_SALT`: texts, or `$NAME` of variables."""
    engine: str | None = None
    """Of sqlalchemy-utils: `fernet`, `aes` (its own default) or `aes-gcm`."""
    padding: str | None = None
    """Of the engine `aes`: `naive`, unless the type names another one."""
    check: str | None = None
    """Of the engine `aes`, which needs it: `json`, or a regular expression that every plaintext matches as a whole."""
    hkdf: bool = True
    """`FERNET_USE_HKDF` of django-fernet-fields and its successors."""
    prefix: str | None = None
    """`DJFERNET_PREFIX` of djfernet, as text; versions before 0.8 had the prefix `djfernet`."""
    encryption_secret: str | Sequence[str] | None = None
    """`CRYPTOGRAPHY_KEY` of django-cryptography, if it was set; otherwise both of its keys are of *secret*."""
    key: str | Sequence[str] | None = None
    """Of django-cryptography: the `key` of the field, if it has one of its own."""
    unpickle: bool = False
    """Of django-cryptography: loads pickles, which runs code if somebody who knows the secret put code in."""

    def __post_init__(self) -> None:
        self._check_types()
        for name in _LISTS:
            value = getattr(self, name)
            if value is None:
                continue
            object.__setattr__(self, name, (value,) if isinstance(value, str | bytes) else tuple(value))
            if not value:
                raise KeyConfigError(f"{name}: empty; name at least one")
        if self.package not in PACKAGES:
            near = difflib.get_close_matches(str(self.package), PACKAGES, n=1, cutoff=0.5)
            meant = f"; did you mean {near[0]}?" if near else "."
            raise KeyConfigError(f"no such package{meant} The packages are {', '.join(PACKAGES)}")
        for option in _NAMES:
            for spelling in _names(getattr(self, option)):
                if not isinstance(spelling, str) or not (variable := variable_in(spelling)):
                    if isinstance(spelling, str | bytes):
                        protect(spelling, "secret")
                    raise KeyConfigError(f'{option} is "$NAME" of a variable; a secret does not belong into code')
                # No key command gets those.
                keep_from_commands(variable)
        PACKAGES[self.package].check_options(self)

    @property
    def writes_tokens(self) -> bool:
        """True if each cell has the shape of a Fernet token, so that nobody takes it for plaintext."""
        return self.engine in {None, "fernet"} and PACKAGES[self.package].writes_tokens

    @without_frames
    def reader(self, environ: Environ) -> LegacyReader:
        """The reader of these cells, with the secrets that *environ* has now. They are masked in every log from then.

        Raises KeyConfigError for a secret that is not set or that the package would not take. A secret that can be
        guessed gives a WeakKeyWarning: old cells may be under it.
        """
        reader = PACKAGES[self.package].cells(self, environ)
        engine = f" {_ENGINES[self.engine]}" if self.engine else ""
        names = [each for name in _NAMES for each in _names(getattr(self, name))]
        plural = "s" if len(names) > 1 else ""
        reader.words = f"{self.package}{engine}, secret{plural} {' and '.join(names)}"
        return reader

    def __repr__(self) -> str:
        shown = [f"{name}={self._shown(name)}" for name in self._given()]
        return f"Legacy({', '.join([repr(self.package), *shown])})"

    def _shown(self, name: str) -> str:
        value = getattr(self, name)
        if name not in _LISTS:
            return repr(value)
        # A salt that is no name of a variable may be secret.
        return " and ".join(each if isinstance(each, str) and variable_in(each) else "..." for each in value)

    def _check_types(self) -> None:
        """Raises KeyConfigError for a value of another type: the text "false" would count as true."""
        for name, (kind, words) in _TYPES.items():
            if not isinstance(getattr(self, name), kind):
                raise KeyConfigError(f"{name} is {words}")
        if not all(isinstance(salt, str) for salt in _names(self.salt)):
            raise KeyConfigError("salt is text, or a list of texts")

    def _given(self) -> Iterator[str]:
        """The names of the options that differ from their defaults."""
        yield from (each.name for each in fields(self)[1:] if getattr(self, each.name) != each.default)


# The frame of a dataclass's own __init__ holds what it was given.
Legacy.__init__ = without_frames(Legacy.__init__)  # type: ignore[method-assign]


class Package(NamedTuple):
    """The reader of a package's cells, and the options that it has beside `secret`."""

    cells: Callable[[Legacy, Environ], LegacyReader]
    """Raises KeyConfigError."""
    needs: frozenset[str] = frozenset()
    takes: frozenset[str] = frozenset()
    writes_tokens: bool = True
    """True if its cells are Fernet tokens, unless an engine says otherwise."""

    def check_options(self, legacy: Legacy) -> None:
        """Raises KeyConfigError if options of *legacy* do not fit."""
        given = {*legacy._given()} - {"secret"}
        package = legacy.package
        if legacy.package == "advanced-alchemy" and "pgcrypto" in str(legacy.engine).lower():
            raise KeyConfigError(
                "advanced-alchemy with PGCryptoBackend: there the database encrypts, with pgp_sym_encrypt, and such "
                "cells cannot be read here. Read them through advanced-alchemy, and write what it reads"
            )
        if missing := sorted(self.needs - given):
            engines = f"; the engines are {', '.join(_ENGINES)}" if "engine" in missing else ""
            raise KeyConfigError(f"{package}: set {' and '.join(missing)} as the application does{engines}")
        if extra := sorted(given - self.needs - self.takes):
            raise KeyConfigError(f"{package}: it has no {' and no '.join(extra)}; leave that out")
        if legacy.key is not None and (spare := sorted({"encryption_secret", "salt"} & given)):
            raise KeyConfigError(f"{package}: a field with a key of its own uses no {' and no '.join(spare)}")
        if legacy.engine not in {None, *_ENGINES}:
            raise KeyConfigError(f"{package}: unknown engine; the engines are {', '.join(_ENGINES)}")
        if legacy.engine != "aes":
            if legacy.engine is not None and given & {"padding", "check"}:
                raise KeyConfigError(f"{package}: only the engine aes has a padding and takes a check")
            return
        if legacy.padding is not None and legacy.padding not in PADDINGS:
            raise KeyConfigError(f"{package}: unknown padding; the paddings are {', '.join(PADDINGS)}")
        if legacy.check is None:
            raise KeyConfigError(
                f"{package}: the engine aes does not authenticate, so a wrong key can open a cell to nonsense. "
                'Set check to "json", or to a regular expression that every plaintext matches as a whole'
            )
        check_of(legacy.check)


def _keys(derivations: Iterable[Derivation], secrets: Iterable[FoundText]) -> dict[Key, str]:
    """The key that each derivation makes of each secret, in that order, with its place."""
    derivations = list(derivations)
    return {rule.key(each.text, each.where, allow_weak=True): each.where for each in secrets for rule in derivations}


def _raw(keys: Iterable[Key]) -> list[bytes]:
    return [base64.urlsafe_b64decode(key.reveal()) for key in keys]


def _names(value: str | Sequence[str] | None) -> Sequence[str]:
    return (value,) if isinstance(value, str) else value or ()


def _secrets(legacy: Legacy, environ: Environ, *, listed: bool = False) -> list[FoundText]:
    return read_variables(_names(legacy.secret), environ, "secret", listed=listed)


def _salts(legacy: Legacy, environ: Environ) -> Iterator[str | bytes]:
    for salt in _names(legacy.salt):
        if not variable_in(salt):
            yield salt
            continue
        for found in read_variables([salt], environ, "salt"):
            # In a variable it may be secret.
            protect(found.text, "salt")
            yield found.text


def read_variables(spellings: Iterable[str], environ: Environ, option: str, *, listed: bool = False) -> list[FoundText]:
    """The texts in the variables that *spellings* name, in order. With *listed* a variable is a list of keys.

    Raises KeyConfigError for a variable that is not set or empty; *option* says what it is for.
    """
    found: list[FoundText] = []
    for spelling in spellings:
        texts = _texts(variable_in(spelling) or "", environ, listed=listed)
        for text, where, _ in texts or [FoundText("", spelling, _VARIABLE)]:
            if not isinstance(text, str | bytes):
                raise KeyConfigError(f"{where}: the {option} is text, not {type(text).__name__}")
            if not text:
                raise KeyConfigError(f"{where}: not set, or empty; set the {option} that the cells were written under")
        found += texts
    return found


def _texts(name: str, environ: Environ, *, listed: bool) -> list[FoundText]:
    value = environ.get(name)
    if value is not None and not isinstance(value, str):
        if other := next((name + form for form in FORMS if form and name + form in environ), None):
            raise KeyConfigError(f"{name} and {other} are both set; keep one of them")
        items = [value] if isinstance(value, bytes) else value
        places = [f"{name}, item {number} of {len(items)}" for number in range(1, len(items) + 1)]
        return [FoundText(each, place, _VARIABLE) for each, place in zip(items, places, strict=True)]
    names = [*(name + form for form in FORMS), "CREDENTIALS_DIRECTORY"]
    if f"{name}_COMMAND" in environ:
        # The command gets them all. Otherwise they are not listed: for Django's settings that is slow.
        names += environ
    texts = {each: text for each in names if isinstance(text := environ.get(each), str)}
    found = read_source(name, texts, comments=listed)
    if found is None or not listed:
        return [found] if found else []
    return [FoundText(text, place, found.source) for text, place in split_key_list(found.text, found.where)]


def _sqlalchemy_utils(legacy: Legacy, environ: Environ) -> LegacyReader:
    keys = _keys([_SHA256], _secrets(legacy, environ))
    if legacy.engine == "aes":
        return AesCells(_raw(keys), legacy.padding or "naive", legacy.check or "")
    return GcmCells(_raw(keys)) if legacy.engine == "aes-gcm" else TokenCells(keys)


def _fernet_fields(legacy: Legacy, environ: Environ) -> LegacyReader:
    """The key is made in `fernet_fields/hkdf.py` of each of the three packages."""
    prefix = "django-fernet-fields" if legacy.prefix is None else legacy.prefix
    derivation = Derivation("hkdf-sha256", salt=f"{prefix}-hkdf-salt", info=prefix) if legacy.hkdf else _RAW
    return TokenCells(_keys([derivation], _secrets(legacy, environ, listed=not legacy.hkdf)))


def _fernet_encrypted_fields(legacy: Legacy, environ: Environ) -> LegacyReader:
    rules = [Derivation("pbkdf2-sha256", salt, iterations=100_000) for salt in _salts(legacy, environ)]
    return TokenOrJsonCells(_keys(rules, _secrets(legacy, environ)))


def _django_cryptography(legacy: Legacy, environ: Environ) -> LegacyReader:
    salts = list(_salts(legacy, environ)) or [SALT]
    rules = [Derivation("pbkdf2-sha256", salt, iterations=ITERATIONS) for salt in salts]
    named = _names(legacy.encryption_secret)
    encryption = _raw(_keys(rules, read_variables(named, environ, "encryption_secret"))) if named else None
    if legacy.key is not None:
        found_keys = read_variables(_names(legacy.key), environ, "key")
        encryption = [key for each in found_keys for key in aes_keys(each.text, each.where)]
    keys = []
    for found in _secrets(legacy, environ):
        # Also with an encryption secret: it masks this one, and warns of a weak one.
        own = _keys(rules, [found])
        mac_key = found.text if isinstance(found.text, bytes) else found.text.encode("utf-8", "surrogateescape")
        keys.append((mac_key, encryption or _raw(own)))
    return DjangoCryptographyCells(keys, unpickle=legacy.unpickle)


_DJANGO_CRYPTOGRAPHY = Package(
    _django_cryptography, takes=frozenset({"salt", "encryption_secret", "key", "unpickle"}), writes_tokens=False
)
PACKAGES = {
    "sqlalchemy-utils": Package(_sqlalchemy_utils, frozenset({"engine"}), frozenset({"padding", "check"})),
    "advanced-alchemy": Package(lambda legacy, environ: TokenCells(_keys([_SHA256], _secrets(legacy, environ)))),
    "django-fernet-fields": Package(_fernet_fields, takes=frozenset({"hkdf"})),
    "django-fernet-fields-v2": Package(_fernet_fields, takes=frozenset({"hkdf"})),
    "djfernet": Package(_fernet_fields, takes=frozenset({"hkdf", "prefix"})),
    "django-fernet-encrypted-fields": Package(_fernet_encrypted_fields, frozenset({"salt"})),
    "django-encrypted-model-fields": Package(
        lambda legacy, environ: TokenCells(_keys([_RAW], _secrets(legacy, environ, listed=True))),
    ),
    "django-cryptography": _DJANGO_CRYPTOGRAPHY,
    "django-cryptography-5": _DJANGO_CRYPTOGRAPHY,
}
"""The packages whose cells can be read."""
