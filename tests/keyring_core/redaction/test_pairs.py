"""Pairs: the value of a sensitive name in a text is masked, whatever its length; other text is not."""

from __future__ import annotations

import json
import shlex

import pytest

from keyring_core.redaction import Redactor
from keyring_core.redaction.sensitive_names import _PAIRS, _WORDS
from tests.conftest import Named

# In text these are words of sentences and headers, which have shapes of their own, or give nothing but numbers.
IN_DICTS_ONLY = {"authorization", "auth", "bearer", "cvv", "seed phrase"}
NAMES = ["pass", *_WORDS, *(" ".join(pair) for pair in _PAIRS)]
LONG = "aB3x" * 1500


def test_every_name_counts_in_text(named: Named) -> None:
    """What announces a secret in a dict does so in a text."""
    names = [name for name in NAMES if {name, name.split()[-1]}.isdisjoint(IN_DICTS_ONLY)]
    shapes = ["{}='hunter22'", '{{"{}": "hunter22"}}', "app_{}=hunter22", "--x-{} hunter22"]

    for name in names:
        for shape in shapes:
            with named(name, shape):
                text = shape.format(name.replace(" ", "_"))

                # "pass" counts by itself only.
                assert "hunter22" not in Redactor().redact(
                    text.replace("app_pass=", "pass=").replace("x-pass ", "pass ")
                )


def test_a_value_of_any_length_is_masked_to_its_end(named: Named) -> None:
    """A long value leaves no rest, and the text behind it stays."""
    cases = [
        "access_token={}",
        "token: {}",
        "--token {}",
        "{{'credentials': '{}'}}",
        '{{"secret": "{}"}}',
        "pw=`{}`",
        "['--password', '{}']",
        "<password>{}</password>",
        "ALTER USER bob PASSWORD '{}'",
        "Cookie: sid={}",
        "secret='{}",
    ]

    for shape in cases:
        with named(shape):
            end = "" if shape.endswith("'{}") else " kept"
            shown = Redactor().redact(shape.format(LONG) + end)

            assert "aB3x" not in shown
            assert "REDACTED" in shown
            assert shown.endswith(end)


@pytest.mark.parametrize(
    "arguments",
    [["mysql", "--password", "dragonfly"], ["x", "--db-pw", "a dragonfly (b)", "-v"]],
    ids=["word", "blanks"],
)
def test_arguments_in_text(arguments: list[str]) -> None:
    """An argument list that became text, as in CalledProcessError, hides the value of a sensitive option."""
    redactor = Redactor()
    for text in (str(arguments), json.dumps(arguments), json.dumps(json.dumps(arguments)), repr(str(arguments))):
        shown = redactor.redact(text)

        assert "dragonfly" not in shown
        assert arguments[1] in shown


def test_quoted_arguments_of_a_shell() -> None:
    """A quoted value of a sensitive option is masked with its blanks."""
    text = shlex.join(["mysql", "--password", "drag on fly", "--db-pw", "fire fly", "-v"])

    assert Redactor().redact(text) == "mysql --password '[REDACTED:password]' --db-pw '[REDACTED:password]' -v"


def test_a_list_of_names_is_no_argument_list() -> None:
    """A name without dashes gives nothing away by standing before another one."""
    text = "--sort: choose from 'user', 'password', 'token', 'key'"

    assert Redactor().redact(text) is text


@pytest.mark.parametrize("text", ["iban=DE8937", "Acct(iban='DE8937')", '{"userIban": "DE8937"}', "launch_code=DE8937"])
def test_own_names_count_in_text(text: str) -> None:
    """A service's own names are found in text like the built-in ones."""
    redactor = Redactor(names=["iban", "launchCode"])

    assert "[REDACTED:value]" in redactor.redact(text)
    assert Redactor().redact(text) is text


@pytest.mark.parametrize("name", ["iban", "b_k", "launch code", "pin"])
def test_own_names_count_in_long_text(name: str) -> None:
    """So they do in a long text, however few of their letters a search looks for first."""
    shown = Redactor(names=[name]).redact("a stop is but a step " * 40 + f"{name.replace(' ', '_')}=DE8937")

    assert "DE8937" not in shown


@pytest.mark.parametrize("text", ["iban_country=DE8937", "code=DE8937", "ibanez='DE8937'"])
def test_own_names_count_as_whole_words(text: str) -> None:
    """A name that only holds an own name, or only its last word, gives nothing away."""
    assert Redactor(names=["iban", "launch code"]).redact(text) is text


