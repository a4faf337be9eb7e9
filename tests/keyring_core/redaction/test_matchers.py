"""The matcher finds every run of a form that is long enough, and no other text."""

from __future__ import annotations

import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyring_core.redaction.encodings import Form, forms_of_key
from keyring_core.redaction.qgrams import GramMatcher, spans_of
from keyring_core.redaction.spans import Span, merge
from tests.conftest import Named


def grams(forms: list[Form]) -> GramMatcher:
    matcher = GramMatcher()
    for form in forms:
        matcher.add(form)
    return matcher


def found_by(matcher: GramMatcher, data: bytes) -> list[Span]:
    return spans_of(matcher.candidates(data), data)


# Two letters only: random texts hold pieces of random forms then.
LETTERS = st.text("ab", min_size=8, max_size=24)


@given(st.lists(st.tuples(LETTERS, st.integers(8, 14)), min_size=1, max_size=5), st.text("ab", max_size=80))
@settings(max_examples=300)
def test_it_agrees_with_a_plain_search(known: list[tuple[str, int]], text: str) -> None:
    """It finds exactly what a search for every window of every form finds."""
    forms = [Form(value, f"label {number}", floor) for number, (value, floor) in enumerate(known)]
    covered = {
        place
        for form in forms
        for start in range(len(text))
        for end in range(start + form.floor, len(text) + 1)
        if text[start:end].encode() in form.text
        for place in range(start, end)
    }

    found = merge(found_by(grams(forms), text.encode()))

    assert {place for span in found for place in range(span.start, span.end)} == covered


def test_found_wherever_it_stands(named: Named) -> None:
    """A value is found at every place of a text, and at its very end."""
    for length in (8, 9, 10, 11, 15, 40):
        for place in range(17):
            with named(length, "characters at", place):
                value = secrets.token_hex(length)[:length]
                text = "x" * place + value

                (span,) = merge(found_by(grams([Form(value, "v")]), text.encode()))

                assert (span.start, span.end) == (place, place + length)


@given(
    st.lists(st.tuples(st.text("ab,'", min_size=8, max_size=24), st.integers(8, 14)), min_size=1, max_size=5),
    st.text("ab,'", max_size=80),
)
@settings(max_examples=300)
def test_punctuation_hides_no_value(known: list[tuple[str, int]], text: str) -> None:
    """Values with punctuation, which grams skip if they can, are found as by a plain search; also after a discard."""
    forms = [Form(value, f"label {number}", floor) for number, (value, floor) in enumerate(known)]
    matcher = grams([Form("a,b'a,b'a,b'", "forgotten", 10), *forms])
    for form in forms[1:]:
        matcher.discard(form)
    left = {
        place
        for start in range(len(text))
        for end in range(start + forms[0].floor, len(text) + 1)
        if text[start:end].encode() in forms[0].text
        for place in range(start, end)
    }

    found = found_by(matcher, text.encode())

    assert left == {place for span in found if span.label == "label 0" for place in range(span.start, span.end)}


def test_found_where_one_reading_ends(named: Named) -> None:
    """A text is read in parts; a value that stands across two of them is found."""
    for place in range(1520, 1550):
        with named(place):
            value = secrets.token_hex(5)

            (span,) = found_by(grams([Form(value, "v")]), b"x" * place + value.encode() + b"x" * 2000)

            assert (span.start, span.end) == (place, place + 10)


def test_ten_characters_are_enough(named: Named) -> None:
    """Of a random value, any piece of ten characters is found, and no piece of nine."""
    value = secrets.token_hex(20)
    matcher = grams([Form(value, "v", 10)])

    for start in range(20):
        with named("from", start):
            assert found_by(matcher, b"##" + value[start : start + 10].encode() + b"##")
            assert not found_by(matcher, b"##" + value[start : start + 9].encode() + b"##")


def test_discard_keeps_what_shares_text() -> None:
    """A forgotten form is no longer found; one that shares all its text still is."""
    forms = [Form("abcdefghijkl", "one"), Form("abcdefghijkl", "two"), Form("zyxwvutsrqpo", "three")]
    matcher = grams(forms)

    matcher.discard(forms[0])
    matcher.discard(forms[2])

    assert [span.label for span in found_by(matcher, b"abcdefghijkl zyxwvutsrqpo")] == ["two"]


def test_matchers_show_nothing() -> None:
    """No repr of a matcher or form holds what it looks for."""
    raw = secrets.token_bytes(32)
    forms = forms_of_key(raw, "key 5f0c1a9e")

    shown = repr([grams(forms), forms])

    assert "Form of key 5f0c1a9e" in shown
    assert not any(form.text.decode("latin-1") in shown for form in forms)


@pytest.mark.parametrize("raw", [bytes(32), bytes(31) + b"\x07"], ids=["zeros", "seven"])
def test_a_weak_key_masks_no_harmless_text(raw: bytes) -> None:
    """A key that is a small number, such as one of zeros, is known without its digits being masked everywhere."""
    forms = forms_of_key(raw, "key 5f0c1a9e")

    assert not [
        form for form in forms if form.text in b"2026-11-25 10:07:00 GET /users/700 200 0.007s 1.0000000000000000"
    ]
    assert raw.hex().encode() in [form.text for form in forms]
