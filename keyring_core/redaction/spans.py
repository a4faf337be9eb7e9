"""Spans of secrets in a text: all matches are collected, merged, and masked once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

MASK_START = "[REDACTED:"


class Span(NamedTuple):
    """Positions *start* to *end* of a text, with the *label* of their mask; *known* if it is a registered value."""

    start: int
    end: int
    label: str
    known: bool = False


def mask_of(label: str) -> str:
    """The mask of a secret: it shows the label, never the length."""
    return f"{MASK_START}{label}]"


def runs(windows: Iterable[tuple[str, int, int]]) -> list[Span]:
    """The longest runs of known values: joins windows (label, start, end) of one label that overlap or touch."""
    done: list[Span] = []
    for label, start, end in sorted(windows):
        last = done[-1] if done else None
        if last and last.label == label and start <= last.end:
            done[-1] = Span(last.start, max(last.end, end), label, known=True)
        else:
            done.append(Span(start, end, label, known=True))
    return done


def merge(spans: Iterable[Span]) -> list[Span]:
    """Disjoint spans, in order, that cover exactly the same text as *spans*.

    Overlapping spans become one, with the label of a known value, otherwise of the longest. Spans that only touch
    become one if they share a label (two halves of one key).
    """
    merged: list[Span] = []
    for span in sorted(spans):
        last = merged[-1] if merged else None
        if last and (span.start < last.end or (span.start == last.end and span.label == last.label)):
            _, _, label, known = max(last, span, key=lambda part: (part.known, part.end - part.start))
            merged[-1] = Span(last.start, max(last.end, span.end), label, known)
        else:
            merged.append(span)
    return merged


def mask(text: str, spans: Sequence[Span]) -> str:
    """*text* with all *spans* masked."""
    pieces: list[str] = []
    done = 0
    for span in merge(spans):
        # A backslash right before the mask would escape it.
        pieces += (text[done : span.start].rstrip("\\"), mask_of(span.label))
        done = span.end
    pieces.append(text[done:])
    return "".join(pieces)
