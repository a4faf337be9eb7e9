"""Tokens inside any text are found and replaced in place; everything else stays, byte for byte."""

from __future__ import annotations

import base64
import json
import urllib.parse
from typing import Any

import pytest
from cryptography.fernet import Fernet
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from keyring_core import Keyring
from rotation.model.target import Format
from rotation.planning import embedded
from rotation.planning.embedded import SPELLINGS, Spelling, locate
from rotation.planning.planner import Planner
from tests.conftest import Named
from tests.fakes import ISSUED_AT, batch_of, token
from tests.keys import key_text, make_key

OLD, NEW = Fernet(key_text("old")), Fernet(key_text("new"))
KEYRING = Keyring(make_key("new"), previous=[make_key("old"), make_key("older")], staged=make_key("staged"))
KEYS = list(KEYRING.states)
EMBEDDED = SPELLINGS[Format.EMBEDDED]
ENCODED = [Format.BASE64, Format.HEX]


def rotated(cell: Any, form: Format = Format.EMBEDDED) -> Any:
    """The cell that a run writes; the same one if it writes none."""
    plan = Planner(KEYRING, format=form).plan(batch_of([((1,), cell)]))
    return plan.swaps.new[0] if plan.swaps else cell


def spelled(form: Format, text: str) -> str:
    """A token's text as a cell of that format has it."""
    data = text.encode()
    return {
        Format.EMBEDDED: lambda: text,
        Format.BASE64: lambda: base64.b64encode(data).decode(),
        Format.HEX: data.hex,
    }[form]()


def plain_of(form: Format, text: str) -> str:
    """The reverse of `spelled`."""
    return {
        Format.EMBEDDED: lambda: text,
        Format.BASE64: lambda: base64.b64decode(text).decode(),
        Format.HEX: lambda: bytes.fromhex(text).decode(),
    }[form]()


def check_moved(old: str, new: str, secret: bytes) -> None:
    """*new* is the successor of *old*: the same length, plaintext and time, and stock Fernet opens it."""
    assert (len(new), new != old) == (len(old), True)
    assert NEW.decrypt(new.encode()) == secret
    assert NEW.extract_timestamp(new.encode()) == OLD.extract_timestamp(old.encode())


SECRETS = st.binary(max_size=200)
TIMES = st.integers(2**30, 2**31 - 1)
# No text of a token by chance: one would be rotated, too.
TEXTS = st.text(max_size=40).filter(lambda text: "gAAA" not in text)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS


@st.composite
def documents(draw: st.DrawFn) -> tuple[Any, dict[str, bytes]]:
    """A JSON value, and the secrets of the tokens in it, by the tokens."""
    secrets: dict[str, bytes] = {}

    def sealed(secret: bytes, issued_at: int) -> str:
        made = OLD.encrypt_at_time(secret, issued_at).decode()
        secrets[made] = secret
        return made

    tokens = st.builds(sealed, SECRETS, TIMES)
    inside = (
        LEAVES | tokens | st.builds("{}{}".format, st.sampled_from(["enc:fernet:", "fernet:", "zato.secf."]), tokens)
    )
    made = draw(
        st.recursive(inside, lambda some: st.lists(some, max_size=4) | st.dictionaries(TEXTS, some, max_size=4))
    )
    return made, secrets


def tokens_in(value: Any) -> list[str]:
    """The strings of a JSON value in which a token stands, without what stands before it."""
    if isinstance(value, str):
        return [value[value.index("gAAAA") :]] if "gAAAA" in value else []
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [each for part in inside for each in tokens_in(part)]


def hidden(value: Any) -> Any:
    """A JSON value without its tokens."""
    if isinstance(value, str):
        return value[: value.index("gAAAA")] if "gAAAA" in value else value
    if isinstance(value, dict):
        return {name: hidden(part) for name, part in value.items()}
    return list(map(hidden, value)) if isinstance(value, list) else value


