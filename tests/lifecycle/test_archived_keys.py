"""`keys restore` finds the lost key in whatever file has it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keyring_core import Key, KeyState
from keyring_core.environment import KEY_VARIABLES, variables_of
from tests.conftest import Ran
from tests.keys import key_text, make_key
from tests.lifecycle.shop import OLD, OLDER, Shop

LOST, OTHER = make_key("lost"), make_key("other")
TEXT, FIRST = key_text("lost"), key_text("other")

SPELLINGS = {
    "alone": "{name}={keys}\n",
    "exported": "export {name}={keys}\n",
    "in single quotes": "{name}='{keys}'\n",
    "in double quotes": 'export {name}="{keys}"\n',
    "with blanks": "  {name} = {keys}  \n",
    "with a comment": "# ours\n{name}={keys} # the second one\n",
    "in a comment": "# {name}={keys}\n{name}=\n",
    "with CRLF": "A=1\r\n{name}={keys}\r\nB=2\r\n",
    "with a BOM": "\ufeff{name}={keys}\n",
    "beside a dollar": "A=$HOME${{NONE}}\n{name}={keys}\nB=$A\n",
    "set twice": f"{{name}}={{keys}}\n{{name}}={FIRST}\n",
    "after an open quote": "A='it\n{name}={keys}\nB=isn't\n",
    "of a process": "A=1\n{name}={keys}\n_=/usr/bin/python\n",
    "in YAML": "environment:\n  {name}: {keys}\n",
    "in JSON": '{{"Env": ["A=1", "{name}={keys}"]}}\n',
    "in an editor's swap file": "b0VIM 9.1\0\0\0{name}={keys}\0\0A=1\0",
    "in another encoding": "# caf\udce9\n{name}={keys}\n",
}
LISTS = {
    "first": f"{TEXT},{FIRST}",
    "last": f"{FIRST},{TEXT}",
    "after a blank": f"{FIRST}, {TEXT}",
    "in lines": f"'{FIRST}\n{TEXT}'",
    "in escaped lines": f'"{FIRST}\\n{TEXT}"',
    "beside a damaged one": f"{FIRST[:-1]},{TEXT}",
}


def restore(shop: Shop, text: str, *options: str, key: Key = LOST) -> Ran:
    """`keys restore` of *key* from a file that holds *text*."""
    old = shop.folder / "old.env"
    old.touch(0o600)
    old.write_bytes(text.encode("utf-8", "surrogateescape"))
    ran = shop.keys("restore", key.id, "--archive", str(old), *options)
    assert not any(each in ran.out + ran.err for each in (TEXT, FIRST))
    return ran


@pytest.mark.parametrize("state", KeyState)
@pytest.mark.parametrize("key_set", [None, "billing"], ids=["environment", "billing"])
def test_a_lost_key_is_found_in_each_variable(shop: Shop, key_set: str | None, state: KeyState) -> None:
    """The key comes back, whatever state it had in an old dotenv file, also of a key set that is no more."""
    variables = KEY_VARIABLES if key_set is None else variables_of(key_set)
    lines = [f"{name}={FIRST},{TEXT}" if each is state else f"{name}=" for each, name in variables.states.items()]
    ran = restore(shop, "\n".join(["DATABASE_URL=sqlite:///app.db", *lines]))

    assert ran.code == 0, ran.err
    assert shop.settings().previous == (LOST, OLDER)


@pytest.mark.some(6)
@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_a_lost_key_is_found_in_each_spelling(shop: Shop, spelling: str) -> None:
    """Quotes, `export`, comments and line ends are those that files have, in a dotenv file and elsewhere."""
    ran = restore(shop, spelling.format(name="ENCRYPTION_KEY", keys=TEXT))

    assert (ran.code, shop.settings().previous) == (0, (LOST, OLDER)), ran.err


@pytest.mark.parametrize("keys", LISTS.values(), ids=LISTS)
def test_a_lost_key_is_found_in_a_list(shop: Shop, keys: str) -> None:
    """A previous key stands among others, with commas or in lines."""
    ran = restore(shop, f"ENCRYPTION_KEY={FIRST}\nENCRYPTION_PREVIOUS_KEYS={keys}\n")

    assert (ran.code, shop.settings().previous) == (0, (LOST, OLDER)), ran.err


def test_a_key_set_gets_its_lost_key_back(shop: Shop) -> None:
    """With `--keys` the key goes to the variables of that set, which only services name."""
    shop.write_env(f"ENCRYPTION_KEY={key_text('old')}\nBILLING_ENCRYPTION_KEY={FIRST}\n")
    shop.config.write_text(f'{shop.config.read_text()}keys = "billing"\n')

    ran = restore(shop, f"export BILLING_ENCRYPTION_SUSPENDED_KEYS='{TEXT}'\n", "--keys", "billing")

    assert ran.code == 0, ran.err
    assert f"BILLING_ENCRYPTION_PREVIOUS_KEYS={TEXT}\n" in shop.env_file.read_text()


def test_the_keys_of_a_dotenv_file_are_listed_by_their_ids(shop: Shop) -> None:
    """If the key is not there, every other one is named, and what in the file could not be looked into."""
    text = (
        f"ENCRYPTION_KEY={FIRST}\nENCRYPTION_PREVIOUS_KEYS={key_text('old')},{TEXT[:-1]}\n"
        f"LONGER={FIRST[:20]}{TEXT}\nENCRYPTION_STAGED_KEY_FILE=/run/keys/staged\n"
        "AUDIT_ENCRYPTION_KEY_COMMAND=pass show audit\n"
    )
    ran = restore(shop, text)

    assert ran.code == 2
    assert f"old.env: holds no key {LOST.id}; it holds {OTHER.id}, {OLD.id}. Not read: " in ran.err
    assert 'ENCRYPTION_PREVIOUS_KEYS, key 2 of 2: 43 characters (the padding "=" is missing)' in ran.err
    assert "ENCRYPTION_STAGED_KEY_FILE, which names a file; give --archive a copy of what was there" in ran.err
    assert "AUDIT_ENCRYPTION_KEY_COMMAND, which names a command; give" in ran.err


def test_a_dotenv_file_may_name_files_alone(shop: Shop) -> None:
    """It holds no key; the message says where the keys were, and a file there is not opened."""
    elsewhere = shop.folder / "primary"
    elsewhere.write_text(TEXT)
    ran = restore(shop, f"ENCRYPTION_KEY_FILE={elsewhere}\n")

    assert ran.code == 2
    assert f"holds no key {LOST.id}; it holds none. Not read: ENCRYPTION_KEY_FILE, which names a file" in ran.err


def test_one_damaged_line_of_an_archive_costs_no_other_key(shop: Shop) -> None:
    """A whole key comes back from beside it; for a key that is not there, the damaged one is named."""
    text = f"# found\n{TEXT}\n{FIRST[:-1]}\n"

    missing = restore(shop, text, key=OTHER)
    found = restore(shop, text)

    assert (missing.code, found.code) == (2, 0)
    assert f"it holds {LOST.id}. Not read: {shop.folder}/old.env, key 2 of 2: 43 characters" in missing.err


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        pytest.param(b"\x7fELF\x02\x01\0\xff" * 99, "non-ASCII characters", id="binary"),
        pytest.param("ENCRYPTION_KEY=\n".encode("utf-16"), "non-ASCII characters", id="UTF-16"),
        pytest.param(b"a=\n" * 400_000, "has 1200000 bytes, more than any list of keys", id="huge"),
        pytest.param(b"A=" + b"'" * 999_999, "key 1 of 1: quotes", id="quotes alone"),
        pytest.param(b"PORT=80\n", f"holds no key {LOST.id}; it holds none\n", id="other variables"),
        pytest.param(f"{TEXT[:-2]}=\n".encode(), "key 1 of 1: 43 characters", id="a damaged key"),
        pytest.param(f"{TEXT[:-2]}=,{TEXT[:-1]}\n".encode(), "key 1 of 2: 43 characters", id="damaged keys"),
        pytest.param(None, "is not a regular file but a FIFO", id="FIFO"),
    ],
)
def test_what_holds_no_key_is_refused(shop: Shop, content: bytes | None, fault: str) -> None:
    """It is read in bounded time, and nothing is written."""
    path, before = shop.folder / "odd", shop.env_file.read_bytes()
    os.mkfifo(path, 0o600) if content is None else path.write_bytes(content)
    ran = shop.keys("restore", LOST.id, "--archive", str(path))

    assert (ran.code, shop.env_file.read_bytes()) == (2, before)
    assert fault in ran.err


def test_a_folder_is_no_archive(shop: Shop, tmp_path: Path) -> None:
    """Exit code 2, by name."""
    assert "is not a regular file but a directory" in shop.keys("restore", LOST.id, "--archive", str(tmp_path)).err
