"""A cell that may hide a token in a form that is not looked for is a suspect; ordinary documents are not."""

from __future__ import annotations

import base64
import gzip
import json
import random
import string
import textwrap
import uuid
import zlib
from collections.abc import Callable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from keyring_core import Keyring
from rotation.model.target import Format
from rotation.planning.planner import Planner
from rotation.planning.suspects import changes_of_class, may_hide
from tests.conftest import Named
from tests.fakes import batch_of, token
from tests.keys import make_key

KEYRING = Keyring(make_key("new"), previous=[make_key("old")])
OLD = make_key("old").id
DICE = random.Random(5)


def raw(value: bytes) -> bytes:
    return base64.urlsafe_b64decode(value)


def base58(data: bytes) -> str:
    letters = "".join(sorted({*string.ascii_letters, *string.digits} - {*"0OIl"}))
    number, text = int.from_bytes(data), ""
    while number:
        number, digit = divmod(number, 58)
        text = letters[digit] + text
    return text


HIDDEN: dict[str, Callable[[bytes], bytes]] = {
    "zlib, base64": lambda value: base64.b64encode(zlib.compress(value)),
    "hex with colons": lambda value: value.hex(":").encode(),
    "decimal bytes": lambda value: " ".join(map(str, value)).encode(),
    "decimal bytes of a list": lambda value: json.dumps([*value]).encode(),
    "base85": base64.b85encode,
    "octal escapes": lambda value: "".join(f"\\{byte:o}" for byte in value).encode(),
}
"""One of each kind: these are tried in every format."""

MORE: dict[str, Callable[[bytes], bytes]] = {
    "gzip, base64 in lines": lambda value: base64.encodebytes(gzip.compress(value)),
    "gzip, base64 in lines of JSON": lambda value: MORE["gzip, base64 in lines"](value).replace(b"\n", b"\\n"),
    "gzip, base64 in a mail that was answered": lambda value: textwrap.indent(
        base64.encodebytes(gzip.compress(value)).decode(), "> "
    ).encode(),
    "gzip, hex": lambda value: gzip.compress(value).hex().encode(),
    "gzip, base32": lambda value: base64.b32encode(gzip.compress(value)),
    "base32 in small letters": lambda value: base64.b32encode(value).lower(),
    "base32hex": base64.b32hexencode,
    "base58": lambda value: base58(raw(value)).encode(),
    "one large number": lambda value: str(int.from_bytes(raw(value))).encode(),
    "backwards": lambda value: value[::-1],
    "capitals for small letters": bytes.swapcase,
    "raw, hex with colons in lines": lambda value: "\n    ".join(textwrap.wrap(raw(value).hex(":"), 45)).encode(),
    "hex with blanks": lambda value: value.hex(" ").encode(),
    "hex of C": lambda value: ", ".join(f"0x{byte:02X}" for byte in value).encode(),
    "raw, signed bytes of Java": lambda value: json.dumps([(byte + 128) % 256 - 128 for byte in raw(value)]).encode(),
    "numbers of JSON with an indent": lambda value: json.dumps([*zlib.compress(value)], indent=4).encode(),
    "entities of HTML": lambda value: "".join(f"&#{byte};" for byte in value).encode(),
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "other bits": lambda value: bytes(byte ^ 0x5A for byte in raw(value)),
}
AROUND: dict[str, Callable[[bytes], bytes]] = {
    "alone": lambda value: value,
    "in JSON": lambda value: json.dumps({"name": "a connection", "data": value.decode("latin-1"), "port": 1}).encode(),
    "in JSON without blanks": lambda value: b'{"name":"a connection","data":"%b","port":8080}' % value,
    "in a pickle": lambda value: b"\x80\x04\x95\0\0\0name of a connection\x94" + value + b"\x94data\x94.",
}