@settings(settings.get_profile("slow"))
@given(documents(), st.booleans(), st.sampled_from([None, 2]), st.booleans())
def test_in_any_json_only_the_tokens_change(
    made: tuple[Any, dict[str, bytes]], ascii_only: bool, indent: int | None, as_bytes: bool
) -> None:
    """However it is written: each token has moved, and the value is equal but for the tokens."""
    value, secrets = made
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    cell = text.encode("utf-8", "surrogatepass") if as_bytes else text
    new = json.loads(rotated(cell))

    assert hidden(new) == hidden(value)
    for before, after in zip(tokens_in(value), tokens_in(new), strict=True):
        check_moved(before, after, secrets[before])


@st.composite
def pieces(draw: st.DrawFn) -> list[str]:
    """Text, token, text, token, ..., text: YAML, URLs, prefixes and anything else around tokens."""
    around = TEXTS | st.sampled_from(
        [
            "password: ",
            "\n- key: '",
            "https://u:",
            "@example.org/?t=",
            "&x=1",
            "enc_",
            "key-",
            "%3D",
            "\n",
            "\0",
            '"',
            "=",
        ]
    )
    made = [draw(around)]
    for _ in range(draw(st.integers(1, 3))):
        secret = draw(SECRETS)
        made += [OLD.encrypt_at_time(secret, draw(TIMES)).decode(), draw(around.filter(bool))]
    return made


@settings(settings.get_profile("slow"))
@given(pieces(), st.sampled_from(list(SPELLINGS)), st.booleans())
def test_in_any_text_only_the_tokens_change(made: list[str], form: Format, as_bytes: bool) -> None:
    """In a text and in the same bytes: what stands around each token is as it was, at its place."""
    cell = "".join(spelled(form, piece) if at % 2 else piece for at, piece in enumerate(made))
    data = cell.encode("utf-8", "surrogatepass") if as_bytes else cell
    new = rotated(data, form)
    text = new.decode("utf-8", "surrogatepass") if as_bytes else new

    assert type(new) is type(data)
    assert len(text) == len(cell)
    start = 0
    for at, piece in enumerate(made):
        end = start + len(spelled(form, piece) if at % 2 else piece)
        if at % 2:
            check_moved(piece, plain_of(form, text[start:end]), OLD.decrypt(piece.encode()))
        else:
            assert text[start:end] == piece
        start = end


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80), st.binary(max_size=80), SECRETS)
def test_in_any_bytes_only_the_token_changes(before: bytes, behind: bytes, secret: bytes) -> None:
    """A binary column may hold anything around a token, but for what a raw token begins with: that is reported."""
    assume(not before.startswith(b"\x80\0\0\0\0"))
    old = OLD.encrypt_at_time(secret, ISSUED_AT)
    new = rotated(before + old + behind)

    assert (new[: len(before)], new[len(before) + len(old) :]) == (before, behind)
    check_moved(old.decode(), new[len(before) :][: len(old)].decode(), secret)


def test_padding_stays_as_it_is_spelled(named: Named) -> None:
    """Two, one and no character of it, in each of its spellings, or left out."""
    for equals in ("=", "\\u003d", "\\u003D", "%3D", "%3d", "&#61;", ""):
        with named(equals):
            for length in (0, 20, 40):
                old = token("old", "x" * length)
                cell = f'{{"t": "{old.replace("=", equals)}"}}'
                new = rotated(cell)

                assert new.count(equals) >= cell.count(equals)
                check_moved(old, new[7:-2].replace(equals or "=", "="), b"x" * length) if equals else check_moved(
                    old, new[7:-2] + "=" * old.count("="), b"x" * length
                )


