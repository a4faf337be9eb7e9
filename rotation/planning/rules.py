"""The rules of a run: what becomes of the tokens under each key, and which other cells become tokens. Pure.

Cells of another package, and plaintext, are taken over. The rules are the same for rows, blocks and texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, cast

from keyring_core import (
    DamagedToken,
    InvalidToken,
    Key,
    KeyConfigError,
    Keyring,
    KeyState,
    Malformed,
    MalformedToken,
    UndecryptableToken,
    bulk,
)
from keyring_core.bulk import SignedBatch, pick
from keyring_core.tokens import BLOCK
from rotation.model.batch import are_all
from rotation.model.counts import Counts, RowKey
from rotation.model.key_history import UNKNOWN, History
from rotation.model.target import Adopts, Format, Target
from rotation.planning.cell_kinds import CellKind, Classification
from rotation.planning.inner_tokens import SHORTEST, InnerTokens, bytes_of, find_inner, holds_mark
from rotation.planning.suspects import may_hide

if TYPE_CHECKING:
    from keyring_core.legacy import LegacyReader

NESTED = "nested"
"""The category of a token whose plaintext holds another token; it counts among those under its key, too."""
NO_SALT = "no-salt"
"""The category of a cell whose key cannot be made, since the column of its salt holds none."""
OTHER_KEY_SET = "other-key-set"
"""The category of a token that another key set's key opens."""

GIVEN_UP = "there is more in it than could be searched, so it may hold a token that no run rotates"
"""The words for a cell whose search was given up."""

SHORTEST_NESTED = 1 + 8 + BLOCK + SHORTEST + -SHORTEST % BLOCK
"""The signed part of the shortest token that holds another: version, time, IV, and the shortest token, padded."""

_CLASSES = (
    ("lowercase letters", str.islower),
    ("uppercase letters", str.isupper),
    ("digits", str.isdigit),
    ("blanks", str.isspace),
    ("other letters", str.isalpha),
)


class Taken(NamedTuple):
    """The content of a cell that becomes a token."""

    plaintext: bytes
    timestamp: int | None = None
    """The time when it was encrypted, in seconds since 1970; None: the token gets the time of the takeover."""

    def __repr__(self) -> str:
        return "<Taken>"


class Takeover:
    """The cells that a run makes tokens of, beside tokens under older keys."""

    def __init__(self, reader: LegacyReader | None = None, adopts: Adopts = Adopts.NOTHING) -> None:
        self.reader, self.adopts = reader, adopts

    @classmethod
    def of(cls, target: Target, environ: Mapping[str, str]) -> Takeover:
        """The takeover of *target*, with the secrets that *environ* has for it now. Raises KeyConfigError."""
        if target.source is None:
            return cls(None, target.adopts)
        try:
            return cls(target.source.reader(environ), target.adopts)
        except KeyConfigError as error:
            fault = str(error)
        raise KeyConfigError(f"{target.label}, from: {fault}")

    def longest(self, size: int) -> int:
        """The most bytes of plaintext in a cell of *size* bytes."""
        if self.reader and self.adopts is Adopts.NOTHING:
            return self.reader.longest_plaintext(size)
        return size

    def read(self, cell: str | bytes) -> Taken | None:
        """The content of *cell*, if another package wrote it under these secrets; otherwise None."""
        found = self.reader.open(cell) if self.reader else None
        return None if found is None else Taken(found.plaintext, found.timestamp)

    def adopt(
        self, cell: str | bytes, error: MalformedToken, found: Classification, inner: InnerTokens
    ) -> Taken | None:
        """*cell* as it stands, if it is to become a token; *found* says of what kind it is, *inner* what is in it."""
        kinds = {
            Adopts.NOTHING: (),
            Adopts.PLAINTEXT: (CellKind.PLAINTEXT,),
            Adopts.RANDOM: (CellKind.PLAINTEXT, CellKind.CIPHERTEXT, CellKind.NOT_A_TOKEN),
        }[self.adopts]
        searched = not inner.given_up and error.category != Malformed.TOO_LARGE
        return Taken(bytes_of(cell)) if found.kind in kinds and searched else None


NO_TAKEOVER = Takeover()
"""Tokens alone move."""


class Action(StrEnum):
    """The treatment of the tokens under a key. Of tokens that stay the value is the category of their problems."""

    STAGED = "staged-key"
    """They stay: a service that has their key as primary would only write it again."""
    NEWER = "newer-key"
    """They stay: their key was promoted later than the primary one."""
    CURRENT = "current"
    """They are under the primary key."""
    TO_ROTATE = "to-rotate"
    """A dry run counts them: a run would rotate them."""
    TO_BIND = "to-bind"
    """The same, and they are not bound to the target's context yet."""
    ROTATE = "rotate"


STAYING = frozenset({Action.STAGED, Action.NEWER})
"""The tokens that must not move: a problem is reported for each."""