WITHOUT_BLANKS = "色は匂へど散りぬるを我が世誰ぞ常ならむ有為の奥山今日越えて浅き夢見じ酔ひもせず" * 5
ORDINARY = {
    "prose": "The quick brown fox jumps over the lazy dog, and then it sleeps for a while. " * 10,
    "prose of another script": "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 10,
    "prose without blanks": WITHOUT_BLANKS,
    "the same in JSON": json.dumps(WITHOUT_BLANKS),
    "configuration": json.dumps(
        {
            "database": {"host": "db-01.internal.example.com", "port": 5432, "pool": {"size": 10, "timeout": 2.5}},
            "features": {"dark_mode": True, "beta": ["search", "export", "webhooks"], "limits": {"per_day": 10_000}},
            "paths": ["/usr/local/lib/python3.11/site-packages/an_application/templates/emails/welcome/index.html"],
            "updated": "2026-01-31T23:59:59.123456+00:00",
        }
    ),
    "without blanks": json.dumps(
        [{"id": number, "name": f"item {number}", "price": number / 7, "on": True} for number in range(40)],
        separators=(",", ":"),
    ),
    "UUIDs": json.dumps([str(uuid.UUID(int=DICE.getrandbits(128))) for _ in range(30)]),
    "UUIDs in a path": "/".join(str(uuid.UUID(int=DICE.getrandbits(128))) for _ in range(8)),
    "hashes": " ".join(DICE.randbytes(32).hex() for _ in range(8)),
    "addresses": json.dumps(
        [
            f"https://api.example.com/v1/organizations/{number}/projects/checkout-service/environments/production"
            f"?page={number}&per_page=50&sort=created_at&filter=status%3Aactive&redirect=https%3A%2F%2Fexample.com"
            for number in range(5)
        ]
    ),
    "addresses of the network": json.dumps([f"10.{n}.{7 * n % 256}.{n * n % 256}" for n in range(60)]),
    "hardware addresses": json.dumps([DICE.randbytes(6).hex(":") for _ in range(40)]),
    "an environment file": "DATABASE_URL=postgres://app@db:5432/app\nLOG_LEVEL=INFO\nWORKERS=4\nDEBUG=false\n" * 4,
    "numbers in their order": json.dumps([*range(200)]),
    "measurements": json.dumps([round(20 + 5 * DICE.random(), 6) for _ in range(200)]),
    "a picture of numbers": json.dumps([DICE.choice([0, 255]) for _ in range(400)]),
    "a stylesheet": ".button{color:#333333;margin:0 auto}.button:hover{color:#ff0000}" * 5,
    "a page": "<div class='card'><h1>Welcome back</h1><p>You have <b>3</b> new messages.</p></div>" * 5,
    "a program": "def add(first: int, second: int) -> int:\n    return first + second\n\n\nprint(add(1, 2))\n" * 5,
    "JSON in base64": base64.b64encode(
        json.dumps({"scope": ["read", "write"], "user": 17, "plan": "pro"}).encode() * 4
    ),
    "a JWT": ".".join(
        base64.urlsafe_b64encode(part).decode().rstrip("=")
        for part in (
            b'{"alg":"HS256","typ":"JWT"}',
            b'{"sub":"1234567890","name":"John Doe","admin":true,"iat":1516239022,"aud":"https://api.example.com"}',
            DICE.randbytes(32),
        )
    ),
    "an API key": json.dumps({"api_key": "sk-" + "".join(DICE.choices(string.ascii_letters + string.digits, k=48))}),
    "UTF-16": ("The quick brown fox jumps over the lazy dog. " * 5).encode("utf-16"),
    "zeros": bytes(500),
    "one letter": "x" * 500,
    "a line": "-" * 200 + "\n" + "=" * 200,
}


def test_what_may_hide_a_token_looks_random(named: Named) -> None:
    """Whatever stands around it."""
    for form, hide in (HIDDEN | MORE).items():
        value = hide(token("old").encode())
        for place, around in AROUND.items():
            if place.startswith("in JSON") and (not value.isascii() or b'"' in value or b"\\" in value):
                continue
            with named(form, place):
                assert may_hide(around(value), only_tokens=False)


def test_ordinary_documents_do_not(named: Named) -> None:
    """However long they are: most cells of a column of JSON hold no token."""
    for name, text in ORDINARY.items():
        data = text.encode() if isinstance(text, str) else text
        with named(name):
            assert not may_hide(data, only_tokens=False)
            assert len(data) < 73 or may_hide(data, only_tokens=True)


