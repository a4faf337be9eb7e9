"""JSON of events: what the stdlib writes, in one line, whatever the event holds. Colours hide nothing."""

from __future__ import annotations

import json
from collections import Counter, OrderedDict
from collections.abc import Callable
from json import encoder

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from keyring_core.redaction import Redactor, render
from tests.conftest import Named
from tests.keys import key_text

EVENTS = st.dictionaries(
    st.text(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
        max_leaves=20,
    ),
)


@given(EVENTS)
@settings(max_examples=30, deadline=None)
def test_the_encoder_made_once_writes_what_the_stdlib_writes(event: dict[str, object]) -> None:
    """An event's JSON is that of ``json.dumps``, though no encoder is made for it."""
    assert render._encode(event) == json.dumps(event)


def test_a_python_without_the_encoder_renders(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the stdlib has no encoder in C, its Python encoder renders, and shows unknown objects by their repr."""
    monkeypatch.setattr(encoder, "c_make_encoder", None)

    assert render._encoder()({"event": "e", "kind": int}) == '{"event": "e", "kind": "<class \'int\'>"}'


def test_a_dict_of_a_library_is_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dict of any type is an object in JSON, with orjson and without it."""
    event = {"counts": Counter("aab"), "order": OrderedDict(b=1)}
    expected = {"counts": {"a": 2, "b": 1}, "order": {"b": 1}}

    assert json.loads(render.to_json(event)) == expected
    monkeypatch.setattr(render, "_orjson", lambda: None)
    assert json.loads(render.to_json(event)) == expected


COLOURED: dict[str, Callable[[str], dict[str, object]]] = {
    "text": lambda secret: {"event": f"got {secret}"},
    "text alone": lambda secret: {"event": secret},
    "field": lambda secret: {"event": "got", "aws": secret},
    "key": lambda secret: {"event": "got", secret: 1},
    "logger": lambda secret: {"event": "got", "logger": secret},
}


def test_a_colour_hides_no_shape(named: Named) -> None:
    """On a terminal the letter that ends a colour stands right before a secret, which is masked all the same."""
    for secret in ("AKIAIOSFODNN7EXAMPLE", key_text("in colour")):
        for name, event in COLOURED.items():
            for own in (True, False):
                with named(secret, name, own):
                    colours = structlog.dev.ConsoleRenderer(colors=True)
                    renderer = (render.ConsoleRenderer if own else render.OtherRenderer)(Redactor(), colours)

                    shown = renderer(None, "info", event(secret))

                    assert "\x1b[" in shown
                    assert "[REDACTED:" in shown
                    assert secret not in shown


@pytest.mark.parametrize("colour", ["\x1b[1;35m", "\x1b[m\x1b[K", "\\x1b[35m", "\\u001b[35m"])
def test_a_colour_in_a_text_hides_no_shape(colour: str) -> None:
    """A colour in the text, as it is or escaped, hides no secret; the colours stay."""
    shown = Redactor().redact(f"{colour}AKIAIOSFODNN7EXAMPLE{colour} größe")

    assert shown == f"{colour}[REDACTED:aws-key]{colour} größe"
