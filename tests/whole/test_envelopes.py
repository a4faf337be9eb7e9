"""Envelopes through the command line: a wrapped key moves, what it wraps stays, and a retirement sees both."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.databases import open_database
from tests.fakes import token
from tests.keys import key_text, make_key
from tests.lifecycle.shop import NEW, OLD, OLDER, Shop, old_token, refusals
from tests.selection import DATABASES

pytestmark = [pytest.mark.database, pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning")]

REDASH = make_key("redash")
LEAVE = 'format = "base64"\nothers = "leave"\n'
SECOND_SET = """
[[target]]
url = "{url}"
table = "creds"
columns = ["token"]
keys = "redash"
format = "embedded"
others = "leave"
"""
REDASH_KEYS = """
[keys.redash]
primary = { secret = "$REDASH_KEY" }
previous = [{ secret = "$REDASH_OLD_KEY" }]
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop with SQLite: its primary key is *old*, the previous one *older*."""
    with open_database("sqlite", tmp_path) as database:
        yield Shop(tmp_path, database)


def envelope(wrapping: str, value: str) -> str:
    """A data key under the key *wrapping*, in base64, and beside it *value* under the data key."""
    data_key = Fernet.generate_key()
    wrapped = base64.urlsafe_b64encode(Fernet(key_text(wrapping)).encrypt(data_key)).decode()
    return f"clw1.local.{wrapped}.{Fernet(data_key).encrypt(value.encode()).decode()}"


def opened(cell: str, label: str) -> str:
    """The value in an envelope, opened by stock Fernet with the key *label* alone."""
    wrapped, value = cell.split(".")[2:]
    data_key = Fernet(key_text(label)).decrypt(base64.urlsafe_b64decode(wrapped))
    return Fernet(data_key).decrypt(value.encode()).decode()


def cells_of(shop: Shop) -> list[str]:
    """The cells that hold something, in the order of their rows."""
    return [cell for _, cell in sorted(shop.database.column().items()) if cell]


def configure(shop: Shop, more: str) -> None:
    with shop.config.open("a") as config:
        config.write(more)


@pytest.mark.some(1)
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *(pytest.param(kind, (), id=kind) for kind in DATABASES),
        *(pytest.param(kind, ("--full-speed",), id=f"{kind}-full-speed") for kind in DATABASES),
        pytest.param("sqlite", ("--workers", "2"), id="sqlite-workers"),
    ],
)
def test_envelopes_are_rotated_and_the_old_key_is_retired(kind: str, options: tuple[str, ...], tmp_path: Path) -> None:
    """Census, run, second run, retirement: the values stay, and open with stock Fernet under the new key alone."""
    with open_database(kind, tmp_path) as database:
        shop = Shop(tmp_path, database)
        shop.fill([envelope("older", f"value {row}") for row in range(30)] + ["", None, envelope("old", "current")])
        configure(shop, LEAVE)
        before = cells_of(shop)

        looked = shop.rotate("status", "--json")
        ran = shop.rotate("run", "--json", *options)
        after = cells_of(shop)
        again = shop.rotate("run", "--json", *options)
        certificate = tmp_path / "certificate.json"
        retired = shop.keys("retire", OLDER.id, "--no-archive", "--certificate", str(certificate))
        page = tmp_path / "page.html"
        shop.rotate("report", "--html", str(page))
        checked = shop.rotate("check", "--json")

    [seen] = looked.document["targets"]
    assert (looked.code, seen["to_rotate"], seen["current"], seen["others"]) == (1, 30, 1, 31)
    [done] = ran.document["targets"]
    assert (ran.code, ran.document["complete"], done["rotated"], done["others"]) == (0, True, 30, 31)
    assert (done["under"], done["problems"]) == ({OLD.id: 31}, [])
    assert [cell.rpartition(".")[2] for cell in after] == [cell.rpartition(".")[2] for cell in before]
    assert [opened(cell, "old") for cell in after] == [*(f"value {row}" for row in range(30)), "current"]
    assert (again.code, again.document["targets"][0]["current"], again.document["targets"][0]["others"]) == (0, 31, 31)
    words = '31 tokens of keys that are not here were left, as others = "leave" says'
    assert retired.code == 0
    assert words in " ".join(retired.out.split())
    [line] = json.loads(certificate.read_text())["others"]
    assert line.startswith("creds.token in ")
    assert line.endswith(words)
    assert json.loads(certificate.read_text())["targets"][0]["others"] == 31
    assert page.read_text().replace("&#34;", '"').count(words) == 2
    assert [target["others"] for target in checked.document["targets"]] == [31]


def test_the_screen_says_what_was_left(shop: Shop) -> None:
    """The census, the dry run and the run alike; "complete" does not speak of tokens that were left."""
    shop.fill([envelope("older", "one"), envelope("older", "two")])
    configure(shop, LEAVE)
    looked, dry, ran = shop.rotate("status"), shop.rotate("run", "--dry-run"), shop.rotate("run")

    for screen in (looked, dry, ran):
        assert "creds.token: 2 tokens in 2 cells (format base64)" in screen.out
        assert 'creds.token: 2 tokens of keys that are not here were left, as others = "leave" says' in screen.out
    assert f"under the primary key {OLD.id}, but for 2 tokens of keys that are not here." in " ".join(ran.out.split())


def test_a_key_that_is_missing_is_not_taken_for_a_key_of_others(shop: Shop) -> None:
    """Cells in which no token opens stay, and keep every key."""
    shop.fill([envelope("lost", "one"), envelope("old", "two")])
    configure(shop, LEAVE)
    ran = shop.rotate("run", "--json")
    [target] = ran.document["targets"]
    refused = refusals(shop.keys("retire", OLDER.id, "--no-archive", "--json"))

    assert (ran.code, target["unreadable"], target["others"]) == (1, 1, 1)
    assert any("1 unreadable, which may need" in reason for reason in refused)


def test_a_bound_token_of_a_context_that_is_named_elsewhere_keeps_its_key(shop: Shop) -> None:
    """It does not open without its context, and so is left; the search of the retirement knows all contexts."""
    wrapped = base64.b64encode(old_token("older").encode()).decode()
    bound = make_key("older").bind("users.token").fernet.encrypt(b"x").decode()
    shop.fill([f"{wrapped} {bound}"])
    shop.database.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, token TEXT)")
    configure(shop, LEAVE)
    configure(
        shop,
        f'[[target]]\nurl = "{shop.database.url}"\ntable = "users"\ncolumns = ["token"]\ncontext = "users.token"\n',
    )
    ran, refused = shop.rotate("run", "--json"), shop.keys("retire", OLDER.id, "--no-archive", "--json")

    assert (ran.code, ran.document["targets"][0]["others"]) == (0, 1)
    assert refused.code != 0
    [reason] = [one for one in refused.document["refused"] if f"found 1 token under {OLDER.id}" in one["reason"]]
    assert "`context`" in reason["remedy"]


@pytest.fixture
def two_sets(shop: Shop) -> Shop:
    """Cells with a token of the environment's own keys in base64, and one of the key set `redash` as it is."""
    wrapped = base64.b64encode(old_token("older").encode()).decode()
    shop.fill([f"{wrapped} {token('redash', f'value {row}')}" for row in range(3)])
    configure(shop, LEAVE + REDASH_KEYS)
    with shop.env_file.open("a") as file:
        file.write(f"REDASH_KEY={key_text('new')}\nREDASH_OLD_KEY={key_text('redash')}\n")
    return shop


