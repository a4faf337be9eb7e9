"""Effort: no text costs more steps than a multiple of its length, and what is too much to read is masked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from keyring_core.redaction import (
    Redactor,
    credentials,
    pairs,
    patterns,
    readings,
    sensitive_values,
    shapes,
)
from keyring_core.redaction.effort import reduced, unbounded
from keyring_core.redaction.render import JsonRenderer
from tests.conftest import Named

MODULES = (credentials, pairs, patterns, readings, shapes, sensitive_values)
# What is written to hold up a scan, again and again. Each begins what the scan looks for, and few of them end it.
HOSTILE = [
    "auth=", "&code=", "assertion=",
    "key:", "token:", "password:", "otp:", "key:1|", "?key://", "jwt:=otp", "token is ", "passphrase was ", "--token ",
    "token token ", "secret 'x", 'secret "', "secret='", "token=\\\\\\", "<token>", "<token", 'token">', "setPassword(",
    "password (", "keys: |\n ", "name: token\n value:", '"token", ', "('token', ", "token:[", "pwd={", "token=a,",
    "pw=a,", "cookie=", "cookie: a=", "secret key: ", "access_key ", "akey:", "bkey=", "[parameters: \n",
    "[parameters: ", "failing row contains (\n", "failing row contains (", "key)=(", ")=(", "duplicate entry '",
    "-----begin private key-----", "-----begin ", "authorization: digest ", "authorization: a=b,", "authorization",
    "signature=", "?sig=", "identified by '", "identified ", "[generated in ", "[raw sql", "private-lines: 1\n",
    "conflicts with existing key (", "/webhooks/12345678901234567/", "://a:", "://a:b@", "://a b:", "a:b@", "a:b1@c ",
    "@", ":@", "mailto:a@", "eyJ", "eyJa.", ".eJ", "ghp_", "sk-", "key-", "bearer ", "Bearer a1", "a1B2" * 10 + "a1=",
    " -p", " -p a", "mysql -p", "curl -u a:", "'-u'", " -u", "\x1b[0m", "%41", "%25", "%2541", "%", "0x1 ", "0x1=",
    "[raw sql] ((((('", "[raw sql] ('a', ", "identified by '='", "password='\", \"='", "[info] password='a [a] ",
    "[parameters: ('a', (", "\\x41", "0000 00 ", "00000000  00 01 02\n", "b'\\x00'\n b'", '"d": "', "kty",
]  # fmt: skip
LENGTH = 6_000
# A step is one call of a pattern, and each character that a call went over.
MOST_STEPS = 25


class Counted:
    """A pattern that counts its calls and the characters that they go over."""

    steps = 0

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pattern, name)

    def _over(self, found: re.Match[str] | None, start: int, end: int) -> re.Match[str] | None:
        Counted.steps += 1 + (end if found is None else found.end()) - start
        return found

    def match(self, text: str, start: int = 0, end: int = 10**9) -> re.Match[str] | None:
        """As the pattern's. How far it looks where it matches nothing is not known."""
        return self._over(self._pattern.match(text, start, end), start, start)

    def fullmatch(self, text: str, start: int = 0, end: int = 10**9) -> re.Match[str] | None:
        """As the pattern's."""
        return self._over(self._pattern.fullmatch(text, start, end), start, min(end, len(text)))

    def search(self, text: str, start: int = 0, end: int = 10**9) -> re.Match[str] | None:
        """As the pattern's."""
        return self._over(self._pattern.search(text, start, end), start, min(end, len(text)))

    def finditer(self, text: str, start: int = 0, end: int = 10**9) -> Iterator[re.Match[str]]:
        """As the pattern's."""
        for found in self._pattern.finditer(text, start, end):
            self._over(found, start, start)
            start = found.end()
            yield found


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> type[Counted]:
    """The steps of all patterns from now on."""
    compiled = patterns.compiled
    for module in MODULES:
        monkeypatch.setattr(module, "compiled", lambda *args: Counted(compiled(*args)))
    monkeypatch.setattr(Counted, "steps", 0)
    return Counted


