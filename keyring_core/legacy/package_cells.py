"""Reads another package's cells: what all readers share, and the cells that are a Fernet token or JSON of tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple, NoReturn

from keyring_core.errors import MalformedToken
from keyring_core.keys import Key, check_told_apart
from keyring_core.tokens import OVERHEAD, json_of, parse_token


class LegacyPlaintext(NamedTuple):
    """The plaintext that another package stored. Its repr shows nothing of it."""

    plaintext: bytes
    """Text as UTF-8."""
    timestamp: int | None
    """The time of encryption, in seconds since 1970, if the cell says it."""
    keys: frozenset[Key] = frozenset()
    """The Fernet keys that the tokens in it are under."""

    def __repr__(self) -> str:
        return f"<LegacyPlaintext of {len(self.plaintext)} bytes>"


class LegacyReader:
    """Reads the cells of one package under some keys. Holds them, and so cannot be pickled or copied."""

    words: str = ""
    """The package, and where its secrets are, for messages. Holds no secret."""

    def open(self, cell: str | bytes) -> LegacyPlaintext | None:
        """The plaintext in *cell*; None if the package did not write it under these secrets. Never raises."""
        if isinstance(cell, bytearray | memoryview):  # as some drivers return a BLOB
            cell = bytes(cell)
        return self._plaintext(cell) if isinstance(cell, str | bytes) else None

    def longest_plaintext(self, size: int) -> int:
        """The most bytes that the plaintext of a cell of *size* bytes can have."""
        return max(0, self._longest(size))

    def _plaintext(self, cell: str | bytes) -> LegacyPlaintext | None:
        raise NotImplementedError

    def _longest(self, size: int) -> int:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<LegacyReader {self.words}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a LegacyReader is not pickled or copied: its keys would leave the process. Pickle its Legacy")


class TokenCells(LegacyReader):
    """Cells that are a bare token, as text or as bytes.

    - sqlalchemy-utils 0.43.0, `sqlalchemy_utils/types/encrypted/encrypted_type.py`: `FernetEngine`
    - advanced-alchemy 1.12.0, `advanced_alchemy/types/encrypted_string.py`: `FernetBackend`
    - django-fernet-fields 0.6, django-fernet-fields-v2 0.9 and djfernet 0.8.1, `fernet_fields/fields.py`
    - django-encrypted-model-fields 0.6.5, `encrypted_model_fields/fields.py`

    Raises KeyConfigError if two of the *keys*, which have their places in words, sign alike.
    """

    def __init__(self, keys: Mapping[Key, str]) -> None:
        check_told_apart(keys)
        self._keys = tuple(keys)

    def _plaintext(self, cell: str | bytes) -> LegacyPlaintext | None:
        """The plaintext of the token, and the token's own time."""
        try:
            token = parse_token(cell)
        except MalformedToken:
            return None
        for key in self._keys:
            if key.signed(token):
                plaintext = key.open(token)
                return None if plaintext is None else LegacyPlaintext(plaintext, token.timestamp, frozenset({key}))
        return None

    def _longest(self, size: int) -> int:
        """Three bytes of four characters; at least one of them is padding."""
        return size * 3 // 4 - OVERHEAD - 1


class TokenOrJsonCells(TokenCells):
    """Cells that are a bare token, or JSON whose values are tokens, as `EncryptedJSONField` writes it.

    django-fernet-encrypted-fields 0.4.0, `encrypted_fields/fields.py`. That field makes a text of each value before it
    encrypts it, so that the package reads `"1"` for 1, `"True"` for true and `"None"` for null; keys are not
    encrypted. Here, too. The other fields' columns are text; the JSON field's is JSON (on PostgreSQL `jsonb`),
    which cannot hold a bare token: it has to become text before such a column can hold anything else.

    JSON without any value, such as `{}`, is read as it is.
    """

    def _plaintext(self, cell: str | bytes) -> LegacyPlaintext | None:
        """As for a token; or the JSON of the values, without a time, since each has its own."""
        if opened := super()._plaintext(cell):
            return opened
        keys: set[Key] = set()
        try:
            text = cell if isinstance(cell, str) else cell.decode()
            return LegacyPlaintext(json_of(self._opened(json.loads(text), keys)), None, frozenset(keys))
        except (ValueError, RecursionError):
            return None

    def _longest(self, size: int) -> int:
        """Four characters are three bytes of a value, each of which takes up to six in JSON: NUL does."""
        return size * 9 // 2

    def _opened(self, value: object, keys: set[Key]) -> object:
        """*value* with the plaintexts of its tokens, whose keys are added to *keys*.

        Raises ValueError if anything in it is no token of these keys.
        """
        if isinstance(value, dict):
            return {key: self._opened(each, keys) for key, each in value.items()}
        if isinstance(value, list):
            return [self._opened(each, keys) for each in value]
        opened = super()._plaintext(value) if isinstance(value, str) else None
        if opened is None:
            raise ValueError("a value that is no token of these keys")
        keys |= opened.keys
        return opened.plaintext.decode()