def test_the_key_of_another_set_is_not_retired_while_its_tokens_are_left(two_sets: Shop) -> None:
    """The run of one set leaves the tokens of the other, and is complete; the other key stays until its own target."""
    shop = two_sets
    shop.database.execute("CREATE TABLE queries (id INTEGER PRIMARY KEY, token TEXT)")
    shop.database.insert("queries", [{"id": 1, "token": token("redash")}])
    configure(
        shop, f'[[target]]\nurl = "{shop.database.url}"\ntable = "queries"\ncolumns = ["token"]\nkeys = "redash"\n'
    )
    ran = shop.rotate("run")
    refused = shop.keys("retire", REDASH.id, "--keys", "redash", "--no-archive", "--json")
    own = shop.keys("retire", OLDER.id, "--no-archive", "--json")

    assert ran.code == 0
    assert f"tokens of other key sets, which their own targets rotate: 3 under {REDASH.id}" in ran.out
    [refusal] = refused.document["refused"]
    assert refusal["reason"] == f"creds.token, a target of another key set: 3 tokens under {REDASH.id}"
    assert 'with the `keys` of this key and others = "leave"' in refusal["remedy"]
    assert own.code == 0


def test_targets_of_two_key_sets_share_cells(two_sets: Shop) -> None:
    """Each moves its own tokens and leaves the other's, whichever goes first; then both old keys can go."""
    shop = two_sets
    configure(shop, SECOND_SET.format(url=shop.database.url))
    ran = shop.rotate("run", "--json")
    again = shop.rotate("status", "--json")
    retired = [
        shop.keys("retire", OLDER.id, "--no-archive", "--json"),
        shop.keys("retire", REDASH.id, "--keys", "redash", "--no-archive", "--json"),
    ]

    assert (ran.code, again.code, again.document["complete"]) == (0, 0, True)
    assert [target["rotated"] for target in ran.document["targets"]] == [3, 3]
    for row, cell in enumerate(cells_of(shop)):
        wrapped, value = cell.split()
        Fernet(key_text("old")).decrypt(base64.b64decode(wrapped))
        assert Fernet(key_text("new")).decrypt(value) == f"value {row}".encode()
    assert [each.code for each in retired] == [0, 0], [refusals(each) for each in retired if each.code]


def test_discover_agrees_with_a_target_that_leaves_others(shop: Shop) -> None:
    """It proposes the entry; pasted, a run is complete and the search has nothing to say about the column."""
    shop.fill([envelope("older", "one"), envelope("old", "two")])
    shop.config.write_text("")
    url = shop.database.url
    found = shop.rotate("discover", "--url", url)
    entry = found.out[found.out.index("[[target]]") :].split("\n\n")[0]
    shop.config.write_text(entry + "\n")
    ran, again = shop.rotate("run", "--json"), shop.rotate("discover")

    assert 'others = "leave"' in entry
    assert "2 envelope: a wrapped key and a value of another key" in " ".join(found.out.split())
    assert (found.code, ran.code, again.code) == (1, 0, 0)
    assert "covered" in again.out
    assert "leaves cells of other kinds" not in again.out


def test_a_search_of_new_keys_says_what_an_envelope_is(shop: Shop) -> None:
    """No key here opens either token: no entry, and the words say what to do."""
    shop.fill([envelope("lost", "one")])
    shop.config.write_text("")
    found = shop.rotate("discover", "--url", shop.database.url)
    words = " ".join(found.out.split())

    assert "[[target]]" not in found.out
    assert "envelope: a wrapped key and a value of another key, and no key here opens either" in words
    assert NEW.id not in words
