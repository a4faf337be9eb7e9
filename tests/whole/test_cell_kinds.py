"""Every kind of cell that applications keep: named by `status`, proposed by `discover`, rotated, and then retired."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import pytest

from keyring_core import Key
from tests.conftest import Cli
from tests.databases import open_database
from tests.fakes import token
from tests.keys import key_text

pytestmark = pytest.mark.database

BARE = token("old")
BASE64 = base64.b64encode(BARE.encode()).decode()


class Kind(NamedTuple):
    """A cell, its column's type, what a target of bare tokens says of it, and the format that rotates it."""

    cell: str | bytes
    column: str
    category: str
    format: str
    tokens: int = 1


KINDS = {
    "bare text": Kind(BARE, "TEXT", "", "token"),
    "bare bytes": Kind(BARE.encode(), "BLOB", "", "token"),
    "bytes in a column declared String": Kind(BARE.encode(), "String", "", "token"),
    "a JSON column that is the token": Kind(json.dumps(BARE), "JSON", "token-in-text", "embedded"),
    "a JSON object": Kind(json.dumps({"user": "ä", "token": BARE}), "TEXT", "token-in-text", "embedded"),
    "a prefix": Kind(f"enc:fernet:{BARE}", "TEXT", "token-in-text", "embedded"),
    "a URL": Kind(f"https://u:{BARE.replace('=', '%3D')}@example.com/?a=b", "TEXT", "token-in-text", "embedded"),
    "a version and an object": Kind(f'v2:{{"salt": "x", "token": "{BARE}"}}', "TEXT", "token-in-text", "embedded"),
    "two tokens": Kind(json.dumps([BARE, token("old", "other")]), "TEXT", "token-in-text", "embedded", 2),
    "base64 of a token": Kind(BASE64, "TEXT", "encoded-token", "base64"),
    "base64 in JSON": Kind(json.dumps({"__encrypted_data__": BASE64}), "TEXT", "encoded-token", "base64"),
    "hex of a token": Kind(BARE.encode().hex(), "TEXT", "encoded-token", "hex"),
}


@pytest.mark.some(1)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_kind_of_cell_ends_in_its_place(kind: Kind, tmp_path: Path, cli: Cli, old: Key, new: Key) -> None:
    """`status` names it, `keys retire` refuses, the entry of `discover` rotates it, and then its key may go."""
    config, archive = tmp_path / "rotation.toml", tmp_path / "archive"
    archive.touch(mode=0o600)
    env = tmp_path / "app.env"
    env.write_text(f"ENCRYPTION_KEY={key_text('new')}\nENCRYPTION_PREVIOUS_KEYS={key_text('old')}\n")
    env.chmod(0o600)
    options = ("--config", str(config), "--env-file", str(env), "--json")

    with open_database("sqlite", tmp_path) as database:
        database.make_creds([kind.cell] * 3, kind.column)
        found = cli("discover", "--url", database.url, *options[2:]).document
        config.write_text(f'[[target]]\nurl = "{database.url}"\ntable = "creds"\ncolumns = ["token"]\n')
        [counted] = cli("status", *options).document["targets"]
        refused = cli("keys", "retire", old.id, "--archive", str(archive), *options)
        config.write_text(found["targets"])
        ran = cli("run", *options)
        cells = list(database.column().values())
        retired = cli("keys", "retire", old.id, "--archive", str(archive), *options)

    assert [column["format"] for column in found["columns"]] == [kind.format]
    assert {problem["category"] for problem in counted["problems"]} == ({kind.category} if kind.category else set())
    assert counted["plaintext"] == 0
    assert (refused.code, refused.document["complete"]) == (1, False)
    assert (ran.code, ran.document["targets"][0]["rotated"]) == (0, 3)
    assert ran.document["targets"][0]["under"] == {new.id: 3 * kind.tokens}
    assert all(type(cell) is type(kind.cell) and len(cell) == len(kind.cell) for cell in cells)
    assert retired.code == 0, retired.out


RANDOM = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(4))
OTHERS = {
    "AWX": (
        "$encrypted$UTF8$AESCBC$" + base64.b64encode(b"\x80" + bytes(range(8, 160)) * 2).decode(),
        "foreign-cipher",
    ),
    "django-cryptography": (
        b"\x80" + (1_700_000_000).to_bytes(8, "big") + RANDOM,
        "foreign-cipher",
    ),
    "plain text": ("hunter2, hunter2", "plaintext"),
}


@pytest.mark.parametrize(("cell", "category"), OTHERS.values(), ids=OTHERS)
def test_what_is_no_token_of_ours_is_named_too(cell: str | bytes, category: str, tmp_path: Path, cli: Cli) -> None:
    """Another cipher's output is never called plaintext, so that nobody encrypts it twice."""
    with open_database("sqlite", tmp_path) as database:
        database.make_creds([cell], "BLOB")
        counted = cli("status", "--url", database.url, "--table", "creds", "--column", "token", "--json").document

    assert [problem["category"] for problem in counted["targets"][0]["problems"]] == [category]
