"""The folder of the demo before its rotation: a database with tokens under two keys, its .env and its rotation.toml."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from cryptography.fernet import Fernet

from keyring_core import Key
from keyring_core.environment import PREVIOUS, PRIMARY
from rotation.lifecycle.key_file_edits import dotenv_value
from rotation.world.atomic_file import read_whole, replace_whole
from rotation.world.outputs import Outputs, replaced

DATABASE, ENV_FILE, CONFIG = "app.db", ".env", "rotation.toml"
NEW = replaced("new file", b"(?!)")
"""The kind of its files: none replaces another."""
TOKENS = 20_000
YEAR = 365 * 24 * 3600

CONFIG_TEXT = """\
# Which columns hold tokens, and where their keys are. No secret is in this file, so it may be committed.

# The file that holds ENCRYPTION_KEY and ENCRYPTION_PREVIOUS_KEYS. Its path counts from the folder of this file.
env_file = ".env"

[[target]]
# The path in this url counts from the folder in which you type a command.
url = "sqlite:///app.db"
table = "user_credentials"
columns = ["api_key"]
"""

REPAIR = """\
python3 -c "
import sqlite3
sqlite3.connect('app.db').executescript('''
-- b'...' around a token, and two tokens in one cell: keep what is right.
UPDATE user_credentials SET api_key = substr(api_key, 3, 140) WHERE id = 4077;
UPDATE user_credentials SET api_key = substr(api_key, 1, 140) WHERE id = 9001;
-- Cut, damaged, and under a key of another deployment: no key here can open these.
DELETE FROM user_credentials WHERE id IN (812, 12345, 17017);
''')
"
"""
"""The command that repairs or deletes the broken rows, except for the plaintext, which `adopt` encrypts.

Indented lines of Python could not be pasted.
"""


def make_folder(folder: Path, outputs: Outputs) -> tuple[Key, Key, Mapping[int, bytes]]:
    """Fills *folder*. Returns the primary and the previous key, and the plaintext of each row whose token is sound.

    Raises UsageError.
    """
    _, _, config = (outputs.take(folder / name, str(folder / name), NEW) for name in (DATABASE, ENV_FILE, CONFIG))
    previous, primary = Key.generate(), Key.generate()
    secrets = _make_database(folder / DATABASE, previous, primary)
    keys = f"{PRIMARY}={primary.reveal()}\n{PREVIOUS}={previous.reveal()}\n"
    variables = f"# The keys of the demo. Secrets: never commit this file.\n{keys}"
    replace_whole(read_whole(folder / ENV_FILE), variables.encode())
    with config.whole() as file:
        file.write(CONFIG_TEXT.encode())
    return primary, previous, secrets


def count_opened(folder: Path, secrets: Mapping[int, bytes]) -> int:
    """The number of sound tokens that stock Fernet decrypts to their plaintext, with the primary key of .env alone."""
    stock = Fernet(dotenv_value((folder / ENV_FILE).read_bytes(), PRIMARY) or "")
    with closing(sqlite3.connect((folder / DATABASE).absolute())) as connection:
        stored = dict(connection.execute("SELECT id, api_key FROM user_credentials"))
    return sum(stock.decrypt(stored[row]) == secret for row, secret in secrets.items())


def _make_database(path: Path, oldest: Key, older: Key) -> Mapping[int, bytes]:
    dice = random.Random(2)  # noqa: S311 - picks rows, not secrets
    now = int(time.time())
    secrets: dict[int, bytes] = {}
    tokens: dict[int, str] = {}
    for row in range(1, TOKENS + 1):
        secrets[row] = f"sk-live-{dice.getrandbits(128):032x}".encode()
        key, age = (oldest, 2 * YEAR) if row <= TOKENS * 2 // 5 else (older, YEAR)
        tokens[row] = key.fernet.encrypt_at_time(secrets[row], now - dice.randrange(age - YEAR, age)).decode()
    broken: dict[int, Callable[[str], str]] = {
        812: lambda token: token[:64],
        4077: lambda token: f"b'{token}'",
        9001: lambda token: token + tokens[9002],
        12345: lambda token: token[:50] + ("A" if token[50] != "A" else "B") + token[51:],
        17017: lambda _: Fernet(Fernet.generate_key()).encrypt(b"another deployment's").decode(),
        19998: lambda _: "a password that was never encrypted",
    }
    for row, damage in broken.items():
        tokens[row] = damage(tokens[row])
        del secrets[row]
    # SQLite takes a name that begins with `file:` for a URI.
    with closing(sqlite3.connect(path.absolute())) as connection, connection:
        connection.execute("CREATE TABLE user_credentials (id INTEGER PRIMARY KEY, api_key TEXT)")
        connection.executemany("INSERT INTO user_credentials VALUES (?, ?)", tokens.items())
    return secrets
