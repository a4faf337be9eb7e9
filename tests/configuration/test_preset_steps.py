"""The order of work for an application."""

from __future__ import annotations

import pytest

from rotation.applications.order_of_work import preset_steps
from rotation.applications.presets import Preset, PresetStep, load_preset, preset_names
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
            else:
                assert not stops
                assert len([number for number in switches if number < run]) == 2 * len(preset.keys)


def test_the_last_steps_prove_that_nothing_is_left(named: Named) -> None:
    """Run, status, a search that finds nothing, and only then the new key alone; at the end each old key is retired.

    The old key goes by a command that proves that nothing needs it, and keeps it in an archive: no step empties it.
    """
    for name in preset_names():
        with named(name):
            preset = load_preset(name)
            steps = preset_steps(preset)
            own = [*preset.before, preset.make, *preset.after]
            kinds = [kind_of(step) for step in steps if step not in own]
            run = len(kinds) - 1 - kinds[::-1].index("run")
            retire = [f"retire {its[0]}" for its in sharing(preset)]
            given = [["give" for each in its for one in preset.setting if preset.key_set(one) == each]
                     for its in sharing(preset)]  # fmt: skip

            if preset.way == "offline":
                ends = ["give"] * len(preset.setting) + ["start", "look", *retire]
            else:
                ends = [kind for step, settings in zip(retire, given, strict=True) for kind in (step, *settings)]
            assert kinds[run:] == ["run", "status", "discover", *ends]
            assert not [step for step in steps if "Empty" in step.do]
            retired = [step.run for step in steps if "retire" in step.run]
            # Of keys for each row no archive is made.
            of_rows = any(keys.salt_columns for keys in preset.keys.values())
            kept = "--no-archive" if of_rows else f"--archive {name}-retired.keys"
            assert all(f" {kept} " in command for command in retired)
            assert "No uncovered column with tokens was found." in next(
                step.do for step in steps if kind_of(step) == "discover"
            )


def test_sets_of_one_secret_are_retired_by_one_step() -> None:
    """Open WebUI makes three keys of one secret: one command takes them, and its words name the other two."""
    [step] = [step for step in preset_steps(load_preset("open-webui")) if "retire" in step.run]

    assert "so do the old keys of open-webui-mfa and open-webui-apps, made of the same secret" in step.do
    assert "keeps the Fernet keys made of the old secret: keep the secret, too" in step.do


def sharing(preset: Preset) -> list[list[str]]:
    """The key sets by the place of their old key."""
    places = dict.fromkeys(keys.previous[0].place for keys in preset.keys.values() if keys.previous)
    return [
        [each for each, keys in preset.keys.items() if keys.previous and keys.previous[0].place == place]
        for place in places
    ]


def kind_of(step: PresetStep) -> str:
    """What a step is about, in a word."""
    begins = {SWITCH: "give", "Start ": "start", "Look at one of its secrets": "look"}
    words = step.run.removeprefix("keyring-rotate ").split()
    if words[:2] == ["keys", "retire"]:
        return f"retire {words[words.index('--keys') + 1]}"
    found = next((kind for begin, kind in begins.items() if step.do.startswith(begin)), words[0] if words else "")
    return "dry run" if "--dry-run" in words else found


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