class Decided(NamedTuple):
    """Tokens of one length under one key, all of them sound, and what becomes of them."""

    tokens: SignedBatch
    action: Action
    new: Sequence[str] | None
    """Their successors; None if they are not rotated."""


@dataclass(frozen=True)
class Rules:
    """Everything that decides about the cells of one target."""

    keyring: Keyring
    history: History = UNKNOWN
    """Tokens under a key that it calls newer than the primary one stay."""
    others: Sequence[tuple[str, Keyring]] = ()
    """Further key sets, with their names in words: a token under one of their keys is in the wrong place."""
    takeover: Takeover = NO_TAKEOVER
    """The other cells that become tokens, too."""
    format: Format = Format.TOKEN
    """The way in which cells hold tokens."""
    leaves_others: bool = False
    """True if tokens of other keys stay beside tokens of the keyring, as in an envelope."""
    dry_run: bool = False
    """Counts what a run would rotate, and plans nothing."""
    balance: Counter[Key] = field(default_factory=Counter)
    """For each key the tokens that decrypted less the tokens that did not, in all batches so far."""

    def action(self, key: Key) -> Action:
        """The decision about tokens under *key*, which is one of the keyring."""
        state = self.keyring.states[key]
        if state is KeyState.STAGED:
            return Action.STAGED
        if state is KeyState.PRIMARY:
            return Action.CURRENT
        if key.id in self.history.newer:
            return Action.NEWER
        if self.dry_run:
            return Action.TO_ROTATE if key.context == self.keyring.context else Action.TO_BIND
        return Action.ROTATE

    def words_of_staying(self, key: Key) -> str:
        """The problem of a token that stays, under *key*."""
        if self.keyring.states[key] is KeyState.STAGED:
            return f"under the staged key {key.id}: finish the promotion, then run again"
        return f"under {key.id}, promoted {self.history.newer[key.id].words()}, later than the primary key"

    def decrypts(self, action: Action) -> bool:
        """True if tokens are decrypted before they count: to rotate them, or in a dry run if they may move."""
        return action is Action.ROTATE or (self.dry_run and action not in STAYING)

    def decide(self, found: Iterable[SignedBatch]) -> tuple[list[Decided], dict[int, DamagedToken]]:
        """The tokens in *found* and what becomes of them, and an error for the place of each that does not decrypt.

        If at least half of a key's tokens fail to decrypt, all of them count as damaged. Then the key is wrong: it is
        mistyped in its second half, which does not sign. One in 256 of its tokens decrypts all the same, to nonsense,
        and must not be written.
        """
        decided, damaged = list[Decided](), dict[int, DamagedToken]()
        tried = list[tuple[Decided, dict[int, DamagedToken]]]()
        for tokens in found:
            action = self.action(tokens.key)
            if not self.decrypts(action):
                decided.append(Decided(tokens, action, None))
                continue
            new, errors = self._renewed(tokens) if action is Action.ROTATE else (None, bulk.damaged(tokens))
            self.balance[tokens.key] += len(tokens.places) - 2 * len(errors)
            tried.append((Decided(tokens, action, new), errors))
        for each, errors in tried:
            tokens, action, new = each
            if self.balance[tokens.key] <= 0:
                damaged |= dict.fromkeys(tokens.places, DamagedToken.under(tokens.key.id))
            elif not errors:
                decided.append(each)
            else:
                damaged |= {tokens.places[index]: error for index, error in errors.items()}
                sound = [index for index in range(len(tokens.places)) if index not in errors]
                decided += [Decided(tokens.only(sound), action, new and pick(new, sound))] if sound else []
        return decided, damaged

    def _renewed(self, tokens: SignedBatch) -> tuple[Sequence[str], dict[int, DamagedToken]]:
        """The successors of *tokens*, and an error for the index of each that fails."""
        new = bulk.reencrypt(self.keyring.primary, tokens)
        if are_all(new, str):
            return cast(list[str], new), {}
        errors = {index: each for index, each in enumerate(new) if isinstance(each, DamagedToken)}
        return ["" if isinstance(each, DamagedToken) else each for each in new], errors

    def count(self, counts: Counts, tokens: SignedBatch, action: Action) -> None:
        """Counts cells that are a token each; those to rotate are counted once they are written."""
        number = len(tokens.places)
        match action:
            case Action.ROTATE:
                return
            case Action.STAGED | Action.NEWER:
                counts.unsettled += number
            case Action.CURRENT:
                counts.current += number
            case Action.TO_ROTATE | Action.TO_BIND:
                counts.to_rotate += number
                counts.unbound += number * (action is Action.TO_BIND)
        counts.hold(tokens.key.id, tokens.signed)

    def nested(self, tokens: SignedBatch) -> Iterator[tuple[int, InnerTokens]]:
        """Each of *tokens*, which `may_nest`, that holds another token: its place, and what it holds.

        Under whatever key. All are decrypted in one cipher call.
        """
        plaintexts = bulk.decrypt_padded(tokens.key, tokens.signed)
        if not holds_mark(b"".join(plaintexts)):
            return
        for place, padded in zip(tokens.places, plaintexts, strict=True):
            if not holds_mark(padded):
                continue
            found = find_inner([self.keyring, *(keyring for _, keyring in self.others)], padded[: -padded[-1]])
            if found or found.unopened:
                yield place, found

    def note_nested(self, counts: Counts, tokens: SignedBatch, row_at: Callable[[int], RowKey]) -> None:
        """Counts what *tokens*, which `may_nest`, hold besides; *row_at*: the key of the row for a token's place."""
        for place, inner in self.nested(tokens):
            counts.nested += 1
            counts.nested_unknown += inner.unopened
            counts.inner.update(inner.under)
            counts.given_up += inner.given_up
            keys = ", ".join(f"under {key_id}" for key_id in inner.under) or "under no key here"
            is_certain = inner.under or inner.unknown or inner.unopened
            words = [f"it holds another token ({keys}), which no run rotates"] if is_certain else []
            words += [GIVEN_UP] if inner.given_up else []
            counts.note(row_at(place), NESTED, "; ".join(words))

    def search(self, counts: Counts, data: bytes) -> InnerTokens:
        """The tokens in *data*, which are not a sound token, under the keys of all key sets; counts them."""
        if len(data) < SHORTEST or not holds_mark(data):
            return InnerTokens()
        keyrings = [self.keyring, *(keyring for _, keyring in self.others)]
        inner = find_inner(keyrings, data, with_rest=self.leaves_others)
        counts.inner.update(inner.under)
        counts.given_up += inner.given_up
        return inner

    def are_others(self, inner: InnerTokens) -> bool:
        """True if *inner* has tokens, all of them whole, and none of them under a key of the keyring."""
        if inner.given_up or inner.has_endless or inner.under.keys() & self.keyring.states_by_id.keys():
            return False
        return bool(inner)

    def is_suspect(self, data: bytes, *, alone: bool = True) -> bool:
        """True if *data*, in which no token was found, may hide one; *alone*: they are a whole cell."""
        # A cell that holds a token as its format has it may hold other text, too; one that holds none is to be one.
        return may_hide(data, only_tokens=alone and self.format is not Format.EMBEDDED)

    @property
    def keys(self) -> list[Key]:
        """The keys of the keyring, then the keys of the other key sets."""
        return [key for keyring in (self.keyring, *(each for _, each in self.others)) for key in keyring.states]

    def other_keys_of(self, tokens: Sequence[str | bytes]) -> list[Key | None]:
        """For each of *tokens* the key of another key set that it is under."""
        found: list[Key | None] = [None] * len(tokens)
        for _, keyring in self.others:
            for place, key in enumerate(keyring.identify_many(tokens)):
                if not isinstance(key, InvalidToken):
                    found[place] = found[place] or key
        return found

    def words_of_other(self, key: Key) -> str:
        """The problem of a token under *key*, which is of another key set."""
        name = next(name for name, keyring in self.others if key in keyring.states)
        return f"under {key.id}, a key of {name}"

    def words_of_lost(self, error: UndecryptableToken, counts: Counts) -> str:
        """The problem of a token that does not open. *counts* keep its time, if no key opens it."""
        if isinstance(error, DamagedToken) or error.timestamp is None:
            return str(error)
        counts.lost.append(error.timestamp)
        hint = self.history.hint(error.timestamp)
        return f"{error}; {hint}" if hint else str(error)