# Before the value, the value, and what has to stay behind it.
UNREGISTERED = [
    ("password=", "abcdef.ghijkl", ""),
    ("password=", "abcdef.ghijkl", " host=db"),
    ("host=db password=", "abc&rest", " dbname=app"),
    ("password=", "abc&rest=1", ""),
    ("https://h/cb?password=", "abc", "&state=1"),
    ("user=bob&password=", "abc.def", "&state=1"),
    ("password:", "hunter2", ""),
    ("DB_PASSWORD:", "abc!def", ", retrying"),
    ("{password:", "s3cr3t-Pa55", "}"),
    ("password:  ", "s3cr3t-Pa55", ""),
    ("log in as bob (password ", "hunter2", ")"),
    ("bob, password ", "s3cr3t-Pa55", ", host db"),
    ("the password is ", "hunter2.", " and stays it"),
    ("password is: ", "aBcDeFgH", ""),
    ("the password was '", "correct horse", "'"),
    ("refresh_token is ", "a1b2c3d4e5", ""),
    ('setPassword("', "correct horse", '")'),
    ("user.set_password('", "x", "')"),
    ("check_password( '", "correct horse", "', hashed)"),
    ('<add key="password" value="', "x y", '"/>'),
    ("<add key='DbPassword' value = '", "x y", "' />"),
    ('{"name": "DB_PASSWORD", "value": "', "x", '"}'),
    ("password%3D", "x1", "%20a%3Db"),
    ("q=%7B%22password%22%3A%22", "x", "%22%7D"),
    ("create user bob identified by '", "x y", "'"),
    ('IDENTIFIED BY "', "x", '"'),
    ("CREATE USER u IDENTIFIED BY '", "48151623", "'"),
    ("CREATE USER a@'%' IDENTIFIED WITH caching_sha2_password BY '", "x y", "' REQUIRE SSL"),
    ("IDENTIFIED VIA ed25519 USING PASSWORD('", "x y", "')"),
    ("GRANT ALL ON *.* TO a IDENTIFIED BY PASSWORD '", "*94BDCEBE", "'"),
    ("CREATE USER a\n  IDENTIFIED\n  BY '", "x y", "'"),
    ("ALTER ROLE bob WITH ENCRYPTED PASSWORD '", "x y", "' VALID UNTIL 'infinity'"),
    ("alter role bob password '", "12345678", "'"),
    ('--password "', "hunter2x", '" -v'),
    ("--password', '", "hunter2x", "', '-v"),
]


def test_values_that_nobody_registered(named: Named) -> None:
    """The value of a sensitive name is masked in every notation, in text and in JSON; the rest stays."""
    for before, value, behind in UNREGISTERED:
        with named(before, value, behind):
            masked = f"{before}[REDACTED:{'token' if 'token' in before else 'password'}]{behind}"

            assert Redactor().redact(f"{before}{value}{behind}") == masked
            for depth in range(2):
                text, expected = f"{before}{value}{behind}", masked
                for _ in range(depth + 1):
                    text, expected = json.dumps({"event": text}), json.dumps({"event": expected})
                assert Redactor().redact_json(text) == expected


def test_a_password_may_hold_a_path() -> None:
    """Only a path of words is the folder that a shell stands in."""
    assert Redactor().redact("PWD=/srv/app2/v3") == "PWD=/srv/app2/v3"
    assert Redactor().redact("UID=sa;PWD=/aB3x9/Q7z;") == "UID=sa;PWD=[REDACTED:password];"


@pytest.mark.parametrize("before", ['user: "" ', 'url="https://h/" ', '{path: "/a/" ', "a='x.' "])
def test_a_text_before_the_name_is_closed(before: str) -> None:
    """A quote that closes the text before a name opens none around it."""
    quote = "'" if "'" in before else '"'

    assert "hunter22" not in Redactor().redact(f"{before}password: {quote}hunter22{quote}")


@pytest.mark.parametrize(
    "value", ["op:hunter22", "vault:hunter22", "env:hunter22", "'!secret hunter22'", "__hunter22__"]
)
def test_what_only_begins_like_a_placeholder(value: str) -> None:
    """A reference to a store of secrets has a path, and a placeholder no digits."""
    assert "hunter22" not in Redactor().redact(f"password={value}")
