"""The `[keys.NAME]` entry of rotation.toml for a rule that fits, ready to paste. Holds no secret."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

from rotation.applications.key_trial import FittingRule, Salt, StoredCell, Trial, uses_of
from rotation.applications.known_rules import KnownRule, Use
from rotation.model.next_steps import PROGRAM, Next, Repeats, Steps
from rotation.model.text import as_toml, many

UNNAMED = "APP_SECRET"
"""The variable to put a secret in that was typed."""


class SecretPlace(NamedTuple):
    """The place of a secret, as an entry names it; all empty: it was typed, or came through stdin."""

    variable: str = ""
    file: str = ""
    command: str = ""


class KeyEntry(NamedTuple):
    """A key set for rotation.toml."""

    name: str
    text: str
    """As TOML."""
    uses: tuple[Use, ...]
    """The applications that make their key so; of a column that a preset has, that one alone."""
    place: str
    """The place of the secret, in words."""


def entry_of(fit: FittingRule, cell: StoredCell, place: SecretPlace) -> KeyEntry:
    """The entry for *fit*, which the secret in *place* made for *cell*."""
    own = uses_of(fit.candidate, cell)
    uses = tuple(own or fit.candidate.uses)
    use = uses[0] if len({(each.app, each.key_set) for each in uses}) == 1 else Use("")
    name = use.key_set or re.sub(r"[^A-Za-z0-9_-]+", "-", cell.table.rpartition(".")[2]).strip("-")[:50] or "app"
    rule, salt = fit.candidate.rule, fit.candidate.salt
    if not any(place) or (rule.own_salt and not place.variable):
        place = SecretPlace(place.variable or use.variable or UNNAMED)
    setting, value = _named(place)
    if rule.before or (salt and salt.text is None and salt.column is None):
        parts = [f"command = {as_toml(_command(rule, salt, place))}"]
    else:
        parts = [f"{setting} = {as_toml(value)}", *_parameters(rule, salt, value)]
    text = f"[keys.{name}]\nprimary = {{ {', '.join(parts)} }}\n"
    return KeyEntry(name, text, uses, value)


def _named(place: SecretPlace) -> tuple[str, str]:
    if place.file:
        return "file", place.file
    return ("command", place.command) if place.command else ("secret", f"${place.variable}")


def _parameters(rule: KnownRule, salt: Salt | None, secret: str) -> list[str]:
    parts = [] if rule.derive == "raw" else [f"derive = {as_toml(rule.derive)}"]
    if rule.own_salt:
        parts.append(f"salt = {as_toml(secret)}")
    elif salt is not None:
        form = "" if salt.form == "value" else f", form = {as_toml(salt.form)}"
        column = f"{{ column = {as_toml(salt.column or '')}{form} }}"
        parts.append(f"salt = {as_toml(salt.text or '') if salt.column is None else column}")
    parts += [] if rule.info is None else [f"info = {as_toml(rule.info)}"]
    return [*parts, *([] if rule.iterations is None else [f"iterations = {rule.iterations}"])]


def _command(rule: KnownRule, salt: Salt | None, place: SecretPlace) -> str:
    """The command that prints the key, for a rule that an entry cannot spell."""
    setting, value = _named(place)
    source = [{"secret": "--variable"}.get(setting, f"--{setting}"), value.removeprefix("$")]
    if rule.before is None:
        return shlex.join([*_derive(rule, salt), *source])
    first = shlex.join([*_derive(rule.before, None), *source])
    return shlex.join(["sh", "-c", f"{first} | {shlex.join(_derive(rule, salt))}"])


def _derive(rule: KnownRule, salt: Salt | None) -> list[str]:
    options = salt.options if salt else ("--salt", rule.salt) if rule.salt else ()
    words = [PROGRAM, "keys", "derive", rule.derive, *options]
    words += [] if rule.info is None else ["--info", rule.info]
    return [*words, *([] if rule.iterations is None else ["--iterations", str(rule.iterations)])]


def rule_in_words(fit: FittingRule) -> str:
    """The rule of *fit*, as a person says it."""
    rule, salt = fit.candidate.rule, fit.candidate.salt
    if rule.derive == "raw":
        return "the secret is the key itself"
    parts = []
    if rule.own_salt:
        parts.append("the secret as salt")
    elif salt is not None:
        name = salt.words
        parts.append(
            f"the salt {as_toml(salt.text)}" if salt.text and name == "a known salt" else f"the salt of {name}"
        )
    parts += [] if rule.info is None else [f"the info {as_toml(rule.info)}"]
    parts += [] if rule.iterations is None else [f"{rule.iterations:,} iterations"]
    first = f", of the key that {rule.before.derive} makes" if rule.before else ""
    return f"{rule.derive}{first} of the secret{', with ' if parts else ''}{' and '.join(parts)}"


def next_step(trial: Trial, place: SecretPlace) -> Steps:
    """What to do after *trial*: begin with the application's preset, or paste the entry; or what else may be so."""
    if not trial.fits:
        return Steps(*_elsewhere(trial), when=f"None of {many(len(trial.candidates), 'rule')} fits.")
    uses = [use for fit in trial.fits for use in entry_of(fit, trial.cell, place).uses]
    named = {use.app: use.words for use in uses if use.app}
    if not named:
        return Steps(Next(("status",), "paste the entries, and count the tokens:", repeats=Repeats.FILES))
    made = ((("init", "--app", app), f"as {words} makes it:") for app, words in named.items())
    return Steps(*(Next(*each, repeats=Repeats.NONE) for each in made))


def _elsewhere(trial: Trial) -> Iterator[str]:
    yield "another secret: an older one, or one of another part of the application"
    unset = f"; not set are {', '.join(f'${name}' for name in trial.unset)}" if trial.unset else ""
    yield f"a salt or an info that is not known here: --salt, --salt-variable, --salt-hex, --info{unset}"
    if trial.cell.table and not trial.cell.salts:
        yield "a salt in another column, which was not read: name the row with --row"
    elif not trial.cell.table:
        yield "a salt in another column of the row: name the cell with --url, --table, --column and --row"
    yield "another key: the token may be older than this secret; name another row with --row"