def test_a_token_may_stand_among_characters_of_its_own_alphabet(named: Named) -> None:
    """If nothing marks where it begins and ends, the MAC does."""
    for behind in ("", "tail", "_", "A", "-x", "gAAAAA", "x" * 500):
        for before in ("", "enc_", "gAAAA", "gAAAAAB", "x" * 200):
            for length in (0, 20, 40, 3000):
                with named(behind, before, length):
                    old = token("old", "x" * length)
                    body = old.rstrip("=")
                    new = rotated(f"{before}{body}{behind}")

                    assert new.startswith(before)
                    assert new.endswith(behind)
                    check_moved(old, new[len(before) :][: len(body)] + "=" * old.count("="), b"x" * length)


@pytest.mark.parametrize("between", ["", "_", "gAAAA", ", ", "\0"])
def test_tokens_may_follow_each_other(between: str) -> None:
    """With their padding or without it, under several keys."""
    old, older = token("old", "one"), token("older", "two")
    for cell in (f"{old}{between}{older}", f"{old.rstrip('=')}{between}{older.rstrip('=')}"):
        new = rotated(cell)
        first = len(cell) - len(between) - (len(older) if "=" in cell else len(older.rstrip("=")))

        assert new[first:].startswith(between)
        assert KEYRING.decrypt(new[:first] + "=" * (-first % 4)) == "one"
        assert KEYRING.decrypt(new[first + len(between) :] + "=" * (-len(new[first + len(between) :]) % 4)) == "two"


def test_an_encoded_token_is_rotated_alone_and_within_text(named: Named) -> None:
    """With its own padding and without; whatever follows stays."""
    for form in ENCODED:
        for behind in ("", "7", "61", "abc"):
            for around in ("{}", "enc:{}", 'x\n{{"v": "{}"}}', "a{}"):
                with named(form, behind, around):
                    for length in range(24):
                        for old in (token("old", "x" * length), token("old", "x" * length).rstrip("=")):
                            run = spelled(form, old).rstrip("=") if behind else spelled(form, old)
                            cell = around.format(run) + behind
                            new = rotated(cell, form)
                            start = around.index("{}") - around[: around.index("{}")].count("{{")
                            after = plain_of(
                                form, new[start:][: len(run)] + "=" * (-len(run) % 4 if form is Format.BASE64 else 0)
                            )

                            assert (len(new), new[:start]) == (len(cell), cell[:start])
                            assert new[start + len(run) :] == cell[start + len(run) :]
                            assert NEW.decrypt(after + "=" * (-len(after) % 4)) == b"x" * length


def test_a_token_may_begin_anywhere_in_what_spells_another(named: Named) -> None:
    """Characters before the first token or between two move the next one inside a byte, or a group of base64."""
    for form, letters in ((Format.HEX, "7aB37"), (Format.BASE64, "Z0FBQ")):
        for before in range(5):
            for between in range(5):
                for length in (0, 20, 40):
                    with named(form, before, between, length):
                        tokens = [token("old", "x" * length), token("old", "y" * 40)]
                        first, second = (spelled(form, each.rstrip("=")) for each in tokens)
                        gaps = letters[:before], letters[::-1][:between]
                        new = rotated(f"{gaps[0]}{first.rstrip('=')}{gaps[1]}{second}", form)
                        start = before + len(first.rstrip("=")) + between

                        assert (new[:before], new[start - between : start]) == gaps
                        for text, old in (new[before : start - between], tokens[0]), (new[start:], tokens[1]):
                            body = plain_of(form, text + "=" * (-len(text) % 4 if form is Format.BASE64 else 0))
                            check_moved(old, body + "=" * old.count("="), KEYRING.decrypt(old).encode())


