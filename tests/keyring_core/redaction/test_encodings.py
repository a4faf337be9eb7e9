"""Forms: how other programs spell a registered value, and what of it is no secret."""

from __future__ import annotations

import base64
import json
import random
import secrets
import string
from urllib.parse import quote

import pytest

from keyring_core.redaction import Redactor, redacting
from tests.conftest import Named

PASSWORD = "p[4 s}k'w^|r\"d/%é`1"


def by_browser(text: str) -> str:
    """What a browser writes for *text* in a query."""
    return quote(text, safe="!$%&()*+,/:;=?@[\\]^`{|}~")


def test_spellings(named: Named) -> None:
    """A value is masked as other programs write it."""
    cases = {
        "requests": lambda text: quote(text, safe="!#$%&'()*+,/:;=?@[]~"),
        "a browser's query": by_browser,
        "a browser's path": lambda text: quote(text, safe="!$%&'()*+,/:;=@[\\]|~"),
        "encodeURI": lambda text: quote(text, safe=";,/?:@&=+$!~*'()#"),
        "shell": lambda text: "'" + text.replace("'", "'\\''") + "'",
        "ascii": ascii,
        "backslashreplace": lambda text: text.encode("ascii", "backslashreplace").decode(),
        "capitalize": lambda text: ("é" + text).capitalize(),
        "numbers by line": lambda text: json.dumps(list(text.encode()), indent=2),
        "numbers by line in JSON": lambda text: json.dumps(json.dumps(list(text.encode()), indent=2)),
    }

    for name, spell in cases.items():
        with named(name):
            redactor = Redactor([PASSWORD, "é" + PASSWORD])

            shown = redactor.redact(f"<{spell(PASSWORD)}>")

            assert "[REDACTED:secret]" in shown
            assert not set(shown.replace("[REDACTED:secret]", "")) - set("<>'\"[] \n\\n")


def test_a_key_as_a_hexadecimal_number() -> None:
    """A number shows no zeros at its beginning: none of the other digits is left."""
    raw = bytes([0, 5]) + secrets.token_bytes(30)
    redactor = Redactor([base64.urlsafe_b64encode(raw).decode()])

    assert redactor.redact(hex(int.from_bytes(raw, "big"))) == "0x[REDACTED:secret]"


def test_pieces_of_random_passwords_with_symbols() -> None:
    """Of passwords that a generator drew, a piece is masked, wherever symbols stand in them."""
    draw = random.Random(20261125)
    symbols = string.ascii_letters + string.digits + string.punctuation
    passwords = ["".join(draw.choices(symbols, k=20)) for _ in range(200)]

    passed = [password for password in passwords if password[:14] in Redactor([password]).redact(f"({password[:14]})")]

    assert len(passed) <= 8  # those that look written: hardly a change between letters and digits


def test_pieces_of_written_values_stay(named: Named) -> None:
    """Of a value that people wrote, the words stay what they are elsewhere."""
    cases = [
        ("Correct-horse, battery & staple! (2026)", "the battery & staple of a horse (2026)"),
        ("svc-12@proj-1234.iam.example.com#x", "mail of svc-12@proj-1234.iam.example.com"),
        ("host=db1.prod.eu2.internal user=app", "db1.prod.eu2.internal is down"),
        ('{"id":"proj-1234","b2":"C3"}', '{"id":"proj-1234","c":1}'),
        ("aB3cD####################", "####################"),
        ("Zoë-Åsa-crème!brûlée", "Zoë-Åsa-crème"),
        ("aB3#xY9dKé", "aB3#xY9dKè"),  # share the first byte of their last letter
        ("https://host-1a2b3c4d5e:8080/@scope", "host-1a2b3c4d5e"),
    ]

    for value, text in cases:
        with named(value):
            assert Redactor([value]).redact(text) is text


@pytest.mark.parametrize("host", ["db1-prod-eu2:5432", "db1-prod-eu2.corp9.x2:1,db2-prod-eu2:2"])
@pytest.mark.parametrize(("written", "password"), [("secret-pass", "secret-pass"), ("p%40ss/w%C3%B6rd", "p@ss/wörd")])
def test_of_a_url_its_password_is_the_secret(host: str, written: str, password: str) -> None:
    """A registered URL is masked as a whole, and its password by itself; its host stays."""
    url = f"postgresql://app:{written}@{host}/orders"
    redactor = Redactor([url])

    assert redactor.redact(f"<{url}>") == "<[REDACTED:secret]>"
    assert (
        redactor.redact(f"{host}: {written}, {password}, app") == f"{host}: [REDACTED:secret], [REDACTED:secret], app"
    )


def test_the_random_looking_parts_of_a_url_are_a_secret() -> None:
    """What a URL holds besides its host is masked in pieces as before: a token in its path, or in a user's place."""
    token, path = "tK7" + secrets.token_hex(12), "x9Q" + secrets.token_hex(12)
    redactor = Redactor([f"https://{token}@git-1a2b3c4d5e.example/{path}"])

    assert redactor.redact(f"{token[:12]}, {path[:12]}") == "[REDACTED:secret], [REDACTED:secret]"
    assert redactor.redact("git-1a2b3c4d5e.example") == "git-1a2b3c4d5e.example"


@pytest.mark.timeout(600)
def test_urls_in_urls_are_looked_into_once() -> None:
    """What a tenant stores may be an address in an address, encoded over and over; a block masks it at once."""
    value = "a://:" * 30 + "%" + "25" * 10 + "41xyzw12" + "@b" * 30

    with redacting(value):
        assert Redactor().redact(f"sent {value}") == "sent [REDACTED:secret]"


def test_a_discarded_url_leaves_no_password() -> None:
    """With a URL its password is forgotten."""
    url = "postgresql://app:secret-pass@db/orders"
    redactor = Redactor([url])

    redactor.discard(url)

    assert redactor.redact("secret-pass") == "secret-pass"