def test_no_text_takes_many_steps(steps: type[Counted], named: Named) -> None:
    """However often it is written, what begins a secret takes a bounded number of steps for each character."""
    for unit in HOSTILE:
        for tail in ("", "@x", "'", '"}}', "]\n"):
            with named(repr(unit), repr(tail)):
                text = unit * (LENGTH // len(unit)) + tail
                steps.steps = 0

                shown = Redactor().redact(text)

                assert steps.steps <= MOST_STEPS * len(text)
                assert not shown.startswith("[WITHHELD")


@pytest.mark.parametrize("length", [1_000, 20_000])
def test_steps_grow_with_the_length_alone(steps: type[Counted], length: int) -> None:
    """Ten times the text takes ten times the steps, or fewer."""
    text = "".join(HOSTILE)

    Redactor().redact((text * 100)[:length])
    once, steps.steps = steps.steps, 0
    Redactor().redact((text * 1000)[: 10 * length])

    assert steps.steps <= 11 * once


class Sliced(str):
    """A text that counts the characters that are copied out of it."""

    __slots__ = ()
    copied = 0

    def __getitem__(self, place: Any) -> str:
        part = super().__getitem__(place)
        Sliced.copied += len(part)
        return part


def test_to_find_a_name_copies_no_more_than_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text before the last word of a name is looked at for one name's length, not from its start."""
    monkeypatch.setattr(Sliced, "copied", 0)
    text = "a token " * 2_000

    found = pairs.find_pairs(Sliced(text), reduced(text.encode()), Redactor().names, unbounded)

    assert not found
    assert 0 < Sliced.copied <= 20 * len(text)


def test_the_rest_of_a_crowded_text_is_masked() -> None:
    """A text with more secrets than a text holds is masked from there on; what stood before stays."""
    shown = Redactor().redact("kept: " + "pw=a1b2," * 500 + "tail")

    assert shown.startswith("kept: pw=[REDACTED:password],pw=[REDACTED:password],")
    assert shown.endswith("[REDACTED:rest]")
    assert "a1b2" not in shown


def test_a_crowded_field_hides_no_other_field() -> None:
    """In JSON the rest of that text is masked, and the event stays."""
    event = {"event": "GET /" + "key:token:" * 2000, "status": 404, "client": "203.0.113.7"}

    shown = json.loads(JsonRenderer(Redactor())(None, "info", event))

    assert (shown["status"], shown["client"]) == (404, "203.0.113.7")
    assert shown["event"].startswith("GET /key:")


def test_a_long_event_of_harmless_fields_stays() -> None:
    """An event with many names of secrets and no secret is not crowded: each of its texts is read by itself."""
    event = {"event": "users", "users": [{"id": number, "token": None} for number in range(2000)]}

    assert json.loads(JsonRenderer(Redactor())(None, "info", event)) == event


def test_a_list_of_settings_is_read_to_its_end() -> None:
    """Forty settings with a secret in each line are masked one by one."""
    lines = [f"ORDERS_SERVICE_{number}_API_KEY=a1b2c3d4e5f6" for number in range(40)]

    assert Redactor().redact("\n".join(lines)) == "\n".join(
        f"ORDERS_SERVICE_{number}_API_KEY=[REDACTED:api-key]" for number in range(40)
    )


def test_many_readings_of_a_text_are_masked() -> None:
    """A text that spells its bytes in ever new ways is masked, not read for ever; so is what it spells at its end."""
    text = "%252541" + "ordinary words, " * 500 + "b'\\x00'\n  b'\\x01' " + "0x41 " * 9
    value = "Zq3vK9tLxW7e-a8f"
    spelt = " ".join(f"{byte:#x}" for byte in value.encode())

    assert "hunter22" not in Redactor().redact(text + "%252570assword%25253Dhunter22")
    assert spelt not in Redactor([value]).redact(f'q=%2541 a="{"0x41 " * 1100}" b="{spelt}" end')


def test_what_stands_across_fields_is_masked_beside_a_crowded_one() -> None:
    """A crowded field hides no argument and no name of the fields beside it, before it or behind it."""
    crowded = "pw=a1b2," * 2000
    for beside in (["mysql", "-phunter22", "db"], [{"name": "DB_PASSWORD", "value": "hunter22"}]):
        for event in ({"event": crowded, "more": beside}, {"more": beside, "event": crowded}):
            shown = JsonRenderer(Redactor())(None, "info", event)

            assert "hunter22" not in shown
            assert "withheld" not in shown


DENSE = {
    "help": "  --db-password TEXT  The db-password of the service.\n",
    "settings": "DB_PASSWORD=${DB_PASSWORD}\n",
    "log": "Failed password for invalid user a from 10.0.0.1 port 51 ssh2; auth failure; password check (token)\n",
    "coloured": "\x1b[32m2026-11-28\x1b[0m [info] token is valid user=1 password_hash=None auth=ok node_5f0c1a9e12_1\n",
    "compiler": "gcc -Wall -Wextra -pipe -Wpedantic -Wundef -Wpointer-arith -fPIC -shared -o build/a.so a.o b.o\n",
    "usage": "Usage(prompt_tokens=100, completion_tokens=101, total_tokens=201), ",
    "schema": "ALTER TABLE t ADD password varchar(255) NOT NULL, ADD token text, ADD api_key text;\n",
    "links": "mailto:bob1@example.com, redis://10.0.0.1:6379 ",
    "encoded": "GET /a%20b and %2541 once, then a container_5f0c1a9e12_01 and a token is valid\n",
}


@pytest.mark.parametrize("kind", DENSE)
def test_dense_harmless_text_stays(kind: str) -> None:
    """Text that speaks of passwords in each line is no crowd, however long it is."""
    text = DENSE[kind] * (8_000 // len(DENSE[kind]))

    assert Redactor().redact(text) is text