def test_the_character_that_a_token_shares_with_what_follows_keeps_its_bits() -> None:
    """In base64 of a longer text a token may end inside of a character.

    If one character follows over and over, it cannot be distinguished from the end of some tokens: such a cell is
    unreadable, and stays.
    """
    for length in (0, 20, 40):
        for behind in ("~ and more", "\xff" * 200, ", "):
            old = token("old", "x" * length)
            cell = base64.b64encode(f"{old.rstrip('=')}{behind}".encode("latin-1")).decode()
            plan = Planner(KEYRING, format=Format.BASE64).plan(batch_of([((1,), cell)]))
            if behind[0] == "\xff" and old.rstrip("=").endswith(("o", "O", "_")) and not plan.swaps:
                assert plan.counts.unreadable == 1
                continue
            new = base64.b64decode(plan.swaps.new[0]).decode("latin-1")
            size = len(old.rstrip("="))

            check_moved(old, new[:size] + "=" * old.count("="), b"x" * length)
            assert new[size:] == behind


def test_hex_keeps_its_case() -> None:
    """Small digits stay small, capitals stay capitals."""
    small = token("old").encode().hex()

    assert rotated(small, Format.HEX).islower()
    assert rotated(small.upper(), Format.HEX).isupper()


def test_the_base64_of_a_token_knows_no_signs() -> None:
    """So that it is the same in both alphabets."""
    for length in range(48):
        for padded in (token("old", "x" * length), token("old", "x" * length).rstrip("=")):
            for shift in range(3):
                assert base64.b64encode(b" " * shift + padded.encode()).rstrip(b"=").isalnum()


@pytest.mark.parametrize("form", list(SPELLINGS))
@settings(max_examples=100, deadline=None)
@given(value=st.text(max_size=300) | st.binary(max_size=300))
def test_what_holds_no_token_stays(value: str | bytes, form: Format) -> None:
    """Any text and any bytes; what looks like a beginning of a token is another matter."""
    assume("gAAAA" not in str(value))
    plan = Planner(KEYRING, format=form).plan(batch_of([((1,), value)]))

    assert (plan.changes, plan.counts.embedded, plan.counts.empty) == (0, 0, 1)
    # One that has room for a token is listed for a person.
    assert set(plan.counts.categories) <= {"suspect"}


HOSTILE = {
    "beginnings of tokens": "gAAAAAA" * 20_000,
    "beginnings of our time": "gAAAAABa" * 20_000,
    "one long run": "gAAAAAB" + "x0Y-_z9" * 30_000,
    "one letter": "A" * 200_000,
    "tokens without an end": token("nobody", "x" * 90).rstrip("=") * 800,
    "base64": "Z0FBQUFB" * 20_000,
    "hex": "6741414141" * 20_000,
}


@pytest.mark.parametrize("form", list(SPELLINGS))
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_work_is_bounded(text: str, form: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text made to cost time costs no more than its size allows, and a search that gives up says so."""
    looked = []
    body = Spelling.body
    monkeypatch.setattr(Spelling, "body", lambda self, run: looked.append(len(run)) or body(self, run))
    monkeypatch.setattr(embedded, "WORK", 0)
    found, given_up = locate(SPELLINGS[form], text, KEYS)

    assert sum(looked) <= 2 * embedded.WORK_PER_BYTE * len(text)
    assert given_up or not any(each.key for each in found)


def test_a_large_token_is_found() -> None:
    """If its end is visible; otherwise one of up to LONGEST_OPEN bytes."""
    large = token("old", "x" * 2_000_000)

    [found], _ = locate(EMBEDDED, f'"{large}"', KEYS)
    assert (found.body, found.key) == (large.rstrip("="), make_key("old"))
    check_moved(large, rotated(f'"{large}"')[1:-1], b"x" * 2_000_000)


def test_a_url_keeps_its_other_parts() -> None:
    """Also if its padding is percent-encoded."""
    old = token("old", "pass")
    new = rotated(f"postgresql://app:{urllib.parse.quote(old, safe='')}@db:5432/app?sslmode=require")
    parts = urllib.parse.urlsplit(new)

    assert (parts.username, parts.hostname, parts.port, parts.query) == ("app", "db", 5432, "sslmode=require")
    check_moved(old, urllib.parse.unquote(str(parts.password)), b"pass")
