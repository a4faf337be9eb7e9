"""A Secret shows itself only when asked to."""

from __future__ import annotations

import copy
import io
import json
import pickle
import secrets

import pytest
import structlog

from keyring_core.redaction import Redactor, Secret, configure_logging

TEXT = secrets.token_urlsafe(20)


@pytest.mark.parametrize("show", [repr, str, format, lambda secret: f"{secret!r:>40}", lambda secret: "%s" % secret])  # noqa: UP031
def test_nothing_shows_it(show: object) -> None:
    """No way to print it shows its text."""
    assert TEXT not in show(Secret(TEXT, "token"))  # type: ignore[operator]


def test_it_reveals_itself_when_asked() -> None:
    """`reveal` is the one way."""
    assert Secret(TEXT).reveal() == TEXT


def test_equality_and_truth() -> None:
    """It compares like its text, with other Secrets only."""
    assert Secret(TEXT) == Secret(TEXT)
    assert Secret(TEXT) != Secret(TEXT + "x")
    assert Secret(TEXT) != TEXT
    assert not Secret("")


def test_comparing_a_text_without_utf8_shows_nothing() -> None:
    """A lone surrogate is compared like any character: an error would carry the whole text."""
    assert Secret(TEXT + "\ud800") == Secret(TEXT + "\ud800")
    assert Secret(TEXT + "\ud800") != Secret(TEXT + "\udfff")


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy, vars, hash])
def test_it_refuses_to_travel(duplicate: object) -> None:
    """Pickle, copy, attributes and hash show no value."""
    with pytest.raises(TypeError):
        duplicate(Secret(TEXT))  # type: ignore[operator]


def test_it_can_be_logged() -> None:
    """A logged Secret is its mask."""
    stream = io.StringIO()
    configure_logging(Redactor(), stream=stream, renderer="json")

    structlog.get_logger().info("event", note=Secret(TEXT, "token"))

    assert json.loads(stream.getvalue())["note"] == "[REDACTED:token]"
