"""Tries the secrets at hand on columns whose tokens no key opens: `keys derive --try`, as `discover` does it by itself.

Nothing is derived as long as every column has a token that some key opens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from keyring_core import KeyConfigError
from keyring_core.environment import PRIMARY
from keyring_core.sources import COMMAND_SECONDS, SourceKind, read_named
from rotation.applications.key_entry import SecretPlace, entry_of, rule_in_words
from rotation.applications.key_trial import StoredCell, Trial, trial_of, try_rules
from rotation.configuration.key_sets import KeySet, held_passphrase
from rotation.model.failures import StoreError, UsageError

if TYPE_CHECKING:
    from rotation.discovery.result import DerivedKey, Discovery
    from rotation.discovery.token_column import TokenColumn

MOST_COLUMNS = 3
"""Columns on which all candidates are tried; on further ones only the rules that fit before."""


class HeldSecret(NamedTuple):
    """A secret that the environment has."""

    value: str | bytes
    place: SecretPlace

    @property
    def where(self) -> str:
        """Its place in words."""
        return f"${self.place.variable}" if self.place.variable else self.place.file

    def __repr__(self) -> str:
        return f"<HeldSecret in {self.where}>"


def passphrase_in(environ: Mapping[str, str]) -> HeldSecret | None:
    """What ENCRYPTION_KEY holds in place of a key, if an application may make its key of it. Raises KeyConfigError."""
    text = held_passphrase(environ)
    if text is None:
        return None
    file = environ.get(f"{PRIMARY}_FILE")
    return HeldSecret(text, SecretPlace(file=file) if file else SecretPlace(variable=PRIMARY))


def held_secrets(sets: Mapping[str, KeySet | None], environ: Mapping[str, str]) -> Iterator[HeldSecret]:
    """The secrets of key sets, each once, from variables and files; no command is run a second time."""
    seen = set()
    for keys in filter(None, sets.values()):
        for _, _, source in keys.sources():
            text: str | bytes | None = environ.get(source.variable) if source.variable else None
            if source.file:
                with suppress(KeyConfigError):
                    named = (SourceKind.FILE, source.file, source.file)
                    text = read_named(*named, environ, COMMAND_SECONDS, comments=False).text
            if text and text not in seen:
                seen.add(text)
                yield HeldSecret(text, SecretPlace(variable=source.variable or "", file=source.file or ""))


def unopened(found: Discovery, sets: Mapping[str, KeySet | None]) -> list[TokenColumn]:
    """The columns that hold tokens of which no key opens any, and that a row can be read of.

    Without another application's, and those whose target has keys for each row, with which no search opens a token:
    *sets* are the key sets.
    """
    salted = {name for name, keys in sets.items() if keys and keys.salt_columns}
    return [
        column
        for column in found.columns
        if column.unknown
        and not (column.under or column.elsewhere or salted.intersection(column.key_sets))
        and column.ignored is None
    ]


def try_held(
    columns: Iterable[TokenColumn],
    secrets: Sequence[HeldSecret],
    environ: Mapping[str, str],
    read: Callable[[TokenColumn], StoredCell],
    follow: Callable[[Trial, str], Callable[[str], None]],
) -> Iterator[DerivedKey]:
    """The keys that *secrets* make for *columns*, by the first rule that fits; names them as keys of these columns.

    *read* gives a cell of a column, and may raise UsageError or StoreError; *follow* is called before each trial of all
    candidates, and returns what `try_rules` calls before each key.
    """
    from rotation.discovery.result import DerivedKey  # noqa: PLC0415 - brings SQLAlchemy

    proven: list[tuple[HeldSecret, Trial]] = []
    whole = 0
    for column in columns:
        held = None
        # A table without a key, say, gets no entry either.
        with suppress(UsageError, StoreError):
            cell = read(column)
            for secret, before in proven:
                # The rules that fitted another cell.
                rules = [fit.candidate for fit in before.fits]
                again = try_rules(replace(before, cell=cell, candidates=rules, fits=[], keys=0), secret.where)
                if again.fits:
                    held = secret, again
                    break
            if held is None and whole < MOST_COLUMNS:
                whole += 1
                for secret in secrets:
                    trial = trial_of(secret.value, cell, environ)
                    if try_rules(trial, secret.where, follow(trial, secret.where)).fits:
                        held = secret, trial
                        break
        if held is None:
            continue
        proven.append(held)
        secret, trial = held
        made = entry_of(trial.fits[0], trial.cell, secret.place)
        if not column.covered:
            column.keys = made.name
        fit = trial.fits[0]
        bare = f"; it fits without {fit.without}: set {made.place} so" if fit.without else ""
        rule = f"{rule_in_words(fit)}{bare}"
        yield DerivedKey(column.label, secret.where, fit.key_id, rule, made.text, covered=column.covered)
