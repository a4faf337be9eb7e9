"""One encrypted column, whatever library declares it: values in, cells out, and the reverse.

A cell is one bare Fernet token under the primary key of this process's keyring, which is asked for at each value.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import structlog

from keyring_core.bulk import pick, put
from keyring_core.config import get_keyring, key_set
from keyring_core.errors import (
    AlreadyEncryptedError,
    InvalidToken,
    KeyConfigError,
    KeyringError,
    MalformedToken,
    PlaintextError,
    SuspendedKey,
    UndecryptableToken,
    without_frames,
)
from keyring_core.keyring import Keyring
from keyring_core.keys import Key, check_context
from keyring_core.redaction import Secret
from keyring_core.reload import Reloader, may_open_later
from keyring_core.tokens import TokenText, is_token, json_of, may_hold_token, raw_of, utf8_of

if TYPE_CHECKING:
    from keyring_core.integrations.values import ValueForm
    from keyring_core.legacy import Legacy, LegacyReader

LIST_THEM = '"keyring-rotate status" lists the rows of such cells'
READ_UNBOUND = "add accept_unbound=True until a run has bound it"
"""The advice for a column with a context that has to read older tokens, too."""

log = structlog.get_logger(__name__)


class ValueKind(StrEnum):
    """The type of a column's values."""

    TEXT = "text"
    BYTES = "bytes"
    JSON = "json"


