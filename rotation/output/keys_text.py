"""What a step of a key's life came to, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rotation.lifecycle.operations import StepResult
from rotation.lifecycle.transitions import Step

_VERB = {Step.GO_BACK: "go back to"}


class Unmasked(str):
    """A line with a key in it that somebody asked for: printed without the redactor."""

    __slots__ = ()


def render(done: StepResult, *, show_key: bool) -> Iterator[str]:
    """The lines of a screen."""
    yield from (f"Note: {note}." for note in done.notes)
    for database, subjects in done.not_looked_at.items():
        yield f"Not looked at: {database}: {'; '.join(subjects)}"
    if done.refused:
        yield f"Refused to {_VERB.get(done.step, done.step)} {done.key.id}; nothing was changed:"
        for reason, remedy in done.refused:
            yield f"  - {reason}."
            yield f"    Next: {remedy}"
        return
    if done.written.manual:
        yield from _todo(done, show_key=show_key)
    else:
        yield f"{done.said}. Written: {', '.join(map(str, done.written.files))}"
    yield f"Next: {done.following}"


def _todo(done: StepResult, *, show_key: bool) -> Iterator[str]:
    yield "No file here is ours to write, so nothing was changed. To be put there by hand, in this order:"
    yield from (f"  {todo.words()}" for todo in done.written.manual)
    if show_key:
        yield from (Unmasked(f"{todo.variable}={todo.value()}") for todo in done.written.manual)
    elif done.step is Step.STAGE:
        yield "rotate.py keys generate prints a new key, and so does --show-key here."
    else:
        yield "--show-key prints the values themselves."


def document(done: StepResult, *, show_key: bool) -> dict[str, Any]:
    """The one JSON document."""
    found: dict[str, Any] = {
        "complete": not (done.refused or done.written.manual),
        "step": str(done.step),
        "key": None if _unknown(done, show_key=show_key) else done.key.id,
        "files": [str(path) for path in done.written.files],
        "todo": [todo.document(show_key=show_key) for todo in done.written.manual],
        "refused": [refusal._asdict() for refusal in done.refused],
        "notes": done.notes,
        "next": None if done.refused else done.following,
    }
    return found | ({"certificate": done.certificate} if done.certificate else {})


def _unknown(done: StepResult, *, show_key: bool) -> bool:
    """Whether the key is one that nobody gets to know: made, not written, and not shown."""
    return done.step is Step.STAGE and bool(done.written.manual) and not show_key
