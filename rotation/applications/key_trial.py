"""Finds the rule by which an application makes its key of a secret: tries known rules on one stored cell.

Each candidate makes a key, and fits if it signed a token in the cell and decrypts it, too. Writes nothing.
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from itertools import count, groupby
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from keyring_core import Derivation, Key, KeyConfigError, KeyConfigWarning, Keyring
from keyring_core.derivation import SaltForm, protect
from keyring_core.errors import WeakKeyError
from keyring_core.row_keys import salt_of
from keyring_core.sources import variable_in
from rotation.applications.known_rules import KnownRule, Use, known_rules
from rotation.applications.presets import load_preset
from rotation.model.failures import UsageError
from rotation.model.target import Format, Target
from rotation.planning.cell_kinds import kind_of
from rotation.planning.inner_tokens import find_inner

if TYPE_CHECKING:
    from rotation.stores.connection import SharedConnections

TIMED_ITERATIONS = 20_000
"""Iterations of PBKDF2 by which the time of a trial is estimated: about 5 milliseconds."""
T = TypeVar("T")
_QUOTES = "\"'`"


class Salt(NamedTuple):
    """A salt to try, and its place."""

    value: str | bytes
    words: str
    """Its place, in words; a known text is its own."""
    text: str | None = None
    """As `salt` of a key set has it, a text or `$NAME`; None: it cannot be written so."""
    column: str | None = None
    """The column of the row that holds it."""
    form: str = "value"
    """What the salt is of the value in that column."""
    options: tuple[str, ...] = ()
    """Of `keys derive`, which give the same salt."""

    def __repr__(self) -> str:
        return f"<Salt {self.words}>"


class StoredCell(NamedTuple):
    """A stored cell with a token, and the values beside it that may be its salt."""

    value: str | bytes
    words: str
    """The cell, as messages name it."""
    salts: Sequence[Salt] = ()
    table: str = ""
    column: str = ""
    context: str | None = None
    """What its tokens may be bound to."""

    def __repr__(self) -> str:
        return f"<StoredCell {self.words}>"


class Given(NamedTuple):
    """The parameters that the user knows."""

    salts: Sequence[Salt] = ()
    info: str | None = None
    iterations: int | None = None


@dataclass(frozen=True)
class Candidate:
    """A rule to try, with its salt at hand."""

    rule: KnownRule
    salt: Salt | None = None
    uses: tuple[Use, ...] = field(default=(), compare=False)

    def key(self, secret: str | bytes, where: str, *, allow_weak: bool = False) -> Key:
        """The key that the rule makes of *secret*. Raises KeyConfigError if the rule does not take it."""
        if before := self.rule.before:
            first = Candidate(before, _known_text(before.salt) if before.salt else None)
            secret = first.key(secret, where, allow_weak=allow_weak).reveal()
        salt = secret if self.rule.own_salt else self.salt and self.salt.value
        rule = Derivation(self.rule.derive, salt, self.rule.info, self.rule.iterations)
        return rule.key(secret, where, allow_weak=allow_weak)


class SecretForm(NamedTuple):
    """A secret, as it was given or without what does not belong to it."""

    value: str | bytes
    without: str = ""
    """What was taken off; empty if nothing was."""

    def __repr__(self) -> str:
        return f"<SecretForm without {self.without or 'nothing'}>"


class FittingRule(NamedTuple):
    """A candidate that made the key of a token in the cell."""

    candidate: Candidate
    key_id: str
    without: str
    """What has to be taken off the secret; empty if nothing has."""
    weakness: str | None
    """Why the key is refused as a primary key; None if it is not."""
    bound: bool
    """True if the token is bound to the context of the cell."""


@dataclass
class Trial:
    """The outcome of a trial on one cell."""

    cell: StoredCell
    candidates: list[Candidate]
    forms: list[SecretForm]
    fits: list[FittingRule] = field(default_factory=list)
    """The rules that fit, cheapest first."""
    keys: int = 0
    """Keys that were made and tried; the other rules do not take such a secret."""
    unset: list[str] = field(default_factory=list)
    """Variables in which known applications have their salt, and which are not set."""

    @property
    def cost(self) -> int:
        """Iterations of PBKDF2 of all candidates."""
        return sum(each.rule.cost for each in self.candidates) * len(self.forms)

    @property
    def seconds(self) -> float:
        """The time that all candidates take, estimated by one derivation here and now."""
        if not self.cost:
            return 0.0
        started = time.perf_counter()
        hashlib.pbkdf2_hmac("sha256", b"a secret", b"a salt", TIMED_ITERATIONS)
        return self.cost * (time.perf_counter() - started) / TIMED_ITERATIONS


def trial_of(secret: str | bytes, cell: StoredCell, environ: Mapping[str, str], given: Given = Given()) -> Trial:  # noqa: B008
    """The trial of *secret* on *cell*; nothing is derived yet, and the secret is masked in every log from now on.

    Raises UsageError if the cell holds no token.
    """
    inner = find_inner([], cell.value)
    if not (inner.unknown or inner.has_endless):
        held = kind_of(cell.value, inner)
        words = f"{held.kind}{f', {held.detail}' if held.detail and held.detail != held.kind else ''}"
        raise UsageError(f"{cell.words}: no Fernet token is in it ({words}); name a cell that holds one")
    forms = list(_forms(secret))
    for form in forms:
        protect(form.value, "secret")
    named = dict.fromkeys(name for rule in known_rules() if (name := variable_in(rule.salt or "")))
    unset = [name for name in named if not environ.get(name)]
    found: dict[Candidate, tuple[Use, ...]] = {}
    for candidate in _every(cell, environ, given):
        found[candidate] = (*found.get(candidate, ()), *candidate.uses)
    made = [replace(candidate, uses=tuple(dict.fromkeys(uses))) for candidate, uses in found.items()]
    return Trial(cell, sorted(made, key=_turn), forms, unset=unset)


def try_rules(trial: Trial, where: str, advance: Callable[[str], None] = lambda _: None) -> Trial:
    """Tries the candidates of *trial*, the cheap ones first, and stops behind the first cost at which one fits.

    *where* names the origin of the secret in messages. *advance* gets words on each key before it is made, and may
    raise to stop.
    """
    pairs = [(candidate, form) for candidate in trial.candidates for form in trial.forms]
    pairs.sort(key=lambda pair: (*_turn(pair[0]), bool(pair[1].without)))
    numbers = count(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KeyConfigWarning)
        for _, group in groupby(pairs, key=lambda pair: _turn(pair[0])):
            for candidate, form in group:
                advance(f"{next(numbers):,} of {len(pairs):,} keys, {candidate.rule.derive}")
                fit = _fit(trial, candidate, form, where)
                if fit and (fit.candidate, fit.key_id) not in {(each.candidate, each.key_id) for each in trial.fits}:
                    trial.fits.append(fit)
            if trial.fits:
                break
    # A known application says more than a kind alone.
    trial.fits.sort(key=lambda fit: (bool(fit.without), not uses_of(fit.candidate, trial.cell)))
    return trial


def cell_of(
    target: Target, row: Sequence[str], *, sleep: Callable[[float], None], links: SharedConnections | None = None
) -> StoredCell:
    """The cell of *target* in the row whose key is *row*, or in the first one with a token; with what is beside it.

    Raises UsageError if there is none, and StoreError.
    """
    from rotation.applications.row_reader import RowReader  # noqa: PLC0415 - brings SQLAlchemy

    # Every form is looked into here, whatever a run would rotate.
    reader = RowReader(replace(target, format=Format.EMBEDDED), read_only=True, sleep=sleep, links=links)
    with closing(reader):
        words, cell, beside = reader.row(row)
    return StoredCell(cell, words, salts_beside(beside), target.table, target.column, target.context)


def salts_beside(values: Mapping[str, str | bytes]) -> list[Salt]:
    """The salts that *values* of a row, by their columns, may be: each value, and the UUID whose number it is."""
    found = []
    for name, value in values.items():
        found.append(Salt(value, f"column {name}", column=name))
        # As swh-web has it: Django's integer for a user of Keycloak.
        if uuid := salt_of(value, SaltForm.UUID):
            found.append(Salt(uuid.decode(), f"column {name} as a UUID", column=name, form=str(SaltForm.UUID)))
    return found


def _fit(trial: Trial, candidate: Candidate, form: SecretForm, where: str) -> FittingRule | None:
    try:
        key = candidate.key(form.value, where, allow_weak=True)
    except KeyConfigError:
        return None
    trial.keys += 1
    bound = _opens(Keyring(key), trial.cell)
    if bound is None:
        return None
    weakness = None
    try:
        candidate.key(form.value, where)
    except WeakKeyError as error:
        weakness = str(error)
    return FittingRule(candidate, key.id, form.without, weakness, bound)


def _opens(keyring: Keyring, cell: StoredCell) -> bool | None:
    """Whether the token that *keyring* opens is bound to the cell's context; None if it opens none."""
    # The MAC is not enough: text32-doubled and text32-zeros make keys of one secret that sign alike.
    if find_inner([keyring], cell.value).decrypted:
        return False
    if cell.context and find_inner([keyring.bind(cell.context)], cell.value).decrypted:
        return True
    return None