class Cells:
    """Turns values of one column into cells, and back. Copies and pickles hold no key; its repr shows its options."""

    @without_frames
    def __init__(  # noqa: PLR0913 - the options of a column
        self,
        kind: ValueKind,
        *,
        context: str | bool = False,
        accept_unbound: bool = False,
        accept_plaintext: bool = False,
        legacy: Legacy | None = None,
        secrets: Callable[[], Mapping[str, str | Sequence[str]]] | None = None,
        of: ValueForm | None = None,
        length: int | None = None,
        keys: str | None = None,
    ) -> None:
        """*context* binds the column: a name, or True for the name of table and column, such as `users.api_key`.

        *of* is for text that stands for other values, such as dates; *length* is the most characters that a text may
        have. *keys* names a key set of its own, see `keyring_core.key_set`; otherwise the keys are `ENCRYPTION_KEY`'s.

        While a column is taken over it also reads what *accept_unbound* (this keyring's tokens without the context),
        *accept_plaintext* and *legacy* say. *secrets* has the variables that `legacy` names, by default this process's.

        Raises KeyConfigError for a name that is no context, such as an empty one, and for plaintext beside ciphertext
        that is no token.
        """
        if isinstance(context, str):
            check_context(context)
        if accept_plaintext and legacy is not None and not legacy.writes_tokens:
            raise KeyConfigError(
                f"{legacy.package} writes no tokens, so that its ciphertext under a wrong secret looks like plaintext: "
                "take its cells over first, then drop legacy and accept plaintext"
            )
        if keys is not None:
            # Checks the name, and reads no key.
            key_set(keys)
        self.kind, self.of, self.length, self.keys = ValueKind(kind), of, length, keys
        self.context = context
        self.accept_unbound, self.accept_plaintext, self.legacy = accept_unbound, accept_plaintext, legacy
        self._secrets = secrets
        self.column = ""
        """The column's name in messages, such as `users.api_key`; also its context, if that is True."""
        self.read_unbound = READ_UNBOUND
        """The advice for a token that opens without the context alone."""
        self._bound: tuple[Keyring, Keyring] | None = None
        self._reader: LegacyReader | None = None
        self._logged = False

    @property
    def reloader(self) -> Reloader:
        """Called for the column's keyring, at each value."""
        return get_keyring if self.keys is None else key_set(self.keys)

    def seal(self, value: object) -> str:
        """The token of *value*. Raises KeyConfigError if this process has no key, and what `plaintext_of` raises."""
        return self.bound(self.reloader()).encrypt_bytes(self.plaintext_of(value))

    def plaintext_of(self, value: object) -> bytes:
        """The bytes that `seal` encrypts for *value*, or for what a Secret holds. Needs no key.

        Raises TypeError for a value that the column does not take or that would not come back equal,
        AlreadyEncryptedError for a token, and PlaintextError for text without a UTF-8 form.
        """
        if isinstance(value, Secret):
            value = value.reveal()
        data = self._encoded(value)
        # As JSON, a token would stand in quotes.
        if is_token(value if isinstance(value, str) else data):
            raise AlreadyEncryptedError(
                f"{self._place()}: the value is a Fernet token already and would be encrypted twice; decrypt it first. "
                'To store the token of another system, wrap it: {"token": ...} in an encrypted JSON column'
            )
        return data

    def open(self, cell: TokenText, row: Callable[[], str] = str) -> Any:
        """The value in *cell*.

        Raises InvalidToken if it does not open, and PlaintextError if what it holds is no such value; each names the
        column. An InvalidToken also names what *row* returns, such as `id=812`; it is called then alone.
        """
        [value] = self.open_many([cell])
        if isinstance(value, InvalidToken):
            raise self.placed(value, row())
        if isinstance(value, KeyringError):
            raise value
        return value

    def open_many(self, cells: Sequence[TokenText]) -> list[Any]:
        """For each of *cells* what `open` returns or raises, in order; an InvalidToken names no column yet.

        A token that no key opens, or that a suspended key refuses, asks for a newer keyring, unless `legacy` opens it:
        asking may run a command.
        """
        if not cells:  # NULL alone needs no key.
            return []
        reloader = self.reloader
        ring = reloader()
        opened = self._opened(ring, cells)
        later = [place for place, each in enumerate(opened) if not isinstance(each, bytes) and may_open_later(each)]
        if later and (newer := reloader.renew(ring)):
            # These alone: the others are counted already.
            put(opened, later, self._opened(newer, pick(cells, later)))
        return [self._decoded(each) if isinstance(each, bytes) else each for each in opened]

    def placed(self, error: InvalidToken, row: str = "") -> InvalidToken:
        """*error*, whose message now names the column and, if that is known, the *row*, such as `id=812`."""
        error.at(f"{self._place()}, {row}" if row else self._place())
        if isinstance(error, SuspendedKey):
            # It says what to do; the cell is not at fault.
            return error
        if self._reader is not None:
            error.with_hint(f"nor is it a cell of {self._reader.words}")
        return error if row else error.with_hint(LIST_THEM)

    def bound(self, keyring: Keyring) -> Keyring:
        """*keyring*, bound to the context if there is one. Raises KeyConfigError if that has no name yet."""
        name = self.context_name
        if name is None:
            return keyring
        # Read once: another thread may bind a newer keyring between two reads.
        known = self._bound
        if known is not None and known[0] is keyring and known[1].context == name:
            return known[1]
        bound = keyring.bind(name, accept_unbound=self.accept_unbound)
        self._bound = keyring, bound
        return bound

    @property
    def context_name(self) -> str | None:
        """The context of the column's tokens; None if they are not bound, and "" if the column has no name yet."""
        return self.column if self.context is True else self.context or None

    @property
    def reading(self) -> tuple[object, ...]:
        """The options that decide how a cell is read: a cell can be copied between columns for which they are equal."""
        options = self.accept_unbound, self.accept_plaintext, self.legacy
        return self.kind, self.of, self.keys, self.context_name, *options

    def _opened(self, ring: Keyring, cells: Sequence[TokenText]) -> list[bytes | InvalidToken]:
        opened: list[bytes | InvalidToken]
        if len(cells) > 1:
            opened = self.bound(ring).decrypt_bytes_many(cells)
        else:  # A batch of one costs several times as much as its token.
            try:
                opened = [self.bound(ring).decrypt_bytes(cells[0])]
            except InvalidToken as error:
                opened = [error]
        return [
            each if isinstance(each, bytes) else self._otherwise(ring, cell, each)
            for cell, each in zip(cells, opened, strict=True)
        ]

    def _otherwise(self, ring: Keyring, cell: TokenText, refusal: InvalidToken) -> bytes | InvalidToken:
        """The plaintext of *cell*, if the column takes it in another way; otherwise *refusal*, with a hint."""
        if isinstance(refusal, SuspendedKey):
            return refusal
        data = cell if isinstance(cell, str) else bytes(cell)
        if not data and self.kind is not ValueKind.JSON and self.of is None:
            # As for `CredentialEncryptionService`: nothing was encrypted.
            return b""
        if self.legacy is not None:
            if self._reader is None:
                self._reader = self.legacy.reader(self._secrets() if self._secrets else os.environ)
            if found := self._reader.open(data):
                # The package's key may be in the keyring, too, which opens none of its tokens in a bound column.
                return ring.count_elsewhere(found.keys) or found.plaintext
        if self.accept_plaintext and isinstance(refusal, MalformedToken) and not may_hold_token(raw_of(data)):
            if not self._logged:
                self._logged = True
                log.warning("credential.stored_as_plaintext", column=self.column)
            return raw_of(data)
        # A damaged token is under a key that is known.
        is_unknown = type(refusal) is UndecryptableToken
        if is_unknown and self.context_name is None:
            refusal.with_hint("its key is missing, or it is bound to a `context`, which the column does not declare")
        elif is_unknown and not self.accept_unbound and isinstance(ring.identify_many([cell])[0], Key):
            refusal.with_hint(f"it opens without a context: {self.read_unbound}")
        return refusal

    def _encoded(self, value: object) -> bytes:
        """The bytes to encrypt. Its errors are raised outside of `except`: theirs hold the value."""
        if self.kind is ValueKind.JSON:
            fault = "JSON would give back another one: it has lists in place of tuples, and only str as keys"
            try:
                data = json_of(value)
                if json.loads(data) == value:
                    return data
            except (TypeError, ValueError, RecursionError):
                fault = "JSON has no form for such a value"
            raise TypeError(f"{self._place()}: {fault}; the value is of type {type(value).__name__}")
        if self.kind is ValueKind.BYTES:
            if isinstance(value, bytes | bytearray | memoryview):
                return bytes(value)
            raise TypeError(f"{self._place()}: takes bytes, not {type(value).__name__}")
        if self.of is not None:
            value = self.of.text_of(value, f"{self._place()}: ")
        if not isinstance(value, str):
            raise TypeError(f"{self._place()}: takes str, not {type(value).__name__}; a JSON column takes numbers")
        if self.length is not None and len(value) > self.length:
            raise TypeError(f"{self._place()}: takes text of at most {self.length} characters; this one is longer")
        return utf8_of(value, f"{self._place()}: the text has a lone surrogate and so no UTF-8 form")

    def _decoded(self, data: bytes) -> Any:
        """The value, or PlaintextError: made outside of `except`, whose error holds the plaintext."""
        if self.kind is ValueKind.BYTES:
            return data
        try:
            if self.kind is ValueKind.JSON:
                return json.loads(data)
            text = data.decode("utf-8")
            return text if self.of is None else self.of.read(text)
        except (ValueError, RecursionError, OverflowError):
            pass
        words = "JSON" if self.kind is ValueKind.JSON else self.of.words if self.of else "UTF-8 text"
        return PlaintextError(f"{self._place()}: the cell opens, but what it holds is not {words}")

    def _place(self) -> str:
        return self.column or "an encrypted column"

    def __getstate__(self) -> dict[str, Any]:
        """The state for copies and pickles: no keyring, and no reader of legacy cells, which holds keys too."""
        return vars(self) | {"_bound": None, "_reader": None, "_logged": False}

    def __repr__(self) -> str:
        names = ("of", "keys", "context", "accept_unbound", "accept_plaintext", "legacy")
        shown = "".join(f" {name}={value!r}" for name in names if (value := getattr(self, name)))
        return f"<Cells {self.kind}{f' of {self.column}' if self.column else ''}{shown}>"
