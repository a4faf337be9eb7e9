"""The order of work for an application."""

from __future__ import annotations

import pytest

from rotation.configuration.preset_steps import preset_steps
from rotation.configuration.presets import load_preset, preset_names
from tests.conftest import Named

SWITCH = "Set `"


def test_status_comes_before_the_switch(named: Named) -> None:
    """The counts come before the application gets another key, and before the run."""
    for name in preset_names():
        with named(name):
            steps = preset_steps(load_preset(name))
            status = next(number for number, step in enumerate(steps) if step.run.startswith("keyring-rotate status"))
            others = [
                number for number, step in enumerate(steps) if step.do.startswith(SWITCH) or " run " in f"{step.run} "
            ]

            assert status < min(others)


def test_an_application_with_one_key_is_stopped_while_its_tokens_move(named: Named) -> None:
    """Stop, run, switch, start; a staged one never stops, and switches before the run."""
    for name in preset_names():
        with named(name):
            preset = load_preset(name)
            steps = [step.do for step in preset_steps(preset)]
            run = steps.index("Move every token to the new key.")
            switches = [number for number, words in enumerate(steps) if words.startswith(SWITCH)]
            stops = [number for number, words in enumerate(steps) if words.startswith("Stop every process")]

            if preset.way == "offline":
                assert stops[0] < run < min(switches)
                assert steps[max(switches) + 1 :][-3].startswith(f"Start {preset.title}")
            else:
                assert not stops
                assert len([number for number in switches if number < run]) == 2 * len(preset.keys)


def test_steps_name_the_dotenv_file_that_was_asked_for() -> None:
    """Every command of keyring-rotate that reads keys gets that file, and so do the words."""
    steps = preset_steps(load_preset("redash"), "/etc/redash keys.env")

    assert steps[1].do.startswith("In /etc/redash keys.env, ")
    assert "keyring-rotate run --env-file '/etc/redash keys.env'" in [step.run for step in steps]


@pytest.mark.parametrize(("name", "warned"), [("langflow", True), ("redash", False)])
def test_an_application_that_hides_what_it_cannot_read_is_warned_about(name: str, warned: bool) -> None:
    """It would overwrite the token, so the count before the switch says so."""
    assert any("may overwrite it" in step.do for step in preset_steps(load_preset(name))) == warned


def test_a_derived_secret_is_not_made_by_keys_stage() -> None:
    """`keys stage` makes a Fernet key; PostHog wants 32 characters."""
    steps = preset_steps(load_preset("posthog"))

    assert not any("keys stage" in step.run for step in steps)
    assert any("POSTHOG_STAGED_ENCRYPTION_SALT_KEY" in step.do and step.run == "openssl rand -hex 16" for step in steps)
