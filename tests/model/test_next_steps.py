"""Next steps as values."""

from __future__ import annotations

import pickle

from rotation.model.next_steps import RUN, STATUS, Next, Steps, lines_of, read_the_rest

KEYS = Next(("keys", "stage"), keys="redash")


def test_a_step_is_known_by_what_it_says() -> None:
    """Two steps are the same if their words, their command and their key set are."""
    assert Next(("run",)) == RUN
    assert Next(("keys", "stage")) != KEYS
    assert {Steps("look", RUN)} == {Steps("look", RUN)}
    assert pickle.loads(pickle.dumps(Steps(KEYS, when="Then:"))) == Steps(KEYS, when="Then:")


def test_words_come_in_front_of_a_command() -> None:
    """The last ones first; the command stays as it is."""
    assert RUN.after("then:").after("look,") == Next(("run",), "look, then:")


def test_steps_in_steps_are_steps() -> None:
    """In order; the sentences that lead to some stand in front of the first of them."""
    inner = Steps(RUN, "look", when="If all have it:")

    assert Steps("first", inner, STATUS).steps == ("first", RUN.after("If all have it:"), "look", STATUS)
    assert lines_of(Steps("look", when="Then")) == ("Then look",)
    assert lines_of(RUN) == (RUN,)


def test_a_key_is_removed_with_an_archive() -> None:
    """The step names the key set and the file that keeps the key."""
    step = Next(("keys", "retire", "5f0c1a9e", "--archive", "5f0c1a9e.keys"), keys="redash")

    assert read_the_rest("5f0c1a9e", "redash").steps == (step,)
