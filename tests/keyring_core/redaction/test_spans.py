"""Spans: merged first, masked once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keyring_core.redaction.spans import Span, mask, merge
from tests.conftest import Named


def test_merge(named: Named) -> None:
    """Overlapping spans become one, others stay apart."""
    cases = {
        "none": ([], []),
        "apart": ([Span(5, 9, "b"), Span(0, 3, "a")], [Span(0, 3, "a"), Span(5, 9, "b")]),
        "overlap: the longest part's label": ([Span(0, 5, "a"), Span(3, 9, "b")], [Span(0, 9, "b")]),
        "one inside the other": ([Span(0, 9, "a"), Span(3, 5, "b")], [Span(0, 9, "a")]),
        "known wins": ([Span(0, 9, "a"), Span(3, 5, "b", known=True)], [Span(0, 9, "b", known=True)]),
        "halves of one secret": ([Span(0, 4, "a"), Span(4, 8, "a")], [Span(0, 8, "a")]),
        "neighbours": ([Span(0, 4, "a"), Span(4, 8, "b")], [Span(0, 4, "a"), Span(4, 8, "b")]),
        "a chain": ([Span(0, 4, "a"), Span(0, 6, "b"), Span(5, 7, "c")], [Span(0, 7, "b")]),
    }

    for name, (spans, merged) in cases.items():
        with named(name):
            assert merge(spans) == merged


def test_mask_says_what_it_hid() -> None:
    """The mask names the secret, and the text around it stays."""
    assert mask("a SECRET b", [Span(2, 8, "key 5f0c1a9e")]) == "a [REDACTED:key 5f0c1a9e] b"


def test_mask_is_not_escaped() -> None:
    """A backslash before a secret would escape the mask, and break JSON."""
    assert mask('"x\\nabcdefgh"', [Span(3, 12, "s")]) == '"x[REDACTED:s]"'


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9), st.sampled_from("ab")), max_size=8))
def test_mask_hides_every_span(places: list[tuple[int, int, str]]) -> None:
    """No character inside a span survives, and every character outside does."""
    text = "".join(chr(0x4E00 + place) for place in range(60))
    spans = [Span(start, start + length, label) for start, length, label in places]
    hidden = {place for span in spans for place in range(span.start, span.end)}

    masked = mask(text, spans)

    assert {place for place in range(60) if text[place] not in masked} == hidden