def uses_of(candidate: Candidate, cell: StoredCell) -> list[Use]:
    """The presets that have this rule for the column of *cell*."""
    return [
        use
        for use in candidate.uses
        if use.app
        and any(
            (target.keys or use.app) == use.key_set
            and target.table.rpartition(".")[2] == cell.table.rpartition(".")[2]
            and cell.column in target.columns
            for target in load_preset(use.app).target
        )
    ]


def _forms(secret: str | bytes) -> Iterator[SecretForm]:
    """*secret*, and without the blanks or the quotes around it, if there are any."""
    yield SecretForm(secret)
    text = secret if isinstance(secret, str) else secret.decode("utf-8", "surrogateescape")
    bare = text.strip()
    if bare != text:
        yield SecretForm(bare, "the blanks around it")
    if len(bare) > 2 and bare[0] == bare[-1] and bare[0] in _QUOTES:
        yield SecretForm(bare[1:-1], "the quotes around it" if bare == text else "the blanks and quotes around it")


def _turn(candidate: Candidate) -> tuple[bool, int]:
    """The turn of *candidate*: salts of the row come last, since there are many of them, and the cheap ones first."""
    return candidate.salt is not None and candidate.salt.column is not None, candidate.rule.cost


def _every(cell: StoredCell, environ: Mapping[str, str], given: Given) -> Iterator[Candidate]:
    """Every candidate; one rule with one salt may come several times, for several users."""
    free = [*given.salts, *cell.salts]
    for rule, uses in known_rules().items():
        for salt in _salts_of(rule, environ, free):
            yield Candidate(rule._replace(salt=None, column=None, form="value"), salt, tuple(uses))
    rules = {
        rule._replace(salt=None, column=None, form="value")
        for rule in known_rules()
        if not (rule.own_salt or rule.before)
    }
    rounds = sorted({*(rule.iterations for rule in rules if rule.iterations), *_one(given.iterations)})
    infos = dict.fromkeys([*(rule.info for rule in rules if rule.derive == "hkdf-sha256"), None, *_one(given.info)])
    texts = [_known_text(rule.salt) for rule in known_rules() if rule.salt and not variable_in(rule.salt)]
    for salt in free:
        for iterations in rounds:
            yield Candidate(KnownRule("pbkdf2-sha256", iterations=iterations), salt)
        for info in infos:
            yield Candidate(KnownRule("hkdf-sha256", info=info), salt)
    for info in (None, *_one(given.info)):
        yield Candidate(KnownRule("hkdf-sha256", info=info))
    if given.info:
        # As DJFERNET_PREFIX makes both.
        yield Candidate(KnownRule("hkdf-sha256", info=given.info), _known_text(f"{given.info}-hkdf-salt"))
    for salt in texts if given.iterations else ():
        yield Candidate(KnownRule("pbkdf2-sha256", iterations=given.iterations), salt)


