"""The table of `keys list`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from rotation.lifecycle.listing import ListedKey
from rotation.model.key_use import KeyUse, ReadRecord
from rotation.output.key_steps import render_list

JANUARY, MAY = datetime(2026, 1, 3, 12, tzinfo=UTC), datetime(2026, 5, 3, 12, tzinfo=UTC)
KEYS = [
    ListedKey("cba5a815", "primary", JANUARY, staged=JANUARY, promoted=MAY, tokens=1_250_000),
    ListedKey("6587597c", "previous", JANUARY, tokens=3, standing="unproven"),
    ListedKey("1f00ba42", "retired", JANUARY, retired=MAY, forced=True, tokens=0),
]


@pytest.mark.parametrize("width", [24, 40, 80, 160])
def test_a_terminal_of_any_width_shows_every_date(width: int) -> None:
    """No line is wider than the terminal; no date, number or state is cut; zero tokens are shown as well."""
    stream = io.StringIO()
    Console(file=stream, width=width, force_terminal=True, color_system=None).print(render_list(KEYS))
    lines = stream.getvalue().splitlines()

    assert max(map(len, lines)) <= width
    words = {word.strip(",") for line in lines for word in line.split()}
    assert words >= {"cba5a815", "previous", "1f00ba42", "2026-01-03", "2026-05-03", "12:00", "(forced)", "1,250,000"}
    assert words >= {"needed", "proven", "tokens", "0"}


def test_a_pipe_gets_every_column() -> None:
    """One line per key, in plain text."""
    stream = io.StringIO()
    Console(file=stream, width=160).print(render_list(KEYS))

    lines = [" ".join(line.split()) for line in stream.getvalue().splitlines()]
    assert lines[0] == "key state first seen staged promoted retired tokens needed"
    assert lines[2] == "6587597c previous 2026-01-03 12:00 3 not proven"


def test_who_read_last_stands_beside_a_key_that_is_not_primary() -> None:
    """Opened or refused, and how long ago; the column is there only if one of these keys was read with."""
    now = datetime.now(UTC)
    opened = ReadRecord("default", "web-1", "6587597c", now, 3, now - timedelta(minutes=3))
    refused = ReadRecord("billing", "web-2", "1f00ba42", now, 3, MAY, 1, now - timedelta(hours=5))
    keys = [
        ListedKey(
            "cba5a815", "primary", JANUARY, use=KeyUse([ReadRecord("billing", "web-1", "cba5a815", now, 1, now)])
        ),
        ListedKey("6587597c", "previous", JANUARY, use=KeyUse([opened])),
        ListedKey("1f00ba42", "suspended", JANUARY, suspended=MAY, use=KeyUse([opened, refused], is_suspended=True)),
    ]

    assert "last read" not in _shown(keys[:1])[0]
    primary, previous, suspended = _shown(keys)[1:]
    assert "ago" not in primary
    assert previous.endswith("3 minutes ago by web-1")
    assert suspended.startswith("1f00ba42 suspended since 2026-05-03 12:00 ")
    assert _shown([keys[0], replace(keys[2], use=KeyUse([refused]))])[2].endswith("refused 5 hours ago by billing")


def _shown(keys: Sequence[ListedKey]) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=200).print(render_list(keys))
    return [" ".join(line.split()) for line in stream.getvalue().splitlines()]
