"""Named texts: from a variable, a list, a file or a command, unchanged."""

from __future__ import annotations

import pytest

from keyring_core import KeyConfigError
from keyring_core.legacy.variables import read_variables
from tests.keyring_core.test_errors import shown_by
from tests.keys import key_text

SECRET = "# correct horse, battery staple  a test secret"


def texts(environ, *names, listed=False):
    return [text for text, _ in read_variables(names or ["$OLD"], environ, "secret", listed=listed)]


def test_a_secret_is_taken_as_it_is(tmp_path):
    """Blanks, commas and # belong to it, in a variable, a file and what a command prints; one line break does not."""
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    file.chmod(0o600)

    assert texts({"OLD": SECRET}) == [SECRET]
    assert texts({"OLD": SECRET.encode()}) == [SECRET.encode()]
    assert texts({"OLD_FILE": str(file)}, "${OLD}") == [SECRET.encode()]
    assert texts({"OLD_COMMAND": f"cat {file}"}) == [SECRET.encode()]


def test_a_list_is_several_secrets():
    """As in Django's settings: each item, in order, and then those of the next name; each with its place."""
    found = read_variables(["$A", "$B"], {"A": ["one", b"two"], "B": "three", "OTHER": ["x"]}, "secret")

    assert [(each.text, each.where) for each in found] == [
        ("one", "A, item 1 of 2"),
        (b"two", "A, item 2 of 2"),
        ("three", "B"),
    ]
    assert "two" not in repr(found[1])


def test_fernet_keys_may_be_listed_in_one_text(tmp_path):
    """Commas and lines separate keys, since no key holds one; comments are none of them."""
    keys = [key_text("one"), key_text("two")]
    file = tmp_path / "keys"
    file.write_text(f"# both\n{keys[0]}\n{keys[1]}  # older\n")
    file.chmod(0o600)

    assert texts({"OLD": ",".join(keys)}, listed=True) == keys
    assert texts({"OLD_FILE": str(file)}, listed=True) == keys


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "$OLD: not set, or empty; set the secret that the cells were written under"),
        ({"OLD": ""}, "OLD: not set, or empty; set the secret"),
        ({"OLD": []}, "$OLD: not set, or empty"),
        ({"OLD": ["hunter2-xyzzy", ""]}, "OLD, item 2 of 2: not set, or empty"),
        ({"OLD": ["hunter2-xyzzy", None]}, "OLD, item 2 of 2: the secret is text, not NoneType"),
        ({"OLD": "hunter2-xyzzy", "OLD_FILE": "/x"}, "OLD and OLD_FILE are both set"),
        ({"OLD": ["hunter2-xyzzy"], "OLD_FILE": "/x"}, "OLD and OLD_FILE are both set"),
    ],
)
def test_a_secret_that_is_missing_is_named(environ, words):
    """The message says which variable, and shows nothing of another secret."""
    with pytest.raises(KeyConfigError) as caught:
        texts(environ)

    assert words in str(caught.value)
    assert "xyzzy" not in shown_by(caught.value)


def test_settings_are_not_listed():
    """Only the variables of that name are looked up: to evaluate all of Django's settings is slow."""

    class Settings(dict):
        def __iter__(self):
            raise AssertionError("listed")

        items = keys = values = __iter__

    assert texts(Settings({"OLD": "one", "OTHER": ["x"]})) == ["one"]
    assert texts(Settings({"OLD": ["one", "two"]})) == ["one", "two"]


def test_a_command_has_the_other_variables():
    """Those that are texts, for a command that needs an address or a token."""
    environ = {"OLD_COMMAND": "sh -c 'echo $WORDS'", "WORDS": "a test secret", "OTHER": ["x"]}

    assert texts(environ) == [b"a test secret"]


def test_one_missing_name_of_several_is_an_error():
    """Cells under it would be unreadable without a word."""
    with pytest.raises(KeyConfigError, match=r"\$B: not set"):
        texts({"A": "one"}, "$A", "$B")
