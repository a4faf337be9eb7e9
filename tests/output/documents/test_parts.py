"""Parts that several documents have."""

from __future__ import annotations

from rotation.model.next_steps import PLAIN, RUN, THIS_AGAIN, Invocation, Next, Steps
from rotation.output.documents.parts import CommandJson, commands_of


def test_a_program_gets_the_steps_that_are_commands() -> None:
    """In order, with the key set, the options of this command and the words in front; words alone are left out."""
    here = Invocation("tool", ("status",), {"--env-file": [("--env-file", "my .env")]}, lambda _: {"--env-file"})
    remedy = Steps("look", Next(("keys", "list"), "compare:", "billing"), RUN, when="Then:")

    assert commands_of(remedy, here) == [
        CommandJson(["keys", "list", "--keys", "billing", "--env-file", "my .env"], "compare:"),
        CommandJson(["run", "--env-file", "my .env"], ""),
    ]
    assert commands_of(Steps(RUN, when="Then:"), here)[0].when == "Then:"


def test_a_program_without_a_command_line_has_none_to_repeat() -> None:
    """`run the same command again` is for a person."""
    assert commands_of(Steps("end the transaction", THIS_AGAIN), PLAIN) == []
