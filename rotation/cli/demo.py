"""A whole rotation on a temporary SQLite database, step by step."""

from __future__ import annotations

import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path

from cryptography.fernet import Fernet
from rich.console import RenderableType
from rich.padding import Padding

from keyring_core import Key, Keyring
from rotation.model.report import Report
from rotation.model.targets import Target
from rotation.output.run_text import census, render

TOKENS = 20_000
YEAR = 365 * 24 * 3600


def demo(say: Callable[[RenderableType], None], rotate: Callable[..., Report]) -> int:
    """Makes a database, rotates it with *rotate* and proves the result. Returns 0 if the proof holds, otherwise 1."""
    with tempfile.TemporaryDirectory(prefix="keyring-demo-") as folder:
        path = Path(folder) / "app.db"
        oldest, older, new = Key.generate(), Key.generate(), Key.generate()
        secrets = _make_database(path, oldest, older)
        target = Target(f"sqlite:///{path}", "user_credentials", "api_key", "user_credentials")
        keyring = Keyring(new, previous=[older, oldest])

        say(f"1. A service's database: {path}")
        say(f"   It holds {TOKENS:,} credentials, encrypted under two keys over two years; six of them are broken.")
        say(f"   The new primary key is {new.id}. The previous ones, {older.id} and {oldest.id}, still decrypt.")
        say("\n2. What is stored (rotate.py status):\n")
        _show(say, census(rotate([target], keyring, dry_run=True)))
        say("\n3. Re-encrypt it (rotate.py run), while services keep writing:\n")
        _show(say, render(rotate([target], keyring, dry_run=False)))
        say("\n4. What is stored now (rotate.py status):\n")
        left = rotate([target], keyring, dry_run=True)
        _show(say, census(left))
        opened = _prove(path, new, secrets)
        say(
            f"\n5. Proof: stock cryptography.fernet, with the new key alone, opens {opened:,} of {len(secrets):,} sound"
            "\n   tokens to the plaintext they were made from."
        )
    say(
        "\nNext, for a database of your own:\n"
        "   1. rotate.py keys generate prints a new key. Put it into ENCRYPTION_KEY, and the\n"
        "      key that was there before into ENCRYPTION_PREVIOUS_KEYS.\n"
        "   2. rotate.py run --dry-run --url sqlite:///app.db --table user_credentials --column api_key\n"
        "      reads only, and reports what it would do. Without --dry-run it re-encrypts."
    )
    return 0 if opened == len(secrets) and not left.targets[0].counts.to_rotate else 1


def _show(say: Callable[[RenderableType], None], parts: Iterable[RenderableType]) -> None:
    for part in parts:
        say(Padding(part, (0, 0, 0, 3), expand=False) if part else part)


def _make_database(path: Path, oldest: Key, older: Key) -> Mapping[int, bytes]:
    """Fills a table, and returns the plaintext of each row whose token is sound."""
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
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE user_credentials (id INTEGER PRIMARY KEY, api_key TEXT)")
        connection.executemany("INSERT INTO user_credentials VALUES (?, ?)", tokens.items())
    return secrets


def _prove(path: Path, new: Key, secrets: Mapping[int, bytes]) -> int:
    """How many of the readable tokens stock Fernet decrypts, with the new key alone, to their plaintext."""
    stock = Fernet(new.reveal())
    with closing(sqlite3.connect(path)) as connection:
        stored = dict(connection.execute("SELECT id, api_key FROM user_credentials"))
    return sum(stock.decrypt(stored[row]) == secret for row, secret in secrets.items())