def _one(value: T | None) -> Iterable[T]:
    return () if value is None else (value,)


def _known_text(text: str) -> Salt:
    return Salt(text, "a known salt", text, options=("--salt", text))


def _salts_of(rule: KnownRule, environ: Mapping[str, str], free: Sequence[Salt]) -> Iterator[Salt | None]:
    """The salts to try with a known *rule*; None if it has none of its own."""
    if rule.column is not None:
        of_row = {(None, "value"), (rule.column, rule.form)}
        yield from (salt for salt in free if (salt.column, salt.form) in of_row)
    elif rule.salt is None:
        yield None
    elif name := variable_in(rule.salt):
        yield from free_salts(name, environ)
        yield from (salt for salt in free if salt.column is None)
    else:
        yield _known_text(rule.salt)


def free_salts(name: str, environ: Mapping[str, str]) -> Iterator[Salt]:
    """The salts that the variable *name* holds, if it is set: its text, and the bytes if that is in hex digits."""
    if not (text := environ.get(name)):
        return
    protect(text, "salt")
    options = ("--salt-variable", name)
    yield Salt(text, f"${name}", f"${name}", options=options)
    with suppress(ValueError):
        yield Salt(bytes.fromhex(text), f"${name} in hexadecimal digits", options=(*options, "--salt-hex"))
