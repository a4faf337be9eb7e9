"""The lines to paste of docs/how-to/leaked-key.md, typed in each place that may hold the keys."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from cryptography.fernet import Fernet, InvalidToken

from tests.project.documents import ROOT, Block, page_blocks
from tests.project.play_page import Player

pytestmark = pytest.mark.database

HOW_TO = ROOT / "docs" / "how-to"
PAGE = (HOW_TO / "leaked-key.md").read_text()
FILL = "make-database; OLD=$(id_of primary)"
BEGIN = """
set -a
docker() { :; }
sudo() { :; }
kubectl() {
    case $* in
    "rollout "*|"logs "*|"delete job check-now") ;;
    "create job check-now --from=cronjob/keyring-check") keyring-rotate check ;;
    *) command kubectl "$@" ;;
    esac
}
id_of() { keyring-rotate keys list --json 2>/dev/null | jq -r ".keys[] | select(.state == \\"$1\\").id" | head -n 1; }
umask 077
cat > rotation.toml <<END
env_file = ".env"

[[target]]
url = "sqlite:///app.db"
table = "user_credentials"
columns = ["api_key"]
END
touch .env
"""
"""What a shell of the admin has: services restart, and `id_of STATE` prints a key's id."""
VARIABLES = """
sed -i 1d rotation.toml
ENCRYPTION_KEY=$(keyring-rotate keys generate)
printf %s "$ENCRYPTION_KEY" > typed
keyring-rotate() { command keyring-rotate "$@" | tee printed; }
read() {
    if [ "$2" = ENCRYPTION_KEY ]; then ENCRYPTION_KEY=$(cat printed); return; fi
    ENCRYPTION_PREVIOUS_KEYS=$(cat typed)
    : > typed
}
"""
"""`read` types what the page says: the new key, the old one, and then nothing."""
FILES = """
for name in KEY PREVIOUS_KEYS STAGED_KEY; do echo "ENCRYPTION_${name}_FILE=$PWD/$name"; done > .env
touch PREVIOUS_KEYS STAGED_KEY
keyring-rotate keys generate > KEY
"""
DOTENV = 'echo "ENCRYPTION_KEY=$(keyring-rotate keys generate)" > .env'
PLACES = {
    "A dotenv file": DOTENV,
    "Key files": FILES,
    "Variables of a deploy system": VARIABLES,
}
"""How a key comes into each place that has no page of its own, by the heading of its lines."""


@pytest.fixture
def player(tmp_path: Path) -> Iterator[Player]:
    (folder := tmp_path / "app").mkdir()
    with ExitStack() as undo:
        yield Player(folder, tmp_path, undo)


def lines(heading: str) -> str:
    """The lines under *heading*, with ids in place of NEW and OLD."""
    _, _, section = PAGE.partition(f"\n### {heading}\n")
    text = next(page_blocks(section)).text
    return re.sub(r"\bOLD\b", "$OLD", re.sub(r"\bNEW\b", "$(id_of staged)", text))


def paste(player: Player, *texts: str) -> None:
    """Types each command of *texts*, and expects that it succeeds."""
    for text in texts:
        player.play(Block("sh", text, 0))


def test_each_line_to_paste_is_seen_whole() -> None:
    """It has at most 80 characters: a screen of 1280 pixels shows no more between the site's two lists."""
    pasted = [line for block in page_blocks(PAGE) if block.language == "sh" for line in block.text.splitlines()]

    assert [line for line in pasted if len(line) > 80] == []


@pytest.mark.some(2)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.costly("a program for each command of the page")
def test_the_lines_of_a_place_change_the_key(player: Player, place: str) -> None:
    """Then every token is under the new key, the old one is archived, and nothing is left to do."""
    by_hand = place.startswith("Variables")

    paste(player, BEGIN, PLACES[place], FILL)
    # If no command may write the keys, a retirement ends with what is left to be done by hand.
    paste(player, re.sub(r"(keys retire .*)", r"\1 || test $? = 1", lines(place)) if by_hand else lines(place))

    check(player)


@pytest.mark.some(1)
@pytest.mark.parametrize("vault", ["vault", "aws", "gcp"])
def test_the_lines_change_the_key_in_a_vault(player: Player, vault: str) -> None:
    """With the script of the vault's page, they do the same."""
    begin_as_the_page_does(player, vault)

    paste(player, FILL, lines("Vault, AWS or Google Cloud"))

    check(player)


@pytest.mark.long
def test_the_lines_change_the_key_in_kubernetes(player: Player) -> None:
    """With the script of its page, they do the same; jobs run where the keys are mounted."""
    begin_as_the_page_does(player, "kubernetes")
    for name, file in (("KEY", "primary"), ("PREVIOUS_KEYS", "previous"), ("STAGED_KEY", "staged")):
        paste(player, f"ENCRYPTION_{name}_FILE=$HOME/app-keys/{file}")

    paste(player, FILL, lines("Kubernetes"))

    check(player)


@pytest.mark.long
def test_change_keys_says_when_nothing_was_stored(player: Player) -> None:
    """A vault that refuses makes that the last line, and the same line again finishes the retirement."""
    begin_as_the_page_does(player, "vault")
    paste(player, FILL, "./change-keys stage; ./change-keys promote; keyring-rotate run; cp -r $HOME/vault stored")
    retire = "./change-keys retire $OLD --certificate $OLD.json --archive $OLD.keys"
    paste(player, 'vault() { case $* in *put*) return 2 ;; *) command vault "$@" ;; esac; }')

    paste(player, f'failed=$({retire} 2>&1) || code=$?; test "$code" = 2')

    paste(player, 'test "$(tail -n 1 <<< "$failed")" = "NOT STORED, or not all of it: type the same line again"')
    paste(player, "diff -r $HOME/vault stored", "unset -f vault", retire)
    check(player)


def test_change_keys_lists_without_storing_and_names_a_missing_env(player: Player) -> None:
    """`list` makes no new version; in a folder without .env the script says so before it does anything."""
    begin_as_the_page_does(player, "vault")

    paste(player, "cp -r $HOME/vault stored", "./change-keys list | grep primary", "diff -r $HOME/vault stored")
    paste(player, 'rm .env; said=$(./change-keys stage 2>&1) || code=$?; test "$code" = 2')
    paste(player, 'test "${said%%:*}" = "No .env here"', "diff -r $HOME/vault stored")


def begin_as_the_page_does(player: Player, name: str) -> None:
    """Plays the page on that place up to its first step."""
    paste(player, BEGIN)
    page, _, _ = (HOW_TO / "keys" / f"{name}.md").read_text().partition("\n**1. ")
    for block in page_blocks(page):
        player.play(block)
    paste(player, "chmod +x change-keys")


def check(player: Player) -> None:
    """The archived key opens no token, and the proof says that all of them are under another one."""
    [proof] = [json.loads(path.read_text()) for path in player.folder.glob("????????.json")]
    archive = player.folder / f"{proof['key']}.keys"
    [archived] = re.findall(r"^[\w-]{43}=$", archive.read_text(), re.MULTILINE)
    with closing(sqlite3.connect(player.folder / "app.db")) as connection:
        tokens = [token for (token,) in connection.execute("SELECT api_key FROM user_credentials")]

    assert len(tokens) == 1200
    assert not any(opens(archived, token) for token in tokens)
    assert proof["key"] != proof["primary"]
    assert proof["targets"][0]["under"] == {proof["primary"]: 1200}


def opens(key: str, token: str) -> bool:
    """Whether stock Fernet opens *token* with *key*."""
    try:
        Fernet(key).decrypt(token)
    except InvalidToken:
        return False
    return True
