"""Which of a variable's three forms is read."""

from __future__ import annotations

import pytest

from keyring_core import KeyConfigError
from keyring_core.environment import KEY_VARIABLES
from keyring_core.sources import SourceKind, read_source
from tests.keyring_core.test_errors import leaks, shown_by
from tests.keys import key_text

KEY = key_text("source")


def test_nothing_set_is_nothing_found():
    """No form of the variable gives None, and other variables do not count."""
    assert read_source("ENCRYPTION_KEY", {"ENCRYPTION_KEYS": KEY, "encryption_key": KEY}) is None


def test_a_variable_is_taken_as_it_stands():
    """The text is the key parser's business; the place is the variable's name."""
    found = read_source("ENCRYPTION_KEY", {"ENCRYPTION_KEY": f" {KEY}#"})

    assert (found.text, found.where, found.source) == (f" {KEY}#", "ENCRYPTION_KEY", (SourceKind.VARIABLE, None))


def test_two_forms_at_once_are_an_error(named):
    """C02: the message names all that are set, and no value; an empty one counts, since it may win tomorrow."""
    together = [("", "_FILE"), ("", "_COMMAND"), ("_FILE", "_COMMAND"), ("", "_FILE", "_COMMAND")]
    names = [*KEY_VARIABLES]

    for forms in together:
        for name in names:
            with named(name, *forms):
                for value in (KEY, ""):
                    environ = {name + form: value for form in forms}

                    with pytest.raises(KeyConfigError, match="keep one of them") as caught:
                        read_source(name, environ)

                    assert all(each in str(caught.value) for each in environ)
                    assert not leaks(shown_by(caught.value), KEY)


def test_what_was_found_shows_no_key():
    """Its repr holds the place alone; the source that is kept for later looks holds no text at all."""
    found = read_source("ENCRYPTION_KEY", {"ENCRYPTION_KEY": KEY})

    assert repr(found) == "<FoundText ENCRYPTION_KEY>"
    assert not leaks(repr(found.source), KEY)
