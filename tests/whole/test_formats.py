"""Tokens inside text and encoded again, through the command line: rotated and counted; `keys retire` asks for them."""

from __future__ import annotations

import base64
import json
import uuid
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keyring_core import Keyring
from rotation.job.loop import rotate
from rotation.job.options import RunOptions
from rotation.model.target import Format, Target
from tests.databases import open_database
from tests.fakes import MemoryStore, Silence, token
from tests.lifecycle.shop import NEW, OLD, OLDER, Shop, old_token, refusals

pytestmark = [pytest.mark.database, pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning")]

SPELLED: dict[str, Callable[[str], str]] = {
    "embedded": lambda text: json.dumps({"secret": text, "more": ["ä", 1]}),
    "base64": lambda text: json.dumps({"data": base64.b64encode(text.encode()).decode()}),
    "hex": lambda text: text.encode().hex(),
}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop with SQLite: its primary key is *old*, the previous one *older*."""
    with open_database("sqlite", tmp_path) as database:
        yield Shop(tmp_path, database)


def set_format(shop: Shop, name: str) -> None:
    with shop.config.open("a") as config:
        config.write(f'format = "{name}"\n')


@pytest.mark.some(1)
@pytest.mark.parametrize("name", SPELLED)
def test_a_column_of_each_format_is_rotated(shop: Shop, name: str) -> None:
    """The census first, then the run; a second run finds nothing to do and changes nothing."""
    spell = SPELLED[name]
    shop.fill([spell(old_token("older")), spell(old_token("old")), "{}", None])
    set_format(shop, name)

    looked = shop.rotate("status", "--json")
    [target] = looked.document["targets"]
    assert (looked.code, target["to_rotate"], target["current"], target["empty"], target["null"]) == (1, 1, 1, 1, 1)
    assert (target["embedded"], target["under"]) == (2, {OLD.id: 1, OLDER.id: 1})

    ran = shop.rotate("run", "--json")
    [target] = ran.document["targets"]
    assert (ran.code, ran.document["complete"], target["rotated"]) == (0, True, 1)
    assert (target["embedded"], target["under"]) == (2, {OLD.id: 2})

    before = shop.database.column()
    again = shop.rotate("run", "--json")
    assert (again.code, again.document["targets"][0]["current"]) == (0, 2)
    assert shop.database.column() == before
    assert shop.keys("retire", OLDER.id, "--no-archive", "--json").code == 0


def test_the_screen_counts_tokens_and_cells(shop: Shop) -> None:
    """Both, since a cell may hold several tokens; and a problem names the place in its cell."""
    shop.fill([json.dumps([old_token("older"), old_token("old")]), json.dumps([old_token("old"), token("lost")])])
    set_format(shop, "embedded")

    dry = shop.rotate("run", "--dry-run")
    ran = shop.rotate("run")

    assert "1 cell with tokens under older keys. Nothing was written." in dry.out
    assert "creds.token: 4 tokens in 2 cells (format embedded)" in ran.out
    assert "Rotated 1 cell." in ran.out
    assert "creds.token, id=2: unknown-key, token 2 of 2, at character 107: no key opens this token" in ran.out


@pytest.mark.parametrize("name", SPELLED)
def test_the_screen_names_the_format_that_is_missing(shop: Shop, name: str) -> None:
    """If a target of bare tokens meets cells of another format."""
    shop.fill([SPELLED[name](old_token("older")), old_token("old")])
    ran = shop.rotate("run")

    assert ran.code == 1
    assert f'set format = "{name}" for it in rotation.toml' in " ".join(ran.out.split())


def test_a_column_full_of_another_format_is_not_taken_for_a_missing_key(shop: Shop) -> None:
    """Nothing is written, and the message says which format to set."""
    shop.fill([SPELLED["embedded"](old_token("older")) for _ in range(30)])
    [target] = shop.rotate("run", "--json").document["targets"]

    assert (target["rotated"], target["formats"]) == (0, {"embedded": 30})
    assert 'set format = "embedded" for it in rotation.toml' in target["stopped"]
    assert "a key is missing" not in target["stopped"]


def test_a_missing_key_is_noticed_in_every_format(shop: Shop) -> None:
    """As for bare tokens: most of the first tokens do not open, and nothing is written."""
    shop.fill([SPELLED["embedded"](token("lost")) for _ in range(30)] + [SPELLED["embedded"](old_token("older"))])
    set_format(shop, "embedded")
    [target] = shop.rotate("run", "--json").document["targets"]

    assert (target["rotated"], target["unreadable"]) == (0, 30)
    assert "a key is missing" in target["stopped"]


@pytest.mark.parametrize("cell", [spell(old_token("old")) for spell in SPELLED.values()], ids=SPELLED)
def test_a_token_in_another_form_keeps_its_own_key_alone(shop: Shop, cell: str) -> None:
    """It is unreadable for its target; the other key may go, and its own may not."""
    shop.fill([cell, old_token("old")])

    assert shop.keys("retire", OLDER.id, "--no-archive", "--json").code == 0


@pytest.mark.some(1)
@pytest.mark.parametrize("name", SPELLED)
def test_a_token_in_another_form_keeps_its_key(shop: Shop, name: str) -> None:
    """The remedy names the format."""
    shop.fill([SPELLED[name](old_token("older")), old_token("old")])
    ran = shop.keys("retire", OLDER.id, "--no-archive", "--json")

    [refusal] = [each for each in ran.document["refused"] if "inside something else" in each["reason"]]
    assert f"creds.token: 1 token under {OLDER.id} inside something else" in refusal["reason"]
    assert "`format`" in refusal["remedy"]
    assert not any("unreadable" in reason for reason in refusals(ran))


def test_text_without_a_token_keeps_no_key(shop: Shop) -> None:
    """In a column of JSON a document is no suspect, however long it is; in one of bare tokens it is."""
    documents = [
        {"description": "The quick brown fox. " * 20},
        {"ids": [str(uuid.UUID(int=n * 2**125 // 7)) for n in range(8)], "hosts": [f"10.0.{n}.1" for n in range(90)]},
        {"callback": "https://app.example.com/oauth/callback?" + "&".join(f"scope=read%3Athing{n}" for n in range(20))},
    ]
    shop.fill([*map(json.dumps, documents), json.dumps([old_token("old")])])
    set_format(shop, "embedded")
    [target] = shop.rotate("status", "--json").document["targets"]

    assert (target["suspects"], target["problems"]) == (0, [])
    assert shop.keys("retire", OLDER.id, "--no-archive", "--json").code == 0


def test_what_may_hide_a_token_is_named_by_a_run_and_keeps_the_key(shop: Shop) -> None:
    """Compressed data in a column of JSON: nobody can say what is in it."""
    hidden = base64.b64encode(zlib.compress(old_token("older").encode())).decode()
    shop.fill([json.dumps({"state": hidden}), json.dumps([old_token("old")])])
    set_format(shop, "embedded")
    ran = shop.rotate("run")

    assert ran.code == 0
    assert "creds.token, id=1: suspect, no token was found in it, and there is room for one" in ran.out
    assert "1 cell with room for a token in a form that is not looked for." in ran.out
    assert "keys retire" not in ran.out
    [refusal] = shop.keys("retire", OLDER.id, "--no-archive", "--json").document["refused"]
    assert refusal["reason"] == "creds.token: 1 cell with room for a token in a form that is not looked for"
    assert f"--force {OLDER.id}" in refusal["remedy"]


def test_a_rotation_that_undoes_this_one_is_noticed_in_cells_of_several_tokens() -> None:
    """Another one puts the second token of a cell back under its older key, with the same time and another IV."""
    keyring = Keyring(NEW, previous=[OLD])
    writer = Keyring(OLD, previous=[NEW])

    def undo(store: MemoryStore) -> None:
        first, second = json.loads(store.cells[1])
        if keyring.key_for(second) is keyring.primary and store.reads > 2:
            store.cells[1] = json.dumps([first, writer.rotate(second)])

    store = MemoryStore({1: json.dumps([token("old"), token("old")])}, between=undo)
    target = Target("sqlite:///app.db", "creds", "token", "creds", format=Format.EMBEDDED)
    report = rotate([target], keyring, lambda _: store, RunOptions(), Silence())

    assert f"put 1 token back under {OLD.id}" in str(report.targets[0].stopped)


def test_a_service_that_reorders_a_cell_undoes_nothing() -> None:
    """Tokens of one second may change their places within the cell."""
    keyring = Keyring(NEW, previous=[OLD])

    def reorder(store: MemoryStore) -> None:
        if store.reads == 3:
            store.cells[1] = json.dumps(before[::-1])

    before = [token("old"), token("old")]
    store = MemoryStore({1: json.dumps(before)}, between=reorder)
    target = Target("sqlite:///app.db", "creds", "token", "creds", format=Format.EMBEDDED)
    [done] = rotate([target], keyring, lambda _: store, RunOptions(), Silence()).targets

    assert (done.stopped, done.complete) == (None, True)