def may_nest(tokens: SignedBatch) -> bool:
    """True if *tokens* are long enough to hold other tokens; so most columns cost nothing."""
    return len(tokens.signed[0]) >= SHORTEST_NESTED


def why_not_adopted(target: Target, adopts: Adopts = Adopts.PLAINTEXT) -> str | None:
    """The reason in words if `adopt` leaves the cells of *target* alone; None if it takes them."""
    if target.format is not Format.TOKEN:
        return f"its format is {target.format}; adopt makes a cell one bare token"
    first = "take them over first, with `run`, then drop `from` (in a model: legacy)"
    if target.source and not target.source.writes_tokens:
        return f"{target.source.package} writes no tokens, so that its cells may look like plaintext: {first}"
    if target.source and adopts is Adopts.RANDOM:
        return (
            f"under a wrong secret the cells of {target.source.package} look random: run without --accept-random, or "
            f"{first}"
        )
    return None


def describe(cell: str | bytes) -> str:
    """The length of *cell*, and which kinds of characters it has; nothing of its content."""
    if isinstance(cell, bytes):
        try:
            cell = cell.decode("utf-8")
        except UnicodeDecodeError:
            return f"{len(cell)} bytes, not text"
    left, kinds = set(cell), list[str]()
    for name, belongs in _CLASSES:
        if found := {letter for letter in left if belongs(letter)}:
            left -= found
            kinds.append(name)
    return f"{len(cell)} characters: {', '.join([*kinds, 'symbols'] if left else kinds)}"