def test_such_a_form_keeps_every_key_in_every_format(named: Named) -> None:
    """A run leaves the cell and lists it by its row: as a suspect, or as unreadable. Of a list the key is known."""
    for form in Format:
        for name, hide in HIDDEN.items():
            cell = hide(token("old").encode()).decode()
            with named(form, name):
                plan = Planner(KEYRING, format=form).plan(batch_of([((1,), cell), ((2,), "short")]))
                counts = plan.counts

                assert plan.changes == 0
                assert counts.suspects + counts.unreadable - counts.identified + counts.inner.total() == 1
                assert [problem.key for problem in counts.problems if problem.key == (1,)] == [(1,)]


def test_a_cell_without_room_is_no_suspect(named: Named) -> None:
    """Room is counted in bytes, as a database does."""
    for form in Format:
        for text, number in (("x" * 72, 0), ("\u20ac" * 24, 0), ("\u20ac" * 25, 1), ("x" * 73, 1)):
            with named(form, ascii(text[:1]), len(text)):
                counts = Planner(KEYRING, format=form).plan(batch_of([((1,), text)])).counts

                assert counts.suspects == (0 if form is Format.EMBEDDED else number)


def test_a_suspect_beside_a_token_is_one_in_every_format(named: Named) -> None:
    """The token moves; what stands beside it is judged as text, which may stand beside tokens."""
    spelled = {Format.EMBEDDED: token("old"), Format.HEX: token("old").encode().hex()}
    spelled[Format.BASE64] = base64.b64encode(token("old").encode()).decode()
    for form, text in spelled.items():
        for beside, number in ((HIDDEN["zlib, base64"](token("old").encode()).decode(), 1), (ORDINARY["prose"], 0)):
            with named(form, number):
                plan = Planner(KEYRING, format=form).plan(batch_of([((1,), f'{{"t": "{text}", "more": "{beside}"}}')]))

                assert (plan.changes, plan.counts.suspects, plan.counts.categories) == (
                    1,
                    number,
                    {"suspect": 1} if number else {},
                )


def test_such_a_form_keeps_every_key_beside_a_token_that_no_run_moves(named: Named) -> None:
    """Where all that was found is known, it does not count as all; a sentence beside it changes nothing."""
    hidden = {name: hide(token("old").encode()).decode() for name, hide in HIDDEN.items()}
    for name, beside in (*hidden.items(), ("prose", str(ORDINARY["prose"]))):
        document = json.dumps({"t": token("new"), "more": beside}).encode()
        for form, cell in (
            (Format.TOKEN, document),
            (Format.HEX, document),
            (Format.TOKEN, base64.b64encode(document)),
            (Format.EMBEDDED, base64.b64encode(document)),
            (Format.EMBEDDED, base64.b32encode(document)),
            (Format.TOKEN, raw(token("new").encode()) + b" " + beside.encode()),
        ):
            with named(form, name, cell[:4]):
                counts = Planner(KEYRING, format=form).plan(batch_of([((1,), cell)])).counts

                assert counts.unreadable == 1
                assert (counts.identified, counts.inner[OLD]) in ({(0, 0), (1, 1)} if name in HIDDEN else {(1, 0)})


def test_a_token_in_another_form_that_was_found_makes_no_suspect() -> None:
    """Its key is known, so the cell keeps that key alone."""
    counts = Planner(KEYRING, format=Format.EMBEDDED).plan(batch_of([((1,), token("old").encode().hex())])).counts

    assert (counts.suspects, counts.identified, counts.categories) == (0, 1, {"encoded-token": 1})


@given(st.lists(st.sampled_from([b"aZ", b"z", b"A", b"0", b"9", b"-", b"\0", b"\xff"])).map(b"".join))
def test_the_changes_of_class_are_told_character_by_character(text: bytes) -> None:
    """One for each character whose next one is of another class: digit, capital, small letter, other."""
    classes = ["0" if 48 <= byte <= 57 else "A" if 65 <= byte <= 90 else "a" * (97 <= byte <= 122) for byte in text]

    assert changes_of_class(text) == bytes(before != behind for before, behind in pairwise(classes))
