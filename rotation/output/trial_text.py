"""The outcome of `keys derive --try` as text: the rule that fits, its entry, and the next command."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from rotation.applications import FittingRule, KeyEntry, SecretPlace, Trial, entry_of, next_step, rule_in_words
from rotation.model.next_steps import PLAIN, Invocation
from rotation.model.text import many
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
        yield from _words(fit, made)
        yield f'Add to rotation.toml, and keys = "{made.name}" to the [[target]] of this column:'
        yield ""
        yield Verbatim(made.text.rstrip())
    if trial.fits:
        yield ""
    yield from following(next_step(trial, place), invocation)


def _words(fit: FittingRule, made: KeyEntry) -> Iterator[Text]:
    bound = ", bound to its context" if fit.bound else ""
    yield Text(f"Key {fit.key_id} opens it{bound}: {rule_in_words(fit)}.", "bold green")
    if made.uses:
        yield Text(f"Made so by: {'; '.join(use.words for use in made.uses)}.")
    if fit.without:
        yield Text(f"Note: the secret fits without {fit.without}: set {made.place} so.", "yellow")
    if fit.weakness:
        yield Text(f"Warning: {fit.weakness}", "yellow")
