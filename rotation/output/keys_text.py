"""What a step of a key's life came to, on the screen or as JSON."""

from __future__ import annotations

import json
from typing import Any

from rotation.context import World
from rotation.lifecycle.operations import Done
from rotation.lifecycle.transitions import Step

_VERB = {Step.GO_BACK: "go back to"}


def tell(done: Done, world: World, *, as_json: bool, show_key: bool) -> int:
    """Prints it, and returns the exit code: 0 done, 1 refused, or left to be done by hand."""
    if as_json:
        # Where keys are asked for they go past the net that masks them.
        stream = world.key_stream if show_key else world.stdout
        print(json.dumps(_document(done, show_key=show_key)), file=stream)
    else:
        for note in done.notes:
            world.say(f"Note: {note}.")
        for database, subjects in done.not_looked_at.items():
            world.say(f"Not looked at: {database}: {'; '.join(subjects)}")
        _say(done, world, show_key=show_key)
    return 1 if done.refused or done.written.todo else 0


def _say(done: Done, world: World, *, show_key: bool) -> None:
    if done.refused:
        world.say(f"Refused to {_VERB.get(done.step, done.step)} {done.key.id}; nothing was changed:")
        for reason, remedy in done.refused:
            world.say(f"  - {reason}.")
            world.say(f"    Next: {remedy}")
        return
    if done.written.todo:
        world.say("No file here is ours to write, so nothing was changed. To be put there by hand, in this order:")
        for todo in done.written.todo:
            world.say(f"  {todo.words()}")
        if show_key:
            for todo in done.written.todo:
                print(f"{todo.variable}={todo.value()}", file=world.key_stream)
        elif done.step is Step.STAGE:
            world.say("rotate.py keys generate prints a new key, and so does --show-key here.")
        else:
            world.say("--show-key prints the values themselves.")
    else:
        world.say(f"{done.said}. Written: {', '.join(map(str, done.written.files))}")
    world.say(f"Next: {done.following}")


def _document(done: Done, *, show_key: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "complete": not (done.refused or done.written.todo),
        "step": str(done.step),
        "key": None if _unknown(done, show_key=show_key) else done.key.id,
        "files": [str(path) for path in done.written.files],
        "todo": [todo.document(show_key=show_key) for todo in done.written.todo],
        "refused": [refusal._asdict() for refusal in done.refused],
        "notes": done.notes,
        "next": None if done.refused else done.following,
    }
    return document | ({"certificate": done.certificate} if done.certificate else {})


def _unknown(done: Done, *, show_key: bool) -> bool:
    """Whether the key is one that nobody gets to know: made, not written, and not shown."""
    return done.step is Step.STAGE and bool(done.written.todo) and not show_key
