"""The outcome of `keys derive --try`, as text and a JSON document: the rule that fits, its entry, the next command."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated

from rich.console import RenderableType
from rich.text import Text

from rotation.applications import FittingRule, SecretPlace, Trial, entry_of, next_step, rule_in_words
from rotation.model.next_steps import PLAIN, Invocation
from rotation.model.text import many
from rotation.output.documents.parts import CommandJson, Document, commands_of
from rotation.output.terminal import Verbatim, following


def expected(trial: Trial) -> str:
    """What is going to be tried, and how long that may take."""
    forms = f", each also without {trial.forms[-1].without}" if len(trial.forms) > 1 else ""
    seconds = f"about {math.ceil(trial.seconds):,} s"
    return f"{many(len(trial.candidates), 'candidate')}{forms}: {seconds} at most, the quick ones first."


def render_trial(trial: Trial, place: SecretPlace, invocation: Invocation = PLAIN) -> Iterator[RenderableType]:
    """The parts of a screen, one below the other."""
    yield f"{trial.cell.words}: {many(trial.keys, 'key')} of {many(len(trial.candidates), 'candidate')} tried."
    for fit in trial.fits:
        made = entry_of(fit, trial.cell, place)
        yield ""
        bound = ", bound to its context" if fit.bound else ""
        yield Text(f"Key {fit.key_id} opens it{bound}: {rule_in_words(fit)}.", "bold green")
        if made.uses:
            yield Text(f"Made so by: {'; '.join(use.words for use in made.uses)}.")
        if fit.without:
            yield Text(f"Note: the secret fits without {fit.without}: set {made.place} so.", "yellow")
        if fit.weakness:
            yield Text(f"Warning: {fit.weakness}", "yellow")
        yield f'Add to rotation.toml, and keys = "{made.name}" to the [[target]] of this column:'
        yield ""
        yield Verbatim(made.text.rstrip())
    if trial.fits:
        yield ""
    yield from following(next_step(trial, place), invocation)


class FittingRuleJson(Document):
    """A rule that makes the key of a token in the cell."""

    id: Annotated[str, "The key's id."]
    derive: Annotated[str, "The kind of derivation."]
    rule: Annotated[str, "The rule in words, with its parameters."]
    without: Annotated[str, "What has to be taken off the secret, in words; empty if nothing has."]
    bound: Annotated[bool, "True if the token is bound to the context that was given."]
    weakness: Annotated[str | None, "Why the key is refused as a primary key; null if it is not."]
    used_by: Annotated[list[str], "The applications and packages that make their key so."]
    name: Annotated[str, "The name of the key set in `entry`."]
    entry: Annotated[str, "The entry to add to rotation.toml, as TOML. It holds no secret."]

    @classmethod
    def of(cls, fit: FittingRule, trial: Trial, place: SecretPlace) -> FittingRuleJson:
        """The part on one *fit*."""
        made = entry_of(fit, trial.cell, place)
        return cls.like(
            fit,
            id=fit.key_id,
            derive=fit.candidate.rule.derive,
            rule=rule_in_words(fit),
            used_by=[use.words for use in made.uses],
            name=made.name,
            entry=made.text,
        )


class KeysTryJson(Document):
    """`keys derive --try`."""

    complete: Annotated[bool, "True if a rule fits."]
    cell: Annotated[str, "The cell that was tried."]
    fits: Annotated[list[FittingRuleJson], "The rules that fit, the likely one first."]
    candidates: Annotated[int, "The rules, each with each salt at hand."]
    tried: Annotated[int, "Keys that were made and tried; the other rules do not take such a secret."]
    next: Annotated[str, "What to do next, a step a line."]
    commands: Annotated[list[CommandJson], "The steps of `next` that are commands."]

    @classmethod
    def of(cls, trial: Trial, place: SecretPlace, invocation: Invocation) -> KeysTryJson:
        """The document on *trial*."""
        following = next_step(trial, place)
        return cls(
            complete=bool(trial.fits),
            cell=trial.cell.words,
            fits=[FittingRuleJson.of(fit, trial, place) for fit in trial.fits],
            candidates=len(trial.candidates),
            tried=trial.keys,
            next=invocation.text(following),
            commands=commands_of(following, invocation),
        )
